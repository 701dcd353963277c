// Which NATS server is on the other side. A server says it in the first line of every connection, before TLS and
// before any credentials, so this asks each server of the list on a connection of its own.
//
// The distribution's nats-server 2.9 does not know `sync_interval`: it acknowledges what may be up to two minutes away
// from its disk. Columba does not stand on it (I4). Batched reads came with 2.11.

import FoundationEssentials

package struct ServerVersion: Comparable, Sendable, CustomStringConvertible {
    package let major: Int
    package let minor: Int
    package let patch: Int

    /// Batched direct reads (ADR-31); `sync_interval` is older (2.10).
    package static let minimum = ServerVersion(major: 2, minor: 11, patch: 0)

    package init(major: Int, minor: Int, patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// `2.15.1`, `v2.11.0-preview.2`; nil if it is nothing like it.
    package init?(_ text: String) {
        let release = text.drop { $0 == "v" }.prefix { $0 != "-" && $0 != "+" }
        let parts = release.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 3, let major = parts[0], let minor = parts[1], let patch = parts[2],
            major >= 0, minor >= 0, patch >= 0
        else { return nil }
        self.init(major: major, minor: minor, patch: patch)
    }

    package var description: String { "\(major).\(minor).\(patch)" }

    package static func < (left: ServerVersion, right: ServerVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}

/// What a server says of itself: the `INFO` line.
package struct ServerGreeting: Sendable, Equatable {
    package let version: String
    package let name: String
    package let hasJetStream: Bool
    package let maxPayload: Int

    private struct Info: Decodable {
        var version: String
        var server_name: String?
        var jetstream: Bool?
        var max_payload: Int?
    }

    package init(version: String, name: String = "", hasJetStream: Bool = true, maxPayload: Int = 1 << 20) {
        self.version = version
        self.name = name
        self.hasJetStream = hasJetStream
        self.maxPayload = maxPayload
    }

    /// - Parameter line: `INFO {…}`, with or without its line end.
    package init(line: [UInt8]) throws(NATSError) {
        let prefix = Array("INFO ".utf8)
        guard line.starts(with: prefix),
            let info = try? JSONDecoder().decode(Info.self, from: Data(line.dropFirst(prefix.count)))
        else { throw NATSError(.unsuitableServer, "this is no NATS server: it does not begin with INFO") }
        self.init(
            version: info.version, name: info.server_name ?? "", hasJetStream: info.jetstream ?? false,
            maxPayload: info.max_payload ?? 0)
    }

    /// Throws where Columba must not stand on this server.
    package func check(at address: String) throws(NATSError) {
        guard let found = ServerVersion(version) else {
            throw NATSError(.unsuitableServer, "the server at \(address) says version \(version), which is none")
        }
        guard found >= .minimum else {
            throw NATSError(
                .unsuitableServer,
                "the server at \(address) is nats-server \(found), Columba needs \(ServerVersion.minimum) or newer: "
                    + "older ones lack batched reads, and those before 2.10 (Debian has 2.9) do not know "
                    + "`sync_interval: always`, so they acknowledge what is not on their disk yet; "
                    + "`make deps` fetches a suitable one")
        }
        guard hasJetStream else {
            throw NATSError(
                .unsuitableServer,
                "the server at \(address) runs without JetStream; start it with deploy/central/nats/nats.conf")
        }
    }

    /// Asks one server. Blocks at most so long.
    package static func read(host: String, port: UInt16, timeoutSeconds: Double) throws -> ServerGreeting {
        let line = try TCPGreeting.firstLine(host: host, port: port, timeoutSeconds: timeoutSeconds)
        return try ServerGreeting(line: line)
    }

    /// Asks every server of the list that answers; throws for the first unsuitable one, and where none answers.
    package static func checkAll(_ urls: [String], timeoutSeconds: Double = 2) throws(NATSError) -> [ServerGreeting] {
        var greetings: [ServerGreeting] = []
        var reasons: [String] = []
        for url in urls {
            guard let (host, port) = address(of: url) else {
                throw NATSError(
                    .invalid, "\(NATSConnection.withoutSecrets(url)) is no address; write nats://host:port")
            }
            let greeting: ServerGreeting
            do {
                greeting = try read(host: host, port: port, timeoutSeconds: timeoutSeconds)
            } catch let error as NATSError where error.code == .unsuitableServer {
                throw error
            } catch {
                reasons.append("\(host):\(port): \(error)")
                continue
            }
            try greeting.check(at: "\(host):\(port)")
            greetings.append(greeting)
        }
        guard !greetings.isEmpty else {
            throw NATSError(.notConnected, "no NATS server answers (\(reasons.joined(separator: "; ")))")
        }
        return greetings
    }

    /// `nats://user:password@host:4222`, `[::1]:4222`, `host`.
    package static func address(of url: String) -> (host: String, port: UInt16)? {
        var rest = Substring(url)
        if let scheme = ["nats://", "tls://"].first(where: { rest.hasPrefix($0) }) {
            rest = rest.dropFirst(scheme.count)
        }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.isEmpty, !rest.contains("/") else { return nil }
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            let host = String(rest[rest.index(after: rest.startIndex)..<end])
            let tail = rest[rest.index(after: end)...]
            if tail.isEmpty { return (host, 4222) }
            guard tail.hasPrefix(":"), let port = UInt16(tail.dropFirst()), port > 0 else { return nil }
            return (host, port)
        }
        let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty else { return nil }
        if parts.count == 1 { return (String(host), 4222) }
        guard parts.count == 2, let port = UInt16(parts[1]), port > 0 else { return nil }
        return (String(host), port)
    }
}
