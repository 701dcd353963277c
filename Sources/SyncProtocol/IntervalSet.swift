// A set of 64-bit numbers kept as closed ranges: which records or reports have been received or archived.
//
// Why: complete data is one range, so the memory grows with the gaps and not with the numbers, and nothing ever has to
// be forgotten to stay within a window (design.md, "Deduplication without a window"; I5).
//
// Form: `earlier` holds ascending ranges with at least one missing number between neighbours; the highest range lies
// inline in `lowest`…`highest` after them. A set without gaps therefore allocates nothing, and the usual insertion
// (the next number) touches two words. The empty set has `lowest` > `highest`.

package struct IntervalSet: Hashable, Sendable {
    private var earlier: [Span] = []
    private var last = Span(lower: 1, upper: 0)

    /// A closed range in 16 bytes; unlike ClosedRange it may be empty.
    private struct Span: Hashable, Sendable {
        var lower: Int64
        var upper: Int64
    }

    package init() {}

    package init(_ range: ClosedRange<Int64>) { last = Span(lower: range.lowerBound, upper: range.upperBound) }

    /// Ranges in any order; they may overlap.
    package init(_ ranges: some Sequence<ClosedRange<Int64>>) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { insert(range) }
    }

    package var isEmpty: Bool { last.lower > last.upper }

    /// The number of ranges.
    package var rangeCount: Int { isEmpty ? 0 : earlier.count + 1 }

    /// The ranges, ascending, with a gap between neighbours.
    package var ranges: [ClosedRange<Int64>] {
        var ranges: [ClosedRange<Int64>] = []
        ranges.reserveCapacity(rangeCount)
        forEachRange { ranges.append($0) }
        return ranges
    }

    package func forEachRange(_ body: (ClosedRange<Int64>) throws -> Void) rethrows {
        guard !isEmpty else { return }
        for span in earlier { try body(span.lower...span.upper) }
        try body(last.lower...last.upper)
    }

    package var min: Int64? { isEmpty ? nil : (earlier.first ?? last).lower }
    package var max: Int64? { isEmpty ? nil : last.upper }

    /// The number of values; `Int.max` where there are more.
    package var count: Int {
        var total = 0
        forEachRange { range in
            let (width, tooWide) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
            let (sum, tooMany) = total.addingReportingOverflow(tooWide ? .max : Int(width))
            let (next, overflow) = sum.addingReportingOverflow(1)
            total = tooMany || overflow ? .max : next
        }
        return total
    }

    /// Bytes on the heap beyond the value itself.
    package var heapBytes: Int { earlier.capacity == 0 ? 0 : 32 + earlier.capacity * 16 }

    // MARK: Membership

    package func contains(_ value: Int64) -> Bool {
        if value >= last.lower { return value <= last.upper }
        let index = firstIndex(endingAtOrAfter: value)
        return index < earlier.count && earlier[index].lower <= value
    }

    /// True if every number of `range` is in the set.
    package func contains(_ range: ClosedRange<Int64>) -> Bool {
        if range.lowerBound >= last.lower { return range.upperBound <= last.upper }
        let index = firstIndex(endingAtOrAfter: range.lowerBound)
        return index < earlier.count && earlier[index].lower <= range.lowerBound
            && range.upperBound <= earlier[index].upper
    }

    /// The end of the unbroken run that starts at `start`; nil if `start` itself is missing. ("Complete through".)
    package func end(ofRunFrom start: Int64) -> Int64? {
        if start >= last.lower { return start <= last.upper ? last.upper : nil }
        let index = firstIndex(endingAtOrAfter: start)
        return index < earlier.count && earlier[index].lower <= start ? earlier[index].upper : nil
    }

    /// The numbers of `range` that are not in the set, ascending.
    package func gaps(in range: ClosedRange<Int64>) -> [ClosedRange<Int64>] {
        var gaps: [ClosedRange<Int64>] = []
        var next = range.lowerBound
        let all = spans
        for span in all[firstIndex(in: all, endingAtOrAfter: range.lowerBound)...] {
            if span.lower > range.upperBound { break }
            if span.lower > next { gaps.append(next...(span.lower - 1)) }
            if span.upper >= range.upperBound { return gaps }
            next = Swift.max(next, span.upper + 1)
        }
        gaps.append(next...range.upperBound)
        return gaps
    }

    // MARK: Change

    /// True if the number was not there before.
    @discardableResult
    package mutating func insert(_ value: Int64) -> Bool {
        if value >= last.lower, !isEmpty {
            if value <= last.upper { return false }
            if value - 1 == last.upper {
                last.upper = value
                return true
            }
        }
        return insert(value...value)
    }

    /// True if at least one number of the range was not there before.
    @discardableResult
    package mutating func insert(_ range: ClosedRange<Int64>) -> Bool {
        let span = Span(lower: range.lowerBound, upper: range.upperBound)
        if isEmpty {
            last = span
            return true
        }
        if span.lower > last.upper, span.lower - 1 > last.upper {
            earlier.append(last)
            last = span
            return true
        }
        if contains(range) { return false }
        if span.lower >= last.lower {
            last.upper = Swift.max(last.upper, span.upper)
            return true
        }
        var all = takeSpans()
        // Neighbours without a gap merge: look for ranges that end at `lower − 1` or later.
        let from = firstIndex(in: all, endingAtOrAfter: span.lower == .min ? .min : span.lower - 1)
        var to = from
        var merged = span
        while to < all.count, all[to].lower <= span.upper || all[to].lower - 1 == span.upper {
            merged.lower = Swift.min(merged.lower, all[to].lower)
            merged.upper = Swift.max(merged.upper, all[to].upper)
            to += 1
        }
        all.replaceSubrange(from..<to, with: CollectionOfOne(merged))
        store(all)
        return true
    }

    /// True if at least one number of the range was there.
    @discardableResult
    package mutating func remove(_ range: ClosedRange<Int64>) -> Bool {
        var all = takeSpans()
        let from = firstIndex(in: all, endingAtOrAfter: range.lowerBound)
        var to = from
        var remains: [Span] = []
        while to < all.count, all[to].lower <= range.upperBound {
            if all[to].lower < range.lowerBound {
                remains.append(Span(lower: all[to].lower, upper: range.lowerBound - 1))
            }
            if all[to].upper > range.upperBound {
                remains.append(Span(lower: range.upperBound + 1, upper: all[to].upper))
            }
            to += 1
        }
        if to > from { all.replaceSubrange(from..<to, with: remains) }
        store(all)
        return to > from
    }

    package mutating func formUnion(_ other: IntervalSet) {
        if isEmpty {
            self = other
        } else if other.rangeCount * 8 < rangeCount || other.rangeCount <= 1 {
            other.forEachRange { insert($0) }
        } else {
            // Inserting in ascending order appends: linear in the two lengths.
            self = IntervalSet(ranges + other.ranges)
        }
    }

    package func union(_ other: IntervalSet) -> IntervalSet {
        var result = self
        result.formUnion(other)
        return result
    }

    /// What is in this set and not in `other`.
    package func subtracting(_ other: IntervalSet) -> IntervalSet {
        var result = IntervalSet()
        let holes = other.spans
        var index = 0
        forEachRange { range in
            var next = range.lowerBound
            while index < holes.count, holes[index].upper < range.lowerBound { index += 1 }
            var hole = index
            while hole < holes.count, holes[hole].lower <= range.upperBound {
                if holes[hole].lower > next { result.insert(next...(holes[hole].lower - 1)) }
                if holes[hole].upper >= range.upperBound { return }
                next = Swift.max(next, holes[hole].upper + 1)
                hole += 1
            }
            result.insert(next...range.upperBound)
        }
        return result
    }

    package mutating func subtract(_ other: IntervalSet) { self = subtracting(other) }

    /// What is in both.
    package func intersection(_ other: IntervalSet) -> IntervalSet {
        var result = IntervalSet()
        let left = spans
        let right = other.spans
        var (leftIndex, rightIndex) = (0, 0)
        while leftIndex < left.count, rightIndex < right.count {
            let lower = Swift.max(left[leftIndex].lower, right[rightIndex].lower)
            let upper = Swift.min(left[leftIndex].upper, right[rightIndex].upper)
            if lower <= upper { result.insert(lower...upper) }
            if left[leftIndex].upper < right[rightIndex].upper { leftIndex += 1 } else { rightIndex += 1 }
        }
        return result
    }

    // MARK: Ranges by index

    /// Ascending, from 0 to `rangeCount` − 1.
    package func range(at index: Int) -> ClosedRange<Int64> {
        precondition((0..<rangeCount).contains(index), "a set of \(rangeCount) ranges has none at \(index)")
        let span = index < earlier.count ? earlier[index] : last
        return span.lower...span.upper
    }

    /// The index of the first range that ends at `value` or later; `rangeCount` if there is none.
    package func rangeIndex(endingAtOrAfter value: Int64) -> Int {
        if isEmpty { return 0 }
        let index = firstIndex(endingAtOrAfter: value)
        return index < earlier.count || value <= last.upper ? index : rangeCount
    }

    // MARK: Storage

    private var spans: [Span] { isEmpty ? [] : earlier + CollectionOfOne(last) }

    /// Moves everything into one array; `store` must follow.
    private mutating func takeSpans() -> [Span] {
        var all: [Span] = []
        swap(&all, &earlier)
        if !isEmpty { all.append(last) }
        return all
    }

    private mutating func store(_ spans: [Span]) {
        earlier = spans
        last = earlier.popLast() ?? Span(lower: 1, upper: 0)
    }

    /// The first of `earlier` with `upper` ≥ value.
    private func firstIndex(endingAtOrAfter value: Int64) -> Int { firstIndex(in: earlier, endingAtOrAfter: value) }

    private func firstIndex(in spans: [Span], endingAtOrAfter value: Int64) -> Int {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].upper < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension IntervalSet: CustomStringConvertible {
    package var description: String {
        "[" + ranges.map { "[\($0.lowerBound),\($0.upperBound)]" }.joined(separator: ",") + "]"
    }
}
