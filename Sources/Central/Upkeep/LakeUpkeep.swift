// Everything that is done to the archive beside archiving: compaction, checkpoints of the logs, clean-up of the logs,
// removal of replaced files, verification. Central's own thread (`UpkeepLoop`) and the commands `columba-central
// compact|verify|vacuum` do the same things through this, each as a process of its own if need be: nothing here relies
// on being the only one, and one lock keeps two from doing the same work twice.

package import DuckDB
import Models
package import ObjectStore
package import System
import Glibc

package struct UpkeepConfiguration: Sendable {
    package var lake: any ObjectStore
    package var vault: any ObjectStore
    /// `<lake>/_columba/upkeep`: the lock, and files on their way; on the lake's file system.
    package var directory: String
    package var duckDB: DuckDBExecutable
    package var compaction = CompactionSettings()
    package var duckDBMemoryBytes = 1 << 30
    package var duckDBThreads = 1
    package var niceness: Int32 = 15
    /// A checkpoint is written every so many versions of a table.
    package var versionsPerCheckpoint: Int64 = 100
    package var logSeconds = 24 * 3600.0
    /// Files that left the tables stay so long for readers that opened an older version.
    package var keepRemovedSeconds = 24 * 3600.0
    /// Tests make a disk full.
    package var freeBytes: @Sendable (String) throws -> Int = { try FileSystem.freeBytes(at: $0) }
    /// The stream, on which intake depends, may be on the same disk: compaction leaves so much of it.
    static let reservedBytes = 1 << 30
    /// A sort spills its rows unpacked, about so many times as large, beside the new file itself.
    static let spillFactor = 12

    package init(lake: any ObjectStore, vault: any ObjectStore, directory: String, duckDB: DuckDBExecutable) {
        self.lake = lake
        self.vault = vault
        self.directory = directory
        self.duckDB = duckDB
    }
}

/// What a round of compaction came to.
package struct CompactionReport: Sendable {
    package var done: [CompactionResult] = []
    /// By table and first file, why not. The tables are as they were.
    package var failed: [(job: CompactionJob, reason: String)] = []
    package var wasCancelled = false
}

package struct LakeUpkeep: Sendable {
    package let configuration: UpkeepConfiguration
    private let time: any TimeSource
    private let isCancelled: @Sendable () -> Bool
    private let runner: DuckDBRunner

    package init(
        _ configuration: UpkeepConfiguration, time: any TimeSource,
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.configuration = configuration
        self.time = time
        self.isCancelled = isCancelled
        var settings = DuckDBRunner.Configuration(
            executable: configuration.duckDB, temporaryDirectory: "\(configuration.directory)/spill")
        settings.memoryBytes = configuration.duckDBMemoryBytes
        settings.threads = configuration.duckDBThreads
        settings.niceness = configuration.niceness
        settings.timeoutSeconds = 6 * 3600
        settings.diesWithThread = true
        runner = DuckDBRunner(settings)
    }

    /// Nobody is still sending parts of an upload after this.
    private static let longestUploadSeconds = 24 * 3600.0

    private var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    private var retention: DeltaLogRetention {
        DeltaLogRetention(
            logSeconds: configuration.logSeconds,
            tombstoneSeconds: configuration.keepRemovedSeconds + configuration.logSeconds)
    }

    /// The tables as they are now; those that do not exist have version -1.
    package func openTables() throws -> ArchiverTables {
        try ArchiverTables(
            lake: configuration.lake, vault: configuration.vault, createdAt: nil,
            checkpoints: DuckDBCheckpoints(duckDB: runner, directory: "\(configuration.directory)/checkpoints"))
    }

    // MARK: - Compaction

    /// Jobs there are now, the oldest days first.
    package func plan(_ mode: CompactionMode, _ tables: ArchiverTables) throws -> [CompactionJob] {
        for table in tables.all { _ = try table.refresh() }
        let position = ArchiverTables.position(tables.reports)
        let plan = CompactionPlan(configuration.compaction)
        return tables.all.reversed().flatMap { table in
            // In a cluster each partition's files reach as far as their partition.
            let files = table.snapshot.files.values.filter { tables.isArchived($0) }
            return plan.jobs(table: table.schema.name, files: files, through: position, mode)
        }
    }

    /// Compacts until nothing is left to do. `onJob` is told before and after each job (nil: before).
    package func compact(
        _ mode: CompactionMode, _ tables: ArchiverTables,
        failurePoint: @escaping (CompactionStep) throws -> Void = { _ in },
        onJob: (CompactionJob, CompactionResult?) -> Void = { _, _ in }
    ) throws -> CompactionReport {
        var report = CompactionReport()
        var avoided: Set<String> = []
        while !isCancelled() {
            let lock = try waitForLock()
            defer { withExtendedLifetime(lock) {} }
            guard lock != nil else { break }
            let jobs = try plan(mode, tables).filter { job in !job.files.contains { avoided.contains($0.path) } }
            guard let job = jobs.first else { return report }
            onJob(job, nil)
            do {
                let result = try run(job, tables, failurePoint)
                report.done.append(result)
                onJob(job, result)
            } catch ArchiveError.filesGone {
                continue
            } catch let error as DuckDBError where error.kind == .cancelled {
                break
            } catch let error as DuckDBError {
                // The message may quote values (I9): its type alone is told.
                report.failed.append((job, "\(error.type) (\(error.kind))"))
                avoided.formUnion(job.files.map(\.path))
            } catch let error as ArchiveError {
                report.failed.append((job, "\(error)"))
                avoided.formUnion(job.files.map(\.path))
            }
        }
        report.wasCancelled = true
        return report
    }

    private func run(
        _ job: CompactionJob, _ tables: ArchiverTables, _ failurePoint: @escaping (CompactionStep) throws -> Void
    ) throws -> CompactionResult {
        // Whatever a killed compactor left: the lock says nobody uses it.
        for name in ["spill", "files"] { try FileSystem.removeTree("\(configuration.directory)/\(name)") }
        let needed = job.bytes * UpkeepConfiguration.spillFactor + UpkeepConfiguration.reservedBytes
        guard try configuration.freeBytes(configuration.directory) >= needed else {
            throw ArchiveError.noRoom(table: job.table, bytes: needed)
        }
        guard let table = tables.all.first(where: { $0.schema.name == job.table }) else {
            preconditionFailure("a job is of one of the archive's tables")
        }
        let compactor = Compactor(
            duckDB: runner, directory: "\(configuration.directory)/files", isCancelled: isCancelled,
            failurePoint: failurePoint)
        return try compactor.run(job, in: table, now: now)
    }

    // MARK: - Logs

    /// Writes the checkpoints that are due; returns by table which versions.
    package func checkpoint(_ tables: ArchiverTables) throws -> [String: Int64] {
        var written: [String: Int64] = [:]
        for table in tables.all where !isCancelled() {
            written[table.schema.name] = try table.writeCheckpoint(
                every: configuration.versionsPerCheckpoint, now: now, retention: retention)
        }
        return written
    }

    /// Removes old versions of the logs that checkpoints have taken the place of. In `reports` a version also says what
    /// it settled, so it stays until two snapshots of the deduplicator know.
    package func cleanLogs(_ tables: ArchiverTables) throws -> Int {
        var removed = 0
        for table in tables.all {
            var limit = Int64.max
            if table.schema.name == TableSchema.reports.name {
                guard let replaced = try DeduplicatorSnapshot.replacedNotes(in: configuration.lake) else { continue }
                limit = replaced
            }
            removed += try table.cleanLog(now: now, retention: retention, through: limit)
        }
        return removed
    }

    // MARK: - Files

    package struct VacuumedTable: Sendable {
        package var table: String
        package var left: LeftOver
    }

    /// Removes what left the tables, or never was in them, longer than the grace ago.
    package func vacuum(
        _ tables: ArchiverTables, graceSeconds: Double? = nil, dryRun: Bool = false
    ) throws -> [VacuumedTable] {
        guard let lock = try waitForLock() else { return [] }
        defer { withExtendedLifetime(lock) {} }
        let grace = graceSeconds ?? configuration.keepRemovedSeconds
        if !dryRun {
            for store in [configuration.lake, configuration.vault] {
                _ = try store.removeUnfinished(olderThanSeconds: max(grace, Self.longestUploadSeconds), now: now)
            }
        }
        return try tables.all.reversed().map { table in
            VacuumedTable(
                table: table.schema.name,
                left: try table.vacuum(now: now, graceSeconds: grace, dryRun: dryRun))
        }
    }

    /// Bytes that `verify` will read.
    package func bytes(of tables: ArchiverTables) -> Int { tables.all.reduce(0) { $0 + $1.snapshot.bytes } }

    package func verify(
        _ tables: ArchiverTables, progress: @escaping (Int) -> Void = { _ in }
    ) throws -> LakeVerificationResult {
        var settings = runner.configuration
        settings.temporaryDirectory = "\(configuration.directory)/verify-\(Environment.processID)"
        defer { try? FileSystem.removeTree(settings.temporaryDirectory) }
        return try LakeVerification(
            duckDB: DuckDBRunner(settings), now: now, graceSeconds: 3600, progress: progress
        ).run(tables.all.reversed())
    }

    // MARK: - One at a time

    /// nil if it was cancelled while somebody else had the lock.
    private func waitForLock() throws -> DirectoryLock? {
        try FileSystem.makeDirectories(configuration.directory)
        while !isCancelled() {
            do {
                return try DirectoryLock(configuration.directory)
            } catch let error as SystemError where error.errno == EWOULDBLOCK {
                usleep(100_000)
            }
        }
        return nil
    }
}
