// Stopping: what is in flight is answered, nothing hangs.
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

@Suite("HTTP server: stopping")
struct HTTPServerStopTests {
    @Test("stop() waits for requests in flight, whose answers say that the connection closes")
    func answersInFlight() throws {
        let queue = ExchangeQueue()
        let server = try HTTPServer(HTTPServerConfiguration(), handler: ClosureHandler { queue.add($0) })
        let connections = try (0..<100).map { _ in try RawConnection(port: server.port) }
        for connection in connections { try connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
        #expect(eventually { queue.count == 100 })
        let stopping = WorkerThread(name: "stop") { server.stop() }
        let port = server.port
        #expect(eventually { (try? RawConnection(port: port)) == nil })
        for exchange in queue.takeAll() { exchange.respond(HTTPResponse(status: 200, body: [0x6F, 0x6B])) }
        stopping.join()
        for connection in connections {
            _ = connection.receive { _ in false }
            #expect(connection.isAtEnd)
            #expect(connection.text.contains("Connection: close"))
            #expect(connection.text.hasSuffix("ok"))
        }
    }

    @Test("stopAccepting() refuses new connections and serves the open ones")
    func stopAccepting() throws {
        let server = try HTTPServer(
            HTTPServerConfiguration(), handler: ClosureHandler { $0.respond(HTTPResponse(status: 200)) })
        defer { server.stop() }
        let connection = try RawConnection(port: server.port)
        try connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(connection.receive { $0.count(of: "200 OK") == 1 })
        server.stopAccepting()
        #expect(throws: SocketError.self) { try RawConnection(port: server.port) }
        try connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(connection.receive { $0.count(of: "200 OK") == 2 })
    }

    @Test("stop() gives up on a request that nobody answers, within its time")
    func unanswered() throws {
        let queue = ExchangeQueue()
        let server = try HTTPServer(
            HTTPServerConfiguration(stopTimeoutSeconds: 1), handler: ClosureHandler { queue.add($0) })
        let connection = try RawConnection(port: server.port)
        try connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(eventually { queue.count == 1 })
        let time = SystemTime()
        let before = time.monotonicNanoseconds()
        server.stop()
        #expect(Waiting.isWithin(5, since: before))
        // An answer after the end is still sent: the threads were left running for it.
        for exchange in queue.takeAll() { exchange.respond(HTTPResponse(status: 200)) }
        #expect(connection.receive { $0.text.contains("200 OK") })
    }

    @Test("stop() with idle connections and open streams ends them all")
    func idleAndStreams() throws {
        let streams = Mutex<[HTTPResponseStream]>([])
        let closed = Atomic<Int>(0)
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let stream = exchange.stream(headers: [("Content-Type", "text/event-stream")]) {
                    closed.add(1, ordering: .relaxed)
                }
                stream.write(Array("data: hello\n\n".utf8))
                streams.withLock { $0.append(stream) }
            })
        let idle = try (0..<20).map { _ in try RawConnection(port: server.port) }
        let readers = try (0..<20).map { _ in try RawConnection(port: server.port) }
        for reader in readers {
            try reader.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(reader.receive { $0.text.contains("hello") })
        }
        server.stop()
        server.stop()
        #expect(closed.load(ordering: .relaxed) == 20)
        for reader in readers {
            #expect(reader.receive { $0.isAtEnd })
            #expect(reader.text.hasSuffix("\r\n0\r\n\r\n"))
        }
        for connection in idle { #expect(connection.receive { $0.isAtEnd }) }
        #expect(streams.withLock { $0.allSatisfy { !$0.write([0x61]) } })
    }
}
