// Plain TCP sockets on 127.0.0.1 for tests that send what no HTTP or MQTT client would.

package import Glibc

package enum Loopback {
    /// `bind` or `connect` with this port's address.
    package static func withAddress<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    package static func tcpSocket() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }

    /// Whether the socket is connected now; `errno` says why not.
    package static func connect(_ descriptor: Int32, to port: UInt16) -> Bool {
        withAddress(port) { Glibc.connect(descriptor, $0, $1) } == 0
    }
}
