// An alert as the station knows it: what was raised, what became of it, how often it came again.

package import Models
import FoundationEssentials
import JSON

package struct AlertEntry: Sendable, Equatable {
    package var alert: Alert
    package var lastChange: AlertStateChange?
    /// The changes before that one, oldest first; the first ones are forgotten beyond `maxEarlier` (I7).
    package private(set) var earlier: [AlertStateChange] = []
    /// Position in the stream of events; also orders the list. Grows over restarts: it begins at the clock's
    /// microseconds.
    package var eventID: Int64
    /// What in the reports the rule matched: alerts of one rule, drone and subject are one situation.
    package var subject: String
    /// How often the situation was raised: this alert and those folded into it.
    package var count = 1
    /// When the situation was raised last; nil where it was raised once.
    package var lastRaisedAt: Timestamp?

    package init(alert: Alert, lastChange: AlertStateChange? = nil, eventID: Int64, subject: String? = nil) {
        self.alert = alert
        self.lastChange = lastChange
        self.eventID = eventID
        self.subject = subject ?? alert.citizen ?? ""
    }

    package static let maxEarlier = 50

    package var changes: [AlertStateChange] { earlier + (lastChange.map { [$0] } ?? []) }

    /// Carries a decision out.
    mutating func decided(_ change: AlertStateChange) {
        if let lastChange { earlier.append(lastChange) }
        if earlier.count > Self.maxEarlier { earlier.removeFirst() }
        lastChange = change
        alert.state = change.state
    }

    var situation: AlertSituation {
        AlertSituation(rule: alert.rule, droneID: alert.droneID, subject: subject, isLate: alert.isLate)
    }

    /// The name of the event that last touched it.
    var eventName: String { lastChange != nil ? "alert_state" : alert.isLate ? "late_alert" : "alert" }
}

/// What makes two alerts the same situation at two moments. A replayed past is never the present.
struct AlertSituation: Hashable, Sendable {
    let rule: String
    let droneID: String
    let subject: String
    let isLate: Bool
}

extension AlertEntry {
    /// A server-sent event.
    func event() -> [UInt8] {
        var output = Array("id: \(eventID)\nevent: \(eventName)\ndata: ".utf8)
        output.append(contentsOf: json())
        output.append(contentsOf: "\n\n".utf8)
        return output
    }

    /// The alert as contract §3, with who changed its state last, when and why, and how often it came again.
    /// - Parameter deliveries: where it was sent; nil: not said.
    package func json(deliveries: [DeliveryRecord]? = nil) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            if count > 1 { writer.member("count", count) }
            if let lastRaisedAt { writer.member("last_raised_at", lastRaisedAt) }
            if let lastChange {
                writer.member("by", lastChange.by)
                writer.member("note", lastChange.note)
                if let outcome = lastChange.outcome { writer.member("outcome", outcome.rawValue) }
                writer.member("changed_at", lastChange.at)
                if let until = lastChange.until { writer.member("shelved_until", until) }
            }
            if let deliveries {
                writer.key("deliveries")
                writer.array { writer in
                    for delivery in deliveries { delivery.appendJSON(to: &writer) }
                }
            }
        }
        guard writer.bytes.count > 2 else { return alert.json() }
        return alert.json().dropLast() + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
    }
}

/// How the state store keeps an entry: the alert's JSON with what only the station knows.
extension AlertEntry {
    private struct Kept: Decodable {
        var subject: String?
        var count: Int?
        var lastRaisedAt: String?
        /// Each a JSON text of its own.
        var earlier: [String]?

        enum CodingKeys: String, CodingKey {
            case subject, count, earlier
            case lastRaisedAt = "last_raised_at"
        }
    }

    package func storedAlert() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("subject", subject)
            writer.member("count", count)
            if let lastRaisedAt { writer.member("last_raised_at", lastRaisedAt) }
            guard !earlier.isEmpty else { return }
            writer.key("earlier")
            writer.array { list in
                for change in earlier { list.string(String(decoding: change.json(), as: UTF8.self)) }
            }
        }
        return alert.json().dropLast() + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
    }

    package init(storedAlert bytes: UnsafeRawBufferPointer, eventID: Int64) throws(Problem) {
        self.init(alert: try Alert(json: bytes), eventID: eventID)
        guard let kept = try? JSONDecoder().decode(Kept.self, from: Data(bytes)) else { return }
        subject = kept.subject ?? subject
        count = max(1, kept.count ?? 1)
        lastRaisedAt = kept.lastRaisedAt.flatMap { Timestamp(rfc3339: $0) }
        earlier = (kept.earlier ?? []).compactMap { text in
            try? Array(text.utf8).withUnsafeBytes(AlertStateChange.init(json:))
        }
    }
}
