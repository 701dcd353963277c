// Loopback ports that nobody listens on now, for programs that start servers and must tell them where.

import Glibc

package enum FreePorts {
    /// All are held until all are found, so no two are the same. Another program could take one before its server
    /// starts; the server then says so.
    package static func find(_ count: Int) throws -> [UInt16] {
        var sockets: [Int32] = []
        defer { for descriptor in sockets { close(descriptor) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw SystemError(operation: "open a socket", errno: errno) }
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let result = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                    bind(descriptor, generic, length) == 0 ? getsockname(descriptor, generic, &length) : -1
                }
            }
            guard result == 0 else { throw SystemError(operation: "bind to 127.0.0.1", errno: errno) }
            return UInt16(bigEndian: address.sin_port)
        }
    }
}
