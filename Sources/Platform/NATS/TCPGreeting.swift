// The first line that a server sends by itself.

import Glibc
import System

package enum TCPGreeting {
    private static let maxBytes = 64 << 10

    /// Without its line end. Connects, reads and closes within the time.
    package static func firstLine(host: String, port: UInt16, timeoutSeconds: Double) throws -> [UInt8] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let first = found else {
            throw NATSError(.notConnected, "\(host) is no known host: \(String(cString: gai_strerror(result)))")
        }
        defer { freeaddrinfo(found) }
        let deadline = SystemTime().monotonicNanoseconds() + UInt64(timeoutSeconds * 1e9)
        var failure: any Error = NATSError(.notConnected, "\(host):\(port) has no address")
        for address in sequence(first: first, next: { $0.pointee.ai_next }) {
            do {
                return try line(from: address.pointee, deadline, "\(host):\(port)")
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private static func line(from address: addrinfo, _ deadline: UInt64, _ name: String) throws -> [UInt8] {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.ai_family, kind, 0)
        guard descriptor >= 0 else { throw SystemError(operation: "open a socket", errno: errno) }
        defer { close(descriptor) }
        if connect(descriptor, address.ai_addr, address.ai_addrlen) != 0, errno != EINPROGRESS {
            throw SystemError(operation: "connect to \(name)", errno: errno)
        }
        try wait(descriptor, Int16(POLLOUT), deadline, name)
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        guard error == 0 else { throw SystemError(operation: "connect to \(name)", errno: error) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4_096)
        while bytes.count < maxBytes {
            try wait(descriptor, Int16(POLLIN), deadline, name)
            let count = recv(descriptor, &piece, piece.count, 0)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { throw NATSError(.notConnected, "\(name) closed the connection without a greeting") }
            bytes.append(contentsOf: piece[..<count])
            if let end = bytes.firstIndex(of: 0x0a) { return Array(bytes[..<end].filter { $0 != 0x0d }) }
        }
        throw NATSError(.unsuitableServer, "\(name) is no NATS server: its first line has no end")
    }

    private static func wait(_ descriptor: Int32, _ events: Int16, _ deadline: UInt64, _ name: String) throws {
        while true {
            let now = SystemTime().monotonicNanoseconds()
            guard now < deadline else { throw NATSError(.notConnected, "\(name) does not answer") }
            var watched = pollfd(fd: descriptor, events: events, revents: 0)
            let ready = poll(&watched, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw SystemError(operation: "wait for \(name)", errno: errno) }
        }
    }
}
