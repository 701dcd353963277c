// What a relay tells operators, at once and without disk or uplink (I6), and what operators answer. Shapes of contract
// §3; the JSON module reads and writes them.

package enum AlertSeverity: String, CaseIterable, Comparable, Hashable, Sendable {
    case info, warning, critical

    private var rank: Int {
        switch self {
        case .info: 0
        case .warning: 1
        case .critical: 2
        }
    }

    package static func < (left: AlertSeverity, right: AlertSeverity) -> Bool { left.rank < right.rank }
}

package enum AlertState: String, CaseIterable, Hashable, Sendable {
    /// Nobody has looked yet.
    case raised
    /// Somebody is on it.
    case acknowledged
    /// Put aside for now: it no longer calls for attention, but is not settled.
    case shelved
    /// Settled, with an outcome. Final.
    case closed

    /// Whether an operator may move an alert from this state to `next`. Repeating a state is allowed (a second note).
    package func canBecome(_ next: AlertState) -> Bool {
        switch (self, next) {
        case (.closed, .closed): true
        case (.closed, _), (_, .raised): false
        default: true
        }
    }
}

package enum AlertOutcome: String, CaseIterable, Hashable, Sendable {
    case confirmed
    case falseAlarm = "false_alarm"
    case unknown
}

package struct Place: Hashable, Sendable {
    /// Degrees north.
    package var latitude: Double
    /// Degrees east.
    package var longitude: Double

    package init(latitude: Double, longitude: Double) {
        self.latitude = latitude
        self.longitude = longitude
    }
}

package struct Alert: Hashable, Sendable {
    /// 32 lowercase hexadecimal digits; the same report raises the same alert again (see `identityBytes`).
    package var alertID: String
    package var rule: String
    package var ruleVersion: Int
    package var severity: AlertSeverity
    package var state: AlertState
    package var droneID: String
    /// Boot and seq of the report; both nil where no report raised the alert (a silent drone never heard).
    package var boot: String?
    package var seq: Int64?
    package var location: Place?
    /// The citizen's name as reported: for operators only, never for logs (I9).
    package var citizen: String?
    /// What was measured, and the rule's limit.
    package var value: Double?
    package var limit: Double?
    package var observedAt: Timestamp
    package var receivedAt: Timestamp
    package var raisedAt: Timestamp
    package var relayID: String
    /// The report was replayed after an outage: stored and listed, but it wakes nobody.
    package var isLate: Bool
    /// The alert of the same rule, drone and subject that was open already when this one was raised: one situation.
    package var foldedInto: String?

    package init(
        alertID: String, rule: String, ruleVersion: Int, severity: AlertSeverity, state: AlertState = .raised,
        droneID: String, boot: String? = nil, seq: Int64? = nil, location: Place? = nil, citizen: String? = nil,
        value: Double? = nil, limit: Double? = nil, observedAt: Timestamp, receivedAt: Timestamp,
        raisedAt: Timestamp, relayID: String, isLate: Bool = false, foldedInto: String? = nil
    ) {
        self.alertID = alertID
        self.rule = rule
        self.ruleVersion = ruleVersion
        self.severity = severity
        self.state = state
        self.droneID = droneID
        self.boot = boot
        self.seq = seq
        self.location = location
        self.citizen = citizen
        self.value = value
        self.limit = limit
        self.observedAt = observedAt
        self.receivedAt = receivedAt
        self.raisedAt = raisedAt
        self.relayID = relayID
        self.isLate = isLate
        self.foldedInto = foldedInto
    }

    /// The bytes whose SHA-256 names the alert (its first 16 bytes, in hex): each part with its length before it, so
    /// that no two different alerts can give the same bytes.
    package static func identityBytes(
        rule: String, droneID: String, boot: String, seq: Int64, subject: String
    ) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(128)
        for part in [rule, droneID, boot, String(seq), subject] {
            withUnsafeBytes(of: UInt32(part.utf8.count).bigEndian) { output.append(contentsOf: $0) }
            output.append(contentsOf: part.utf8)
        }
        return output
    }

    /// The `alert_id` from `sha256`, a function that gives the 32 bytes of a SHA-256 (Models has no hash of its own).
    package static func identifier(
        rule: String, droneID: String, boot: String, seq: Int64, subject: String, sha256: ([UInt8]) -> [UInt8]
    ) -> String {
        let digest = sha256(identityBytes(rule: rule, droneID: droneID, boot: boot, seq: seq, subject: subject))
        precondition(digest.count == 32, "a SHA-256 is 32 bytes long")
        let digits = Array("0123456789abcdef".utf8)
        var output: [UInt8] = []
        output.reserveCapacity(32)
        for byte in digest.prefix(16) {
            output.append(digits[Int(byte >> 4)])
            output.append(digits[Int(byte & 15)])
        }
        return String(decoding: output, as: UTF8.self)
    }
}

/// What somebody did about an alert. Stored and forwarded like a report.
package struct AlertStateChange: Hashable, Sendable {
    package var alertID: String
    package var state: AlertState
    /// Who: an operator's name or account.
    package var by: String
    package var note: String
    package var outcome: AlertOutcome?
    package var at: Timestamp
    package var relayID: String
    /// A shelved alert calls for attention again from then on; nil: only when somebody takes it from the shelf.
    package var until: Timestamp?

    package init(
        alertID: String, state: AlertState, by: String, note: String = "", outcome: AlertOutcome? = nil,
        at: Timestamp, relayID: String, until: Timestamp? = nil
    ) {
        self.alertID = alertID
        self.state = state
        self.by = by
        self.note = note
        self.outcome = outcome
        self.at = at
        self.relayID = relayID
        self.until = until
    }
}

/// What a relay's record is; the `kind` of the sync protocol's lines (contract §4).
package enum RecordKind: String, CaseIterable, Hashable, Sendable {
    case report
    case alert
    case alertState = "alert_state"
}
