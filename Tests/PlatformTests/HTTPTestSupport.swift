// What the HTTP tests share: a handler made of closures, a raw socket that can misbehave, waiting with a deadline.
import Glibc
import HTTPServer
import Synchronization
import System
import TestSupport

final class ClosureHandler: HTTPHandler {
    let onAdmit: @Sendable (HTTPRequestHead) -> HTTPAdmission
    let onHandle: @Sendable (HTTPExchange) -> Void

    init(
        admit: @escaping @Sendable (HTTPRequestHead) -> HTTPAdmission = { _ in .body(limitBytes: 1 << 20) },
        handle: @escaping @Sendable (HTTPExchange) -> Void
    ) {
        onAdmit = admit
        onHandle = handle
    }

    func admit(_ head: HTTPRequestHead) -> HTTPAdmission { onAdmit(head) }
    func handle(_ exchange: HTTPExchange) { onHandle(exchange) }
}

/// Exchanges on their way to another thread.
final class ExchangeQueue: Sendable {
    private let waiting = Mutex<[HTTPExchange]>([])

    func add(_ exchange: HTTPExchange) { waiting.withLock { $0.append(exchange) } }
    var count: Int { waiting.withLock { $0.count } }
    func takeAll() -> [HTTPExchange] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}

struct SocketError: Error { let operation: String, errno: Int32 }

/// A TCP connection to this machine that sends exactly what it is told.
final class RawConnection {
    private let socket: Int32
    private(set) var received: [UInt8] = []
    private(set) var isAtEnd = false

    init(port: UInt16, receiveBufferBytes: Int32? = nil) throws {
        socket = Loopback.tcpSocket()
        if var bytes = receiveBufferBytes {
            setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        guard Loopback.connect(socket, to: port) else {
            // deinit closes the socket: every property is set by now.
            throw SocketError(operation: "connect", errno: errno)
        }
    }

    deinit { close() }

    private var isOpen = true
    func close() {
        if isOpen { Glibc.close(socket) }
        isOpen = false
    }

    /// Ends with a reset instead of a goodbye.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SocketError(operation: "send", errno: errno) }
            sent += count
        }
    }

    /// Receives until `done` says so or the server closes; false when time is up.
    func receive(within seconds: Double = 10, until done: (RawConnection) -> Bool) -> Bool {
        eventually(within: seconds) {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { received += buffer[..<count] }
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { isAtEnd = true }
            return done(self) || isAtEnd
        }
    }

    var text: String { String(decoding: received, as: UTF8.self) }

    /// How often `needle` was received.
    func count(of needle: String) -> Int { text.split(separator: needle, omittingEmptySubsequences: false).count - 1 }

    /// Sends one request and receives until the end of the connection.
    static func exchange(_ port: UInt16, _ request: String) throws -> String {
        let connection = try RawConnection(port: port)
        try connection.send(request)
        _ = connection.receive { _ in false }
        return connection.text
    }
}
