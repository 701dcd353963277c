// The address of a target, taken apart as far as the relay must judge it.

package import Configuration
package import HTTPClient
import Glibc

package struct TargetURL: Sendable, Equatable {
    private static let defaultPorts: [String: UInt16] = [
        "https": 443, "http": 80, "mqtts": 8883, "mqtt": 1883, "udp": 6969, "tcp": 8087,
    ]

    /// As it was written.
    package let text: String
    package let scheme: String
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: UInt16

    package init(_ text: String, key: String, schemes: [String]) throws(ConfigurationError) {
        func wrong(_ problem: String) -> ConfigurationError { ConfigurationError(key: key, problem: problem) }
        guard let scheme = schemes.first(where: { text.lowercased().hasPrefix("\($0)://") }) else {
            throw wrong("must start with \(schemes.map { "\($0)://" }.joined(separator: " or "))")
        }
        guard text.utf8.count <= 2_048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw wrong("must be at most 2048 printable ASCII characters without blanks")
        }
        let rest = text.dropFirst(scheme.utf8.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@"), !authority.contains("\\") else {
            throw wrong("holds a user or a password: they do not belong into an address")
        }
        let hasPath = authority.count != rest.count
        guard !hasPath || scheme.hasPrefix("http") else { throw wrong("ends after the port") }
        var host = authority
        var port = Self.defaultPorts[scheme] ?? 0
        let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[afterBracket...].lastIndex(of: ":") {
            guard let given = UInt16(authority[authority.index(after: colon)...]), given > 0 else {
                throw wrong("has a port that is not a number from 1 to 65535")
            }
            port = given
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw wrong("names no host") }
        self.text = text
        self.scheme = scheme
        self.host = String(host)
        self.port = port
    }

    package var isPlaintext: Bool { scheme == "http" || scheme == "mqtt" }

    /// Written as a loopback address, or `localhost`: whoever wrote it meant this machine.
    package var isLoopback: Bool { ListenAddress(host: host.lowercased(), port: port).isLoopback }

    /// What the host is where it is an address and not a name.
    package var literalAddress: AddressKind? {
        var v4 = in_addr()
        if inet_pton(AF_INET, host, &v4) == 1 { return withUnsafeBytes(of: v4) { AddressKind(Array($0)) } }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, host, &v6) == 1 { return withUnsafeBytes(of: v6) { AddressKind(Array($0)) } }
        return nil
    }
}
