// Finds the report that raised an alert: the drone's last one on the board, else in the buffer by the time it was
// received. The buffer has no index by identity and needs none: its segments say their times, and a segment is in the
// order of its commits, so that a search by halves and a short walk find it.

import Models
import SegmentedLog

struct ReportFinder: Sendable {
    let store: BufferStore
    let board: DroneBoard

    /// Commits may be that far out of the order of receipt.
    private static let slackMicroseconds: Int64 = 5_000_000
    private static let entriesPerRead = 256
    /// Records looked at in one segment, beyond which the report counts as not found (I7).
    private static let maxEntries = 200_000

    /// The report's bytes as they came; nil where they are in the buffer no more. Reads the disk.
    func find(_ identity: ReportIdentity, receivedAt: Timestamp) -> [UInt8]? {
        if let last = board.sighting(of: identity.droneID), last.identity == identity, !last.body.isEmpty {
            return last.body
        }
        let time = receivedAt.microseconds
        for epoch in store.all.reversed() {
            for segment in epoch.log.segments.reversed() where mayHold(segment, time) {
                if let found = search(epoch.log, segment, identity, time) { return found }
            }
        }
        return nil
    }

    private func mayHold(_ segment: SegmentSummary, _ time: Int64) -> Bool {
        let slack = Self.slackMicroseconds
        return segment.firstTimeMicroseconds - slack <= time && time <= segment.lastTimeMicroseconds + slack
    }

    private func search(
        _ log: SegmentedLog, _ segment: SegmentSummary, _ identity: ReportIdentity, _ time: Int64
    ) -> [UInt8]? {
        var position = firstPosition(log, segment, notBefore: time - Self.slackMicroseconds)
        var seen = 0
        while seen < Self.maxEntries, position <= segment.lastPosition {
            let entries = try? log.read(
                from: position, through: segment.lastPosition, maxEntries: Self.entriesPerRead, maxBytes: 4 << 20)
            guard let entries, let last = entries.last else { return nil }
            for entry in entries where entry.kind == BufferKind.report {
                if RecordHeader(entry.header)?.identity == identity { return entry.payload }
            }
            guard last.timeMicroseconds <= time + Self.slackMicroseconds else { return nil }
            seen += entries.count
            position = last.position + 1
        }
        return nil
    }

    /// The position from which on entries are not older than `time`, give or take the order of commits.
    private func firstPosition(_ log: SegmentedLog, _ segment: SegmentSummary, notBefore time: Int64) -> Int64 {
        var (low, high) = (segment.firstPosition, segment.lastPosition)
        while low < high {
            let middle = low + (high - low) / 2
            let entry = try? log.read(from: middle, through: segment.lastPosition, maxEntries: 1, maxBytes: 1).first
            guard let entry, entry.timeMicroseconds < time else {
                high = middle
                continue
            }
            low = max(middle + 1, min(entry.position + 1, high))
        }
        return low
    }
}
