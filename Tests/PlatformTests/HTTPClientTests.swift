// Every way an exchange can end is an answer or a typed error, in bounded time and memory.
import Glibc
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing

/// Accepts connections and says what it is told, right or wrong.
private final class ScriptedServer: Sendable {
    let port: UInt16
    private let socket: Int32
    private let accepted = Atomic<Int>(0)
    private let thread: WorkerThread

    /// - Parameter script: what to send on the n-th connection after its request's header; nil: say nothing.
    init(_ script: @escaping @Sendable (Int) -> String?, keepOpen: Bool = false) throws {
        let listening = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, length) != 0 || listen(listening, 16) != 0
                    || getsockname(listening, $0, &length) != 0
            }
        }
        guard !failed else { throw SocketError(operation: "listen", errno: errno) }
        socket = listening
        port = UInt16(bigEndian: address.sin_port)
        thread = WorkerThread(name: "scripted") {
            var open: [Int32] = []
            var number = 0
            while true {
                let connection = accept(listening, nil, nil)
                guard connection >= 0 else { break }
                open.append(connection)
                var request: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while !String(decoding: request, as: UTF8.self).contains("\r\n\r\n") {
                    let count = recv(connection, &buffer, buffer.count, 0)
                    guard count > 0 else { break }
                    request += buffer[..<count]
                }
                if let text = script(number) {
                    _ = Array(text.utf8).withUnsafeBytes {
                        send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    if !keepOpen { shutdown(connection, Int32(SHUT_RDWR)) }
                }
                number += 1
            }
            for connection in open { close(connection) }
        }
    }

    func stop() {
        shutdown(socket, Int32(SHUT_RDWR))
        thread.join()
        close(socket)
    }

    var url: String { "http://127.0.0.1:\(port)/" }
}

@Suite("HTTP client")
struct HTTPClientTests {
    private static func code(
        _ request: HTTPClientRequest, isCancelled: (() -> Bool)? = nil
    ) -> HTTPClientError.Code? {
        do {
            _ = try HTTPClient().perform(request, isCancelled: isCancelled)
            return nil
        } catch {
            return error.code
        }
    }

    @Test("an answer's status, header and body are given as they came, whatever the status")
    func answers() throws {
        let server = try ScriptedServer { _ in
            "HTTP/1.1 404 Not Found\r\nX-One:  a b \r\nx-ONE: c\r\nEmpty:\r\nContent-Length: 3\r\n\r\nno!"
        }
        defer { server.stop() }
        let response = try HTTPClient().perform(HTTPClientRequest(url: server.url))
        #expect(response.status == 404)
        #expect(response.header("X-One") == "a b")
        #expect(
            response.headers.map { "\($0.name)=\($0.value)" } == ["x-one=a b", "x-one=c", "empty=", "content-length=3"])
        #expect(response.body == Array("no!".utf8))
    }

    @Test("what the server sees is what the request says, and nothing curl would add by itself")
    func requestOnTheWire() throws {
        let seen = Mutex<[String: String]>([:])
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let names = ["content-type", "expect", "accept-encoding", "content-length", "x-empty", "x-one"]
                seen.withLock { seen in
                    seen = ["method": exchange.method, "body": "\(exchange.body.count)"]
                    for name in names { seen[name] = exchange.header(name) }
                }
                exchange.respond(HTTPResponse(status: 200))
            })
        defer { server.stop() }
        let url = "http://127.0.0.1:\(server.port)/"
        let client = HTTPClient()
        _ = try client.perform(
            HTTPClientRequest(
                method: "PUT", url: url, headers: [("X-One", "1"), ("X-Empty", "")],
                body: [UInt8](repeating: 0, count: 1 << 20)))
        #expect(
            seen.withLock { $0 }
                == ["method": "PUT", "body": "1048576", "content-length": "1048576", "x-one": "1", "x-empty": ""])
        _ = try client.perform(
            HTTPClientRequest(method: "POST", url: url, headers: [("content-type", "application/json")], body: []))
        #expect(
            seen.withLock { $0 }
                == ["method": "POST", "body": "0", "content-length": "0", "content-type": "application/json"])
        _ = try client.perform(HTTPClientRequest(method: "DELETE", url: url))
        #expect(seen.withLock { $0 } == ["method": "DELETE", "body": "0"])
    }

    @Test("redirects are answers, not orders")
    func redirects() throws {
        let server = try ScriptedServer { _ in
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        }
        defer { server.stop() }
        #expect(try HTTPClient().perform(HTTPClientRequest(url: server.url)).status == 307)
    }

    @Test("nobody there, nobody known, nonsense: each has its code")
    func failures() throws {
        #expect(HTTPClientTests.code(HTTPClientRequest(url: "http://127.0.0.1:1/")) == .couldNotConnect)
        #expect(HTTPClientTests.code(HTTPClientRequest(url: "http://nowhere.invalid/")) == .couldNotResolve)
        #expect(HTTPClientTests.code(HTTPClientRequest(url: "ftp://127.0.0.1/")) == .invalidRequest)
        #expect(HTTPClientTests.code(HTTPClientRequest(url: "file:///etc/passwd")) == .invalidRequest)
        #expect(HTTPClientTests.code(HTTPClientRequest(url: "")) == .invalidRequest)
        let forged = HTTPClientRequest(url: "http://127.0.0.1:1/", headers: [("X", "a\r\nY: b")])
        #expect(HTTPClientTests.code(forged) == .invalidRequest)
    }

    @Test("an answer that ends too early, or isn't HTTP, is an error")
    func brokenAnswers() throws {
        for (text, code) in [
            ("", HTTPClientError.Code.closed), ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", .closed),
            ("rubbish rubbish\r\n\r\n", .other),
        ] {
            let server = try ScriptedServer { _ in text }
            defer { server.stop() }
            let failed = HTTPClientTests.code(HTTPClientRequest(url: server.url))
            #expect(failed == code || (code == .other && failed != nil))
        }
    }

    @Test("an answer larger than allowed ends the exchange, and so does one that never comes")
    func limits() throws {
        let large = try ScriptedServer { _ in
            "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + String(repeating: "x", count: 5000)
        }
        defer { large.stop() }
        #expect(HTTPClientTests.code(HTTPClientRequest(url: large.url, maxResponseBytes: 4999)) == .tooLarge)
        #expect(HTTPClientTests.code(HTTPClientRequest(url: large.url, maxResponseBytes: 5000)) == nil)
        let silent = try ScriptedServer({ _ in nil })
        defer { silent.stop() }
        #expect(HTTPClientTests.code(HTTPClientRequest(url: silent.url, timeoutSeconds: 0.2)) == .timedOut)
        let cancelled = Atomic<Bool>(false)
        let code = HTTPClientTests.code(HTTPClientRequest(url: silent.url)) {
            cancelled.exchange(true, ordering: .relaxed)
        }
        #expect(code == .cancelled)
    }

    @Test("a kept connection that died meanwhile is replaced, and one client keeps one connection")
    func keepAlive() throws {
        let addresses = Mutex<Set<String>>([])
        let handler = ClosureHandler { exchange in
            addresses.withLock { _ = $0.insert(exchange.remoteAddress) }
            exchange.respond(HTTPResponse(status: 200))
        }
        let first = try HTTPServer(HTTPServerConfiguration(), handler: handler)
        let client = HTTPClient()
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(first.port)/")
        for _ in 0..<20 { #expect(try client.perform(request).status == 200) }
        #expect(addresses.withLock { $0.count } == 1)
        var fresh = request
        fresh.freshConnection = true
        #expect(try client.perform(fresh).status == 200)
        #expect(addresses.withLock { $0.count } == 2)
        first.stop()
        let second = try HTTPServer(HTTPServerConfiguration(port: first.port), handler: handler)
        defer { second.stop() }
        #expect(try client.perform(request).status == 200)
    }
}
