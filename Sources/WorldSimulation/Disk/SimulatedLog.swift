// A log on a simulated disk, with what the real one (Platform/SegmentedLog) promises: groups are appended whole or not
// at all, positions are consecutive and never given twice, segments are sealed when full and at every opening, only a
// whole sealed segment is released, damaged entries become holes. A value: a copy is a backup.

import EdgeRelay
import SegmentedLog

struct SimulatedLog: RecordLog {
    /// About what SQLite takes for a row.
    static func bytes(of entry: LogEntry) -> Int { entry.byteCount + 60 }

    struct Segment {
        var first: Int64
        var last: Int64
        var entries: [LogEntry] = []
        var bytes = 4_096
        var isSealed = false
        var holes: [ClosedRange<Int64>] = []
        var firstTime: Int64
        var lastTime: Int64
    }

    let segmentBytes: Int
    private(set) var segments: [Segment] = []
    private(set) var nextPosition: Int64 = 1

    init(segmentBytes: Int) { self.segmentBytes = segmentBytes }

    var totalBytes: Int { segments.reduce(0) { $0 + $1.bytes } }
    var lastPosition: Int64 { segments.last?.last ?? 0 }

    var summaries: [SegmentSummary] {
        segments.map { segment in
            SegmentSummary(
                firstPosition: segment.first, lastPosition: segment.last, entries: segment.entries.count,
                bytes: segment.bytes, sealed: segment.isSealed, firstTimeMicroseconds: segment.firstTime,
                lastTimeMicroseconds: segment.lastTime, holes: segment.holes)
        }
    }

    /// Durable when it returns.
    mutating func append(_ entries: [LogEntry]) {
        guard let head = entries.first else { return }
        if segments.last?.isSealed ?? true {
            segments.append(
                Segment(
                    first: nextPosition, last: nextPosition, firstTime: head.timeMicroseconds,
                    lastTime: head.timeMicroseconds))
        }
        let index = segments.count - 1
        for entry in entries {
            precondition(entry.position == nextPosition, "entries are numbered by the log they go to")
            segments[index].entries.append(entry)
            segments[index].last = entry.position
            segments[index].lastTime = entry.timeMicroseconds
            segments[index].bytes += Self.bytes(of: entry)
            nextPosition += 1
        }
        if segments[index].bytes >= segmentBytes { segments[index].isSealed = true }
    }

    mutating func seal() {
        guard let last = segments.indices.last, !segments[last].entries.isEmpty else { return }
        segments[last].isSealed = true
    }

    /// Removes and returns the segment.
    mutating func release(startingAt first: Int64) -> Segment? {
        guard let index = segments.firstIndex(where: { $0.first == first }) else { return nil }
        precondition(segments[index].isSealed, "only a sealed segment is released")
        return segments.remove(at: index)
    }

    /// What the reader gets: entries from `from` on, at least one if there is any.
    func read(from: Int64, through: Int64, maxEntries: Int, maxBytes: Int) -> [LogEntry] {
        var found: [LogEntry] = []
        var bytes = 0
        for segment in segments where segment.last >= from {
            guard segment.first <= through else { break }
            var index = segment.entries.firstIndex { $0.position >= from } ?? segment.entries.count
            while index < segment.entries.count {
                let entry = segment.entries[index]
                guard entry.position <= through, found.count < maxEntries else { return found }
                bytes += entry.byteCount
                if !found.isEmpty, bytes > maxBytes { return found }
                found.append(entry)
                index += 1
            }
        }
        return found
    }

    /// Loses one entry to damage; returns it. The opening that follows makes a hole of it, or a shorter end.
    mutating func damage(_ pick: (Int) -> Int) -> LogEntry? {
        let total = segments.reduce(0) { $0 + $1.entries.count }
        guard total > 0 else { return nil }
        var number = pick(total)
        for index in segments.indices {
            guard number >= segments[index].entries.count else {
                let entry = segments[index].entries.remove(at: number)
                segments[index].holes.append(entry.position...entry.position)
                segments[index].holes.sort { $0.lowerBound < $1.lowerBound }
                if segments[index].entries.isEmpty { segments.remove(at: index) }
                return entry
            }
            number -= segments[index].entries.count
        }
        return nil
    }

    func entry(_ position: Int64) -> LogEntry? {
        read(from: position, through: position, maxEntries: 1, maxBytes: .max).first
    }
}
