// A bounded piece of a set, from its low or its high end: what fits into one batch. Costs as much as the piece, not as
// the set.

extension IntervalSet {
    /// The lowest numbers within `bounds`: at most so many numbers in at most so many ranges.
    package func lowest(in bounds: ClosedRange<Int64>, numbers: Int64, ranges: Int) -> IntervalSet {
        var piece = IntervalSet()
        var left = numbers
        var index = rangeIndex(endingAtOrAfter: bounds.lowerBound)
        while index < rangeCount, left > 0, piece.rangeCount < ranges {
            let next = range(at: index).clamped(to: bounds)
            guard range(at: index).overlaps(bounds) else { break }
            let take = Swift.min(left, next.upperBound - next.lowerBound + 1)
            piece.insert(next.lowerBound...next.lowerBound + take - 1)
            left -= take
            index += 1
        }
        return piece
    }

    /// The highest numbers within `bounds`: at most so many numbers in at most so many ranges.
    package func highest(in bounds: ClosedRange<Int64>, numbers: Int64, ranges: Int) -> IntervalSet {
        var pieces: [ClosedRange<Int64>] = []
        var left = numbers
        var index = Swift.min(rangeIndex(endingAtOrAfter: bounds.upperBound), rangeCount - 1)
        while index >= 0, left > 0, pieces.count < ranges {
            let candidate = range(at: index)
            index -= 1
            if candidate.lowerBound > bounds.upperBound { continue }
            guard candidate.overlaps(bounds) else { break }
            let next = candidate.clamped(to: bounds)
            let take = Swift.min(left, next.upperBound - next.lowerBound + 1)
            pieces.append(next.upperBound - take + 1...next.upperBound)
            left -= take
        }
        return IntervalSet(pieces.reversed())
    }

    /// True if at least one number of `bounds` is in the set.
    package func overlaps(_ bounds: ClosedRange<Int64>) -> Bool {
        let index = rangeIndex(endingAtOrAfter: bounds.lowerBound)
        return index < rangeCount && range(at: index).overlaps(bounds)
    }

    /// Removes every number of `other`. Cheap for a piece of few ranges out of a set of many.
    package mutating func removeAll(of other: IntervalSet) {
        if isEmpty || other.isEmpty { return }
        if other.rangeCount <= 4 || other.rangeCount * 64 < rangeCount {
            other.forEachRange { remove($0) }
        } else {
            subtract(other)
        }
    }
}
