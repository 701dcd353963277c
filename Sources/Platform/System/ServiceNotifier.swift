// Tells the service manager what this process is doing: the protocol of sd_notify(3), datagrams to the socket named by
// NOTIFY_SOCKET. Without that variable (not started by systemd) nothing is sent. No library is needed for it.

import Glibc

package final class ServiceNotifier: Sendable {
    /// -1: nobody listens.
    private let descriptor: Int32
    /// A sockaddr_un of as many bytes as its path needs.
    private let address: [UInt8]
    /// The service manager kills the process when it hears no `watchdog()` for so long; nil: it does not watch.
    package let watchdogSeconds: Double?

    package init(environment: [String: String]) {
        let address = environment["NOTIFY_SOCKET"].flatMap(Self.address)
        self.address = address ?? []
        descriptor = address == nil ? -1 : socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        // A manager whose queue is full must not stop us: after a second the message is lost.
        var patience = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let isForUs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Double($0) }
        watchdogSeconds =
            descriptor >= 0 && isForUs ? microseconds.flatMap { $0 > 0 ? $0 / 1e6 : nil } : nil
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    package var isListenedTo: Bool { descriptor >= 0 }

    package func ready(status: String) { send(["READY=1", "STATUS=" + status]) }
    /// Followed by `ready` when the reload is over, whether it changed anything or not.
    package func reloading() { send(["RELOADING=1", "MONOTONIC_USEC=\(Self.monotonicMicroseconds)"]) }
    package func stopping() { send(["STOPPING=1"]) }
    package func status(_ text: String) { send(["STATUS=" + text]) }
    /// "We make progress": to be sent at least twice per `watchdogSeconds`.
    package func watchdog() { send(["WATCHDOG=1"]) }

    private func send(_ lines: [String]) {
        guard descriptor >= 0 else { return }
        // A line break in a status would begin an assignment of its own.
        let text = lines.map { $0.map { $0.isNewline ? " " : String($0) }.joined() }.joined(separator: "\n")
        let bytes = Array(text.utf8)
        _ = address.withUnsafeBytes { raw in
            sendto(
                descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL),
                raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }

    /// nil for what is neither a path nor an abstract name (`@…`).
    private static func address(_ name: String) -> [UInt8]? {
        var path = Array(name.utf8)
        let offset = MemoryLayout<sockaddr_un>.offset(of: \sockaddr_un.sun_path) ?? 2
        guard path.count > 1, path.count <= MemoryLayout<sockaddr_un>.size - offset - 1 else { return nil }
        switch path[0] {
        case UInt8(ascii: "/"): path.append(0)
        case UInt8(ascii: "@"): path[0] = 0
        default: return nil
        }
        let family = sa_family_t(AF_UNIX)
        return withUnsafeBytes(of: family) { Array($0) } + [UInt8](repeating: 0, count: offset - 2) + path
    }

    /// systemd compares with its own CLOCK_MONOTONIC, which stands still while the machine sleeps.
    private static var monotonicMicroseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }
}
