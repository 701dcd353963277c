// The archive loop of a node in a cluster: opens an archiver for the partitions that are the node's own, feeds it from
// the stream, and lets the stream forget what is committed. When the owned set changes, that archiver is dropped, with
// whatever it was about to do, and another one is made of the lake's word.
//
// Order, which nothing may change: read from the committed positions on → commit → release up to the committed
// positions. A node that dies in between has committed everything or nothing (`Archiver`); whoever owns the partition
// next reads from the lake where to go on. Neither the stream nor this node keeps a place.

package import Log
import Models
package import System
import Compression
import DuckDB
import Synchronization
import SyncProtocol

package struct PartitionOwnerProgress: Sendable, Equatable {
    /// What is open.
    package var owned: [Int] = []
    package var positions: [Int: Int64] = [:]
    package var archive = ArchiveProgress()
    /// Commits lost to another node.
    package var contested = 0
    /// Entries of the stream that could not be unpacked: their records stay with their relays, unarchived.
    package var unreadable = 0
    /// Since the last commit.
    package var failuresInTurn = 0
}

package final class PartitionOwner: Sendable {
    package struct Configuration: Sendable {
        /// Without a scope.
        package var archiver: ArchiverConfiguration
        package var partitions: Int
        /// One commit has about so many records, or those of so many seconds.
        package var maxRows: Int
        package var maxWaitSeconds: Double
        package var lookSeconds = 0.5

        package init(archiver: ArchiverConfiguration, partitions: Int, maxRows: Int, maxWaitSeconds: Double) {
            self.archiver = archiver
            self.partitions = partitions
            self.maxRows = maxRows
            self.maxWaitSeconds = maxWaitSeconds
        }
    }

    private static let compressedBytesPerRead = 32 << 20

    private let configuration: Configuration
    private let stream: any PartitionStream
    private let owned: @Sendable () -> Set<Int>
    private let time: any TimeSource
    private let log: Log
    private let onCommit: @Sendable (ArchiveCommit, _ retried: [String]) -> Void
    private let progress = Mutex(PartitionOwnerProgress())
    private let isStopping = Monitor(false)

    /// - Parameters:
    ///   - owned: what this node owns now; any thread.
    ///   - onCommit: on the owner's thread after each version, with the quarantine's ids of records tried again in it.
    package init(
        _ configuration: Configuration, stream: any PartitionStream, owned: @escaping @Sendable () -> Set<Int>,
        time: any TimeSource, log: Log,
        onCommit: @escaping @Sendable (ArchiveCommit, [String]) -> Void = { _, _ in }
    ) {
        self.configuration = configuration
        self.stream = stream
        self.owned = owned
        self.time = time
        self.log = log
        self.onCommit = onCommit
    }

    package var snapshot: PartitionOwnerProgress { progress.withLock { $0 } }

    /// Does not wait for a commit: what is not archived stays in the stream.
    package func stop() { isStopping.update { $0 = true } }
    private var isStopped: Bool { isStopping.withLock { $0 } }
    private var now: UInt64 { time.monotonicNanoseconds() }

    /// The thread's body.
    package func run() {
        var machine = ArchiverStateMachine()
        var archiver: Archiver?
        while !isStopped {
            switch machine.next(owned: owned(), at: now) {
            case .rest(let seconds): rest(seconds)
            case .close:
                archiver = nil
                machine.closed()
                progress.withLock { ($0.owned, $0.positions) = ([], [:]) }
            case .open(let partitions):
                attempt(&machine) { machine in
                    archiver = try open(partitions)
                    machine.opened(partitions)
                }
            case .archive:
                guard let current = archiver else { preconditionFailure("an archiver is open when it is to archive") }
                attempt(&machine) { machine in
                    if try archive(current) { machine.archived() }
                }
            }
        }
    }

    private func rest(_ seconds: Double) {
        let _: Void? = isStopping.wait(timeoutSeconds: seconds) { $0 ? () : nil }
    }

    private func attempt(_ machine: inout ArchiverStateMachine, _ body: (inout ArchiverStateMachine) throws -> Void) {
        do {
            try body(&machine)
        } catch {
            let failure: ArchiverStateMachine.Failure
            switch error {
            case let error as StreamFailure:
                failure = .stream
                note(error.cause, "stream_not_read")
            case let error as ArchiveError:
                failure = ArchiverStateMachine.Failure(error)
                note(error, failure == .anotherWriter ? "archive_contested" : "archive_failed")
            default:
                failure = .archive
                note(error, "archive_failed")
            }
            machine.failed(failure, at: now)
            let failures = machine.failures
            progress.withLock { progress in
                progress.failuresInTurn = failures
                if failure == .anotherWriter { progress.contested += 1 }
            }
        }
        let failures = machine.failures
        progress.withLock { $0.failuresInTurn = failures }
    }

    private func note(_ error: any Error, _ event: String) {
        // DuckDB's own words may quote values (I9).
        let reason = (error as? DuckDBError)?.type ?? "\(error)"
        progress.withLock { progress in
            progress.archive.failures += 1
            progress.archive.lastError = reason
        }
        log.warning(event, ["error": .string(reason)])
    }

    /// What the stream threw, told apart from what the lake throws.
    private struct StreamFailure: Error {
        var cause: any Error
    }

    private func open(_ partitions: [Int]) throws -> Archiver {
        var settings = configuration.archiver
        settings.scope = ArchiverScope(owned: partitions, of: configuration.partitions)
        let started = now
        let archiver = try Archiver(settings, time: time)
        let positions = archiver.positions
        progress.withLock { ($0.owned, $0.positions) = (partitions, positions) }
        log.info(
            "partitions_opened",
            [
                "partitions": .string(partitions.map(String.init).joined(separator: ",")),
                "seconds": .double(Double(now - started) / 1e9),
            ])
        // Whoever owned them before may have died between its commit and this.
        release(positions)
        return archiver
    }

    // MARK: - One version

    /// True if something was committed.
    private func archive(_ archiver: Archiver) throws -> Bool {
        let positions = archiver.positions
        guard stream.wait(beyond: positions, timeoutSeconds: configuration.lookSeconds) else { return false }
        let scope = Set(positions.keys)
        gather(after: positions, scope)
        guard !isStopped, owned() == scope else { return false }
        let (batches, retried) = try takeBatches(after: positions, atLeastThrough: archiver.interrupted)
        guard !batches.isEmpty else {
            // Whoever owned the partition a moment ago has committed and released them.
            rest(0.1)
            return false
        }
        let started = now
        let commit = try archiver.archive(batches)
        let seconds = Double(now - started) / 1e9
        let reached = archiver.positions
        onCommit(commit, retried)
        release(reached)
        let at = Timestamp(microseconds: time.wallMicroseconds())
        progress.withLock { progress in
            progress.positions = reached
            progress.archive.commits += 1
            progress.archive.lastCommitAt = at
            progress.archive.lastCommitSeconds = seconds
            progress.archive.lastError = nil
        }
        log.info(
            "archived",
            [
                "version": .int(commit.version), "reports": .int(commit.reports), "duplicates": .int(commit.duplicates),
                "alerts": .int(commit.alerts), "files": .int(commit.files), "bytes": .int(commit.parquetBytes),
                "position": .int(commit.position), "partitions": .int(scope.count), "seconds": .double(seconds),
            ])
        return true
    }

    /// A stream that cannot forget now will after the next commit.
    private func release(_ positions: [Int: Int64]) {
        do {
            try stream.release(positions)
        } catch {
            log.warning("stream_not_released", ["error": .string("\(error)")])
        }
    }

    /// Waits until a commit is worth making: enough records, or the oldest has waited long enough.
    private func gather(after positions: [Int: Int64], _ scope: Set<Int>) {
        let deadline = now + UInt64(configuration.maxWaitSeconds * 1e9)
        while !isStopped, owned() == scope {
            let now = self.now
            guard now < deadline, stream.records(after: positions) < configuration.maxRows else { return }
            rest(min(0.1, Double(deadline - now) / 1e9))
        }
    }

    /// - Parameter interrupted: see `Archiver.interrupted`.
    private func takeBatches(
        after positions: [Int: Int64], atLeastThrough interrupted: [Int?: Int64]
    ) throws -> ([StreamedBatch], retried: [String]) {
        var batches: [StreamedBatch] = []
        var next = positions
        var bytes = 0
        var records = 0
        func hasRoom() -> Bool {
            records < configuration.maxRows && bytes < ArchiveLoop.maxCommitBytes
                || next.contains { $0.value < interrupted[$0.key] ?? .min }
        }
        while hasRoom() {
            let entries = try read(after: next)
            guard !entries.isEmpty else { break }
            for entry in entries {
                guard hasRoom() else { break }
                guard let partition = entry.partition, next[partition] != nil else { continue }
                // A retry is a version of its own: what was there before is then in the tables, and only there.
                if entry.header.retry != nil, !batches.isEmpty { return (batches, []) }
                next[partition] = entry.position
                let batch = batch(entry)
                batches.append(batch)
                if let retry = entry.header.retry { return (batches, [retry]) }
                bytes += batch.ndjson.count
                records += entry.header.records
            }
        }
        return (batches, [])
    }

    private func read(after positions: [Int: Int64]) throws -> [StreamEntry] {
        do {
            return try stream.read(after: positions, maxBytes: Self.compressedBytesPerRead)
        } catch {
            throw StreamFailure(cause: error)
        }
    }

    private func batch(_ entry: StreamEntry) -> StreamedBatch {
        var batch = StreamedBatch(
            position: entry.position, relayID: entry.header.relay, epoch: entry.header.epoch,
            centralReceivedAt: entry.receivedAt, ndjson: [], partition: entry.partition)
        if !entry.payload.isEmpty {
            do {
                batch.ndjson = try Zstd.decompress(
                    entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
            } catch {
                // It must not stop what comes behind it. An empty batch without a cover brings the position past it and
                // settles nothing: no relay hears `archived` of its records, so each keeps its own.
                progress.withLock { $0.unreadable += 1 }
                log.error(
                    "stream_entry_damaged",
                    [
                        "position": .int(entry.position), "relay": .string(entry.header.relay),
                        "numbers": .string("\(entry.header.numbers)"),
                    ])
                return batch
            }
        }
        batch.cover = entry.header.numbers
        batch.skip = IntervalSet(entry.header.rejected.map { $0.n...$0.n })
        batch.skipCodes = Dictionary(entry.header.rejected.map { ($0.n, $0.code) }) { $1 }
        batch.isRetry = entry.header.retry != nil
        return batch
    }
}
