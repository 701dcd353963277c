// CSV as RFC 4180 has it: a head, CRLF, quotation marks where a value needs them. Values are exact: a name that looks
// like a formula stays what was reported.

import HTTPServer
import Models

struct CSVText {
    private(set) var bytes: [UInt8] = []

    init(columns: [String]) { line(columns) }

    mutating func line(_ values: [String]) {
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            append(value)
        }
        bytes += [13, 10]
    }

    private mutating func append(_ value: String) {
        let special: Set<UInt8> = [UInt8(ascii: ","), UInt8(ascii: "\""), 10, 13]
        guard value.utf8.contains(where: { special.contains($0) }) else {
            bytes += value.utf8
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            if byte == UInt8(ascii: "\"") { bytes.append(byte) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    static func response(_ bytes: [UInt8]) -> HTTPResponse {
        var response = HTTPResponse(status: 200, contentType: "text/csv; charset=utf-8; header=present", body: bytes)
        response.headers += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        return response
    }
}

package enum AlertCSV {
    package static let columns = [
        "alert_id", "rule", "rule_version", "severity", "state", "drone_id", "boot", "seq", "lat", "lon", "citizen",
        "value", "limit", "observed_at", "received_at", "raised_at", "relay_id", "late", "count", "last_raised_at",
        "changed_at", "by", "note", "outcome", "shelved_until",
    ]

    package static func text(_ entries: [AlertEntry]) -> [UInt8] {
        var csv = CSVText(columns: columns)
        for entry in entries {
            let (alert, change) = (entry.alert, entry.lastChange)
            func text<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "" }
            let place = [text(alert.location?.latitude), text(alert.location?.longitude)]
            let times = [alert.observedAt, alert.receivedAt, alert.raisedAt].map(\.rfc3339)
            let who = [
                alert.alertID, alert.rule, "\(alert.ruleVersion)", alert.severity.rawValue, alert.state.rawValue,
            ]
            let what = [alert.citizen ?? "", text(alert.value), text(alert.limit)]
            let again = ["\(alert.isLate)", "\(entry.count)", entry.lastRaisedAt?.rfc3339 ?? ""]
            let decided = [
                change?.at.rfc3339 ?? "", change?.by ?? "", change?.note ?? "", change?.outcome?.rawValue ?? "",
                change?.until?.rfc3339 ?? "",
            ]
            let report = [alert.droneID, alert.boot ?? "", text(alert.seq)]
            csv.line(who + report + place + what + times + [alert.relayID] + again + decided)
        }
        return csv.bytes
    }
}
