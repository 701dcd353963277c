// An alert as a Cursor on Target event (CoT 2.0 XML), which ATAK, WinTAK, iTAK and TAK servers put on their maps. Pure.

package import Models

package struct CursorOnTargetEvent: Sendable {
    /// Critical: the emergency that TAK shows until somebody ends it. Others: markers.
    package static let defaultTypes: [AlertSeverity: String] = [
        .critical: "b-a-o-tbl", .warning: "b-m-p-s-m", .info: "b-m-p-s-p-i",
    ]
    /// CoT's word for "not known", in metres.
    private static let unknown = "9999999.0"
    /// Android colours: alpha, red, green, blue.
    private static let colors: [AlertSeverity: Int32] = [.critical: -65536, .warning: -256, .info: -1]

    package let xml: String

    /// - Parameters:
    ///   - now: CoT's `time`: when the event was made; `stale` counts from it, so that a late delivery is shown too.
    package init(_ alert: Alert, types: [AlertSeverity: String] = [:], staleSeconds: Double, now: Timestamp) {
        let type = types[alert.severity] ?? Self.defaultTypes[alert.severity] ?? "b-a"
        let latitude = alert.location?.latitude ?? 0
        let longitude = alert.location?.longitude ?? 0
        let callsign = Self.escaped("\(alert.rule) \(alert.droneID)")
        var xml = #"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"# + "\n"
        xml += #"<event version="2.0" uid="\#(Self.escaped(alert.alertID))" type="\#(Self.escaped(type))" how="m-g""#
        xml += #" time="\#(Self.time(now))" start="\#(Self.time(alert.observedAt))""#
        xml += #" stale="\#(Self.time(now.adding(seconds: staleSeconds)))">"#
        xml += #"<point lat="\#(latitude)" lon="\#(longitude)" hae="\#(Self.unknown)" ce="\#(Self.unknown)""#
        xml += #" le="\#(Self.unknown)"/><detail><contact callsign="\#(callsign)"/>"#
        if type == "b-a-o-tbl" { xml += #"<emergency type="911 Alert">\#(callsign)</emergency>"# }
        xml += #"<color argb="\#(Self.colors[alert.severity] ?? -1)"/>"#
        xml += #"<remarks source="columba.\#(Self.escaped(alert.relayID))" time="\#(Self.time(alert.raisedAt))">"#
        xml += "\(Self.escaped(Self.remarks(alert)))</remarks></detail></event>"
        self.xml = xml
    }

    private static func remarks(_ alert: Alert) -> String {
        var parts = ["\(alert.severity.rawValue.uppercased()) \(alert.rule)"]
        if let citizen = alert.citizen { parts.append(citizen) }
        if let value = alert.value {
            parts.append("value \(value)" + (alert.limit.map { ", limit \($0)" } ?? ""))
        } else if let limit = alert.limit {
            parts.append("limit \(limit)")
        }
        parts.append("drone \(alert.droneID)")
        parts.append("observed \(time(alert.observedAt))")
        return parts.joined(separator: "; ")
    }

    private static func time(_ time: Timestamp) -> String { time.rfc3339 }

    /// For text and attributes. What XML 1.0 cannot hold at all becomes U+FFFD.
    static func escaped(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&apos;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
