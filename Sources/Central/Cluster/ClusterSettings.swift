// central.json5's part about more than one central: `roles`, `node_id`, `stream`.
//
//   stream: "embedded"                                     one central, its stream in data_dir (the default)
//   stream: {nats: ["tls://n1:4222", …], replicas: 3}      any number of centrals on one JetStream stream

import Configuration
import System

/// What a node does; any combination, on any number of nodes.
package enum CentralRole: String, Codable, CaseIterable, Sendable {
    /// Takes relays' batches into the stream.
    case intake
    /// Takes partitions of the stream into the lake.
    case archive
    /// Answers analysts.
    case query
}

/// The stream that all nodes share.
package struct ClusterStreamSettings: Sendable, Equatable {
    /// The partitions of a lake that begins as a cluster's.
    package static let defaultPartitions = 8

    package var urls: [String]
    /// Copies of each message; as many servers, less than half of them, may be lost.
    package var replicas = 3
    /// Of the whole stream, on each server that has a copy: beyond it relays are told to wait.
    package var maxBytes = 16 << 30
    /// A user of the servers, the password in a file of its own.
    package var user: String?
    package var passwordFile: String?
    /// JWT and key of a NATS account (`nsc generate creds`), instead.
    package var credentialsFile: String?
    package var tls: StreamTLS?

    package struct StreamTLS: Sendable, Equatable {
        package var authority: String
        package var certificate: String?
        package var key: String?
    }

    package init(urls: [String]) { self.urls = urls }
}

package struct ClusterSettings: Sendable, Equatable {
    package var roles = Set(CentralRole.allCases)
    package var nodeID = ""
    /// nil: embedded.
    package var stream: ClusterStreamSettings?

    package init() {}

    package var isCluster: Bool { stream != nil }

    static func read(
        _ reader: inout ConfigurationReader, relativeTo directory: String
    ) throws(ConfigurationError) -> ClusterSettings {
        var settings = ClusterSettings()
        settings.stream = try readStream(&reader, relativeTo: directory)
        settings.roles = try readRoles(&reader)
        settings.nodeID = try readNodeID(&reader)
        guard settings.isCluster || settings.roles.count == CentralRole.allCases.count else {
            let missing = CentralRole.allCases.filter { !settings.roles.contains($0) }.map(\.rawValue)
            throw ConfigurationError(
                key: "roles",
                problem: "the embedded stream is inside this process: nobody else can do its "
                    + "\(missing.joined(separator: " and ")). Leave roles out, or give the nodes a stream: {nats: […]}")
        }
        return settings
    }

    private static func readRoles(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> Set<CentralRole> {
        guard let names = try reader.strings("roles") else { return Set(CentralRole.allCases) }
        var roles: Set<CentralRole> = []
        for name in names {
            guard let role = CentralRole(rawValue: name) else {
                let known = CentralRole.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
                throw ConfigurationError(key: "roles", problem: "\"\(name)\" is no role; the roles are \(known)")
            }
            guard roles.insert(role).inserted else {
                throw ConfigurationError(key: "roles", problem: "\"\(name)\" is there twice")
            }
        }
        guard !roles.isEmpty else {
            throw ConfigurationError(key: "roles", problem: "is empty: a node without a role does nothing")
        }
        return roles
    }

    private static func readNodeID(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> String {
        let given = try reader.string("node_id")
        let name = given ?? HostName.current
        let isValid = (1...63).contains(name.utf8.count) && name.utf8.allSatisfy(isNodeIDByte)
        guard isValid else {
            let source = given == nil ? "the host's name \"\(name)\" cannot be one; give one: " : ""
            throw ConfigurationError(
                key: "node_id", problem: "\(source)1 to 63 of the characters A–Z a–z 0–9 _ - are a node's name")
        }
        return name
    }

    /// What a key in a NATS bucket may hold, without the dot, which separates its parts.
    private static func isNodeIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

// MARK: - stream

extension ClusterSettings {
    private static func readStream(
        _ reader: inout ConfigurationReader, relativeTo directory: String
    ) throws(ConfigurationError) -> ClusterStreamSettings? {
        if case .string(let text)? = reader.node("stream") {
            guard text == "embedded" else {
                throw ConfigurationError(key: "stream", problem: "is \"embedded\" or {nats: [urls], replicas, …}")
            }
            return nil
        }
        var section = try reader.object("stream")
        guard let urls = try section.strings("nats") else {
            guard reader.has("stream") else { return nil }
            throw ConfigurationError(
                key: "stream.nats", problem: "is required: the addresses of the NATS servers, [\"nats://host:4222\"]")
        }
        func absolute(_ path: String?) -> String? {
            path.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
        }
        var stream = ClusterStreamSettings(urls: urls)
        stream.replicas = try section.integer("replicas", in: 1...5) ?? stream.replicas
        guard stream.replicas % 2 == 1 else {
            throw ConfigurationError(
                key: "stream.replicas",
                problem: "\(stream.replicas) copies survive no more than \(stream.replicas - 1) do; use 1, 3 or 5")
        }
        stream.maxBytes = try section.integer("max_bytes", in: (64 << 20)...(1 << 50)) ?? stream.maxBytes
        stream.user = try section.string("user")
        stream.passwordFile = absolute(try section.string("password_file"))
        stream.credentialsFile = absolute(try section.string("credentials_file"))
        guard (stream.user == nil) == (stream.passwordFile == nil) else {
            throw ConfigurationError(key: "stream.user", problem: "user and password_file belong together")
        }
        stream.tls = try readTLS(&section, absolute)
        try section.finish()
        try check(stream)
        return stream
    }

    private static func readTLS(
        _ section: inout ConfigurationReader, _ absolute: (String?) -> String?
    ) throws(ConfigurationError) -> ClusterStreamSettings.StreamTLS? {
        guard section.has("tls") else {
            _ = section.node("tls")
            return nil
        }
        var tls = try section.object("tls")
        let authority = try tls.requiredString("ca")
        let (certificate, key) = (try tls.string("cert"), try tls.string("key"))
        guard (certificate == nil) == (key == nil) else {
            throw ConfigurationError(key: "stream.tls", problem: "cert and key belong together")
        }
        try tls.finish()
        return ClusterStreamSettings.StreamTLS(
            authority: absolute(authority) ?? authority, certificate: absolute(certificate), key: absolute(key))
    }

    private static func check(_ stream: ClusterStreamSettings) throws(ConfigurationError) {
        guard (1...64).contains(stream.urls.count) else {
            throw ConfigurationError(key: "stream.nats", problem: "1 to 64 addresses, not \(stream.urls.count)")
        }
        for (index, url) in stream.urls.enumerated() {
            let key = "stream.nats[\(index)]"
            let isTLS = url.hasPrefix("tls://")
            guard isTLS || url.hasPrefix("nats://") else {
                throw ConfigurationError(key: key, problem: "an address is nats://host:port or tls://host:port")
            }
            let rest = String(url.dropFirst(isTLS ? 6 : 7))
            guard !rest.contains("@") else {
                // Before the address is shown anywhere.
                throw ConfigurationError(key: key, problem: "no password in an address; use user and password_file")
            }
            let address = try ListenAddress(rest, key: key)
            guard isTLS || address.isLoopback else {
                throw ConfigurationError(
                    key: key, problem: "reports name people, so nats:// is for loopback only; elsewhere use tls://")
            }
            guard !isTLS || stream.tls != nil else {
                throw ConfigurationError(key: key, problem: "tls:// needs stream.tls {ca, cert?, key?}")
            }
        }
    }
}
