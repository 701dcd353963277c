// What an operator must know of and may have to act on. One incident is one kind of trouble with one relay (or with
// central itself): it opens, is counted while it goes on, and closes by itself where it can be seen to be over, or by
// a person's word. No name, word or number of a report is ever in it (I9).

package import JSON
package import Models

package enum IncidentCode: String, CaseIterable, Codable, Hashable, Sendable {
    case identityConflict = "identity_conflict"
    case recordConflict = "record_conflict"
    case rollback
    case clonedRelay = "cloned_relay"
    case accountingMismatch = "accounting_mismatch"
    case gapOpen = "gap_open"
    case recordsLost = "records_lost"
    case quarantined
    case rulesRefused = "rules_refused"

    /// Whether it closes by itself when what it reports is over. The others are about something that has happened: a
    /// person closes them.
    package var closesByItself: Bool {
        switch self {
        case .accountingMismatch, .gapOpen, .quarantined, .rulesRefused: true
        case .identityConflict, .recordConflict, .rollback, .clonedRelay, .recordsLost: false
        }
    }

    package var whatItMeans: String {
        switch self {
        case .identityConflict: "Reports came with the identity of another report and other bytes."
        case .recordConflict: "Record numbers of one life of the relay came again with other bytes."
        case .rollback: "The relay knows less than it did: its data directory is an older state of itself."
        case .clonedRelay: "Two processes work under this relay's identity at the same time."
        case .accountingMismatch: "The relay's or central's numbers do not add up."
        case .gapOpen: "Records that central knows of have not come for more than an hour."
        case .recordsLost: "Records that the relay had taken are lost for good."
        case .quarantined: "Records that cannot be archived wait for a decision."
        case .rulesRefused: "The relay refused the rule set of central."
        }
    }

    package var whatToDo: String {
        switch self {
        case .identityConflict:
            "Both are kept, the later ones in duplicates with reason conflict. Look at them: a drone that repeats its "
                + "numbering needs a new boot id, a forged one its certificate revoked."
        case .recordConflict:
            "Both are kept. Two relays write under one identity, or its software is wrong: see that only one runs, and "
                + "restart it (a new life never reuses a number)."
        case .rollback:
            "Nothing that reached central is lost or doubled. Was the relay restored from a backup? What it had not "
                + "sent before is listed as lost. Otherwise look for a copy of its data directory that still runs."
        case .clonedRelay:
            "Data of both is archived. Stop one of the two and revoke its certificate; then close this incident."
        case .accountingMismatch:
            "Compare /v1/relays with the relay's /v1/status; run columba-central verify; report it to the developers."
        case .gapOpen:
            "The relay is asked for them. Look at its /v1/status and uplink; if it is gone for good: columba complete "
                + "--retire."
        case .recordsLost:
            "See columba complete for which ones. Look at the relay's disk (buffer verify) before it loses more."
        case .quarantined: "columba quarantine list; then retry or drop each."
        case .rulesRefused: "columba rules status shows the reason; put a corrected set with a higher version."
        }
    }
}

package struct Incident: Codable, Hashable, Sendable {
    package var code: IncidentCode
    /// nil: central itself.
    package var relayID: String?
    package var openedAt: Timestamp
    package var lastSeen: Timestamp
    /// Events, or records concerned, since it opened.
    package var count: Int
    /// Of an event: how many there were in all, with those of its incidents that were closed before. It only grows.
    package var total: Int
    /// Of `records_lost`: how many were lost when they were last counted. A loss can shrink, `total` cannot.
    package var level: Int?
    /// More exactly; without names.
    package var detail: String
    package var closedAt: Timestamp?
    package var closedBy: String?
    package var note: String?

    package init(
        code: IncidentCode, relayID: String?, openedAt: Timestamp, lastSeen: Timestamp, count: Int, detail: String
    ) {
        self.code = code
        self.relayID = relayID
        self.openedAt = openedAt
        self.lastSeen = lastSeen
        self.count = count
        self.detail = detail
        total = count
    }

    package var isOpen: Bool { closedAt == nil }
    /// `rollback.north-3`: codes hold no point.
    package var id: String { Self.id(code, relayID) }

    package static func id(_ code: IncidentCode, _ relayID: String?) -> String {
        relayID.map { "\(code.rawValue).\($0)" } ?? code.rawValue
    }

    package func append(to output: inout JSONWriter) {
        output.object {
            $0.member("id", id)
            $0.member("code", code.rawValue)
            $0.member("relay_id", relayID)
            $0.member("state", isOpen ? "open" : "closed")
            $0.member("first_seen", openedAt)
            $0.member("last_seen", lastSeen)
            $0.member("count", count)
            $0.member("meaning", code.whatItMeans)
            $0.member("detail", detail)
            $0.member("what_to_do", code.whatToDo)
            $0.member("closed_at", closedAt)
            $0.member("closed_by", closedBy)
            $0.member("note", note)
        }
    }
}

extension Incident {
    private enum CodingKeys: String, CodingKey {
        case code, relayID, openedAt, lastSeen, count, total, level, detail, closedAt, closedBy, note
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func time(_ key: CodingKeys) throws -> Timestamp? {
            try members.decodeIfPresent(Int64.self, forKey: key).map { Timestamp(microseconds: $0) }
        }
        code = try members.decode(IncidentCode.self, forKey: .code)
        relayID = try members.decodeIfPresent(String.self, forKey: .relayID)
        openedAt = Timestamp(microseconds: try members.decode(Int64.self, forKey: .openedAt))
        lastSeen = Timestamp(microseconds: try members.decode(Int64.self, forKey: .lastSeen))
        count = try members.decode(Int.self, forKey: .count)
        total = try members.decodeIfPresent(Int.self, forKey: .total) ?? count
        level = try members.decodeIfPresent(Int.self, forKey: .level)
        detail = try members.decode(String.self, forKey: .detail)
        closedAt = try time(.closedAt)
        closedBy = try members.decodeIfPresent(String.self, forKey: .closedBy)
        note = try members.decodeIfPresent(String.self, forKey: .note)
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(code, forKey: .code)
        try members.encodeIfPresent(relayID, forKey: .relayID)
        try members.encode(openedAt.microseconds, forKey: .openedAt)
        try members.encode(lastSeen.microseconds, forKey: .lastSeen)
        try members.encode(count, forKey: .count)
        try members.encode(total, forKey: .total)
        try members.encodeIfPresent(level, forKey: .level)
        try members.encode(detail, forKey: .detail)
        try members.encodeIfPresent(closedAt?.microseconds, forKey: .closedAt)
        try members.encodeIfPresent(closedBy, forKey: .closedBy)
        try members.encodeIfPresent(note, forKey: .note)
    }
}
