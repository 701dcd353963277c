// What a relay tells central about itself (decisions of issue 4): `PUT /v1/relays/{relay_id}/report`, at least every
// 10 s while the uplink works and at once when something is lost. Central keeps the last one, and from it knows what
// still waits there, what is lost for good, and how far the archive is complete.
//
// The counters, all of records (reports, alerts, state changes) of this life of the relay's process, add up:
//
//   received + carried_over = archived + waiting + lost         quarantined: set aside here, still among waiting
//
// and `received` of reports = stored + duplicates + conflicts is the relay's own, in its /v1/status. `duplicates`,
// `conflicts` and `rejected` are reports that drones sent; the rejected ones never became records.

package import Models

package struct RelayReport: Codable, Hashable, Sendable {
    package var relayID: String
    /// Of this life: the newest.
    package var epoch: String
    package var version: String
    package var sentAt: Timestamp
    /// Everything the relay received before this moment has a number ≤ `through` of its epoch; never after `sentAt`.
    package var settledBefore: Timestamp
    /// A sentence for people.
    package var summary: String
    /// The buffer's step: `normal`, `warning`, …
    package var level: String
    package var counters: Counters
    /// When the relay received the oldest record that is not archived; nil where none waits.
    package var oldestWaiting: Timestamp?
    /// When it received the newest record it has on disk.
    package var newest: Timestamp?
    /// Every life whose records the relay still holds, the present one among them.
    package var epochs: [Epoch]
    package var rules: Rules
    package var incidents: [Incident]

    package struct Counters: Codable, Hashable, Sendable {
        package var received = 0
        package var carriedOver = 0
        package var waiting = 0
        package var archived = 0
        package var duplicates = 0
        package var conflicts = 0
        package var rejected = 0
        package var quarantined = 0
        package var lost = 0

        package init() {}

        fileprivate enum CodingKeys: String, CodingKey {
            case received, waiting, archived, duplicates, conflicts, rejected, quarantined, lost
            case carriedOver = "carried_over"
        }
    }

    package struct Epoch: Codable, Hashable, Sendable {
        package var epoch: String
        /// The last record number on disk; 0 where there is none yet.
        package var through: Int64
        /// Records not archived and not missing.
        package var waiting: Int
        /// Numbers ≤ `through` that the relay no longer has and that central never archived: lost for good.
        package var missing: IntervalSet
        /// How many are missing, where `missing` was cut short.
        package var missingCount: Int

        package init(epoch: String, through: Int64, waiting: Int, missing: IntervalSet, missingCount: Int? = nil) {
            self.epoch = epoch
            self.through = through
            self.waiting = waiting
            self.missing = missing
            self.missingCount = missingCount ?? missing.count
        }
    }

    package struct Rules: Codable, Hashable, Sendable {
        package enum State: String, Codable, Hashable, Sendable {
            /// Central's set `version` is in force.
            case applied
            /// Central's set `version` was refused; what was in force before stays.
            case refused
            /// The relay's own file is in force.
            case local
        }

        package var version: Int
        package var state: State
        /// Why it was refused.
        package var reason: String?

        package init(version: Int, state: State, reason: String? = nil) {
            self.version = version
            self.state = state
            self.reason = reason
        }
    }

    package struct Incident: Codable, Hashable, Sendable {
        package var code: String
        package var count: Int
        package var since: Timestamp

        package init(code: String, count: Int, since: Timestamp) {
            self.code = code
            self.count = count
            self.since = since
        }
    }

    package init(relayID: String, epoch: String, version: String, sentAt: Timestamp, rules: Rules) {
        self.relayID = relayID
        self.epoch = epoch
        self.version = version
        self.sentAt = sentAt
        settledBefore = sentAt
        summary = ""
        level = "normal"
        counters = Counters()
        epochs = []
        self.rules = rules
        incidents = []
    }

    package static func path(relayID: String) -> String { "/v1/relays/\(relayID)/report" }
}

/// Central's answer to a report.
package struct RelayReportAnswer: Codable, Hashable, Sendable {
    /// The version of the rule set that central wants on this relay; 0: none.
    package var rulesVersion: Int

    package init(rulesVersion: Int) { self.rulesVersion = rulesVersion }

    private enum CodingKeys: String, CodingKey { case rulesVersion = "rules_version" }
}

// MARK: - Text

extension RelayReport {
    private enum CodingKeys: String, CodingKey {
        case epoch, version, summary, level, counters, newest, epochs, rules, incidents
        case relayID = "relay_id"
        case sentAt = "sent_at"
        case settledBefore = "settled_before"
        case oldestWaiting = "oldest_waiting"
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        relayID = try members.decode(String.self, forKey: .relayID)
        epoch = try members.decode(String.self, forKey: .epoch)
        version = try members.decodeIfPresent(String.self, forKey: .version) ?? ""
        sentAt = try members.decode(WireTime.self, forKey: .sentAt).time
        settledBefore = try members.decodeIfPresent(WireTime.self, forKey: .settledBefore)?.time ?? sentAt
        summary = try members.decodeIfPresent(String.self, forKey: .summary) ?? ""
        level = try members.decodeIfPresent(String.self, forKey: .level) ?? ""
        counters = try members.decode(Counters.self, forKey: .counters)
        oldestWaiting = try members.decodeIfPresent(WireTime.self, forKey: .oldestWaiting)?.time
        newest = try members.decodeIfPresent(WireTime.self, forKey: .newest)?.time
        epochs = try members.decode([Epoch].self, forKey: .epochs)
        rules = try members.decodeIfPresent(Rules.self, forKey: .rules) ?? Rules(version: 0, state: .local)
        incidents = try members.decodeIfPresent([Incident].self, forKey: .incidents) ?? []
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(relayID, forKey: .relayID)
        try members.encode(epoch, forKey: .epoch)
        try members.encode(version, forKey: .version)
        try members.encode(WireTime(sentAt), forKey: .sentAt)
        try members.encode(WireTime(settledBefore), forKey: .settledBefore)
        try members.encode(summary, forKey: .summary)
        try members.encode(level, forKey: .level)
        try members.encode(counters, forKey: .counters)
        try members.encodeIfPresent(oldestWaiting.map(WireTime.init), forKey: .oldestWaiting)
        try members.encodeIfPresent(newest.map(WireTime.init), forKey: .newest)
        try members.encode(epochs, forKey: .epochs)
        try members.encode(rules, forKey: .rules)
        try members.encode(incidents, forKey: .incidents)
    }
}

extension RelayReport.Epoch {
    private enum CodingKeys: String, CodingKey {
        case epoch, through, waiting, missing
        case missingCount = "missing_count"
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        let missing = try members.decodeIfPresent(IntervalSet.self, forKey: .missing) ?? IntervalSet()
        self.init(
            epoch: try members.decode(String.self, forKey: .epoch),
            through: try members.decode(Int64.self, forKey: .through),
            waiting: try members.decode(Int.self, forKey: .waiting), missing: missing,
            missingCount: try members.decodeIfPresent(Int.self, forKey: .missingCount))
    }
}

extension RelayReport.Incident {
    private enum CodingKeys: String, CodingKey { case code, count, since }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            code: try members.decode(String.self, forKey: .code), count: try members.decode(Int.self, forKey: .count),
            since: try members.decode(WireTime.self, forKey: .since).time)
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(code, forKey: .code)
        try members.encode(count, forKey: .count)
        try members.encode(WireTime(since), forKey: .since)
    }
}

extension RelayReport.Counters {
    /// A counter that an older relay does not know is 0.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func count(_ key: CodingKeys) throws -> Int { try members.decodeIfPresent(Int.self, forKey: key) ?? 0 }
        received = try count(.received)
        carriedOver = try count(.carriedOver)
        waiting = try count(.waiting)
        archived = try count(.archived)
        duplicates = try count(.duplicates)
        conflicts = try count(.conflicts)
        rejected = try count(.rejected)
        quarantined = try count(.quarantined)
        lost = try count(.lost)
    }
}

/// A time as RFC 3339 text.
private struct WireTime: Codable {
    let time: Timestamp

    init(_ time: Timestamp) { self.time = time }

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        guard let time = Timestamp(rfc3339: try value.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "not an RFC 3339 time")
        }
        self.time = time
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        try value.encode(time.rfc3339)
    }
}
