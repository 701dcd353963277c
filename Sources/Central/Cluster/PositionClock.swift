// How old what waits is. The stream says how many batches of a partition wait, not since when; looking at its end once
// a second says that to the second, for any number of partitions. Pure.

package struct PositionClock: Sendable {
    /// An hour at one look a second. Where more than that waits, every second look goes and the next ones come half as
    /// often: a day that waits is told to the minute.
    private static let maxLooks = 3_600

    private var looks: [(end: Int64, at: UInt64)] = []
    private var spacingNanoseconds: UInt64 = 0

    package init() {}

    /// The stream ends at this position now, and nobody waits for anything up to `settled`.
    package mutating func look(end: Int64, settledThrough settled: Int64, atNanoseconds now: UInt64) {
        if let first = looks.firstIndex(where: { $0.end > settled }) {
            looks.removeFirst(first)
        } else {
            looks = []
            spacingNanoseconds = 0
        }
        guard end > max(settled, looks.last?.end ?? .min) else { return }
        if let last = looks.last, now - min(now, last.at) < spacingNanoseconds { return }
        looks.append((end, now))
        guard looks.count > Self.maxLooks, let first = looks.first else { return }
        spacingNanoseconds = 2 * (now - first.at) / UInt64(looks.count)
        looks = looks.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    }

    /// For how long something beyond this position has been there; 0 where nothing was seen beyond it.
    package func secondsSince(beyond position: Int64, atNanoseconds now: UInt64) -> Double {
        // Ascending in both: the first look that saw more.
        var (low, high) = (0, looks.count)
        while low < high {
            let middle = (low + high) / 2
            if looks[middle].end > position { high = middle } else { low = middle + 1 }
        }
        guard low < looks.count else { return 0 }
        return Double(now - min(now, looks[low].at)) / 1e9
    }
}
