// What nodes of a cluster tell each other about relays, as entries of the board: one for each relay's newest report,
// one for what else is to be remembered of it, one for each incident that a person closes. Values are JSON.
//
// Sizes: an incident is some 200 bytes and a note of up to 2,000 characters, at most five for each relay; a memory is
// 40 bytes for each life that lost records, and a note. Entries stay for ever: they are what a new node must know in
// order not to raise again what was closed.

import Crypto
import FoundationEssentials
package import Models
package import SyncProtocol

package enum FleetWord: Sendable, Equatable {
    /// With the time at which a node heard it, by that node's clock.
    case report(RelayReport, heardAt: Timestamp)
    case relay(RelayMemory)
    case incident(Incident)

    /// Relays' names may hold dots in any place, keys may not.
    package var key: String {
        switch self {
        case .report(let report, _): Self.key("report", report.relayID)
        case .relay(let memory): Self.key("relay", memory.relayID)
        case .incident(let incident): Self.key("incident", incident.id)
        }
    }

    private static func key(_ kind: String, _ name: String) -> String { "\(kind).\(Hex.encode(Array(name.utf8)))" }

    /// What must be known before it: reports, then what is left of earlier ones, then what was raised because of them.
    package var turn: Int {
        switch self {
        case .report: 0
        case .relay: 1
        case .incident: 2
        }
    }

    package func value() throws -> [UInt8] {
        switch self {
        case .report(let report, let heardAt): [UInt8](try JSONEncoder().encode(Heard(report, heardAt)))
        case .relay(let memory): [UInt8](try JSONEncoder().encode(memory))
        case .incident(let incident): [UInt8](try JSONEncoder().encode(incident))
        }
    }

    /// Nil: not a word, of a kind that is not known here, or under another one's key.
    package init?(key: String, value: [UInt8]) {
        let word: FleetWord?
        switch key.prefix(while: { $0 != "." }) {
        case "report": word = Self.read(Heard.self, value).map { .report($0.report, heardAt: $0.heardAt) }
        case "relay": word = Self.read(RelayMemory.self, value).flatMap { $0.isPlausible ? .relay($0) : nil }
        case "incident":
            word = Self.read(Incident.self, value).flatMap { incident in
                incident.code.isShared && incident.isPlausible ? .incident(incident) : nil
            }
        default: word = nil
        }
        guard let word, word.key == key else { return nil }
        self = word
    }

    private static func read<Value: Decodable>(_ type: Value.Type, _ value: [UInt8]) -> Value? {
        try? JSONDecoder().decode(type, from: Data(value))
    }

    /// A report with one member more, which a reader of reports overlooks.
    private struct Heard: Codable {
        var report: RelayReport
        var heardAt: Timestamp

        private enum CodingKeys: String, CodingKey { case heardAt = "heard_at_us" }

        init(_ report: RelayReport, _ heardAt: Timestamp) {
            self.report = report
            self.heardAt = heardAt
        }

        init(from decoder: any Decoder) throws {
            report = try RelayReport(from: decoder)
            let members = try decoder.container(keyedBy: CodingKeys.self)
            // Told by a node of an earlier version.
            let heard = try members.decodeIfPresent(Int64.self, forKey: .heardAt) ?? report.sentAt.microseconds
            heardAt = Timestamp(microseconds: heard)
        }

        func encode(to encoder: any Encoder) throws {
            try report.encode(to: encoder)
            var members = encoder.container(keyedBy: CodingKeys.self)
            try members.encode(heardAt.microseconds, forKey: .heardAt)
        }
    }
}
