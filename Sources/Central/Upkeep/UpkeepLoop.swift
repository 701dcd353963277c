// The thread that keeps the archive in shape while central runs: checkpoints, compaction of what has come, and now and
// then clean-up of logs and replaced files. It has the lowest priority, shares nothing with the archiver but the lake,
// and a failure here never stops archiving: it is logged, counted and tried again.

package import Log
package import System
import DuckDB
import Synchronization

package struct UpkeepProgress: Sendable, Hashable {
    package var compactions = 0
    package var filesCompacted = 0
    package var bytesWritten = 0
    package var checkpoints = 0
    package var logObjectsRemoved = 0
    package var filesRemoved = 0
    package var failures = 0
    package var lastError: String?
}

package final class UpkeepLoop: Sendable {
    private let upkeep: LakeUpkeep
    private let compacts: Bool
    private let isWanted: @Sendable () -> Bool
    private let time: any TimeSource
    private let log: Log
    private let isStopping = Monitor(false)
    private let progress = Mutex(UpkeepProgress())

    private let secondsBetweenRounds: Double
    private static let secondsAfterFailure = 300.0
    private static let secondsBetweenCleanings = 3600.0

    /// - Parameters:
    ///   - compacts: false leaves compaction to the command.
    ///   - isWanted: whether this is the node of a cluster that does it now.
    package init(
        _ configuration: UpkeepConfiguration, compacts: Bool, time: any TimeSource, log: Log,
        secondsBetweenRounds: Double = 15, isWanted: @escaping @Sendable () -> Bool = { true }
    ) {
        self.compacts = compacts
        self.isWanted = isWanted
        self.secondsBetweenRounds = secondsBetweenRounds
        self.time = time
        self.log = log
        let isStopping = isStopping
        upkeep = LakeUpkeep(configuration, time: time) { isStopping.withLock { $0 } }
    }

    package var snapshot: UpkeepProgress { progress.withLock { $0 } }

    /// A compaction that is under way is given up: the tables are as if it had never begun.
    package func stop() { isStopping.update { $0 = true } }

    /// The thread's body.
    package func run() {
        WorkerThread.yieldToOthers()
        var tables: ArchiverTables?
        var nextCleaning = time.monotonicNanoseconds() + UInt64(60 * 1e9)
        while !pause(secondsBetweenRounds) {
            guard isWanted() else {
                tables = nil
                continue
            }
            do {
                let opened = try tables ?? upkeep.openTables()
                tables = opened
                try round(opened)
                guard time.monotonicNanoseconds() >= nextCleaning else { continue }
                nextCleaning = time.monotonicNanoseconds() + UInt64(Self.secondsBetweenCleanings * 1e9)
                try clean(opened)
            } catch {
                // What it knew of the tables may be part of the trouble.
                tables = nil
                failed((error as? DuckDBError)?.type ?? "\(error)")
                if pause(Self.secondsAfterFailure) { return }
            }
        }
    }

    private func round(_ tables: ArchiverTables) throws {
        for (table, version) in try upkeep.checkpoint(tables).sorted(by: { $0.key < $1.key }) {
            progress.withLock { $0.checkpoints += 1 }
            log.info("checkpoint", ["table": .string(table), "version": .int(version)])
        }
        guard compacts else { return }
        let report = try upkeep.compact(
            .automatic(now: time.wallMicroseconds()), tables,
            onJob: { _, result in if let result { compacted(result) } })
        for failure in report.failed { failed(failure.reason) }
        if !report.failed.isEmpty { _ = pause(Self.secondsAfterFailure) }
    }

    private func compacted(_ result: CompactionResult) {
        progress.withLock { progress in
            progress.compactions += 1
            progress.filesCompacted += result.filesBefore
            progress.bytesWritten += result.bytesAfter
        }
        log.info(
            "compacted",
            [
                "table": .string(result.table), "day": .string(result.day), "files": .int(result.filesBefore),
                "bytes_before": .int(result.bytesBefore), "bytes": .int(result.bytesAfter), "rows": .int(result.rows),
                "version": .int(result.version),
            ])
    }

    private func clean(_ tables: ArchiverTables) throws {
        let objects = try upkeep.cleanLogs(tables)
        let files = try upkeep.vacuum(tables).flatMap { $0.left.removable }
        progress.withLock { progress in
            progress.logObjectsRemoved += objects
            progress.filesRemoved += files.count
        }
        guard objects + files.count > 0 else { return }
        log.info(
            "cleaned",
            [
                "log_objects": .int(objects), "files": .int(files.count),
                "bytes": .int(files.reduce(0) { $0 + $1.bytes }),
            ])
    }

    private func failed(_ reason: String) {
        progress.withLock { progress in
            progress.failures += 1
            progress.lastError = reason
        }
        log.error("upkeep_failed", ["error": .string(reason), "retry_s": .double(Self.secondsAfterFailure)])
    }

    /// True if it is time to stop.
    private func pause(_ seconds: Double) -> Bool {
        isStopping.wait(timeoutSeconds: seconds) { $0 ? true : nil } ?? false
    }
}
