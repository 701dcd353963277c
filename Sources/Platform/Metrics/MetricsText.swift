// Prometheus text format 0.0.4: names, escaping, numbers.

struct MetricsText {
    private(set) var bytes: [UInt8] = []

    mutating func family(_ name: String, kind: String, help: String) {
        append("# HELP \(name) \(MetricsText.escape(help, quotes: false))\n# TYPE \(name) \(kind)\n")
    }

    mutating func sample(_ name: String, _ labels: String, _ value: Double) {
        append(labels.isEmpty ? "\(name) " : "\(name){\(labels)} ")
        append(MetricsText.number(value))
        append("\n")
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Whole numbers without a fraction, others as short as they round-trip.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }

    static func isValidName(_ name: String) -> Bool {
        name.hasPrefix("columba_") && name.utf8.count > 8
            && name.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "_")
            }
    }

    static func render(labels: [(String, String)]) -> String {
        for (name, _) in labels {
            precondition(
                name != "le" && !name.isEmpty && name.utf8.allSatisfy { (97...122).contains($0) || $0 == 95 },
                "a label's name matches [a-z_]+ and isn't le")
        }
        return labels.map { "\($0.0)=\"\(escape($0.1, quotes: true))\"" }.joined(separator: ",")
    }

    static func escape(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
