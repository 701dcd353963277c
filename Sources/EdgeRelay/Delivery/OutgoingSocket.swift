// A connected socket that never waits longer than it is told: for Cursor on Target.

import Glibc
import System

final class OutgoingSocket {
    /// Until when, and who may end it earlier.
    struct Limit {
        private let deadline: Double
        let isCancelled: () -> Bool

        init(seconds: Double, isCancelled: @escaping () -> Bool) {
            deadline = OutgoingSocket.monotonicSeconds() + seconds
            self.isCancelled = isCancelled
        }

        func check(_ operation: String) throws(SystemError) {
            if isCancelled() { throw SystemError(operation: operation, errno: ECANCELED) }
            if OutgoingSocket.monotonicSeconds() >= deadline {
                throw SystemError(operation: operation, errno: ETIMEDOUT)
            }
        }
    }

    private static let pollMilliseconds: Int32 = 50
    private static let acknowledgementPollMilliseconds: Int32 = 2

    private let descriptor: Int32
    private let isStream: Bool

    /// Resolves the name and connects to the first of its addresses that answers.
    init(host: String, port: UInt16, isStream: Bool, multicastHops: Int32, _ limit: Limit) throws(SystemError) {
        self.isStream = isStream
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32((isStream ? SOCK_STREAM : SOCK_DGRAM).rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0 else {
            throw SystemError(operation: "resolve the host's name", errno: EHOSTUNREACH)
        }
        defer { freeaddrinfo(found) }
        var failure = SystemError(operation: "connect", errno: EHOSTUNREACH)
        var next = found
        while let address = next?.pointee {
            next = address.ai_next
            do throws(SystemError) {
                descriptor = try Self.connected(address, isStream, multicastHops, limit)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    deinit { close(descriptor) }

    private static func connected(
        _ address: addrinfo, _ isStream: Bool, _ hops: Int32, _ limit: Limit
    ) throws(SystemError) -> Int32 {
        let type = address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.ai_family, type, address.ai_protocol)
        guard descriptor >= 0 else { throw SystemError(operation: "make a socket", errno: errno) }
        do throws(SystemError) {
            if isStream {
                set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
                set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
            } else {
                set(descriptor, Int32(IPPROTO_IP), IP_MULTICAST_TTL, hops)
                set(descriptor, Int32(IPPROTO_IPV6), IPV6_MULTICAST_HOPS, hops)
            }
            guard connect(descriptor, address.ai_addr, address.ai_addrlen) != 0 else { return descriptor }
            guard errno == EINPROGRESS else { throw SystemError(operation: "connect", errno: errno) }
            while try !isReady(descriptor, POLLOUT) { try limit.check("connect") }
            var failure: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
            guard failure == 0 else { throw SystemError(operation: "connect", errno: failure) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Wishes of performance and reach: where the kernel refuses one, the rest works all the same.
    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func isReady(_ descriptor: Int32, _ events: Int32) throws(SystemError) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let count = poll(&entry, 1, pollMilliseconds)
        guard count >= 0 || errno == EINTR else { throw SystemError(operation: "wait for the network", errno: errno) }
        return count > 0
    }

    /// Reads away what has come; false once the other side has closed or the connection broke.
    var isAlive: Bool {
        guard isStream else { return true }
        return withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            while true {
                let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
                if count > 0 { continue }
                if count == 0 { return false }
                return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR
            }
        }
    }

    /// Sends everything. Over TCP it returns when the other side's TCP has it.
    func send(_ bytes: [UInt8], _ limit: Limit) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.send(
                    descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
                continue
            }
            guard errno == EAGAIN || errno == EINTR else { throw SystemError(operation: "send", errno: errno) }
            try limit.check("send")
            _ = try Self.isReady(descriptor, POLLOUT)
        }
        guard isStream else { return }
        while unacknowledgedBytes > 0 {
            guard isAlive else { throw SystemError(operation: "send", errno: ECONNRESET) }
            try limit.check("send")
            poll(nil, 0, Self.acknowledgementPollMilliseconds)
        }
    }

    private var unacknowledgedBytes: Int32 {
        var count: Int32 = 0
        // SIOCOUTQ of Linux, which Swift's Glibc does not have by name: the same number as TIOCOUTQ.
        return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? count : 0
    }

    private static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
