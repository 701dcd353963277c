// Slow senders, slow readers, and clients that only hold places: each is cut within its limit, the others go on (F98,
// F100, F102).
import Glibc
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

@Suite("HTTP server: slow and greedy clients", .serialized)
struct HTTPServerSlowClientTests {
    private static func server(
        maxConnections: Int = 256, answerBytes: Int = 2, _ change: (inout HTTPAdmissionLimits) -> Void
    ) throws -> HTTPServer {
        var limits = HTTPAdmissionLimits()
        limits.exemptsLoopback = false
        change(&limits)
        let answer = [UInt8](repeating: 0x61, count: answerBytes)
        return try HTTPServer(
            HTTPServerConfiguration(
                maxConnections: maxConnections, idleTimeoutSeconds: 30, admission: limits, watchMilliseconds: 20,
                stopTimeoutSeconds: 1),
            handler: ClosureHandler { $0.respond(HTTPResponse(status: 200, body: answer)) })
    }

    /// Sends a byte every 10 ms until the server closes; returns the seconds that took, nil if it never did.
    private static func drip(_ connection: RawConnection, _ text: String, within seconds: Double) -> Double? {
        let time = SystemTime()
        let started = time.monotonicNanoseconds()
        var bytes = Array(text.utf8)[...]
        let closed = eventually(within: seconds) {
            poll(nil, 0, 10)
            if let next = bytes.popFirst() { try? connection.send([next]) }
            return connection.receive(within: 0) { _ in false } || connection.isAtEnd
        }
        return closed ? Double(time.monotonicNanoseconds() - started) / 1e9 : nil
    }

    private func isServed(_ server: HTTPServer) -> Bool {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/", timeoutSeconds: 5)
        return (try? HTTPClient().perform(request))?.status == 200
    }

    @Test("a header that comes byte by byte is cut at its limit, on a new connection and on a used one")
    func slowHeader() throws {
        let server = try Self.server { $0.headerSeconds = 0.4 }
        defer { server.stop() }
        let endless = "GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "A: b\r\n", count: 1000)
        let fresh = try RawConnection(port: server.port)
        let seconds = try #require(Self.drip(fresh, endless, within: 10))
        #expect((0.3...3).contains(seconds), "cut after \(seconds) s")
        let used = try RawConnection(port: server.port)
        try used.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(used.receive { $0.text.hasSuffix("aa") })
        poll(nil, 0, 100)
        #expect(Self.drip(used, endless, within: 10) != nil)
        #expect(server.counts.slowHeader == 2)
        #expect(isServed(server))
    }

    @Test("an idle connection and a header in pieces within its time are left alone")
    func patient() throws {
        let server = try Self.server { $0.headerSeconds = 2 }
        defer { server.stop() }
        let idle = try RawConnection(port: server.port)
        let pieces = try RawConnection(port: server.port)
        for _ in 0..<3 {
            for piece in ["GET /a?b=c HT", "TP/1.1\r\nHo", "st: x\r\nA: ", "b\r", "\n\r", "\n"] {
                try pieces.send(piece)
                poll(nil, 0, 60)
            }
        }
        #expect(pieces.receive { $0.count(of: "HTTP/1.1 200") == 3 })
        try idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(idle.receive { $0.text.hasSuffix("aa") })
        #expect(
            server.counts
                == {
                    var none = HTTPConnectionCounts(); none.open = 2; return none
                }())
    }

    @Test("a body below the floor, and one that takes too long, are cut; a steady one is not")
    func slowBody() throws {
        let server = try Self.server {
            $0.bodyGraceSeconds = 0.2
            $0.bodyBytesPerSecond = 1000
            $0.bodySeconds = 1.5
        }
        defer { server.stop() }
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        let slow = try RawConnection(port: server.port)
        try slow.send(head)
        #expect(Self.drip(slow, String(repeating: "x", count: 1000), within: 10) != nil)
        #expect(server.counts.slowBody == 1)
        // Above the floor, but not done in time.
        let long = try RawConnection(port: server.port)
        try long.send(head)
        let closed = eventually(within: 10) {
            poll(nil, 0, 10)
            try? long.send(String(repeating: "x", count: 50))
            return long.receive(within: 0) { _ in false } || long.isAtEnd
        }
        #expect(closed && server.counts.slowBody == 2)
        let steady = try RawConnection(port: server.port)
        try steady.send(head)
        for _ in 0..<10 {
            try steady.send(String(repeating: "x", count: 10_000))
            poll(nil, 0, 40)
        }
        #expect(steady.receive { $0.text.contains("HTTP/1.1 200") })
        #expect(isServed(server))
    }

    @Test("who takes the answer too slowly is cut; who takes it steadily gets all of it")
    func slowReader() throws {
        let bytes = 8 << 20
        let server = try Self.server(answerBytes: bytes) {
            $0.answerWindowSeconds = 0.3
            $0.answerBytesPerSecond = 100_000
        }
        defer { server.stop() }
        let slow = try RawConnection(port: server.port, receiveBufferBytes: 4096)
        try slow.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(eventually { server.counts.slowReader == 1 })
        let client = try RawConnection(port: server.port, receiveBufferBytes: 65_536)
        try client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receive(within: 20) { $0.received.count > bytes })
        #expect(server.counts.slowReader == 1)
    }

    @Test("one address gets so many unproven connections, is told 429, and gets more once it has proven itself")
    func perAddress() throws {
        let server = try Self.server { $0.newConnectionsPerAddress = 8 }
        defer { server.stop() }
        let first = try (0..<8).map { _ in try RawConnection(port: server.port) }
        #expect(eventually { server.connections == 8 })
        let ninth = try RawConnection(port: server.port)
        #expect(ninth.receive { $0.isAtEnd })
        #expect(ninth.text.hasPrefix("HTTP/1.1 429 ") && ninth.text.contains("\r\nRetry-After: 10\r\n"))
        #expect(ninth.text.hasSuffix("}"))
        #expect(server.counts.tooManyOfAddress == 1)
        for connection in first { try connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
        for connection in first { #expect(connection.receive { $0.text.hasSuffix("aa") }) }
        let more = try (0..<8).map { _ in try RawConnection(port: server.port) }
        #expect(eventually { server.connections == 16 })
        for connection in more { connection.close() }
        #expect(eventually { server.connections == 8 })
        #expect(isServed(server))
        // An optimised build would close a connection after its last use.
        withExtendedLifetime((first, ninth)) {}
    }

    @Test("when idle connections take the places, they are closed and others get in")
    func crowded() throws {
        let server = try Self.server(maxConnections: 16) { $0.newConnectionsPerAddress = 0 }
        defer { server.stop() }
        let idle = try (0..<16).map { _ in try RawConnection(port: server.port) }
        #expect(eventually { server.connections == 16 })
        #expect(isServed(server), "a client that asks for something gets its turn")
        #expect(server.counts.idle >= 1)
        withExtendedLifetime(idle) {}
    }

    @Test("limits can be changed while connections are open")
    func update() throws {
        let server = try Self.server { $0.headerSeconds = 60 }
        defer { server.stop() }
        let slow = try RawConnection(port: server.port)
        try slow.send("GET / HT")
        poll(nil, 0, 200)
        #expect(server.counts.slowHeader == 0)
        var limits = HTTPAdmissionLimits()
        limits.headerSeconds = 0.1
        server.update(maxConnections: 256, admission: limits)
        #expect(eventually { server.counts.slowHeader == 1 })
    }
}
