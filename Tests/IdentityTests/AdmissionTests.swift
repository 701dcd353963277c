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
        descriptor = Loopback.tcpSocket()
        try #require(Loopback.connect(descriptor, to: port), "connect: \(errno)")
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

/// Slow senders (F98) are told by the bytes that come, and TLS has bytes of its own.
@Suite("slow clients over TLS", .serialized)
struct SlowClientTLSTests {
    /// What `openssl s_client` with a drone's certificate sends, and after how many seconds it is cut off.
    private func send(
        _ script: String, to change: (inout HTTPAdmissionLimits) -> Void
    ) throws -> (seconds: Double, counts: HTTPConnectionCounts, isServed: Bool) {
        let (folder, authority) = (try Folder(), try TestAuthority())
        let server = try TestServer(try authority.serverCredentials()) {
            change(&$0.admission)
            $0.watchMilliseconds = 20
        }
        let pair = try folder.file("d-1.pem", try authority.pair("columba://drone/d-1"))
        var configuration = ChildProcess.Configuration(
            executable: "/bin/sh",
            arguments: [
                "-c",
                "(sleep 0.3; \(script)) | "
                    + "openssl s_client -quiet -no_ign_eof -cert \(pair) -key \(pair) "
                    + "-connect 127.0.0.1:\(server.server.port)",
            ])
        configuration.standardOutput = .null
        configuration.standardError = .null
        configuration.ownProcessGroup = true
        let started = SystemTime().monotonicNanoseconds()
        let client = try ChildProcess(configuration)
        try #require(eventually { server.server.counts.open == 1 }, "it did not connect")
        _ = eventually(within: 15) { server.server.counts.open == 0 }
        let seconds = Double(SystemTime().monotonicNanoseconds() - started) / 1e9
        let counts = server.server.counts
        kill(-client.processID, SIGKILL)
        let isServed = try server.answer(to: authority.pair("columba://drone/d-2"), trusting: authority.pem, in: folder)
        return (seconds, counts, isServed == "columba://drone/d-2")
    }

    @Test("a header that comes byte by byte is cut at its limit")
    func header() throws {
        let drip = "printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n'; while printf 'A: b\\r\\n'; do sleep 0.1; done"
        let result = try send(drip) { $0.headerSeconds = 1 }
        #expect(result.counts.slowHeader == 1 && result.seconds < 10, "\(result)")
        #expect(result.isServed)
    }

    @Test("a drone that connects and takes its time before its first request is no slow sender")
    func silentAtFirst() throws {
        let request = "sleep 2; printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; sleep 1"
        let result = try send(request) { $0.headerSeconds = 1 }
        #expect(result.counts.slowHeader == 0 && result.seconds > 2.5, "\(result)")
    }

    @Test("a body that comes byte by byte is cut at its limit")
    func body() throws {
        let drip =
            "printf 'POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000\\r\\n\\r\\n'; "
            + "while printf x; do sleep 0.1; done"
        let result = try send(drip) {
            $0.bodyGraceSeconds = 0.5
            $0.bodyBytesPerSecond = 1_000
        }
        #expect(result.counts.slowBody == 1 && result.seconds < 10, "\(result)")
        #expect(result.isServed)
    }
}
