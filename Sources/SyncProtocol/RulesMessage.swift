// A rule set on its way from central to a relay: the answer to `GET /v1/relays/{relay_id}/rules`. The relay checks it
// as it checks its own file, keeps the last good one, and says in its next report what became of it.

package struct RulesMessage: Codable, Hashable, Sendable {
    /// Ascends with every set; it is the version inside `rules` as well.
    package var version: Int
    /// The rule file, JSON5.
    package var rules: String
    /// Settings that go with it; absent: the relay's own stay.
    package var settings: RelaySettings?

    package init(version: Int, rules: String, settings: RelaySettings? = nil) {
        self.version = version
        self.rules = rules
        self.settings = settings
    }

    package static func path(relayID: String) -> String { "/v1/relays/\(relayID)/rules" }
}

/// Settings that central may change on relays: the keys of `limits {…}` that a reload puts in force. The relay reads
/// them with the same checks as its own file; a key it does not know, or that takes a restart, refuses the whole set.
package struct RelaySettings: Codable, Hashable, Sendable {
    package var limits: [String: Double]

    package init(limits: [String: Double] = [:]) { self.limits = limits }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        limits = try members.decodeIfPresent([String: Double].self, forKey: .limits) ?? [:]
    }

    private enum CodingKeys: String, CodingKey { case limits }
}
