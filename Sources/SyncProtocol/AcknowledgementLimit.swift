// An acknowledgement small enough for a slow link. Alerts and live reports go ahead of a backlog, so there may be tens
// of thousands of ranges; all of them in each answer would take longer than the batch. An answer to a batch tells about
// the batch's numbers, one to a question about those from the asked one on (`?from=`); of the rest it lists a few
// ranges at either end. What an answer leaves out, a later one tells: the backlog closes the gaps from the oldest on.

extension Acknowledgement {
    /// The answer to a batch that spans these numbers.
    package func limited(toBatch span: ClosedRange<Int64>) -> Acknowledgement {
        limited(to: span, received: SyncLimits.batchRangesInAnswer, archived: SyncLimits.rangesInAnswer)
    }

    /// The answer to a question about numbers from `from` on.
    package func limited(from: Int64) -> Acknowledgement {
        limited(
            to: max(1, from)...Int64.max, received: SyncLimits.rangesInAnswer, archived: SyncLimits.rangesInAnswer)
    }

    private func limited(to span: ClosedRange<Int64>, received most: Int, archived few: Int) -> Acknowledgement {
        let ends = SyncLimits.rangesAtEnds
        guard received.rangeCount > few || archived.rangeCount > few || rejected.count > few else { return self }
        var through = span.upperBound
        for (set, limit) in [(received, most), (archived, few)] {
            // One more than fits says where the answer stops being complete.
            let piece = set.lowest(in: span, numbers: .max, ranges: limit + 1)
            if piece.rangeCount > limit { through = min(through, piece.range(at: limit).lowerBound - 1) }
        }
        let told = span.lowerBound...max(span.lowerBound, through)
        func cut(_ set: IntervalSet, _ limit: Int) -> IntervalSet {
            var kept = set.lowest(in: span, numbers: .max, ranges: limit)
            kept.formUnion(set.lowest(in: 1...Int64.max, numbers: .max, ranges: ends))
            kept.formUnion(set.highest(in: 1...Int64.max, numbers: .max, ranges: ends))
            return kept
        }
        var answer = self
        answer.received = cut(received, most)
        answer.archived = cut(archived, few)
        if rejected.count > few { answer.rejected = Array(rejected.filter { span.contains($0.n) }.prefix(few)) }
        answer.complete = told
        return answer
    }
}
