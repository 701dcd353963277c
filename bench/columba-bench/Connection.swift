// One keep-alive connection with at most one report on its way.
import CHTTPClient
import Glibc

struct SocketFailure: Error, CustomStringConvertible {
    let operation: String
    let number: Int32

    var description: String { "\(operation): \(String(cString: strerror(number)))" }
}

final class Connection {
    enum Reading {
        case incomplete
        case answer(status: Int, stored: Bool)
        case closed
    }

    let descriptor: Int32
    private(set) var isWaiting = false
    /// When the report was due (open loop) or sent.
    private(set) var dueNanoseconds: UInt64 = 0
    /// What one send(2) didn't take; rare.
    private var unsent: [UInt8] = []
    /// A partial answer; rare.
    private var partial: [UInt8] = []

    /// An OpenSSL session, or nil for plain HTTP.
    private let session: UnsafeMutableRawPointer?

    init(host: String, port: UInt16, tls: UnsafeMutableRawPointer? = nil) throws {
        let descriptor = try Connection.connect(host, port)
        self.descriptor = descriptor
        session = tls.flatMap { chc_tls_connect($0, descriptor) }
        if tls != nil, session == nil {
            throw SocketFailure(operation: "TLS handshake with \(host):\(port)", number: ECONNREFUSED)
        }
    }

    deinit {
        if let session { chc_tls_close(session) }
        close(descriptor)
    }

    private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let session else { return Glibc.send(descriptor, bytes.baseAddress, bytes.count, Connection.flags) }
        return chc_tls_send(session, bytes.baseAddress, bytes.count)
    }

    private static func connect(_ host: String, _ port: UInt16) throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let address = list?.pointee else {
            throw SocketFailure(operation: "\(host) is no numeric address", number: EINVAL)
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(address.ai_family, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0, Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let number = errno
            if descriptor >= 0 { close(descriptor) }
            throw SocketFailure(operation: "connect to \(host):\(port)", number: number)
        }
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    /// False when the connection is gone.
    func send(_ request: UnsafeRawBufferPointer, dueNanoseconds: UInt64) -> Bool {
        precondition(!isWaiting, "one report at a time on a connection")
        isWaiting = true
        self.dueNanoseconds = dueNanoseconds
        let sent = write(request)
        if sent == request.count { return true }
        guard sent >= 0 || errno == EAGAIN else { return false }
        unsent = Array(request.dropFirst(max(0, sent)))
        return true
    }

    /// Sends what was left over; call when readable or writable. False when the connection is gone.
    func flush() -> Bool {
        guard !unsent.isEmpty else { return true }
        let sent = unsent.withUnsafeBytes(write)
        if sent > 0 { unsent.removeFirst(sent) }
        return sent >= 0 || errno == EAGAIN
    }

    private static let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
    private static let headerEnd = Array("\r\n\r\n".utf8)
    private static let lengthName = Array("Content-Length: ".utf8)
    private static let stored = Array("\"stored\"".utf8)

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
        let count =
            session.map { chc_tls_receive($0, buffer.baseAddress, buffer.count) }
            ?? recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .incomplete : .closed }
        guard count > 0 else { return .closed }
        let received = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if partial.isEmpty {
            if let answer = answer(in: received) { return answer }
            partial = Array(received)
            return .incomplete
        }
        partial += received
        guard let answer = partial.withUnsafeBytes(answer) else { return .incomplete }
        partial = []
        return answer
    }

    private func answer(in bytes: UnsafeRawBufferPointer) -> Reading? {
        guard let bodyStart = Bytes.end(of: Connection.headerEnd, in: bytes) else { return nil }
        let length = Bytes.end(of: Connection.lengthName, in: bytes).flatMap { Bytes.number(in: bytes, at: $0) } ?? 0
        guard bytes.count >= bodyStart + length, let status = Bytes.number(in: bytes, at: 9) else { return nil }
        isWaiting = false
        return .answer(status: status, stored: Bytes.end(of: Connection.stored, in: bytes, from: bodyStart) != nil)
    }
}
