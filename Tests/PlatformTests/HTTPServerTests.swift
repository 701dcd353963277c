// What a handler may rely on: whole bodies, answers from any thread, and limits that hold.
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

@Suite("HTTP server")
struct HTTPServerTests {
    private static func echo() throws -> HTTPServer {
        try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let text = "\(exchange.method) \(exchange.path) \(exchange.body.count) "
                exchange.respond(
                    HTTPResponse(status: 200, contentType: "text/plain", body: Array(text.utf8) + exchange.body))
            })
    }

    @Test("a request's method, path, header, query and body reach the handler as they were sent")
    func requestArrives() throws {
        let seen = Mutex<[String]>([])
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let items = exchange.queryItems.map { "\($0.name)=\($0.value)" }
                seen.withLock {
                    $0 =
                        [
                            exchange.method, exchange.path, exchange.header("x-thing") ?? "none",
                            exchange.header("missing") ?? "none", exchange.queryItem("b") ?? "none",
                            String(decoding: exchange.body, as: UTF8.self),
                        ] + items
                }
                #expect(exchange.remoteAddress.hasPrefix("127.0.0.1:"))
                exchange.respond(HTTPResponse(status: 202))
            })
        defer { server.stop() }
        let url = "http://127.0.0.1:\(server.port)/a%2Fb/c?a=1%202+3&b=%C3%A9&flag&a=%zz"
        let response = try HTTPClient().perform(
            HTTPClientRequest(method: "PUT", url: url, headers: [("X-Thing", "it")], body: Array("hello".utf8)))
        #expect(response.status == 202)
        #expect(response.body.isEmpty)
        #expect(
            seen.withLock { $0 }
                == ["PUT", "/a%2Fb/c", "it", "none", "é", "hello", "a=1 2 3", "b=é", "flag=", "a=%zz"])
    }

    @Test("64 zero bytes follow every body, also after a longer one used the same buffer")
    func bodyIsPadded() throws {
        let clean = Mutex<[Bool]>([])
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let body = exchange.body
                let padding = UnsafeRawBufferPointer(
                    start: body.baseAddress?.advanced(by: body.count), count: exchange.bodyCapacity - body.count)
                let isClean = padding.count >= 64 && padding.allSatisfy { $0 == 0 }
                clean.withLock { $0.append(isClean && body.allSatisfy { $0 == 0x61 }) }
                exchange.respond(HTTPResponse(status: 200))
            })
        defer { server.stop() }
        let client = HTTPClient()
        for length in [0, 1, 5000, 3, 0, 70_000, 1400, 4032, 4033, 8000, 12, 1_048_576] {
            let body = [UInt8](repeating: 0x61, count: length)
            let response = try client.perform(
                HTTPClientRequest(method: "POST", url: "http://127.0.0.1:\(server.port)/", body: body))
            #expect(response.status == 200)
        }
        #expect(clean.withLock { $0 } == [Bool](repeating: true, count: 12))
    }

    @Test("1,000 connections are each answered later, from another thread")
    func thousandAnswersLater() throws {
        let queue = ExchangeQueue()
        let server = try HTTPServer(HTTPServerConfiguration(), handler: ClosureHandler { queue.add($0) })
        defer { server.stop() }
        let connections = try (0..<1000).map { _ in try RawConnection(port: server.port) }
        for round in 0..<3 {
            for (index, connection) in connections.enumerated() {
                try connection.send(
                    "POST /\(round)/\(index) HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
                        + String(10_000 + index).dropFirst())
            }
            #expect(eventually { queue.count == 1000 })
            let answering = WorkerThread(name: "answers") {
                for exchange in queue.takeAll().shuffled() {
                    let body = Array(exchange.path.utf8) + exchange.body
                    exchange.respond(HTTPResponse(status: 202, body: body))
                }
            }
            answering.join()
            for (index, connection) in connections.enumerated() {
                let expected = "/\(round)/\(index)" + String(10_000 + index).dropFirst()
                let complete = connection.receive { $0.text.hasSuffix(expected) }
                #expect(complete && connection.count(of: "HTTP/1.1 202") == round + 1)
            }
        }
    }

    @Test("answers given while the handler's call is still returning are neither lost nor doubled")
    func answerRacesSuspension() throws {
        // The answering thread takes exchanges as soon as they are queued: sometimes before, sometimes after the
        // server thread suspended the connection.
        let queue = ExchangeQueue()
        let running = Atomic<Bool>(true)
        let server = try HTTPServer(HTTPServerConfiguration(), handler: ClosureHandler { queue.add($0) })
        let answering = WorkerThread(name: "answers") {
            while running.load(ordering: .relaxed) {
                for exchange in queue.takeAll() { exchange.respond(HTTPResponse(status: 202)) }
            }
        }
        let connections = try (0..<16).map { _ in try RawConnection(port: server.port) }
        let pipelined = String(repeating: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", count: 250)
        for connection in connections { try connection.send(pipelined) }
        for connection in connections {
            _ = connection.receive { $0.count(of: "HTTP/1.1 202") >= 250 }
            #expect(connection.count(of: "HTTP/1.1 202") == 250)
        }
        running.store(false, ordering: .relaxed)
        answering.join()
        server.stop()
    }

    @Test("pipelined requests on one connection are answered in their order")
    func pipelining() throws {
        let server = try HTTPServerTests.echo()
        defer { server.stop() }
        let text = try RawConnection.exchange(
            server.port,
            "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\noneGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nthree")
        let positions = ["POST /1 3 one", "GET /2 0 ", "POST /3 5 three"].map { text.ranges(of: $0).first?.lowerBound }
        #expect(positions.allSatisfy { $0 != nil })
        #expect(positions.compactMap { $0 } == positions.compactMap { $0 }.sorted())
    }

    @Test("a chunked body arrives whole, however it was cut")
    func chunkedBody() throws {
        let server = try HTTPServerTests.echo()
        defer { server.stop() }
        let connection = try RawConnection(port: server.port)
        try connection.send("POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in ["5\r\nhe", "llo\r\n", "1", "0\r\n0123456789abcdef\r\n", "0\r", "\n\r\n"] {
            try connection.send(piece)
        }
        #expect(connection.receive { $0.text.hasSuffix("POST /c 21 hello0123456789abcdef") })
    }

    @Test("a client that expects 100-continue is told to go on, or refused before it sends its body")
    func expectContinue() throws {
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler(admit: { _ in .body(limitBytes: 10) }) { $0.respond(HTTPResponse(status: 200)) })
        defer { server.stop() }
        let good = try RawConnection(port: server.port)
        try good.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        #expect(good.receive { $0.text.contains("100 Continue\r\n\r\n") })
        try good.send("ok")
        #expect(good.receive { $0.text.contains("HTTP/1.1 200") })
        let large = try RawConnection.exchange(
            server.port, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        #expect(large.hasPrefix("HTTP/1.1 413 "))
        #expect(large.contains("Connection: close"))
    }

    @Test("HEAD gets the header of GET without its body, and the connection stays usable")
    func head() throws {
        let server = try HTTPServerTests.echo()
        defer { server.stop() }
        let client = HTTPClient()
        let head = try client.perform(HTTPClientRequest(method: "HEAD", url: "http://127.0.0.1:\(server.port)/h"))
        #expect(head.status == 200)
        #expect(head.header("Content-Length") == "10")
        #expect(head.header("server") == nil)
        #expect(head.body.isEmpty)
        let get = try client.perform(HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/g"))
        #expect(get.body == Array("GET /g 0 ".utf8))
    }

    @Test("an exchange a handler drops is answered 500 instead of never")
    func droppedExchange() throws {
        let server = try HTTPServer(HTTPServerConfiguration(), handler: ClosureHandler { _ in })
        defer { server.stop() }
        let response = try HTTPClient().perform(HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/"))
        #expect(response.status == 500)
        #expect(response.header("content-type") == "application/problem+json")
    }

    @Test("a second server on the same port is an error that says so")
    func addressInUse() throws {
        let server = try HTTPServerTests.echo()
        defer { server.stop() }
        let error = #expect(throws: HTTPServerError.self) {
            _ = try HTTPServer(
                HTTPServerConfiguration(port: server.port),
                handler: ClosureHandler { $0.respond(HTTPResponse(status: 200)) })
        }
        #expect(error?.operation == "bind")
        #expect(error?.description.contains("in use") == true)
        #expect(throws: HTTPServerError.self) {
            _ = try HTTPServer(
                HTTPServerConfiguration(host: "not an address"),
                handler: ClosureHandler { $0.respond(HTTPResponse(status: 200)) })
        }
    }
}
