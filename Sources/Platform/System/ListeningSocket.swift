// Two questions about an address to listen on: could a server have it, and does the one that has it still answer?

import Glibc

package enum ListeningSocket {
    /// nil where a server could listen there now; else why it could not.
    package static func obstacle(host: String, port: UInt16) -> SystemError? {
        func failure(_ number: Int32, _ detail: String = "") -> SystemError {
            SystemError(operation: "listen on", path: "\(host):\(port)", errno: number, detail: detail)
        }
        guard let address = SocketAddress(host: host, port: port) else {
            return failure(EINVAL, "the host must be a numeric IPv4 or IPv6 address, or localhost")
        }
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return failure(errno) }
        defer { close(descriptor) }
        // As the server does: connections of an earlier life that still linger are no obstacle.
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        let result = address.withPointer { bind(descriptor, $0, $1) }
        if result != 0 { return failure(errno) }
        return listen(descriptor, 1) == 0 ? nil : failure(errno)
    }

    /// Connects, sends one request for `/livez`, and says whether anything came back in time: an answer, or (where TLS
    /// is spoken) a refusal. A server's every address is asked on loopback.
    package static func answers(host: String, port: UInt16, timeoutSeconds: Double) -> Bool {
        let target = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host
        guard let address = SocketAddress(host: target, port: port) else { return false }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: Int(timeoutSeconds), tv_usec: Int(timeoutSeconds * 1e6) % 1_000_000)
        let size = socklen_t(MemoryLayout<timeval>.size)
        // SO_SNDTIMEO bounds connect as well.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        guard address.withPointer({ connect(descriptor, $0, $1) }) == 0 else { return false }
        let request = Array("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
        var answer = [UInt8](repeating: 0, count: 64)
        let received = recv(descriptor, &answer, answer.count, 0)
        return received >= 0 || errno == ECONNRESET
    }
}

/// A numeric address as the socket calls want it.
private struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t
    let family: Int32

    init?(host: String, port: UInt16) {
        var v4 = sockaddr_in()
        var v6 = sockaddr_in6()
        if inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            family = AF_INET
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: v4) { target.copyMemory(from: $0) } }
        } else if inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 {
            v6.sin6_family = sa_family_t(AF_INET6)
            v6.sin6_port = port.bigEndian
            family = AF_INET6
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            withUnsafeMutableBytes(of: &storage) { target in withUnsafeBytes(of: v6) { target.copyMemory(from: $0) } }
        } else {
            return nil
        }
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
