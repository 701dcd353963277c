// A request's head is read in one way or refused (F97), is within its limits (F102, F105), and odd paths are just
// unknown paths (F105).
import HTTPServer
import Synchronization
import System
import Testing

@Suite("HTTP server: heads")
struct HTTPServerHeadTests {
    /// The status of the first answer, whether the connection was closed after it, and how many were handled as "/ok".
    private static func send(_ request: String) throws -> (status: Int, isClosed: Bool, handled: Int) {
        let handled = Atomic<Int>(0)
        let server = try HTTPServer(
            HTTPServerConfiguration(),
            handler: ClosureHandler { exchange in
                let isKnown = exchange.path == "/ok" || exchange.path == "/next"
                if isKnown { handled.add(1, ordering: .relaxed) }
                exchange.respond(HTTPResponse(status: isKnown ? 200 : 404))
            })
        defer { server.stop() }
        let connection = try RawConnection(port: server.port)
        // A refusal may close the connection while the rest is still being sent.
        try? connection.send(request)
        _ = connection.receive(within: 5) { $0.text.contains("\r\n\r\n") }
        _ = connection.receive(within: 0.1) { _ in false }
        let status = Int(connection.text.split(separator: " ").dropFirst().first ?? "") ?? 0
        return (status, connection.isAtEnd, handled.load(ordering: .relaxed))
    }

    @Test(
        "a head that two readers could read differently is 400, closes, and nothing after it is a request",
        arguments: [
            "GET /ok HTTP/1.1\nHost: x\n\n",
            "GET /ok HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nA: b\n\r\n",
            "GET /ok HTTP/1.1\nHost: x\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n0\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "POST /ok HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET /ok HTTP/1.1\r\n Host: x\r\nHost: y\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nContent\u{1}Length: 5\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nA\u{7F}: b\r\n\r\n",
            "GET /ok HTTP/1.1\r\nHost: x\r\nContent Length: 5\r\n\r\n",
            "GET /ok\0/more HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1e1\r\n\r\n",
        ])
    func ambiguous(request: String) throws {
        let (status, isClosed, handled) = try Self.send(request + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(status == 400 && isClosed && handled == 0)
    }

    @Test(
        "what is unusual and clear is served",
        arguments: [
            "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET /ok HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /ok?a=b&c&d= HTTP/1.1\r\nHost:x\r\nA:  b\r\nC: \r\n\r\n",
            "GET /ok? HTTP/1.1\r\nHOST: x\r\nX_y.z~!#$%&'*+-^`|: \u{E9} \"q\"\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n",
            "POST /ok HTTP/1.1\r\nHost: x\r\nCookie: a=b; c=d\r\nContent-Length: 2\r\n\r\nhi",
        ])
    func clear(request: String) throws {
        let (status, isClosed, handled) = try Self.send(request + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(status == 200 && !isClosed && handled == 2)
    }

    @Test("64 fields are taken and 65 are 431; 4 KiB of address are taken and one byte more is 414")
    func limits() throws {
        func fields(_ count: Int) -> String {
            "GET /ok HTTP/1.1\r\nHost: x\r\n" + (1..<count).map { "A\($0): b\r\n" }.joined() + "\r\n"
        }
        #expect(try Self.send(fields(64)).status == 200)
        #expect(try Self.send(fields(65)).status == 431)
        #expect(try Self.send(fields(100_000)).status == 431)
        func address(_ bytes: Int) -> String {
            "GET /ok?\(String(repeating: "a", count: bytes - 4)) HTTP/1.1\r\nHost: x\r\n\r\n"
        }
        #expect(try Self.send(address(4096)).status == 200)
        #expect(try Self.send(address(4097)).status == 414)
        #expect(try Self.send(address(100_000)).status == 414)
    }

    @Test(
        "an odd path is an unknown path",
        arguments: [
            "/../ok", "/./ok", "/%2e%2e/ok", "/%6fk", "//ok", "/ok/", "/ok%00", "/OK", "/ok;a", "/ok#a", "\\ok",
            "http://x/ok", "*", "/..%2fok", "/ok%20", "/%c0%afok",
        ])
    func paths(path: String) throws {
        let (status, _, handled) = try Self.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(status == 404 && handled == 0)
    }
}
