// Interval sets against plain sets of numbers, with a printed seed.

import SyncProtocol
import Testing
import TestSupport

@Suite("An interval set")
struct IntervalSetTests {
    @Test("joins neighbours and keeps gaps, in whatever order numbers come")
    func joining() {
        var set = IntervalSet()
        #expect(set.isEmpty && set.ranges.isEmpty && set.min == nil && set.max == nil && set.count == 0)
        let answers = [5, 7, 6, 6, 1, 2, 4, 3].map { set.insert(Int64($0)) }
        #expect(answers == [true, true, true, false, true, true, true, true])
        #expect(set.ranges == [1...7])
        let added = set.insert(10...20)
        let again = set.insert(12...20)
        let bridging = set.insert(0...11)
        #expect(added && !again && bridging)
        #expect(set.ranges == [0...20] && set.count == 21 && set.rangeCount == 1)
    }

    @Test("complete data costs no memory beyond the value")
    func compact() {
        var set = IntervalSet()
        for number in 1...10_000 { set.insert(Int64(number)) }
        #expect(set.heapBytes == 0 && set.ranges == [1...10_000])
        #expect(MemoryLayout<IntervalSet>.size <= 24)
    }

    @Test("knows what is missing and how far a run goes")
    func gaps() {
        let set = IntervalSet([5...9, 1...2, 20...30, 8...10])
        #expect(set.ranges == [1...2, 5...10, 20...30])
        #expect(set.gaps(in: 1...30) == [3...4, 11...19])
        #expect(set.gaps(in: 0...40) == [0...0, 3...4, 11...19, 31...40])
        #expect(set.gaps(in: 5...10) == [] && set.gaps(in: 6...9) == [] && set.gaps(in: 11...12) == [11...12])
        #expect(set.gaps(in: 9...21) == [11...19])
        #expect(IntervalSet().gaps(in: 3...4) == [3...4])
        #expect(set.end(ofRunFrom: 1) == 2 && set.end(ofRunFrom: 3) == nil && set.end(ofRunFrom: 25) == 30)
        #expect(set.contains(5...10) && !set.contains(5...11) && !set.contains(2...5) && set.contains(20...30))
    }

    @Test("works at both ends of the numbers")
    func ends() {
        var set = IntervalSet()
        let inserted = [Int64.max, .max - 1, .min, .min + 1].map { set.insert($0) }
        #expect(inserted == [true, true, true, true])
        #expect(set.ranges == [.min ... .min + 1, .max - 1 ... .max])
        #expect(set.count == 4)
        #expect(set.gaps(in: .min ... .max) == [.min + 2 ... .max - 2])
        #expect(set.contains(Int64.min) && set.contains(Int64.max) && !set.contains(Int64(0)))
        let whole = set.insert(Int64.min ... .max)
        #expect(whole && set.ranges == [.min ... .max] && set.count == Int.max)
        #expect(set.gaps(in: .min ... .max) == [])
        let again = set.insert(5)
        #expect(!again)
        let removed = set.remove(0...0)
        #expect(removed && set.ranges == [.min ... -1, 1 ... .max])
        #expect(IntervalSet(Int64.min ... .max).subtracting(set).ranges == [0...0])
        #expect(set.union(IntervalSet(0...0)).ranges == [.min ... .max])
    }

    @Test("does what a plain set does, over random operations")
    func model() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var set = IntervalSet()
            var plain: Set<Int64> = []
            for _ in 0..<60 {
                let lower = Int64.random(in: -40...40, using: &random)
                let range =
                    lower...(lower + Int64.random(in: 0...(Bool.random(using: &random) ? 1 : 12), using: &random))
                switch Int.random(in: 0..<8, using: &random) {
                case 0...2:
                    let isNew = plain.insert(lower).inserted
                    let answer = set.insert(lower)
                    #expect(answer == isNew, "seed \(seed)")
                case 3...4:
                    let isNew = !plain.isSuperset(of: range)
                    plain.formUnion(range)
                    let answer = set.insert(range)
                    #expect(answer == isNew, "seed \(seed)")
                case 5:
                    let wasThere = !plain.isDisjoint(with: range)
                    plain.subtract(range)
                    let answer = set.remove(range)
                    #expect(answer == wasThere, "seed \(seed)")
                case 6:
                    let other = Self.randomPair(&random)
                    set.formUnion(other.set)
                    plain.formUnion(other.plain)
                default:
                    let other = Self.randomPair(&random)
                    #expect(Self.values(set.intersection(other.set)) == plain.intersection(other.plain), "seed \(seed)")
                    set.subtract(other.set)
                    plain.subtract(other.plain)
                }
                Self.check(set, plain, range, seed)
            }
        }
    }

    private static func check(_ set: IntervalSet, _ plain: Set<Int64>, _ range: ClosedRange<Int64>, _ seed: UInt64) {
        #expect(values(set) == plain, "seed \(seed)")
        #expect(set.count == plain.count && set.min == plain.min() && set.max == plain.max(), "seed \(seed)")
        #expect(set.contains(range) == plain.isSuperset(of: range), "seed \(seed)")
        for value in range { #expect(set.contains(value) == plain.contains(value), "seed \(seed)") }
        let missing = set.gaps(in: range).reduce(into: Set<Int64>()) { $0.formUnion($1) }
        #expect(missing == Set(range).subtracting(plain), "seed \(seed)")
        var end: Int64?
        for value in range.lowerBound... {
            guard plain.contains(value) else { break }
            end = value
        }
        #expect(set.end(ofRunFrom: range.lowerBound) == end, "seed \(seed)")
        // The form: ascending, with at least one number between neighbours; equal sets are equal values.
        let ranges = set.ranges
        for (left, right) in zip(ranges, ranges.dropFirst()) {
            #expect(left.upperBound + 1 < right.lowerBound, "seed \(seed)")
        }
        #expect(IntervalSet(ranges.reversed()) == set, "seed \(seed)")
    }

    private static func values(_ set: IntervalSet) -> Set<Int64> {
        set.ranges.reduce(into: Set<Int64>()) { $0.formUnion($1) }
    }

    private static func randomPair(_ random: inout SeededGenerator) -> (set: IntervalSet, plain: Set<Int64>) {
        var plain: Set<Int64> = []
        for _ in 0..<Int.random(in: 0...12, using: &random) { plain.insert(.random(in: -45...45, using: &random)) }
        return (IntervalSet(plain.map { $0...$0 }), plain)
    }

    @Test("by key does what plain sets by key do")
    func keyed() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var sets = KeyedIntervalSets<String>()
        var plain: [String: Set<Int64>] = [:]
        for _ in 0..<5_000 {
            let key = "k\(Int.random(in: 0...9, using: &random))"
            let value = Int64.random(in: 1...300, using: &random)
            let isNew = plain[key, default: []].insert(value).inserted
            let answer = sets.insert(value, for: key)
            #expect(answer == isNew, "seed \(seed)")
            #expect(sets.contains(value, for: key))
        }
        #expect(
            sets.keyCount == plain.count && sets.valueCount == plain.values.reduce(0) { $0 + $1.count }, "seed \(seed)")
        for (key, values) in plain { #expect(Self.values(sets[key]) == values, "seed \(seed)") }
        var other = KeyedIntervalSets<String>()
        other.insert(1...1000, for: "k0")
        other.insert(5, for: "new")
        other.formUnion(sets)
        #expect(other["k0"].ranges == [1...1000] && other["k3"] == sets["k3"] && other["new"].count == 1)
        other["new"] = IntervalSet()
        #expect(!other.contains(5, for: "new") && other.keys.count == plain.count)
    }
}
