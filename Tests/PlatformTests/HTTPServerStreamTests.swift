// Server-Sent Events: written bytes leave at once, slow readers are cut, gone readers are noticed.
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

/// Hands every opened stream to the test.
private final class Streams: Sendable {
    fileprivate let opened = Mutex<[HTTPResponseStream]>([])
    let closed = Atomic<Int>(0)

    func server(maxPendingBytes: Int = 1 << 20) throws -> HTTPServer {
        try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { [self] exchange in
                let stream = exchange.stream(
                    headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")],
                    maxPendingBytes: maxPendingBytes, onClose: { _ = self.closed.add(1, ordering: .relaxed) })
                opened.withLock { $0.append(stream) }
            })
    }

    var first: HTTPResponseStream? { opened.withLock { $0.first } }
    var count: Int { opened.withLock { $0.count } }
}

@Suite("HTTP server: streams")
struct HTTPServerStreamTests {
    @Test("each event reaches the client before the next one is written")
    func eventsLeaveAtOnce() throws {
        let streams = Streams()
        let server = try streams.server()
        defer { server.stop() }
        let reader = try RawConnection(port: server.port)
        try reader.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(reader.receive { $0.text.contains("\r\n\r\n") })
        #expect(reader.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(reader.text.contains("Content-Type: text/event-stream\r\n"))
        let stream = try #require(streams.first)
        var slowest: UInt64 = 0
        for number in 0..<200 {
            let time = SystemTime()
            let before = time.monotonicNanoseconds()
            #expect(stream.write(Array("id: \(number)\ndata: x\n\n".utf8)))
            #expect(reader.receive { $0.text.contains("id: \(number)\n") })
            slowest = max(slowest, time.monotonicNanoseconds() - before)
        }
        // Far below the 40 ms of a delayed acknowledgement, which is what holding bytes back would cost each time.
        #expect(slowest < 2_000_000_000)
        stream.finish()
        #expect(reader.receive { $0.text.hasSuffix("\r\n0\r\n\r\n") })
        #expect(eventually { streams.closed.load(ordering: .relaxed) == 1 })
        #expect(!stream.write(Array("late".utf8)))
    }

    @Test("100 readers get every event of a writer that never waits, in order")
    func manyReaders() throws {
        let streams = Streams()
        let server = try streams.server()
        defer { server.stop() }
        let readers = try (0..<100).map { _ in try RawConnection(port: server.port) }
        for reader in readers { try reader.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n") }
        #expect(eventually { streams.count == 100 })
        let writer = WorkerThread(name: "writer") {
            for number in 0..<300 { streams.writeToAll("event \(number);") }
            streams.finishAll()
        }
        writer.join()
        for reader in readers {
            #expect(reader.receive { $0.text.hasSuffix("\r\n0\r\n\r\n") })
            let numbers = reader.text.split(separator: "event ").dropFirst().compactMap { Int($0.prefix { $0 != ";" }) }
            #expect(numbers == Array(0..<300))
        }
    }

    @Test("a reader that doesn't read is cut at its limit, while memory stays bounded")
    func slowReader() throws {
        let streams = Streams()
        let server = try streams.server(maxPendingBytes: 100_000)
        defer { server.stop() }
        let reader = try RawConnection(port: server.port, receiveBufferBytes: 4096)
        try reader.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(eventually { streams.count == 1 })
        let stream = try #require(streams.first)
        let event = [UInt8](repeating: 0x61, count: 10_000)
        // The kernel's buffers take some megabytes at most; then the limit must say no.
        var written = 0
        #expect(
            eventually { () -> Bool in
                guard written < 10_000, stream.write(event) else { return true }
                written += 1
                return false
            })
        #expect(written > 9 && written < 10_000)
        #expect(!stream.write([0x62]))
        _ = reader.receive { _ in false }
        #expect(reader.isAtEnd)
        #expect(!reader.text.hasSuffix("\r\n0\r\n\r\n"))
        #expect(eventually { streams.closed.load(ordering: .relaxed) == 1 })
    }

    @Test("a reader that left is noticed at a write")
    func goneReader() throws {
        let streams = Streams()
        let server = try streams.server()
        defer { server.stop() }
        let reader = try RawConnection(port: server.port)
        try reader.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(eventually { streams.count == 1 })
        let stream = try #require(streams.first)
        reader.close()
        #expect(eventually { !stream.write(Array(": heartbeat\n\n".utf8)) })
        #expect(eventually { streams.closed.load(ordering: .relaxed) == 1 && server.connections == 0 })
    }

    @Test("HTTPClient.stream gives bytes as they come, until its consumer has enough")
    func clientStream() throws {
        let streams = Streams()
        let server = try streams.server()
        defer { server.stop() }
        let feeding = WorkerThread(name: "feeder") {
            _ = eventually { streams.count == 1 }
            _ = eventually { streams.first?.write(Array("data: tick\n\n".utf8)) == false }
        }
        var text = ""
        var status = 0
        let response = try HTTPClient().stream(
            HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/events", timeoutSeconds: 20),
            onStatus: {
                status = $0
                return true
            },
            onBytes: {
                text += String(decoding: $0, as: UTF8.self)
                return !text.contains("tick\n\ndata: tick")
            })
        #expect(status == 200)
        #expect(response.header("content-type") == "text/event-stream")
        feeding.join()
    }
}

extension Streams {
    fileprivate func writeToAll(_ text: String) {
        for stream in opened.withLock({ $0 }) { stream.write(Array(text.utf8)) }
    }

    fileprivate func finishAll() {
        for stream in opened.withLock({ $0 }) { stream.finish() }
    }
}
