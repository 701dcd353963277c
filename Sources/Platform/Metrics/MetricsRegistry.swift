// Metrics for Prometheus: counters, gauges and histograms that cost one atomic addition, rendered as text format 0.0.4.
//
// A series' labels are fixed when it is made: no dictionary is looked up on a hot path, and the number of series is
// known at start-up (I7). Labels never carry a drone's words or names (I9): values are short constants of the program.
import Synchronization

package final class MetricsRegistry: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    struct Family {
        let kind: Kind
        let help: String
        var series: [Series]
    }

    struct Series {
        let labels: String
        let write: @Sendable (_ name: String, _ labels: String, _ text: inout MetricsText) -> Void
    }

    private let families = Mutex<[(name: String, family: Family)]>([])

    package init() {}

    /// A number that only grows; its name ends in `_total`.
    package func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        let counter = Counter()
        counterCallback(name, help: help, labels: labels) { Double(counter.value) }
        return counter
    }

    /// A counter whose number someone else keeps.
    package func counterCallback(
        _ name: String, help: String, labels: [(String, String)] = [], _ value: @escaping @Sendable () -> Double
    ) {
        precondition(name.hasSuffix("_total"), "a counter's name ends in _total")
        add(name, .counter, help, labels) { name, labels, text in text.sample(name, labels, value()) }
    }

    package func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        let gauge = Gauge()
        gaugeCallback(name, help: help, labels: labels) { gauge.value }
        return gauge
    }

    /// A gauge asked for when rendered. The closure must be quick and must not wait; NaN means "unknown".
    package func gaugeCallback(
        _ name: String, help: String, labels: [(String, String)] = [], _ value: @escaping @Sendable () -> Double
    ) {
        precondition(!name.hasSuffix("_total"), "only a counter's name ends in _total")
        add(name, .gauge, help, labels) { name, labels, text in text.sample(name, labels, value()) }
    }

    /// - Parameter bounds: upper bounds of the buckets, growing; the last one, +Inf, is added.
    package func histogram(
        _ name: String, help: String, labels: [(String, String)] = [], bounds: [Double] = Histogram.secondsBounds
    ) -> Histogram {
        let histogram = Histogram(bounds: bounds)
        add(name, .histogram, help, labels) { name, labels, text in histogram.write(name, labels, &text) }
        return histogram
    }

    /// `Content-Type` of what `render` gives.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// All series, families in the order they were made.
    package func render() -> [UInt8] {
        // Callbacks run outside the lock: they may take locks of their own.
        let snapshot = families.withLock { $0 }
        var text = MetricsText()
        for (name, family) in snapshot {
            text.family(name, kind: family.kind.rawValue, help: family.help)
            for series in family.series { series.write(name, series.labels, &text) }
        }
        return text.bytes
    }

    private func add(
        _ name: String, _ kind: Kind, _ help: String, _ labels: [(String, String)],
        _ write: @escaping @Sendable (String, String, inout MetricsText) -> Void
    ) {
        precondition(MetricsText.isValidName(name), "\(name): a metric's name matches columba_[a-z0-9_]+")
        precondition(!help.isEmpty, "\(name): a metric says what it counts")
        let labels = MetricsText.render(labels: labels)
        families.withLock { families in
            let series = Series(labels: labels, write: write)
            guard let index = families.firstIndex(where: { $0.name == name }) else {
                families.append((name, Family(kind: kind, help: help, series: [series])))
                return
            }
            let family = families[index].family
            precondition(family.kind == kind && family.help == help, "\(name) was made with another type or help")
            precondition(family.series.allSatisfy { $0.labels != labels }, "\(name){\(labels)} exists already")
            families[index].family.series.append(series)
        }
    }
}
