// Histograms of the live view: small, of fixed size, and they add up over minutes.

import Glibc

/// Times from a millisecond to eleven days in steps of 10 %: a quantile read from it is at most 10 % too high.
package struct LogHistogram: Sendable, Equatable {
    private static let step = log(1.1)
    private static let lowest = 0.001
    private static let size = 220

    private(set) var count = 0
    private(set) var longest = 0.0
    private var buckets: [UInt32] = []

    package init() {}

    package mutating func add(_ value: Double) {
        if buckets.isEmpty { buckets = Array(repeating: 0, count: Self.size) }
        let place = value <= Self.lowest ? 0 : Int((log(value / Self.lowest) / Self.step).rounded(.up))
        buckets[min(place, Self.size - 1)] += 1
        count += 1
        longest = max(longest, value)
    }

    package mutating func formUnion(_ other: LogHistogram) {
        guard other.count > 0 else { return }
        if buckets.isEmpty { buckets = Array(repeating: 0, count: Self.size) }
        for index in 0..<Self.size { buckets[index] += other.buckets[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The upper end of the step in which the value of that rank is; nil without values.
    package func quantile(_ share: Double) -> Double? {
        guard count > 0 else { return nil }
        let rank = Int((share * Double(count)).rounded(.up))
        var seen = 0
        for (index, bucket) in buckets.enumerated() {
            seen += Int(bucket)
            if seen >= max(rank, 1) { return min(Self.lowest * exp(Double(index) * Self.step), longest) }
        }
        return longest
    }
}

/// Sightings by bands of 5 points from 0 to 100, with one band below and one above, and for each band up to
/// `personsKept` different persons: enough to know whether a band is about too few to be shown.
package struct ScoreBands: Sendable, Equatable {
    package static let count = 22
    static let personsKept = 64

    private(set) var sightings: [Int] = []
    private(set) var persons: [Set<UInt64>] = []

    package init() {}

    package mutating func add(_ peacescore: Double, person: UInt64) {
        makeRoom()
        let band =
            peacescore < 0 ? 0 : peacescore >= 100 ? Self.count - 1 : 1 + Int(peacescore / 5)
        sightings[band] += 1
        if persons[band].count < Self.personsKept { persons[band].insert(person) }
    }

    package mutating func formUnion(_ other: ScoreBands) {
        guard !other.sightings.isEmpty else { return }
        makeRoom()
        for band in 0..<Self.count {
            sightings[band] += other.sightings[band]
            for person in other.persons[band] where persons[band].count < Self.personsKept {
                persons[band].insert(person)
            }
        }
    }

    private mutating func makeRoom() {
        guard sightings.isEmpty else { return }
        sightings = Array(repeating: 0, count: Self.count)
        persons = Array(repeating: [], count: Self.count)
    }

    /// `nil` is an open end.
    static func limits(_ band: Int) -> (from: Double?, to: Double?) {
        switch band {
        case 0: (nil, 0)
        case count - 1: (100, nil)
        default: (Double(band - 1) * 5, Double(band) * 5)
        }
    }
}
