// What goes into the archiver and what comes out.

package import DuckDB
package import Models
package import ObjectStore
package import SyncProtocol
import System

/// A batch as the stream gives it back, or one partition's part of it. `skip`: record numbers that intake could not
/// read. A central alone has put them into quarantine already; in a cluster they are in partition 0's part only, and
/// its archiver writes their lines into the vault.
package struct StreamedBatch: Sendable {
    package var position: Int64
    package var relayID: String
    package var epoch: String
    package var centralReceivedAt: Timestamp
    /// Inflated lines.
    package var ndjson: [UInt8]
    package var skip: IntervalSet
    /// Why, by number.
    package var skipCodes: [Int64: String] = [:]
    /// One record that was set aside and is tried again on a person's word: the number is settled, the row is missing.
    package var isRetry = false
    /// Whose drones' lines these are; nil where the stream is embedded.
    package var partition: Int?
    /// The record numbers of the whole batch: this partition has nothing (more) to store of them once the lines here
    /// are decided. nil: of its own lines only.
    package var cover: IntervalSet?

    package init(
        position: Int64, relayID: String, epoch: String, centralReceivedAt: Timestamp, ndjson: [UInt8],
        skip: IntervalSet = IntervalSet(), partition: Int? = nil, cover: IntervalSet? = nil
    ) {
        self.position = position
        self.relayID = relayID
        self.epoch = epoch
        self.centralReceivedAt = centralReceivedAt
        self.ndjson = ndjson
        self.skip = skip
        self.partition = partition
        self.cover = cover
    }
}

/// What one `archive` call settled.
package struct ArchiveCommit: Sendable {
    /// Stream position and version of `reports` it reached.
    package var position: Int64
    package var version: Int64
    /// By (relay, epoch), and partition where there is one: ranges, counts and rejected records.
    package var relays: [RelayNote]
    package var files: Int
    package var parquetBytes: Int
    /// Of a call with a record that was tried again.
    package var retry: RetryOutcome?

    package init(
        position: Int64, version: Int64, relays: [RelayNote] = [], files: Int = 0, parquetBytes: Int = 0,
        retry: RetryOutcome? = nil
    ) {
        self.position = position
        self.version = version
        self.relays = relays
        self.files = files
        self.parquetBytes = parquetBytes
        self.retry = retry
    }

    package var reports: Int { relays.reduce(0) { $0 + $1.reports } }
    package var duplicates: Int { relays.reduce(0) { $0 + $1.duplicates } }
    package var conflicts: Int { relays.reduce(0) { $0 + $1.conflicts } }
    package var alerts: Int { relays.reduce(0) { $0 + $1.alerts } }
    package var rejected: Int { relays.reduce(0) { $0 + $1.rejectedCount } }
}

package enum RetryOutcome: Sendable, Equatable {
    /// It is in the archive, now or since before.
    case archived
    /// It lies in the quarantine again.
    case refused(code: String)
}

package struct RelayArchiveState: Sendable {
    package var relayID: String
    package var epoch: String
    package var archived: IntervalSet
    package var rejected: [RejectedRecord]
    package var rejectedCount: Int
    package var reports: Int
    package var duplicates: Int
    package var conflicts: Int
    package var alerts: Int
    package var recordConflicts: Int
    /// For the last number of each archived range: when the relay received that record, in microseconds.
    package var lastReceivedAt: [Int64: Int64]
    /// Every record the relay received up to here is archived; nil while its first record is missing.
    package var completeThrough: Timestamp?
    /// Numbers that some partitions of a cluster have settled and others have not yet: the counts may be so far ahead
    /// of `archived`.
    package var underWay = 0
}

package struct ArchiveStatistics: Sendable {
    package var position: Int64
    package var version: Int64
    package var reports: Int
    /// Rows of `duplicates`, conflicts among them.
    package var duplicates: Int
    package var conflicts: Int
    package var alerts: Int
    package var rejected: Int
    package var files: Int
    package var bytes: Int
    package var relays: [RelayArchiveState]
    /// Shortcuts for the next start that could not be written.
    package var snapshotFailures: Int
}

package struct ArchiverConfiguration: Sendable {
    package var lake: any ObjectStore
    package var vault: any ObjectStore
    package var engine: any ArchiveEngine
    /// Turns names into `person_id`. Losing it makes new reports of a person another person.
    package var hmacKey: [UInt8]
    /// Of drones, by hash: each has its transaction in the log, and files of its own in calls that are large enough.
    /// One archiver writes them all.
    package var partitions = 1
    /// A cluster's archiver writes these partitions only, and `partitions` says nothing.
    package var scope: ArchiverScope?
    /// A call with at least so many inflated bytes for each partition writes a file for each; a smaller one writes one
    /// file a day, for files of a useful size.
    package var bytesPerPartition = 16 << 20
    /// A second thread parses ahead of the one that decides.
    package var parsesAhead = true
    /// A snapshot of the deduplicator is written every so many commits.
    package var commitsPerSnapshot = 20
    /// Parquet files no version names are removed at start when they are older than this.
    package var orphanGraceSeconds = 3600.0
    /// Tests fail a call at a step.
    package var failurePoint: @Sendable (ArchiveStep) throws -> Void = { _ in }

    package init(lake: any ObjectStore, vault: any ObjectStore, engine: any ArchiveEngine, hmacKey: [UInt8]) {
        self.lake = lake
        self.vault = vault
        self.engine = engine
        self.hmacKey = hmacKey
    }

    /// With DuckDB and its scratch files in `scratchDirectory` (see `DuckDBEngine`).
    package init(
        lake: any ObjectStore, vault: any ObjectStore, scratchDirectory: String, duckDB: DuckDBExecutable,
        hmacKey: [UInt8]
    ) {
        self.init(
            lake: lake, vault: vault,
            engine: DuckDBEngine(executable: duckDB, scratchDirectory: scratchDirectory), hmacKey: hmacKey)
    }
}

/// The steps of an `archive` call, in order: a crash may come before each.
package enum ArchiveStep: String, CaseIterable, Hashable, Sendable {
    case convert, upload, quarantine, commitIdentities, commitAlerts, commitDuplicates, commitReports, publish, snapshot
}

package enum ArchiveError: Error, Sendable, CustomStringConvertible {
    /// Another archiver has committed; this one's state is stale. Make a new `Archiver`.
    case anotherWriter(table: String, application: String, found: Int64?)
    /// What a commit wanted to replace, another one has replaced.
    case filesGone(table: String)
    /// What lies in the store is not what was written: nothing was changed.
    case damagedData(table: String, files: [String], detail: String)
    /// Nothing was begun.
    case noRoom(table: String, bytes: Int)
    case tooManyConflicts(table: String, attempts: Int)
    case damagedLog(key: String, detail: String)
    case unsupportedTable(detail: String)
    case wrongPosition(expectedAfter: Int64, found: Int64)
    case conversion(type: String)
    /// The lake is another cluster's, or none's.
    case wrongCluster(detail: String)

    /// Nothing that trying again could mend. The rest passes: a full disk, a DuckDB that was killed for want of memory.
    /// In a cluster `.anotherWriter` passes as well: the next call begins with what the other one has committed.
    package var isFatal: Bool {
        switch self {
        case .anotherWriter, .damagedLog, .unsupportedTable, .wrongPosition, .wrongCluster: true
        case .filesGone, .damagedData, .noRoom, .tooManyConflicts, .conversion: false
        }
    }

    package var description: String {
        switch self {
        case .anotherWriter(let table, let application, let found):
            "another archiver has committed to \(table): \(application) is at \(found.map(String.init) ?? "nothing"); "
                + "without a cluster, run one archiver for a lake, then start this one again"
        case .filesGone(let table):
            "\(table): somebody else has compacted the same files meanwhile; nothing was changed"
        case .damagedData(let table, let files, let detail):
            "\(table): \(detail); run `columba-central verify` (files: \(files.joined(separator: ", ")))"
        case .noRoom(let table, let bytes):
            "\(table): compaction wants \(bytes >> 20) MiB free on the lake's disk, for intake must not wait for it; "
                + "make room, for example with `columba-central vacuum --older-than 1`"
        case .tooManyConflicts(let table, let attempts):
            "\(table): \(attempts) commits in a row lost to other writers; stop whatever rewrites the table"
        case .damagedLog(let key, let detail): "\(key) is not a Delta log entry: \(detail)"
        case .unsupportedTable(let detail): "the table cannot be used: \(detail)"
        case .wrongPosition(let expectedAfter, let found):
            "stream position \(found) was given after \(expectedAfter); read the stream from \(expectedAfter + 1) on"
        case .wrongCluster(let detail): detail
        case .conversion(let type): "DuckDB could not write Parquet (\(type)); see the disk and the memory limit"
        }
    }
}
