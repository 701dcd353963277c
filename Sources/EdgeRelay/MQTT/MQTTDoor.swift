// TLS before the MQTT listener, by the same certificates, authorities and deny-list as the drones' HTTP port.

import Configuration
import HTTPServer
import Identity
import MQTTServer
import System
import TLS

/// What TLSKeeper keeps current: new connections get the credentials of the moment, open ones are asked about again.
struct MQTTDoor: Sendable {
    private struct Kept: KeptServer {
        let acceptor: TLSAcceptor
        let server: MQTTServer

        var asksNoClientCertificate: Bool { false }
        func replace(_ credentials: TLSCredentials) throws(TLSError) { try acceptor.replace(credentials) }
        func recheckPeers() { server.recheckPeers() }
    }

    let keeper: TLSKeeper
    private let acceptor: TLSAcceptor

    /// Nil where the listener speaks plain MQTT.
    init?(_ relay: RelayConfiguration, _ identity: RelayIdentity, time: any TimeSource) throws {
        guard relay.mqtt.usesTLS else { return nil }
        guard let keeper = identity.keeper else {
            throw ConfigurationError(key: "mqtt.tls", problem: "needs tls {cert, key, client_ca}")
        }
        self.keeper = keeper
        acceptor = try TLSAcceptor(keeper.serverTLS, limits: HandshakeLimits(relay.limits), time: time)
    }

    func stream(over socket: StreamSocket) -> (any MQTTTransport)? { acceptor.stream(over: socket) }

    func update(_ limits: RelayConfiguration.Limits) { acceptor.update(HandshakeLimits(limits)) }

    func open(_ server: MQTTServer) { keeper.keep(Kept(acceptor: acceptor, server: server)) }
}

extension HandshakeLimits {
    init(_ limits: RelayConfiguration.Limits) {
        self.init(
            perAddressPerSecond: limits.admission.handshakesPerAddressPerSecond,
            burstPerAddress: limits.admission.handshakeBurstPerAddress,
            exemptsLoopback: limits.admission.exemptsLoopback)
    }
}
