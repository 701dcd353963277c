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
            let time = range.lastReceivedAtMicroseconds
            lastReceivedAt[range.last] = note.partition == nil ? time : max(time, lastReceivedAt[range.last] ?? 0)
        }
        if !note.ranges.isEmpty {
            if note.partition == nil {
                let ends = Set(settled.ranges.map(\.upperBound))
                lastReceivedAt = lastReceivedAt.filter { ends.contains($0.key) }
            } else {
                lastReceivedAt = settled.latest(of: lastReceivedAt)
            }
        }
        rejectedCount += note.rejectedCount - note.retried.count
        rejected = Array((rejected + note.rejected).suffix(Self.maxRejectedKept))
        if !note.retried.isEmpty { lift(note) }
        recordConflicts += note.recordConflicts
        reports += note.reports
        duplicates += note.duplicates
        conflicts += note.conflicts
        alerts += note.alerts
    }

    /// A number that another partition rejected stays in the list without a code, until `merged` brings them together.
    private mutating func lift(_ note: RelayNote) {
        let numbers = Set(note.retried)
        let own = Set(rejected.map(\.n)).intersection(numbers)
        rejected.removeAll { numbers.contains($0.n) }
        guard note.partition != nil else { return }
        rejected += note.retried.filter { !own.contains($0) }.map { RejectedRecord(n: $0, code: "") }
    }

    /// Record numbers start at 1: without the first nothing is complete.
    var completeThrough: Timestamp? {
        guard let first = settled.ranges.first, first.lowerBound <= 1 else { return nil }
        return lastReceivedAt[first.upperBound].map { Timestamp(microseconds: $0) }
    }

    /// The ranges alone: what a life of the lake before the cluster means to each partition but one.
    var withoutCounts: RelayProgress {
        var progress = RelayProgress()
        (progress.settled, progress.lastReceivedAt) = (settled, lastReceivedAt)
        return progress
    }

    fileprivate mutating func addCounts(of other: RelayProgress) {
        rejected += other.rejected
        rejectedCount += other.rejectedCount
        reports += other.reports
        duplicates += other.duplicates
        conflicts += other.conflicts
        alerts += other.alerts
        recordConflicts += other.recordConflicts
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

    init(_ source: RecordSource, partition: Int? = nil) {
        note = RelayNote(relayID: source.relayID, epoch: source.epoch, partition: partition)
    }

    /// Numbers of records that other partitions store: when the relay received those is theirs to say.
    mutating func covered(_ ranges: [ClosedRange<Int64>]) {
        endRun()
        for range in ranges { added.insert(range) }
    }

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
        let times = note.partition == nil ? lastReceivedAt : added.latest(of: lastReceivedAt)
        note.ranges = added.ranges.map { range in
            NotedRange(
                first: range.lowerBound, last: range.upperBound,
                lastReceivedAtMicroseconds: times[range.upperBound] ?? 0)
        }
        return note
    }
}

extension IntervalSet {
    /// A partition knows the times of its own records only: of each range, by its end, the latest that is known. Times
    /// ascend with the numbers, so the relay received the range's last record then or later.
    fileprivate func latest(of times: [Int64: Int64]) -> [Int64: Int64] {
        var latest: [Int64: Int64] = [:]
        for (number, time) in times where contains(number) {
            let end = range(at: rangeIndex(endingAtOrAfter: number)).upperBound
            latest[end] = Swift.max(time, latest[end] ?? 0)
        }
        return latest
    }
}

extension RelayArchiveState {
    /// What the partitions of a cluster have archived together, each giving its part: a number is archived when all of
    /// them have settled it, for any one of them may have its record to store (I4). Counts are of rows, so they add up,
    /// and run ahead of the numbers by at most `underWay`.
    static func merged(_ source: RecordSource, _ parts: [RelayProgress?]) -> RelayArchiveState {
        var sum = RelayProgress()
        var archived: IntervalSet?
        var begun = IntervalSet()
        for part in parts {
            let settled = part?.settled ?? IntervalSet()
            archived = archived?.intersection(settled) ?? settled
            begun.formUnion(settled)
            guard let part else { continue }
            sum.addCounts(of: part)
        }
        sum.settled = archived ?? IntervalSet()
        for case let part? in parts {
            let known = part.lastReceivedAt.filter { $0.value > 0 }
            sum.lastReceivedAt.merge(sum.settled.latest(of: known)) { max($0, $1) }
        }
        let lifted = Set(sum.rejected.filter(\.code.isEmpty).map(\.n))
        sum.rejected.removeAll { lifted.contains($0.n) }
        var state = sum.state(source)
        state.underWay = begun.count - sum.settled.count
        return state
    }
}
