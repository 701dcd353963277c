// What a run of the demo amounted to, as JSON and as text, and whether its figures add up.
import Models
import Simulation

struct DemoSummary {
    enum Ending: Equatable {
        case complete
        case interrupted
        /// Nothing moved any more before all was archived.
        case stalled
    }

    let figures: DemoFigures
    let flight: FlightFigures
    let alertLatency: LatencyHistogram
    let elapsedSeconds: Double
    let setup: DemoSetup
    let ending: Ending
    let endsByItself: Bool
    let drones: Int

    /// Why the run is a failure; nil if it is none. A run without `--exit` ends when a person says so, at any moment.
    var problem: String? {
        guard endsByItself else { return nil }
        switch ending {
        case .interrupted: return "interrupted before all reports were archived"
        case .stalled: return "nothing moved for a minute, and not all reports are archived: \(figures.line)"
        case .complete:
            if flight.refused > 0 { return "\(flight.refused) reports were refused" }
            if !figures.addUp(resent: flight.resent) {
                return "the figures do not add up: \(figures.line) · duplicates \(figures.duplicates)"
            }
            return figures.alerts < flight.withAlert
                ? "\(flight.withAlert) reports must raise an alert, but only \(figures.alerts) alerts came" : nil
        }
    }

    var json: OrderedJSON {
        .object([
            "sent": .count(figures.sent), "acknowledged": .count(figures.acknowledged),
            "archived": .count(figures.archived), "duplicates": .count(figures.duplicates),
            "conflicts": .count(figures.conflicts), "waiting": .count(figures.waiting),
            "resent": .count(flight.resent), "refused": .count(flight.refused),
            "alerts": .count(figures.alerts), "alerts_expected": .count(flight.withAlert),
            "alert_latency_ms": alertLatency.json, "acknowledgement_ms": flight.acknowledgement.json,
            "elapsed_s": .figure(elapsedSeconds),
            "reports_per_s": .figure(Double(figures.archived) / max(elapsedSeconds, 0.001)),
            "drones": .count(drones), "relays": .array(setup.relays.map { .string($0.id) }),
            "data": setup.isTemporary ? .null : .string(setup.folder),
            "problem": problem.map(OrderedJSON.string) ?? .null,
        ])
    }

    var text: String {
        func milliseconds(_ histogram: LatencyHistogram, _ share: Double) -> String {
            OrderedJSON.figure(histogram.quantile(share).map { $0 * 1_000 }).text
        }
        let grouped = ProgressBar.grouped
        return """
            sent \(grouped(figures.sent)), acknowledged \(grouped(figures.acknowledged)), \
            archived \(grouped(figures.archived)) + duplicates \(grouped(figures.duplicates)), \
            waiting \(grouped(figures.waiting)), resent \(grouped(flight.resent)), \
            in \(OrderedJSON.figure(elapsedSeconds).text) s
            alerts \(grouped(figures.alerts)); from sending to alert p50 \(milliseconds(alertLatency, 0.5)) ms, \
            p99 \(milliseconds(alertLatency, 0.99)) ms; to acknowledgement p50 \
            \(milliseconds(flight.acknowledgement, 0.5)) ms, p99 \(milliseconds(flight.acknowledgement, 0.99)) ms
            """
    }
}
