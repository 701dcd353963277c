// What the archiver leaves to a query engine: turning rows into files, and reading a few columns of files back. DuckDB
// is the real one (`DuckDBEngine`); the simulator has one in memory, so that everything else of the archive — what is
// decided, in which order it is committed, what a start recovers — runs there unchanged.
//
// An engine owns the scratch space. Nothing in it needs to survive a crash: the stream gives the rows again.

package import Crypto
package import Models

/// Where the rows of one table and day are gathered before they become a file.
package protocol RowSink: AnyObject {
    /// Names it among the engine's scratch files.
    var path: String { get }
    /// Two pieces and a line feed.
    func append(_ row: UnsafeRawBufferPointer, _ end: UnsafeRawBufferPointer) throws
    /// No more rows follow. Doing it twice is fine.
    func finish() throws
    /// Every row so far, each with its line feed.
    func contents() throws -> [UInt8]
}

/// Consecutive report numbers of one drone's boot.
package struct IdentityRange: Hashable, Sendable {
    package var droneID: String
    package var boot: String
    package var range: ClosedRange<Int64>

    package init(droneID: String, boot: String, range: ClosedRange<Int64>) {
        self.droneID = droneID
        self.boot = boot
        self.range = range
    }
}

/// A relay's own number of a record.
package struct RecordNumber: Hashable, Sendable {
    package var source: RecordSource
    package var n: Int64

    package init(source: RecordSource, n: Int64) {
        self.source = source
        self.n = n
    }
}

/// Record numbers of one life of a relay that a table has rows of, one after the other.
package struct SettledRecords: Hashable, Sendable {
    package var source: RecordSource
    package var range: ClosedRange<Int64>
    /// When the relay received the last of them, microseconds since 1970.
    package var lastReceivedAt: Int64
    package var rows: Int
    /// Of those, with the reason `conflict`.
    package var conflicts: Int

    package init(source: RecordSource, range: ClosedRange<Int64>, lastReceivedAt: Int64, rows: Int, conflicts: Int) {
        self.source = source
        self.range = range
        self.lastReceivedAt = lastReceivedAt
        self.rows = rows
        self.conflicts = conflicts
    }
}

/// `files`: paths as the object store's `localFiles` gives them. One thread at a time.
package protocol ArchiveEngine: Sendable {
    /// Whatever an earlier life left in the scratch space goes.
    func reset() throws
    /// An archive call begins: the scratch space is empty.
    func beginCall() throws
    /// Its files are in the stores.
    func endCall() throws
    /// `name`: of a table and a day, once in a call.
    func makeSink(_ name: String) throws -> any RowSink

    /// One file for each buffer. Throws `DuckDBError` of kind `rejected` if a row cannot be taken.
    func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile]
    /// The rows that cannot be taken.
    func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int>

    /// The report numbers in files of `reports`, as ranges.
    func identityRanges(in files: [String]) throws -> [IdentityRange]
    /// The persons in files of `identities`.
    func persons(in files: [String]) throws -> Set<PersonID>
    /// The digests that files of `reports` hold under these identities.
    func digests(of identities: Set<ReportIdentity>, in files: [String]) throws -> [ReportIdentity: SHA256Digest]
    /// All digests that files, of any table but `identities`, hold under these record numbers.
    func digests(of records: Set<RecordNumber>, in files: [String]) throws -> [RecordNumber: [SHA256Digest]]

    /// How checkpoints of the tables' logs are written and read; nil if not at all.
    var checkpoints: (any DeltaCheckpointFormat)? { get }
    /// The record numbers in files of one table: what a start falls back on when neither the log nor a snapshot of the
    /// deduplicator has them any more.
    func settledRecords(in files: [String], of table: TableSchema) throws -> [SettledRecords]
}

extension ArchiveEngine {
    package var checkpoints: (any DeltaCheckpointFormat)? { nil }

    package func settledRecords(in files: [String], of table: TableSchema) throws -> [SettledRecords] {
        guard files.isEmpty else { throw ArchiveError.conversion(type: "no record numbers without a query engine") }
        return []
    }
}
