// An HTTP proxy before an S3 server that does to an answer what networks and servers do: it is lost, late, cut short or
// another one, while the request was carried out or not. Also a server by itself, which says whatever it is told.

import Crypto
import Glibc
import Synchronization
import System

package struct ProxiedRequest: Sendable {
    package var method: String
    /// Path and query as they came.
    package var target: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var raw: [UInt8]

    package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

package enum Reaction: Sendable {
    case pass
    /// The server has carried it out; its answer does not arrive.
    case loseAnswer
    /// The connection ends before the server sees anything.
    case drop
    /// Carried out, and answered with this instead.
    case instead(status: Int)
    /// Not passed on, answered with this.
    case answer(status: Int, body: String)
    /// An object of these bytes with another's digest beside it.
    case damaged(String, digestOf: String)
    /// The answer stops in its middle.
    case cutAnswer
    /// Nothing comes back until the proxy ends.
    case hang
    /// Passed on after so long.
    case late(seconds: Double)
}

package final class S3Proxy: Sendable {
    package let port: UInt16
    private let listener: Int32
    private let server: UInt16
    private let react: @Sendable (ProxiedRequest, Int) -> Reaction
    private let state = Monitor((requests: [ProxiedRequest](), isEnded: false, open: [Int32]()))
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameter react: is given the request and its number from 0 on.
    package init(to server: UInt16 = 0, react: @escaping @Sendable (ProxiedRequest, Int) -> Reaction) throws {
        self.server = server
        self.react = react
        port = try FreePorts.find(1)[0]
        listener = Loopback.tcpSocket()
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard Loopback.withAddress(port, { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw SystemError(operation: "listen", errno: errno)
        }
        thread.withLock { $0 = WorkerThread(name: "s3-proxy") { self.run() } }
    }

    package var endpoint: String { "http://127.0.0.1:\(port)" }
    package var requests: [ProxiedRequest] { state.withLock { $0.requests } }

    package func end() {
        let open = state.update { state in
            state.isEnded = true
            return state.open
        }
        for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        shutdown(listener, Int32(SHUT_RDWR))
        thread.withLock { $0 }?.join()
        close(listener)
    }

    // MARK: - Threads

    private func run() {
        var threads: [WorkerThread] = []
        while true {
            let client = accept(listener, nil, nil)
            let isEnded = state.withLock { state in
                if client >= 0 { state.open.append(client) }
                return state.isEnded
            }
            if isEnded || client < 0 {
                if client >= 0 { close(client) }
                break
            }
            threads.append(WorkerThread(name: "s3-proxy-link") { self.serve(client) })
        }
        for thread in threads { thread.join() }
    }

    private func serve(_ client: Int32) {
        defer {
            state.withLock { state in state.open.removeAll { $0 == client } }
            close(client)
        }
        while let request = Self.read(client) {
            let number = state.update { state in
                state.requests.append(request)
                return state.requests.count - 1
            }
            switch react(request, number) {
            case .pass:
                guard let answer = exchange(request) else { return }
                Self.send(answer, client)
            case .late(let seconds):
                poll(nil, 0, Int32(seconds * 1_000))
                guard let answer = exchange(request) else { return }
                Self.send(answer, client)
            case .loseAnswer:
                _ = exchange(request)
                return
            case .drop: return
            case .instead(let status):
                _ = exchange(request)
                Self.send(Self.answer(status, ""), client)
            case .answer(let status, let body): Self.send(Self.answer(status, body), client)
            case .damaged(let body, let text):
                let digest = SHA256.hash(Array(text.utf8)).hex
                Self.send(Self.answer(200, body, "x-amz-meta-columba-sha256: \(digest)\r\n"), client)
            case .cutAnswer:
                guard let answer = exchange(request) else { return }
                Self.send(Array(answer.dropLast(max(1, answer.count / 3))), client)
                return
            case .hang:
                _ = state.wait { $0.isEnded ? true : nil }
                return
            }
        }
    }

    /// The server's whole answer.
    private func exchange(_ request: ProxiedRequest) -> [UInt8]? {
        let upstream = Loopback.tcpSocket()
        defer { close(upstream) }
        guard Loopback.connect(upstream, to: server) else { return nil }
        Self.send(request.raw, upstream)
        var answer: [UInt8] = []
        while !Self.isWhole(answer, toHead: request.method == "HEAD") {
            guard let more = Self.receive(upstream) else { return nil }
            answer += more
        }
        return answer
    }

    // MARK: - Just enough HTTP

    private static func answer(_ status: Int, _ body: String, _ more: String = "") -> [UInt8] {
        Array("HTTP/1.1 \(status) X\r\n\(more)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    private static func receive(_ descriptor: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer[..<count]) : nil
    }

    private static func send(_ bytes: [UInt8], _ descriptor: Int32) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    private static func headerEnd(_ bytes: [UInt8]) -> Int? {
        let mark = Array("\r\n\r\n".utf8)
        guard bytes.count >= 4 else { return nil }
        return (0...(bytes.count - 4)).first { bytes[$0..<($0 + 4)].elementsEqual(mark) }.map { $0 + 4 }
    }

    private static func headers(_ bytes: some Sequence<UInt8>) -> [(name: String, value: String)] {
        String(decoding: Array(bytes), as: UTF8.self).split(separator: "\r\n").dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmed)
        }
    }

    private static func read(_ client: Int32) -> ProxiedRequest? {
        var bytes: [UInt8] = []
        while true {
            if let end = headerEnd(bytes) {
                let found = headers(bytes[..<end])
                let length = found.first { $0.name == "content-length" }.flatMap { Int($0.value) } ?? 0
                while bytes.count < end + length {
                    guard let more = receive(client) else { return nil }
                    bytes += more
                }
                let first = String(decoding: bytes.prefix { $0 != 0x0d }, as: UTF8.self).split(separator: " ")
                guard first.count == 3 else { return nil }
                return ProxiedRequest(
                    method: String(first[0]), target: String(first[1]), headers: found,
                    body: Array(bytes[end..<(end + length)]), raw: bytes)
            }
            guard let more = receive(client) else { return nil }
            bytes += more
        }
    }

    private static func isWhole(_ answer: [UInt8], toHead: Bool) -> Bool {
        guard let end = headerEnd(answer) else { return false }
        let found = headers(answer[..<end])
        let status = String(decoding: answer.prefix(12).suffix(3), as: UTF8.self)
        if toHead || status == "204" || status == "304" { return true }
        if found.contains(where: { $0.name == "transfer-encoding" }) {
            return answer.suffix(5).elementsEqual("0\r\n\r\n".utf8)
        }
        let length = found.first { $0.name == "content-length" }.flatMap { Int($0.value) } ?? 0
        return answer.count >= end + length
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
