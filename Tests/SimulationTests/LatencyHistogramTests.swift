// Percentiles from buckets, against exact ones.
import Simulation
import Testing

@Suite("the latency histogram")
struct LatencyHistogramTests {
    @Test("quantiles are at most 2 % above the exact ones, and never above the longest sample")
    func quantiles() throws {
        let seed: UInt64 = 99
        var random = SeededRandom(seed: seed)
        var histogram = LatencyHistogram()
        var samples: [Double] = []
        for _ in 0..<10_000 {
            let seconds = 0.0001 * (1 / (1 - random.unit() * 0.9999))
            samples.append(seconds)
            histogram.record(seconds: seconds)
        }
        samples.sort()
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1] {
            let exact = samples[max(0, Int((share * 10_000).rounded(.up)) - 1)]
            let found = try #require(histogram.quantile(share))
            #expect(found >= exact * 0.98 && found <= exact * 1.021, "share \(share), seed \(seed)")
        }
        #expect(histogram.quantile(1) == samples.last)
    }

    @Test("no samples, no quantile; merging counts both")
    func emptyAndMerged() {
        var one = LatencyHistogram()
        #expect(one.quantile(0.5) == nil)
        var other = LatencyHistogram()
        other.record(seconds: 0.001)
        other.record(seconds: 1e9)
        one.record(seconds: 0)
        one.merge(other)
        #expect(one.count == 3)
        #expect(one.quantile(1) == 1e9)
    }
}
