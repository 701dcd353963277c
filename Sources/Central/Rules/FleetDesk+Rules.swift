// `PUT` and `GET /v1/rules`: put a rule set, see which relay has it.

import FoundationEssentials
import HTTPServer
import JSON
import Models
import SyncProtocol

extension FleetDesk {
    /// The body is the rule file itself, or, as this type, `{"rules": "…", "settings": {"limits": {…}}}`.
    static let withSettings = "application/vnd.columba.rules+json"

    private struct Body: Decodable {
        var rules: String
        var settings: RelaySettings?
    }

    func putRules(_ exchange: HTTPExchange) throws -> HTTPResponse {
        let type = exchange.header("content-type")?.prefix { $0 != ";" }.lowercased()
        var text = Array(exchange.body)
        var settings: RelaySettings?
        if type == Self.withSettings {
            guard let body = try? JSONDecoder().decode(Body.self, from: Data(text)) else {
                throw Problem(
                    status: 400, code: "invalid_json", detail: #"Send {"rules": "…", "settings": {"limits": {…}}}."#)
            }
            text = Array(body.rules.utf8)
            settings = body.settings
        }
        if let settings, let wrong = settings.limits.first(where: { !$0.value.isFinite || $0.key.isEmpty }) {
            throw Problem(
                status: 422, code: "invalid_field", detail: "A limit is a finite number.",
                field: "settings.limits.\(wrong.key.prefix(64))")
        }
        let stored = try rules.put(text, settings: settings, at: now)
        fleet.wantRules(version: stored.message.version)
        return rulesPage()
    }

    func rulesPage() -> HTTPResponse {
        let newest = rules.newest
        let wanted = newest?.message.version ?? 0
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.member("version", wanted)
            output.member("put_at", newest?.putAt)
            output.member("rules", newest?.message.rules)
            if let settings = newest?.message.settings, let json = try? JSONEncoder().encode(settings) {
                output.member("settings", raw: [UInt8](json))
            }
            output.key("versions")
            output.array { output in for version in rules.versions { output.integer(version) } }
            output.key("relays")
            output.array { output in
                for (relayID, ledger) in keeper.ledgers.sorted(by: { $0.key < $1.key }) where !ledger.isRetired {
                    output.object { Self.append(relayID, ledger, wanted, &$0) }
                }
            }
        }
        return CentralRoutes.json(output.bytes)
    }

    private static func append(_ relayID: String, _ ledger: RelayLedger, _ wanted: Int, _ output: inout JSONWriter) {
        let told = ledger.report?.rules
        output.member("relay_id", relayID)
        output.member("state", state(told, wanted))
        output.member("version", told?.version)
        output.member("reason", told?.reason)
        output.member("reported_at", ledger.reportedAt)
    }

    /// `pending`: the relay has not said yet what became of the newest set.
    private static func state(_ told: RelayReport.Rules?, _ wanted: Int) -> String {
        guard let told else { return "unknown" }
        if told.state == .local { return wanted > told.version ? "pending" : "local" }
        return told.version == wanted ? told.state.rawValue : "pending"
    }
}
