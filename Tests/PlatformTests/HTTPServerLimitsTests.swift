// What the server does at its limits and with clients that misbehave: it answers, or closes; it never waits for ever.
import Glibc
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

@Suite("HTTP server: limits and bad clients")
struct HTTPServerLimitsTests {
    private static func server(limitBytes: Int, _ configuration: HTTPServerConfiguration = .init()) throws -> HTTPServer
    {
        try HTTPServer(
            configuration,
            handler: ClosureHandler(admit: { _ in .body(limitBytes: limitBytes) }) {
                $0.respond(HTTPResponse(status: 200, body: Array("\($0.body.count)".utf8)))
            })
    }

    @Test("a body of exactly the limit is taken, one byte more is 413, declared or chunked")
    func bodyLimit() throws {
        let server = try HTTPServerLimitsTests.server(limitBytes: 1000)
        defer { server.stop() }
        func declared(_ count: Int) throws -> String {
            try RawConnection.exchange(
                server.port,
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(count)\r\n\r\n"
                    + String(repeating: "a", count: count))
        }
        func chunked(_ count: Int) throws -> String {
            try RawConnection.exchange(
                server.port,
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "1\r\na\r\n\(String(count - 1, radix: 16))\r\n"
                    + "\(String(repeating: "a", count: count - 1))\r\n0\r\n\r\n"
            )
        }
        #expect(try declared(1000).hasPrefix("HTTP/1.1 200 "))
        #expect(try chunked(1000).hasPrefix("HTTP/1.1 200 "))
        for text in [try declared(1001), try chunked(1001), try declared(3 << 20), try chunked(3 << 20)] {
            #expect(text.hasPrefix("HTTP/1.1 413 "))
            #expect(text.contains("application/problem+json"))
            #expect(text.contains("too_large"))
        }
    }

    @Test("a body too long to be worth draining is refused at once")
    func hugeDeclaredBody() throws {
        let server = try HTTPServerLimitsTests.server(limitBytes: 1000)
        defer { server.stop() }
        let connection = try RawConnection(port: server.port)
        try connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc")
        #expect(connection.receive { $0.text.contains("\r\n\r\n") })
        #expect(connection.text.hasPrefix("HTTP/1.1 413 "))
    }

    @Test("a handler's refusal is sent instead of its own answer, and a connection without a body stays open")
    func refusal() throws {
        let handled = Atomic<Int>(0)
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler(
                admit: {
                    $0.path == "/no" ? .refuse(HTTPResponse(status: 415, body: [0x6E, 0x6F])) : .body(limitBytes: 9)
                },
                handle: {
                    handled.add(1, ordering: .relaxed)
                    $0.respond(HTTPResponse(status: 200))
                }))
        defer { server.stop() }
        let client = HTTPClient()
        let url = "http://127.0.0.1:\(server.port)"
        #expect(try client.perform(HTTPClientRequest(url: url + "/no")).status == 415)
        #expect(try client.perform(HTTPClientRequest(url: url + "/yes")).status == 200)
        let posted = try client.perform(
            HTTPClientRequest(method: "POST", url: url + "/no", body: [UInt8](repeating: 1, count: 100_000)))
        #expect(posted.status == 415)
        #expect(posted.body == [0x6E, 0x6F])
        #expect(handled.load(ordering: .relaxed) == 1)
    }

    @Test(
        "a request whose length can be read in two ways is refused and its connection closed",
        arguments: [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 5\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5,5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: \r\n",
        ])
    func smuggling(headers: String) throws {
        let handled = Atomic<Int>(0)
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler {
                handled.add(1, ordering: .relaxed)
                $0.respond(HTTPResponse(status: 200))
            })
        defer { server.stop() }
        let text = try RawConnection.exchange(
            server.port,
            "POST /a HTTP/1.1\r\nHost: x\r\n\(headers)\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 400 "))
        // (libmicrohttpd 0.9.75 sends its own 400's header twice; it closes after it all the same.)
        #expect(!text.contains("HTTP/1.1 2"))
        #expect(handled.load(ordering: .relaxed) == 0)
    }

    @Test("headers beyond their memory are 431 or 413, and rubbish is 400 or a closed connection")
    func malformed() throws {
        let server = try HTTPServerLimitsTests.server(limitBytes: 1000)
        defer { server.stop() }
        let large = String(repeating: "x", count: 40_000)
        let overflow = try RawConnection.exchange(server.port, "GET / HTTP/1.1\r\nHost: x\r\nA: \(large)\r\n\r\n")
        #expect(overflow.isEmpty || overflow.hasPrefix("HTTP/1.1 4"))
        for rubbish in [
            "\u{16}\u{3}\u{1}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        ] {
            let text = try RawConnection.exchange(server.port, rubbish)
            #expect(
                text.isEmpty || text.hasPrefix("HTTP/1.1 4") || text.hasPrefix("HTTP/1.1 5")
                    || text.hasPrefix("HTTP/1.0 4"))
        }
        // Still alive.
        let response = try HTTPClient().perform(HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/"))
        #expect(response.status == 200)
    }

    @Test("large bodies beyond what all may use together are 503 with Retry-After")
    func bodiesInFlight() throws {
        let server = try HTTPServerLimitsTests.server(
            limitBytes: 1 << 20, HTTPServerConfiguration(maxBodyBytesInFlight: 600_000))
        defer { server.stop() }
        let url = "http://127.0.0.1:\(server.port)/"
        let client = HTTPClient()
        for (bytes, status) in [(200_000, 200), (1_000_000, 503), (200_000, 200)] {
            let response = try client.perform(
                HTTPClientRequest(method: "POST", url: url, body: [UInt8](repeating: 0x61, count: bytes)))
            #expect(response.status == status)
            #expect((response.header("retry-after") != nil) == (status == 503))
        }
    }

    @Test("a client that leaves while its request waits is noticed, and the late answer harms nobody")
    func disconnectWhileSuspended() throws {
        let queue = ExchangeQueue()
        let server = try HTTPServer(HTTPServerConfiguration(), handler: ClosureHandler { queue.add($0) })
        defer { server.stop() }
        let connections = try (0..<50).map { _ in try RawConnection(port: server.port) }
        for (index, connection) in connections.enumerated() {
            try connection.send(
                "POST /\(index) HTTP/1.1\r\nHost: x\r\nX-Index: \(index)\r\nContent-Length: 4\r\n\r\nbody")
        }
        #expect(eventually { queue.count == 50 })
        let exchanges = queue.takeAll()
        #expect(exchanges.allSatisfy { !$0.isClientGone() })
        for (index, connection) in connections.enumerated() {
            if index % 2 == 0 { connection.close() } else { connection.reset() }
        }
        for exchange in exchanges {
            #expect(eventually { exchange.isClientGone() })
            // Everything about the request is still there.
            #expect(exchange.header("x-index") == String(exchange.path.dropFirst()))
            #expect(exchange.body.elementsEqual("body".utf8))
            exchange.respond(HTTPResponse(status: 200, body: [UInt8](repeating: 0, count: 100_000)))
        }
        #expect(eventually { server.connections == 0 })
    }

    @Test("connections beyond the limit wait for a place instead of being lost")
    func connectionLimit() throws {
        let server = try HTTPServerLimitsTests.server(limitBytes: 10, HTTPServerConfiguration(maxConnections: 4))
        defer { server.stop() }
        let connections = try (0..<12).map { _ in try RawConnection(port: server.port) }
        for connection in connections {
            try connection.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        }
        for connection in connections {
            #expect(connection.receive { $0.text.contains("HTTP/1.1 200") })
        }
    }
}
