// Alerts with their last states from the archive: what the live view begins with, and what lies beyond its memory.

import DuckDB
import FoundationEssentials
import Models

struct ArchivedAlerts: Sendable {
    let queries: QueryService

    /// Newest first.
    func list(_ filter: LiveAlertFilter, isCancelled: @escaping () -> Bool = { false }) throws(Problem) -> [LiveAlert] {
        let answer = try queries.run(
            QueryRequest(sql: Self.sql(filter), format: .json, limit: filter.limit), isCancelled: isCancelled)
        guard let rows = try? JSONDecoder().decode(Answer.self, from: Data(answer.body)).rows else {
            throw Problem(status: 500, code: "archive_unreadable", detail: "the archived alerts cannot be read")
        }
        return rows.compactMap(\.alert)
    }

    /// The archive may hold an alert more than once: a relay sends again what it has no acknowledgement for.
    private static func sql(_ filter: LiveAlertFilter) -> String {
        var raised = ["kind = 'alert'"]
        if let since = filter.since {
            raised.append("date >= \(ReportSelection.day(since)) and \"at\" >= \(ReportSelection.literal(since))")
        }
        if let severity = filter.severity { raised.append("severity = \(SQLText.literal(severity.rawValue))") }
        if let relay = filter.relayID { raised.append("relay_id = \(SQLText.literal(relay))") }
        let state = filter.state.map { "where coalesce(state, 'raised') = \(SQLText.literal($0.rawValue))" } ?? ""
        return """
            with raised as (
                select distinct on (alert_id) alert_id, rule, rule_version, severity, drone_id, boot, seq, lat, lon,
                    person_id, value, "limit", observed_at, received_at, "at" as raised_at, relay_id
                from alerts where \(raised.joined(separator: " and ")) order by alert_id, "at"
            ), changed as (
                select alert_id, arg_max(state, "at") as state, max("at") as changed_at, arg_max("by", "at") as "by",
                    arg_max(note, "at") as note, arg_max(outcome, "at") as outcome,
                    arg_max(relay_id, "at") as changed_by
                from alerts where kind = 'alert_state' group by alert_id
            )
            select raised.*, state, changed_at, "by", note, outcome, changed_by
            from raised left join changed using (alert_id) \(state)
            order by raised_at desc, alert_id desc limit \(filter.limit + 1)
            """
    }

    private struct Answer: Decodable { var rows: [Row] }

    private struct Row: Decodable {
        var alert_id: String
        var rule: String?
        var rule_version: Int?
        var severity: String?
        var drone_id: String?
        var boot: String?
        var seq: Int64?
        var lat: Double?
        var lon: Double?
        var person_id: String?
        var value: Double?
        var limit: Double?
        var observed_at: String?
        var received_at: String?
        var raised_at: String
        var relay_id: String?
        var state: String?
        var changed_at: String?
        var by: String?
        var note: String?
        var outcome: String?
        var changed_by: String?

        var alert: LiveAlert? {
            guard let raisedAt = Timestamp(rfc3339: raised_at), let rule, let droneID = drone_id,
                let severity = severity.flatMap({ AlertSeverity(rawValue: $0) })
            else { return nil }
            func time(_ text: String?) -> Timestamp { text.flatMap { Timestamp(rfc3339: $0) } ?? raisedAt }
            let place = lat.flatMap { latitude in lon.map { Place(latitude: latitude, longitude: $0) } }
            let alert = Alert(
                alertID: alert_id, rule: rule, ruleVersion: rule_version ?? 0, severity: severity, droneID: droneID,
                boot: boot, seq: seq, location: place, value: value, limit: limit, observedAt: time(observed_at),
                receivedAt: time(received_at), raisedAt: raisedAt, relayID: relay_id ?? "")
            let change = state.flatMap { AlertState(rawValue: $0) }.map { state in
                AlertStateChange(
                    alertID: alert_id, state: state, by: by ?? "", note: note ?? "",
                    outcome: outcome.flatMap { AlertOutcome(rawValue: $0) }, at: time(changed_at),
                    relayID: changed_by ?? relay_id ?? "")
            }
            return LiveAlert(alert: alert, personID: person_id, lastChange: change)
        }
    }
}
