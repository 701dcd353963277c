// Where the object store is, who we are there, and how long we wait for it. Every limit of the module is here.

/// `s3://bucket/prefix`: where keys of one store begin. The prefix may be empty.
package struct S3Location: Sendable, Equatable {
    package var bucket: String
    /// Without slashes at its ends.
    package var prefix: String

    package init(bucket: String, prefix: String = "") {
        self.bucket = bucket
        self.prefix = prefix
    }

    /// nil unless it is `s3://`, a bucket's name (3…63 of `a-z 0-9 . -`), and a prefix that is a path of plain parts.
    package init?(_ text: String) {
        guard text.hasPrefix("s3://") else { return nil }
        let parts = text.dropFirst(5).split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bucket = parts.first, (3...63).contains(bucket.utf8.count),
            bucket.utf8.allSatisfy({
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || [0x2d, 0x2e].contains($0)
            }
            )
        else { return nil }
        var prefix = parts.count > 1 ? String(parts[1]) : ""
        while prefix.hasSuffix("/") { prefix.removeLast() }
        if !prefix.isEmpty {
            do throws(InvalidObjectKey) { try ObjectKey.validate(prefix) } catch { return nil }
        }
        self.init(bucket: String(bucket), prefix: prefix)
    }

    package var description: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)") }

    /// The server's name of a key.
    func name(of key: String) -> String { prefix.isEmpty ? key : key.isEmpty ? prefix : "\(prefix)/\(key)" }
}

/// `http://host:port` or `https://host`, without a path.
package struct S3Endpoint: Sendable, Equatable {
    package var isSecure: Bool
    /// As the Host header has it: the port only where it is not the scheme's own.
    package var host: String

    /// nil unless it is such an address.
    package init?(_ text: String) {
        let scheme = text.hasPrefix("https://") ? "https" : text.hasPrefix("http://") ? "http" : ""
        guard !scheme.isEmpty else { return nil }
        var rest = String(text.dropFirst(scheme.utf8.count + 3))
        if rest.hasSuffix("/") { rest.removeLast() }
        let own = scheme == "https" ? ":443" : ":80"
        if rest.hasSuffix(own) { rest.removeLast(own.utf8.count) }
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]".utf8)
        guard !rest.isEmpty, rest.utf8.allSatisfy(allowed.contains) else { return nil }
        isSecure = scheme == "https"
        host = rest
    }

    package var address: String { (isSecure ? "https://" : "http://") + host }

    /// Without the port.
    package var hostName: String {
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            return String(host[host.index(after: host.startIndex)..<end])
        }
        return String(host.prefix { $0 != ":" })
    }
}

package struct S3Settings: Sendable {
    package var endpoint: S3Endpoint
    package var region: String
    /// Asked at the start and again when the server refuses, so that keys can be changed in place.
    package var credentials: @Sendable () throws -> S3Credentials
    /// PEM file; nil: the system's authorities.
    package var authoritiesFile: String?

    /// Requests at once; more wait for their turn.
    package var maxConnections = 16
    package var connectSeconds = 3.0
    /// Of one exchange, and a second more for each so many bytes it moves.
    package var requestSeconds = 20.0
    package var leastBytesPerSecond = 1 << 20
    /// Nothing moved for so long: the exchange is given up.
    package var stallSeconds = 15
    /// The same request is sent so often, and not begun again later than this after the first time.
    package var attempts = 6
    package var giveUpSeconds = 60.0
    package var firstPauseSeconds = 0.1
    package var longestPauseSeconds = 3.0
    /// Larger objects are sent in parts of this size, which may then come in any order (at least 5 MiB by S3's rules).
    package var partBytes = 16 << 20
    /// Of an object that is read into memory.
    package var maxObjectBytes = 2 << 30
    /// Parts of one upload; S3 allows 10,000.
    static let maxParts = 10_000
    static let keysPerPage = 1000
    static let maxPages = 100_000
    /// Of an answer that is not an object.
    static let maxAnswerBytes = 16 << 20

    package init(
        endpoint: S3Endpoint, region: String, credentials: @escaping @Sendable () throws -> S3Credentials,
        authoritiesFile: String? = nil
    ) {
        self.endpoint = endpoint
        self.region = region
        self.credentials = credentials
        self.authoritiesFile = authoritiesFile
    }
}
