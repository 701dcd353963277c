// The one thread that writes the current epoch's log. Requests queue up while a transaction is being synced; the next
// one takes them all: a group commit (I1). Nothing is answered before the log's append has returned.

import Crypto
import Models
package import SegmentedLog
package import SyncProtocol
package import System

package final class BufferWriter: Sendable {
    /// Records in one transaction: more would only lengthen the wait of the first.
    package static let groupEntries = 2_048
    /// Bytes waiting for the writer beyond which new requests are refused (I7).
    package static let queueBytes = 64 << 20

    package struct Counters: Sendable, Equatable {
        package var reports = 0
        package var stored = 0
        package var duplicates = 0
        package var conflicts = 0
        /// Everything on disk: reports, alerts, state changes.
        package var records = 0
        /// Their bodies' bytes.
        package var bytes = 0
        package var transactions = 0
        package var failures = 0
    }

    private struct Queue {
        var pending: [PendingWrite] = []
        var bytes = 0
        var isClosed = false
        var isSealWanted = false
    }

    private let log: SegmentedLog
    private let queue = Monitor(Queue())
    private let counters = Monitor(Counters())
    private let onCommit: @Sendable (_ through: Int64, _ alerts: IntervalSet) -> Void
    private let onFailure: @Sendable (any Error) -> Void

    /// How long the disk has been at what it was given last.
    package let progress: WriterProgress

    /// - Parameters:
    ///   - onCommit: called on the writer thread after each transaction, with the last record number on disk and the
    ///     numbers of the alerts and alert states among the new records.
    ///   - onFailure: called on the writer thread when a transaction failed.
    package init(
        log: SegmentedLog, progress: WriterProgress, onCommit: @escaping @Sendable (Int64, IntervalSet) -> Void,
        onFailure: @escaping @Sendable (any Error) -> Void
    ) {
        self.log = log
        self.progress = progress
        self.onCommit = onCommit
        self.onFailure = onFailure
    }

    package var snapshot: Counters { counters.withLock { $0 } }

    /// False when the queue is full or closed, or the disk stuck (F42): the caller answers 503 and nothing is stored.
    package func submit(_ write: PendingWrite) -> Bool {
        guard !progress.isStuck else { return false }
        return queue.withLock(notify: true) { queue in
            guard !queue.isClosed, queue.bytes + write.byteCount <= Self.queueBytes else { return false }
            queue.pending.append(write)
            queue.bytes += write.byteCount
            return true
        }
    }

    /// Answers every queued request that the disk is stuck; what the disk has in hand stays unanswered (F42). Returns
    /// how many it answered.
    package func refuseQueued() -> Int {
        let writes = queue.withLock { queue in
            defer { (queue.pending, queue.bytes) = ([], 0) }
            return queue.pending
        }
        let problem = Problem(
            status: 503, code: "disk_stuck",
            detail: "The relay's disk does not answer. Nothing was stored; send it again later, or to another relay.",
            retryAfterSeconds: 30)
        for write in writes { write.complete(.failed(problem)) }
        return writes.count
    }

    /// Ends the current segment as soon as nothing waits to be written, so that it can be released.
    package func requestSeal() { queue.update { $0.isSealWanted = true } }

    /// Takes no more requests; `run` returns when all queued ones are answered.
    package func close() { queue.update { $0.isClosed = true } }

    /// Starts the writer thread.
    package func start(recent: RecentIdentities) -> WorkerThread {
        WorkerThread(name: "buffer-writer", stackBytes: 4 << 20) { self.run(recent: recent) }
    }

    /// The writer thread's body. `recent` is what was stored lately, read back from disk.
    package func run(recent: RecentIdentities) {
        var transaction = Transaction(recent: recent)
        while let writes = takeGroup() {
            if writes.isEmpty {
                seal()
                continue
            }
            progress.began()
            defer { progress.ended() }
            do {
                let verdicts = try transaction.append(writes, to: log)
                count(verdicts, records: transaction.recordCount, bytes: writes.reduce(0) { $0 + $1.byteCount })
                onCommit(log.nextPosition - 1, transaction.alerts)
                for (write, verdict) in zip(writes, verdicts) { write.complete(.stored(verdict)) }
            } catch {
                counters.withLock { $0.failures += 1 }
                let problem = Problem(
                    status: 503, code: "storage_failed",
                    detail:
                        "The relay could not write the report to its disk. Nothing was stored; send it again later.",
                    retryAfterSeconds: 5)
                for write in writes { write.complete(.failed(problem)) }
                onFailure(error)
            }
        }
    }

    private func seal() {
        do {
            try log.sealActiveSegment()
        } catch {
            onFailure(error)
        }
    }

    /// Empty: nothing to write, and the segment is to be sealed. Nil: no more will come.
    private func takeGroup() -> [PendingWrite]? {
        queue.wait { queue -> [PendingWrite]?? in
            guard !queue.pending.isEmpty else {
                if queue.isClosed { return .some(nil) }
                guard queue.isSealWanted else { return nil }
                queue.isSealWanted = false
                return .some([])
            }
            var entries = 0
            var count = 0
            while count < queue.pending.count, entries < Self.groupEntries {
                entries += max(1, queue.pending[count].reports.count)
                count += 1
            }
            if count == queue.pending.count {
                let all = queue.pending
                queue.pending = []
                queue.bytes = 0
                return .some(all)
            }
            let group = Array(queue.pending[..<count])
            queue.pending.removeFirst(count)
            queue.bytes -= group.reduce(0) { $0 + $1.byteCount }
            return .some(group)
        } ?? nil
    }

    private func count(_ verdicts: [[RecentIdentities.Verdict]], records: Int, bytes: Int) {
        counters.withLock { counters in
            counters.transactions += 1
            counters.records += records
            counters.bytes += bytes
            for verdict in verdicts.joined() {
                counters.reports += 1
                switch verdict {
                case .stored: counters.stored += 1
                case .duplicate: counters.duplicates += 1
                case .conflict: counters.conflicts += 1
                }
            }
        }
    }
}

/// Turns a group of requests into one append. Holds the memory that a group needs, to use it again.
private struct Transaction {
    /// An entry whose bytes lie in the arena or, for a report's body, in the request.
    private struct Draft {
        let timeMicroseconds: Int64
        let kind: UInt8
        let header: Range<Int>
        let body: Range<Int>
        let borrowedBody: UnsafeRawBufferPointer?
    }

    private var recent: RecentIdentities
    private var arena: [UInt8] = []
    private var drafts: [Draft] = []
    private var entries: [NewLogEntry] = []

    init(recent: RecentIdentities) { self.recent = recent }

    var recordCount: Int { drafts.count }
    /// The numbers of the last append's alerts and alert states.
    private(set) var alerts = IntervalSet()

    /// Appends everything in one transaction and says what each report is. When it throws, nothing is on disk.
    mutating func append(_ writes: [PendingWrite], to log: SegmentedLog) throws -> [[RecentIdentities.Verdict]] {
        arena.removeAll(keepingCapacity: true)
        drafts.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        for write in writes { draft(write) }
        try arena.withUnsafeBytes { arena in
            for draft in drafts {
                entries.append(
                    NewLogEntry(
                        timeMicroseconds: draft.timeMicroseconds, kind: draft.kind,
                        header: UnsafeRawBufferPointer(rebasing: arena[draft.header]),
                        payload: draft.borrowedBody ?? UnsafeRawBufferPointer(rebasing: arena[draft.body])))
            }
            let numbers = try log.append(entries)
            alerts = IntervalSet()
            for (index, draft) in drafts.enumerated() where draft.kind != BufferKind.report {
                alerts.insert(numbers.lowerBound + Int64(index))
            }
        }
        return writes.map { write in
            write.reports.map { recent.stored(identity: $0.identityHash, digest: $0.digestHash) }
        }
    }

    /// A report is followed by the alerts that it raised: one transaction holds both (contract §3).
    private mutating func draft(_ write: PendingWrite) {
        let time = write.receivedAt.microseconds
        for report in write.reports {
            let header = append(report.header)
            drafts.append(
                Draft(
                    timeMicroseconds: time, kind: BufferKind.report, header: header, body: 0..<0,
                    borrowedBody: report.payload))
            // The alerts of a report sent again were stored with its first copy.
            if recent.isDuplicate(identity: report.identityHash, digest: report.digestHash) { continue }
            for alert in report.alerts { draft(alert, kind: BufferKind.alert, time: time) }
        }
        for other in write.others { draft(other.body, kind: other.kind, time: time) }
    }

    private mutating func draft(_ body: [UInt8], kind: UInt8, time: Int64) {
        let range = append(body)
        drafts.append(Draft(timeMicroseconds: time, kind: kind, header: 0..<0, body: range, borrowedBody: nil))
    }

    private mutating func append(_ bytes: [UInt8]) -> Range<Int> {
        let start = arena.count
        arena.append(contentsOf: bytes)
        return start..<arena.count
    }
}
