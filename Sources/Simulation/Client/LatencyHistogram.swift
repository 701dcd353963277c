// Durations in buckets that grow by about 2 %: percentiles of millions of samples in a few kilobytes.
import Glibc

package struct LatencyHistogram: Sendable {
    /// Bucket i holds durations up to smallest × growth^i: 1 µs to more than 10 minutes.
    private static let smallestSeconds = 1e-6
    private static let growth = 1.02
    private static let buckets = 1_040

    private var counts = [Int](repeating: 0, count: buckets)
    package private(set) var count = 0
    private var longest = 0.0

    package init() {}

    package mutating func record(seconds: Double) {
        let ratio = max(seconds, Self.smallestSeconds) / Self.smallestSeconds
        counts[min(Int(log(ratio) / log(Self.growth)), Self.buckets - 1)] += 1
        count += 1
        longest = max(longest, seconds)
    }

    package mutating func merge(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The duration that the given share of samples does not exceed, at most 2 % too long; nil without samples.
    package func quantile(_ share: Double) -> Double? {
        guard count > 0 else { return nil }
        let wanted = max(1, Int((share * Double(count)).rounded(.up)))
        var seen = 0
        for (index, bucket) in counts.enumerated() {
            seen += bucket
            // The last bucket has no upper end.
            if seen >= wanted, index == Self.buckets - 1 { return longest }
            if seen >= wanted { return min(longest, Self.smallestSeconds * pow(Self.growth, Double(index + 1))) }
        }
        return longest
    }
}
