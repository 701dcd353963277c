// Latencies in buckets 1 % wide at most, from 1 µs to hours: percentiles without keeping every value.

struct Latencies {
    private static let subBucketBits = 7
    private var buckets = [Int](repeating: 0, count: 64 << Latencies.subBucketBits)
    private(set) var count = 0
    private(set) var maximumNanoseconds: UInt64 = 0

    mutating func add(nanoseconds: UInt64) {
        buckets[Latencies.bucket(nanoseconds / 100)] += 1
        count += 1
        maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    }

    /// Milliseconds below which `share` of all values lie; 0 when there are none.
    func milliseconds(_ share: Double) -> Double {
        guard count > 0 else { return 0 }
        let wanted = max(1, Int((Double(count) * share).rounded(.up)))
        var seen = 0
        for (index, number) in buckets.enumerated() {
            seen += number
            if seen >= wanted { return min(Latencies.upperBound(index) / 10_000, maximumMilliseconds) }
        }
        return maximumMilliseconds
    }

    var maximumMilliseconds: Double { Double(maximumNanoseconds) / 1e6 }

    private static func bucket(_ value: UInt64) -> Int {
        let bits = UInt64.bitWidth - value.leadingZeroBitCount
        guard bits > subBucketBits else { return Int(value) }
        let shift = bits - subBucketBits
        // The top bit is always set, so only the lower half of each octave's sub-buckets would be empty: skip it.
        return (shift << (subBucketBits - 1)) + Int(value >> UInt64(shift))
    }

    private static func upperBound(_ index: Int) -> Double {
        let half = 1 << (subBucketBits - 1)
        guard index >= 2 * half else { return Double(index + 1) }
        let shift = index / half - 1
        return Double((index % half + half + 1)) * Double(1 << shift)
    }
}
