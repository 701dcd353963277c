// What is settled of one life of a relay: ranges with the time of their ends, counts, and the records that were
// rejected.

import Models
import SyncProtocol

struct RelayProgress: Sendable {
    var settled = IntervalSet()
    /// For the last number of each range: when the relay received that record.
    var lastReceivedAt: [Int64: Int64] = [:]
    /// The latest ones only; all of them are counted, and lie in the vault's quarantine.
    var rejected: [RejectedRecord] = []
    var rejectedCount = 0
    var reports = 0
    var duplicates = 0
    var conflicts = 0
    var alerts = 0
    /// See `RelayNote.recordConflicts`.
    var recordConflicts = 0

    /// An acknowledgement lists them, so there must be an end.
    static let maxRejectedKept = 1000

    mutating func add(_ note: RelayNote) {
        for range in note.ranges {
            settled.insert(range.first...range.last)
            lastReceivedAt[range.last] = range.lastReceivedAtMicroseconds
        }
        if !note.ranges.isEmpty {
            let ends = Set(settled.ranges.map(\.upperBound))
            lastReceivedAt = lastReceivedAt.filter { ends.contains($0.key) }
        }
        rejectedCount += note.rejectedCount - note.retried.count
        rejected = Array((rejected + note.rejected).suffix(Self.maxRejectedKept))
        if !note.retried.isEmpty { rejected.removeAll { note.retried.contains($0.n) } }
        recordConflicts += note.recordConflicts
        reports += note.reports
        duplicates += note.duplicates
        conflicts += note.conflicts
        alerts += note.alerts
    }

    /// Record numbers start at 1: without the first nothing is complete.
    var completeThrough: Timestamp? {
        guard let first = settled.ranges.first, first.lowerBound <= 1 else { return nil }
        return lastReceivedAt[first.upperBound].map { Timestamp(microseconds: $0) }
    }

    func state(_ source: RecordSource) -> RelayArchiveState {
        RelayArchiveState(
            relayID: source.relayID, epoch: source.epoch, archived: settled, rejected: rejected,
            rejectedCount: rejectedCount, reports: reports, duplicates: duplicates, conflicts: conflicts,
            alerts: alerts, recordConflicts: recordConflicts, lastReceivedAt: lastReceivedAt,
            completeThrough: completeThrough)
    }
}

/// Gathers a `RelayNote` while a call's records are decided.
struct RelayNoteBuilder {
    var note: RelayNote
    private var added = IntervalSet()
    private var lastReceivedAt: [Int64: Int64] = [:]
    /// The run of consecutive numbers being added; kept out of `added` until it ends.
    private var run: ClosedRange<Int64>?
    private var runReceivedAt: Int64 = 0

    init(_ source: RecordSource) { note = RelayNote(relayID: source.relayID, epoch: source.epoch) }

    mutating func settled(_ n: Int64, receivedAt: Int64) {
        if let current = run, current.upperBound < .max, n == current.upperBound + 1 {
            run = current.lowerBound...n
        } else {
            endRun()
            run = n...n
        }
        runReceivedAt = receivedAt
    }

    private mutating func endRun() {
        guard let ended = run else { return }
        added.insert(ended)
        lastReceivedAt[ended.upperBound] = runReceivedAt
        run = nil
    }

    mutating func finished() -> RelayNote {
        endRun()
        note.ranges = added.ranges.map { range in
            NotedRange(
                first: range.lowerBound, last: range.upperBound,
                lastReceivedAtMicroseconds: lastReceivedAt[range.upperBound] ?? 0)
        }
        return note
    }
}
