// Who may connect to a TLS port, before anyone knows who it is (F99, F100).

import Glibc
import HTTPClient
import HTTPServer
import System
import TestSupport
import Testing

/// A connection to this machine that says nothing.
final class IdleConnection {
    private let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0, "connect: \(errno)")
    }

    deinit { close(descriptor) }

    var isClosedNow: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT))
        return count == 0 || (count < 0 && errno != EAGAIN)
    }

    func isClosedSoon() -> Bool { eventually { isClosedNow } }
}

@Suite("admission to a TLS port")
struct AdmissionTests {
    private let folder: Folder
    private let authority: TestAuthority

    init() throws {
        folder = try Folder()
        authority = try TestAuthority()
    }

    private func client(_ name: String) throws -> HTTPClientTLS {
        let pair = try folder.file("\(name).pem", try authority.pair("columba://drone/\(name)"))
        return HTTPClientTLS(
            authoritiesFile: try folder.file("ca.pem", authority.pem), certificateFile: pair, keyFile: pair)
    }

    private func ask(_ server: TestServer, _ client: HTTPClient, _ tls: HTTPClientTLS) -> Bool {
        (try? client.perform(HTTPClientRequest(url: server.url, timeoutSeconds: 10, tls: tls)))?.status == 200
    }

    @Test("an address that begins handshakes too often is closed unheard, counted, and welcome again later")
    func handshakeRate() throws {
        let server = try TestServer(try authority.serverCredentials()) {
            $0.admission.exemptsLoopback = false
            $0.admission.handshakesPerAddressPerSecond = 0.01
            $0.admission.handshakeBurstPerAddress = 4
        }
        let tls = try client("d-1")
        let steady = HTTPClient()
        #expect(ask(server, steady, tls))
        for _ in 2...4 { #expect(ask(server, HTTPClient(), tls)) }
        #expect(!ask(server, HTTPClient(), tls), "the fifth within a burst of four")
        #expect(server.reasons.contains("handshake_rate"))
        #expect(ask(server, steady, tls), "an open connection has shaken hands already")
        var limits = HTTPAdmissionLimits()
        limits.exemptsLoopback = false
        limits.handshakesPerAddressPerSecond = 1_000
        server.server.update(maxConnections: 100, admission: limits)
        #expect(eventually { ask(server, HTTPClient(), tls) })
    }

    @Test("connections that show no certificate take no drone's place: the oldest of them goes")
    func reserve() throws {
        // Nothing else may make room here: no look at idle connections, a long time for handshakes.
        let server = try TestServer(try authority.serverCredentials(), handshakeTimeoutSeconds: 60) {
            $0.maxConnections = 16
            $0.watchMilliseconds = 60_000
        }
        let (known, tls) = (HTTPClient(), try client("d-1"))
        #expect(ask(server, known, tls))
        let flood = try (0..<60).map { _ in try IdleConnection(port: server.server.port) }
        #expect(ask(server, HTTPClient(), try client("d-2")), "a drone gets in while the flood lasts")
        #expect(eventually { server.server.counts.madeRoom >= 40 }, "\(server.server.counts)")
        #expect(eventually { flood.count { !$0.isClosedNow } <= 13 }, "12 of 16 places are for anyone")
        // From now on no new connection of this fleet gets in: what answers is the connection from before the flood.
        try server.server.replace(try TestAuthority().serverCredentials())
        #expect(!ask(server, HTTPClient(), tls))
        #expect(ask(server, known, tls), "its connection was not touched")
    }
}
