// The relay's certificates at work: TLS on its ports, towards central, and what happens by itself: files are looked at
// again, central's deny-list is fetched, the own certificate is renewed at half of its life. Whatever of this central
// does not answer is tried again later; nothing waits for it.

import Identity
import Certificates
import Configuration
import HTTPClient
import HTTPServer
import Log
import Synchronization
import System

extension RelayConfiguration {
    /// `tls {cert, key, client_ca, deny_list?, central_ca?, issuing?, recheck_s?}`
    static func readTLS(
        _ reader: inout ConfigurationReader, relativeTo directory: String
    ) throws(ConfigurationError) -> TLSConfiguration? {
        var section = try reader.object("tls")
        let tls = try TLSConfiguration.read(&section, relativeTo: directory)
        try section.finish()
        return tls
    }

    /// Plain HTTP only where nobody can listen in (contract §2); TLS to central needs a certificate to show.
    func checkTLS() throws(ConfigurationError) {
        guard tls == nil else { return }
        try mqtt.listen?.requireLoopback(key: "mqtt_listen")
        if mqtt.usesTLS { throw ConfigurationError(key: "mqtt.tls", problem: "needs tls {cert, key, client_ca}") }
        try listen.requireLoopback(key: "listen")
        try consoleListen?.requireLoopback(key: "console_listen")
        for (index, url) in central.enumerated() where url.hasPrefix("https://") {
            throw ConfigurationError(key: "central[\(index)]", problem: "https needs tls {cert, key, client_ca}")
        }
    }

    /// Reads what `tls` names, before a start or a reload: are the files there, whole, and this relay's?
    package func checkCertificates() throws {
        guard let loaded = try tls?.check() else { return }
        try checkOwner(loaded.certificate)
    }

    fileprivate func checkOwner(_ certificate: Certificate) throws(ConfigurationError) {
        // A certificate of another authority may have no identity of ours: then central decides.
        guard let identity = certificate.identity else { return }
        guard identity.role == .relay, identity.name == relayID else {
            throw ConfigurationError(key: "tls.cert", problem: "is \(identity.uri), not columba://relay/\(relayID)")
        }
    }

    /// What the forwarder shows central, and whom it trusts.
    var centralTLS: HTTPClientTLS? {
        tls.map {
            HTTPClientTLS(
                authoritiesFile: $0.centralAuthoritiesPath, certificateFile: $0.certificatePath, keyFile: $0.keyPath)
        }
    }
}

final class RelayIdentity: Sendable {
    let keeper: TLSKeeper?
    private let renewal: DroneRenewal?
    private let upkeep: RelayCertificateUpkeep?
    private let thread: WorkerThread?

    init(_ configuration: RelayConfiguration, time: any TimeSource, log: Log) throws {
        guard let tls = configuration.tls else {
            (keeper, renewal, upkeep, thread) = (nil, nil, nil, nil)
            return
        }
        let log = log.component("identity")
        let keeper = try TLSKeeper(
            tls, fetchedListPath: "\(configuration.dataDirectory)/deny-list.txt", time: time, log: log)
        try configuration.checkOwner(keeper.certificate)
        self.keeper = keeper
        if !FileSystem.exists(tls.issuingPath) {
            log.warning("drones_cannot_renew_here", ["missing": .string(tls.issuingPath)])
        }
        renewal = DroneRenewal(tls, relayID: configuration.relayID, time: time, log: log)
        let upkeep = RelayCertificateUpkeep(configuration, keeper, time: time, log: log)
        self.upkeep = upkeep
        thread = WorkerThread(name: "identity") { keeper.run { upkeep.turn() } }
    }

    /// - Parameter always: TLS also on a loopback address (the drones' port).
    func serve(
        _ configuration: HTTPServerConfiguration, _ routes: RelayRoutes, always: Bool
    ) throws(HTTPServerError) -> HTTPServer {
        let isLoopback = ListenAddress(host: configuration.host, port: configuration.port).isLoopback
        guard let keeper, let renewal, always || !isLoopback else {
            return try HTTPServer(
                configuration,
                handler: IdentityGate(
                    routes, isVerified: false, services: [DroneRenewal.refusal], refusals: nil,
                    objection: { _, _ in nil }
                ))
        }
        var configuration = configuration
        configuration.tls = keeper.serverTLS
        let server = try HTTPServer(
            configuration,
            handler: IdentityGate(
                routes, isVerified: true, services: [renewal.service], refusals: keeper.refusals,
                objection: RelayAccess.objection))
        keeper.keep(server)
        return server
    }

    /// A drone reported under another's name (F82).
    func impersonation(by drone: String) {
        keeper?.refusals.note("identity_mismatch", who: "columba://drone/\(drone)")
    }

    func look() { keeper?.look() }
    func metrics() -> [UInt8] { keeper?.metrics(prefix: "columba_relay") ?? [] }

    func stop() {
        keeper?.stop()
        thread?.join()
    }
}

/// What a relay asks central about certificates, on the identity thread.
final class RelayCertificateUpkeep: Sendable {
    /// A renewal that failed is tried again after this; there are months of time.
    private static let renewalPauseNanoseconds: UInt64 = 300 * 1_000_000_000
    private static let maxDenyListBytes = 4 << 20

    private let centrals: [String]
    private let relayID: String
    private let tls: HTTPClientTLS
    private let keeper: TLSKeeper
    private let time: any TimeSource
    private let log: Log
    private let nextRenewal = Mutex<UInt64>(0)

    init(_ configuration: RelayConfiguration, _ keeper: TLSKeeper, time: any TimeSource, log: Log) {
        centrals = configuration.central.filter { $0.hasPrefix("https://") }
        relayID = configuration.relayID
        tls = configuration.centralTLS ?? HTTPClientTLS()
        self.keeper = keeper
        self.time = time
        self.log = log
    }

    func turn() {
        // A client for each turn: the certificate it shows is the one in the file now.
        let client = HTTPClient()
        if let list = fetch("/v1/deny-list", client) { keeper.fetched(list) }
        if keeper.configuration.isOneFile, let authorities = fetch("/v1/authorities", client) { trust(authorities) }
        renewIfDue()
    }

    private func fetch(_ path: String, _ client: HTTPClient) -> String? {
        for central in centrals {
            let request = HTTPClientRequest(
                url: central + path, timeoutSeconds: 10, maxResponseBytes: Self.maxDenyListBytes, tls: tls)
            guard let response = try? client.perform(request, isCancelled: { self.keeper.isStopping }),
                response.status == 200
            else { continue }
            return String(decoding: response.body, as: UTF8.self)
        }
        return nil
    }

    /// Central's authorities replace ours if one of them signed our own certificate: a list without it would shut out
    /// this relay from central, and central from this relay.
    private func trust(_ authorities: String) {
        let path = keeper.configuration.clientAuthoritiesPath
        let file = FileSystem.canonicalPath(path) ?? path
        do {
            let present = try Certificate.parse(String(decoding: try FileSystem.read(file), as: UTF8.self))
            let next = try Certificate.parse(authorities)
            guard next != present else { return }
            guard next.contains(where: { keeper.certificate.isSigned(by: $0) }) else {
                throw CertificateError("none of the new authorities signed our own certificate: renew it first")
            }
            try FileSystem.writeAtomically(file, Array(next.map(\.pem).joined().utf8))
            log.info("authorities_changed", ["authorities": .int(next.count)])
        } catch {
            log.warning("authorities_not_taken", ["error": .string("\(error)")])
        }
    }

    private func renewIfDue() {
        let certificate = keeper.certificate
        guard !centrals.isEmpty, keeper.configuration.isOneFile, let identity = certificate.identity,
            certificate.shareOfLife(atSeconds: keeper.nowSeconds) >= CertificateLife.renewalShare
        else { return }
        let now = time.monotonicNanoseconds()
        let isDue = nextRenewal.withLock { next in
            guard now >= next else { return false }
            next = now + Self.renewalPauseNanoseconds
            return true
        }
        guard isDue else { return }
        let configuration = keeper.configuration
        let files = IdentityFiles(
            identity: configuration.certificatePath, authorities: configuration.clientAuthoritiesPath,
            issuing: configuration.issuingPath)
        for central in centrals {
            do {
                let answer = try EnrolmentClient.renew(at: central, identity: identity, tls: tls, into: files)
                return log.info("certificate_renewed", ["expires": .string(answer.expires_at)])
            } catch {
                log.warning("certificate_renewal_failed", ["central": .string(central), "error": .string("\(error)")])
            }
        }
    }
}
