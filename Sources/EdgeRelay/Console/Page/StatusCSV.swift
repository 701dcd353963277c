// The relay's figures as CSV, one a line, under the names of `GET /v1/status`: for a spreadsheet or a shell.

import HTTPServer
import Models

extension RelayFigures {
    package func csv() -> [UInt8] {
        var csv = CSVText(columns: ["figure", "value"])
        func text<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "" }
        let lines: [(String, String)] = [
            ("relay_id", relayID), ("epoch", epoch), ("version", version), ("started_at", startedAt.rfc3339),
            ("now", now.rfc3339), ("rules_version", "\(rulesVersion)"),
            ("buffer.waiting", "\(waiting)"), ("buffer.bytes", "\(bufferBytes)"),
            ("buffer.max_bytes", "\(bufferMaxBytes)"), ("buffer.oldest", oldestWaiting?.rfc3339 ?? ""),
            ("buffer.hours_left", text(hoursLeft)), ("buffer.segments", "\(segments)"),
            ("buffer.level", level.rawValue),
            ("uplink.state", uplinkState), ("uplink.last_success", uplink?.lastSuccess?.rfc3339 ?? ""),
            ("uplink.last_error", uplink?.lastError ?? ""), ("uplink.next_try_in_s", text(uplink?.nextTrySeconds)),
            ("uplink.failures_in_a_row", text(uplink?.consecutiveFailures)),
            ("uplink.set_aside", text(uplink?.setAside)), ("uplink.bytes_sent", text(uplink?.bytesSent)),
            ("counters.received", "\(writer.reports)"), ("counters.stored", "\(writer.stored)"),
            ("counters.duplicates", "\(writer.duplicates)"), ("counters.conflicts", "\(writer.conflicts)"),
            ("counters.records", "\(writer.records)"), ("counters.carried_over", "\(carriedOver)"),
            ("counters.archived", "\(archived)"), ("counters.waiting", "\(waiting)"),
            ("counters.alerts_raised", "\(alertsRaised)"), ("counters.alerts_open", "\(alertsOpen)"),
            ("counters.drones", "\(dronesHeard)"), ("connections.open", "\(connections.open)"),
        ]
        for (name, value) in lines { csv.line([name, value]) }
        return csv.bytes
    }
}
