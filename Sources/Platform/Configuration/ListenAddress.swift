// Where a server listens. Plain HTTP is for loopback addresses only (contract §2).

package struct ListenAddress: Sendable, Equatable {
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `host:port`, `[v6]:port`. The host is required: a server never listens everywhere by accident.
    package init(_ text: String, key: String) throws(ConfigurationError) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw ConfigurationError(key: key, problem: "expected host:port, such as 127.0.0.1:8080")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else {
            throw ConfigurationError(key: key, problem: "the host is missing: write 127.0.0.1:\(port)")
        }
        self.init(host: host, port: port)
    }

    /// `localhost`, 127.0.0.0/8 in dotted form, ::1. A name that only begins like an address is none of them.
    package var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Refuses to serve plain HTTP where others could listen in.
    package func requireLoopback(key: String) throws(ConfigurationError) {
        guard !isLoopback else { return }
        throw ConfigurationError(
            key: key,
            problem:
                "\(host) is not a loopback address. Plain HTTP is served on loopback only; any other address needs "
                + "TLS with client certificates: set tls {cert, key, client_ca}, or listen on 127.0.0.1")
    }
}
