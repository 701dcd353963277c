// The archiver's thread: takes durable batches from the stream and commits them to the lake in few, large versions;
// then the stream may forget them.

package import Log
package import Models
package import System
import Compression
import DuckDB
import SegmentedLog
import Synchronization
import SyncProtocol

package struct ArchiveProgress: Sendable, Equatable {
    package var commits = 0
    package var failures = 0
    package var lastCommitAt: Timestamp?
    package var lastCommitSeconds = 0.0
    package var lastError: String?
}

package final class ArchiveLoop: Sendable {
    /// Inflated bytes of one commit: what the archiver must hold at once.
    package static let maxCommitBytes = 192 << 20
    private static let compressedBytesPerRead = 32 << 20
    private static let retrySeconds = 2.0

    private let archiver: Archiver
    private let stream: any BatchStream
    private let configuration: CentralConfiguration.Archive
    private let time: any TimeSource
    private let log: Log
    private let progress = Mutex(ArchiveProgress())
    private let isStopping = Atomic<Bool>(false)
    private let onFatal: @Sendable (String) -> Void
    private let onCommit: @Sendable (ArchiveCommit, _ retried: [String]) -> Void

    /// - Parameter onCommit: called on the archiver's thread after each version, with the quarantine's ids of records
    ///   that were tried again in it.
    package init(
        archiver: Archiver, stream: any BatchStream, configuration: CentralConfiguration.Archive, time: any TimeSource,
        log: Log, onFatal: @escaping @Sendable (String) -> Void,
        onCommit: @escaping @Sendable (ArchiveCommit, [String]) -> Void = { _, _ in }
    ) {
        self.archiver = archiver
        self.stream = stream
        self.configuration = configuration
        self.time = time
        self.log = log
        self.onFatal = onFatal
        self.onCommit = onCommit
    }

    package var snapshot: ArchiveProgress { progress.withLock { $0 } }

    package func stop() { isStopping.store(true, ordering: .relaxed) }
    private var isStopped: Bool { isStopping.load(ordering: .relaxed) }

    /// The thread's body. Stopping does not wait for a commit: what is not archived stays in the stream.
    package func run() {
        while !isStopped {
            let position = archiver.committedPosition
            guard stream.wait(beyond: position, timeoutSeconds: 0.5) else { continue }
            gather(after: position)
            if isStopped { return }
            do {
                try commit(after: position)
            } catch let error as ArchiveError where error.isFatal {
                // Another writer, a damaged log.
                log.error("archive_stopped", ["error": .string("\(error)")])
                return onFatal("\(error)")
            } catch let error as SegmentedLogError where error.code == .damaged {
                // Batches that were durable cannot be read. A new start salvages the log and tells relays only of what
                // is left; they still hold the rest and send it again (I2).
                log.error("stream_damaged", ["error": .string("\(error)")])
                return onFatal("\(error)")
            } catch {
                // DuckDB's own words may quote values (I9).
                let reason = (error as? DuckDBError)?.type ?? "\(error)"
                progress.withLock { progress in
                    progress.failures += 1
                    progress.lastError = reason
                }
                log.error("archive_failed", ["error": .string(reason), "retry_s": .double(Self.retrySeconds)])
                pause(Self.retrySeconds)
            }
        }
    }

    private func pause(_ seconds: Double) {
        _ = stream.wait(beyond: .max, timeoutSeconds: seconds)
    }

    /// Waits until a commit is worth making: enough records, or the oldest has waited long enough.
    private func gather(after position: Int64) {
        let deadline = time.monotonicNanoseconds() + UInt64(configuration.maxWaitSeconds * 1e9)
        while !isStopped {
            let now = time.monotonicNanoseconds()
            guard now < deadline else { return }
            if stream.records(after: position) >= configuration.maxRows { return }
            _ = stream.wait(beyond: stream.lastPosition, timeoutSeconds: min(0.1, Double(deadline - now) / 1e9))
        }
    }

    private func commit(after position: Int64) throws {
        let (batches, retried) = try takeBatches(after: position)
        guard let last = batches.last else { return }
        let started = time.monotonicNanoseconds()
        let commit = try archiver.archive(batches)
        let seconds = Double(time.monotonicNanoseconds() - started) / 1e9
        onCommit(commit, retried)
        try stream.release(through: archiver.committedPosition)
        progress.withLock { progress in
            progress.commits += 1
            progress.lastCommitAt = Timestamp(microseconds: time.wallMicroseconds())
            progress.lastCommitSeconds = seconds
            progress.lastError = nil
        }
        log.info(
            "archived",
            [
                "version": .int(commit.version), "reports": .int(commit.reports), "duplicates": .int(commit.duplicates),
                "alerts": .int(commit.alerts), "files": .int(commit.files), "bytes": .int(commit.parquetBytes),
                "position": .int(last.position), "seconds": .double(seconds),
            ])
    }

    private func takeBatches(after position: Int64) throws -> ([StreamedBatch], retried: [String]) {
        var batches: [StreamedBatch] = []
        var next = position + 1
        var bytes = 0
        var records = 0
        // As much as the call that was cut short took: its limits were no larger, unless they were configured anew.
        let interrupted = archiver.interrupted[nil] ?? 0
        func hasRoom() -> Bool {
            records < configuration.maxRows && bytes < Self.maxCommitBytes || next <= interrupted
        }
        while hasRoom() {
            let entries = try stream.read(from: next, maxBytes: Self.compressedBytesPerRead)
            guard !entries.isEmpty else { break }
            for entry in entries {
                guard hasRoom() else { break }
                // A retry is a version of its own: what was there before is then in the tables, and only there.
                let isRetry = entry.header.retry != nil
                if isRetry, !batches.isEmpty { return (batches, []) }
                let ndjson = try Zstd.decompress(
                    entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
                var batch = StreamedBatch(
                    position: entry.position, relayID: entry.header.relay, epoch: entry.header.epoch,
                    centralReceivedAt: entry.receivedAt, ndjson: ndjson,
                    skip: IntervalSet(entry.header.rejected.map { $0.n...$0.n }))
                batch.skipCodes = Dictionary(entry.header.rejected.map { ($0.n, $0.code) }) { $1 }
                batch.isRetry = isRetry
                batches.append(batch)
                if let retry = entry.header.retry { return (batches, [retry]) }
                bytes += ndjson.count
                records += entry.header.records
                next = entry.position + 1
            }
        }
        return (batches, [])
    }
}
