// Free ports on the loopback address, for servers whose configuration files must name their port beforehand.
import Glibc

enum FreePorts {
    /// All are held until all are found, so no two are the same. Another program could take one before its server
    /// starts; the server then says so and the demo fails with its message.
    static func find(_ count: Int) throws(CommandFailure) -> [UInt16] {
        var sockets: [Int32] = []
        defer { for descriptor in sockets { close(descriptor) } }
        var ports: [UInt16] = []
        for _ in 0..<count {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw failure("socket") }
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
            guard result == 0 else { throw failure("bind to 127.0.0.1") }
            ports.append(UInt16(bigEndian: address.sin_port))
        }
        return ports
    }

    private static func failure(_ operation: String) -> CommandFailure {
        CommandFailure("no free port: \(operation): \(String(cString: strerror(errno)))")
    }
}
