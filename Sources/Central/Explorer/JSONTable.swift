// Rows of a JSON answer as CSV: the twin of the answers that central gives from memory (`?format=csv`). What DuckDB
// answers is made CSV there (`ResultShape`), after the same rules.

import Configuration
import HTTPServer
import Models

struct JSONTable: Sendable {
    /// The member that holds the rows.
    let rows: String
    /// `location.lat` is a member of a member, and the column `lat`.
    let columns: [String]

    static let live = JSONTable(rows: "minutes", columns: ["time", "reports", "late", "alerts"])
    static let alerts = JSONTable(
        rows: "alerts",
        columns: [
            "alert_id", "rule", "rule_version", "severity", "state", "drone_id", "boot", "seq", "location.lat",
            "location.lon", "person_id", "value", "limit", "observed_at", "received_at", "raised_at", "relay_id",
            "changed_at", "by", "note", "outcome", "shelved_until",
        ])
    static let completeness = JSONTable(
        rows: "relays",
        columns: [
            "relay_id", "state", "complete_through", "waiting", "waiting_at_relay", "waiting_at_central",
            "oldest_waiting", "lost", "last_contact", "last_report", "silent_for_s", "gap_count",
        ])
    static let relays = JSONTable(
        rows: "relays",
        columns: [
            "relay_id", "state", "last_contact", "received", "archived", "duplicates", "conflicts", "rejected",
            "waiting", "waiting_at_relay", "lost", "complete_through",
        ])

    /// The answer itself, or with `format=csv` its rows.
    func answer(_ exchange: HTTPExchange, _ response: HTTPResponse) -> HTTPResponse {
        switch exchange.queryItem("format") {
        case nil, "json": return response
        case "csv":
            var answer = response
            answer.headers = response.headers.filter { $0.0 != "Content-Type" }
            answer.headers.append(("Content-Type", QueryFormat.csv.contentType))
            answer.body = csv(response.body)
            return answer
        default: return HTTPResponse(problem: AnalystQuery.invalid("format is json or csv", "format"))
        }
    }

    func csv(_ json: [UInt8]) -> [UInt8] {
        var lines = [columns.map { String($0.split(separator: ".").last ?? "") }.joined(separator: ",")]
        if case .object(let members)? = try? ConfigurationNode.parse(json5: json),
            case .array(let found)? = members[rows]
        {
            lines += found.map { row in
                columns.map { Self.field(Self.member($0, of: row)) }.joined(separator: ",")
            }
        }
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    private static func member(_ path: String, of node: ConfigurationNode) -> ConfigurationNode? {
        path.split(separator: ".").reduce(Optional(node)) { node, name in
            guard case .object(let members)? = node else { return nil }
            return members[String(name)]
        }
    }

    private static func field(_ value: ConfigurationNode?) -> String {
        switch value {
        case .string(let text): quoted(text)
        case .number(let number): Int64(exactly: number).map { "\($0)" } ?? "\(number)"
        case .bool(let flag): flag ? "true" : "false"
        case nil, .null, .array, .object: ""
        }
    }

    /// What a spreadsheet would take for a formula gets a quote before it.
    private static func quoted(_ text: String) -> String {
        let isFormula = text.first.map { "=+-@\t\r".contains($0) } ?? false
        let safe = isFormula ? "'" + text : text
        guard safe.contains(where: { ",\"\n\r\r\n".contains($0) }) else { return safe }
        return "\"" + safe.replacing("\"", with: "\"\"") + "\""
    }
}
