// The three instruments. Each update is one or two atomic operations and never waits.
import Synchronization

package final class Counter: Sendable {
    private let count = Atomic<Int64>(0)

    /// Outside a registry: for numbers that other parts of the program read too.
    package init() {}

    package var value: Int64 { count.load(ordering: .relaxed) }

    package func add(_ amount: Int = 1) {
        precondition(amount >= 0, "a counter only grows")
        count.wrappingAdd(Int64(amount), ordering: .relaxed)
    }
}

package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package init() {}

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    package func add(_ amount: Double) { addAtomically(amount, to: bits) }
}

package final class Histogram: Sendable {
    /// For latencies: 100 µs to 10 s.
    package static let secondsBounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]

    private final class Bucket: Sendable { let count = Atomic<Int64>(0) }

    private let bounds: [Double]
    private let buckets: [Bucket]
    private let sum = Atomic<UInt64>(0)

    package init(bounds: [Double]) {
        precondition(!bounds.isEmpty, "a histogram has a bucket")
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bucket bounds grow")
        precondition(bounds.allSatisfy(\.isFinite), "the bucket +Inf is added by the histogram")
        self.bounds = bounds
        buckets = (0...bounds.count).map { _ in Bucket() }
    }

    package var count: Int64 { buckets.reduce(0) { $0 + $1.count.load(ordering: .relaxed) } }

    package func observe(_ value: Double) {
        guard !value.isNaN else { return }
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        buckets[index].count.wrappingAdd(1, ordering: .relaxed)
        addAtomically(value, to: sum)
    }

    func write(_ name: String, _ labels: String, _ text: inout MetricsText) {
        let separator = labels.isEmpty ? "" : ","
        var cumulative: Int64 = 0
        for (index, bucket) in buckets.enumerated() {
            cumulative += bucket.count.load(ordering: .relaxed)
            let bound = index < bounds.count ? MetricsText.number(bounds[index]) : "+Inf"
            text.sample("\(name)_bucket", "\(labels)\(separator)le=\"\(bound)\"", Double(cumulative))
        }
        text.sample("\(name)_sum", labels, Double(bitPattern: sum.load(ordering: .relaxed)))
        text.sample("\(name)_count", labels, Double(cumulative))
    }
}

private func addAtomically(_ amount: Double, to bits: borrowing Atomic<UInt64>) {
    var current = bits.load(ordering: .relaxed)
    while true {
        let next = (Double(bitPattern: current) + amount).bitPattern
        let (exchanged, original) = bits.weakCompareExchange(expected: current, desired: next, ordering: .relaxed)
        if exchanged { return }
        current = original
    }
}
