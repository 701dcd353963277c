// What was measured, as a table for people and as JSON for programs.

struct Summary {
    let options: Options
    let bodyBytes: Int
    let acknowledged: Int
    let measuredSeconds: Double
    let latencies: Latencies
    /// Answers that weren't 202, and closed connections.
    let errors: [String: Int]
    let notStored: Int
    let alerts: AlertListener.Result?
    let process: (cpuSeconds: Double, peakResidentBytes: Int)?

    var isClean: Bool { errors.isEmpty && (alerts?.lost ?? 0) == 0 && acknowledged > 0 }
    var perSecond: Double { Double(acknowledged) / measuredSeconds }

    private func rounded(_ value: Double, _ digits: Double = 1000) -> Double { (value * digits).rounded() / digits }

    var table: String {
        let pace = options.rate.map { "\(Int($0))/s when due" } ?? "as fast as answers come"
        let failures = errors.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")
        var lines = [
            "reports          \(bodyBytes) B each with its header, \(options.connections) connections, \(pace)",
            "acknowledged     \(acknowledged) in \(rounded(measuredSeconds)) s = \(Int(perSecond.rounded()))/s",
            "latency ms       " + row(latencies, [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]),
            "errors           \(failures.isEmpty ? "0" : failures)",
        ]
        if notStored > 0 { lines.append("not 'stored'     \(notStored)") }
        if let alerts {
            lines.append(
                "alerts           \(alerts.expected) expected, \(alerts.lost) lost, \(alerts.repeated) repeated")
            lines.append("report→alert ms  " + row(alerts.latencies, [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]))
        }
        if let process {
            let each = acknowledged > 0 ? rounded(process.cpuSeconds * 1e6 / Double(acknowledged), 10) : 0
            let peak = process.peakResidentBytes >> 20
            lines.append(
                "relay process    \(rounded(process.cpuSeconds)) CPU s (\(each) µs a report), peak \(peak) MiB")
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ latencies: Latencies, _ shares: [(String, Double)]) -> String {
        let values = shares.map { "\($0.0) \(rounded(latencies.milliseconds($0.1)))" }
        return (values + ["max \(rounded(latencies.maximumMilliseconds))"]).joined(separator: "   ")
    }

    var json: String {
        let failures = errors.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
        var members: [(String, String)] = [
            ("command", "\"\(options.command.rawValue)\""), ("connections", "\(options.connections)"),
            ("rate", options.rate.map { "\($0)" } ?? "null"), ("request_bytes", "\(bodyBytes)"),
            ("acknowledged", "\(acknowledged)"), ("seconds", "\(rounded(measuredSeconds))"),
            ("acknowledged_per_s", "\(rounded(perSecond, 10))"),
            ("latency_ms", Summary.json(latencies, [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)])),
            ("errors", "{\(failures.joined(separator: ","))}"), ("not_stored", "\(notStored)"),
        ]
        if let alerts {
            members += [
                ("alerts_expected", "\(alerts.expected)"), ("alerts_lost", "\(alerts.lost)"),
                ("alerts_repeated", "\(alerts.repeated)"),
                ("alert_latency_ms", Summary.json(alerts.latencies, [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999)])),
            ]
        }
        if let process {
            members += [
                ("cpu_s", "\(rounded(process.cpuSeconds))"), ("peak_rss_bytes", "\(process.peakResidentBytes)"),
            ]
        }
        return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    private static func json(_ latencies: Latencies, _ shares: [(String, Double)]) -> String {
        let members =
            shares.map { ($0.0, latencies.milliseconds($0.1)) } + [("max", latencies.maximumMilliseconds)]
        return "{" + members.map { "\"\($0.0)\":\(($0.1 * 1000).rounded() / 1000)" }.joined(separator: ",") + "}"
    }
}
