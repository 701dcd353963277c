// The addresses of the fleet's desk: what relays tell and ask beside batches, and what operators see and decide.

import HTTPServer
import Models
import SyncProtocol

enum DeskRoute: Equatable {
    // Relays
    case report(String)
    case relayRules(String)
    // Analysts and operators
    case completeness
    case incidents
    case closeIncident(String)
    case quarantine
    case quarantined(String)
    case retry(String)
    case drop(String)
    case rules
    case retire(String)

    private static let decisionBytes = 16 << 10
    /// A rule set as JSON text, every character escaped.
    private static let rulesBytes = 6 * SyncLimits.rulesBytes + decisionBytes

    init?(path: String, relays: Bool, analysts: Bool) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard parts.first == "v1", parts.count >= 2 else { return nil }
        switch (parts[1], parts.count) {
        case ("relays", 4) where Identifier.isValidRelayID(parts[2]):
            switch parts[3] {
            case "report" where relays: self = .report(parts[2])
            case "rules" where relays: self = .relayRules(parts[2])
            case "retire" where analysts: self = .retire(parts[2])
            default: return nil
            }
        case ("completeness", 2) where analysts: self = .completeness
        case ("incidents", 2) where analysts: self = .incidents
        case ("incidents", 4) where analysts && parts[3] == "close" && Self.isPlain(parts[2]):
            self = .closeIncident(parts[2])
        case ("quarantine", 2) where analysts: self = .quarantine
        case ("quarantine", 3) where analysts && Self.isPlain(parts[2]): self = .quarantined(parts[2])
        case ("quarantine", 4) where analysts && Self.isPlain(parts[2]):
            switch parts[3] {
            case "retry": self = .retry(parts[2])
            case "drop": self = .drop(parts[2])
            default: return nil
            }
        case ("rules", 2) where analysts: self = .rules
        default: return nil
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0)
                    || (0x61...0x7a).contains($0) || [0x2d, 0x2e, 0x5f].contains($0)
            }
    }

    var methods: [String] {
        switch self {
        case .report: ["PUT"]
        case .relayRules, .completeness, .incidents, .quarantine, .quarantined: ["GET", "HEAD"]
        case .closeIncident, .retry, .drop, .retire: ["POST"]
        case .rules: ["GET", "HEAD", "PUT"]
        }
    }

    func bodyBytes(_ method: String) -> Int {
        switch (self, method) {
        case (_, "GET"), (_, "HEAD"): 0
        case (.report, _): SyncLimits.relayReportBytes
        case (.rules, _): Self.rulesBytes
        default: Self.decisionBytes
        }
    }
}
