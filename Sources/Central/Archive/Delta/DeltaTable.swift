// A Delta Lake table in an object store: its state at a version, and commits.
//
// A version is one object, `_delta_log/<version, 20 digits>.json`, written put-if-absent: of several writers exactly
// one makes version N. Whoever lost reads what the winner wrote and, if the winner was not another archiver of the
// same partition, tries N+1. Data files are durable before the commit that names them (I10). Reading begins with the
// newest checkpoint (`DeltaCheckpoint.swift`).

import Crypto
package import Models
package import ObjectStore
import Synchronization

package final class DeltaTable: Sendable {
    package let schema: TableSchema
    package let store: any ObjectStore
    let format: (any DeltaCheckpointFormat)?
    let reader: DeltaLogReader
    private let state: Mutex<DeltaSnapshot>
    /// Losing this often in a row means something is committing in a loop.
    private static let maxAttempts = 100

    /// Reads the table, and creates it first if `createdAt` is given and it does not exist. Without `checkpoints` only
    /// a log that still has its version 0 can be read.
    package init(
        _ schema: TableSchema, in store: any ObjectStore, createdAt: Timestamp?,
        checkpoints: (any DeltaCheckpointFormat)? = nil
    ) throws {
        self.schema = schema
        self.store = store
        format = checkpoints
        reader = DeltaLogReader(table: schema.name, store: store, format: checkpoints)
        var snapshot = DeltaSnapshot()
        try reader.advance(&snapshot)
        if snapshot.version < 0, let createdAt {
            let key = DeltaLogFile.key(table: schema.name, version: 0)
            // Losing this race is fine: the winner's table is read below.
            _ = try store.putIfAbsent(
                key, DeltaLogFile.encode(Self.creation(schema, createdAt, id: Self.randomUUID())))
            try reader.advance(&snapshot)
        }
        if let found = snapshot.metadata, found.partitionColumns != schema.partitionColumns {
            throw ArchiveError.unsupportedTable(detail: "\(schema.name) is partitioned by \(found.partitionColumns)")
        }
        state = Mutex(snapshot)
    }

    /// As of the last commit or `refresh`.
    package var snapshot: DeltaSnapshot { state.withLock { $0 } }

    /// Reads versions somebody else has committed meanwhile.
    package func refresh() throws -> DeltaSnapshot {
        // The lock is not held across the reads (I/O); two refreshes at once do the same work twice, and the newer
        // wins.
        var snapshot = self.snapshot
        try reader.advance(&snapshot)
        return state.withLock { state in
            if snapshot.version > state.version { state = snapshot }
            return state
        }
    }

    func forgetTombstones(before oldest: Int64) {
        state.withLock { $0.removed = $0.removed.filter { $0.value >= oldest } }
    }

    /// Commits `actions`, for which the writer relied on the transactions it named being at their `expected` versions
    /// (nil: never written), and on every file it removes still being there. Throws `.anotherWriter` or `.filesGone` if
    /// that is not so any more. Whatever else other writers commit meanwhile, such as a compaction, is no obstacle.
    package func commit(_ actions: [DeltaAction], expecting expected: [String: Int64?]) throws -> Int64 {
        let bytes = try DeltaLogFile.encode(actions)
        let removing = actions.compactMap { $0.remove.map { PercentEncoding.decode($0.path) } }
        for _ in 0..<Self.maxAttempts {
            try catchUpWithCleaning()
            var snapshot = self.snapshot
            for (application, version) in expected where snapshot.transactions[application] != version {
                throw ArchiveError.anotherWriter(
                    table: schema.name, application: application, found: snapshot.transactions[application])
            }
            guard removing.allSatisfy({ snapshot.files[$0] != nil }) else {
                throw ArchiveError.filesGone(table: schema.name)
            }
            let version = snapshot.version + 1
            if try store.putIfAbsent(DeltaLogFile.key(table: schema.name, version: version), bytes) {
                try snapshot.apply(actions, version: version)
                let committed = snapshot
                state.withLock { state in
                    if committed.version > state.version { state = committed }
                }
                return version
            }
            _ = try refresh()
        }
        throw ArchiveError.tooManyConflicts(table: schema.name, attempts: Self.maxAttempts)
    }

    /// Commits `actions` as the version after `version`, which the writer has seen, or not at all: false if somebody
    /// else has written that one, whatever it says; it is read then.
    package func commit(_ actions: [DeltaAction], after version: Int64) throws -> Bool {
        let bytes = try DeltaLogFile.encode(actions)
        try catchUpWithCleaning()
        var snapshot = self.snapshot
        guard snapshot.version == version else { return false }
        guard try store.putIfAbsent(DeltaLogFile.key(table: schema.name, version: version + 1), bytes) else {
            _ = try refresh()
            return false
        }
        try snapshot.apply(actions, version: version + 1)
        let committed = snapshot
        state.withLock { state in
            if committed.version > state.version { state = committed }
        }
        return true
    }

    /// The actions of one version, read again: for notes that the snapshot does not keep.
    package func actions(ofVersion version: Int64) throws -> [DeltaAction]? {
        let key = DeltaLogFile.key(table: schema.name, version: version)
        return try store.get(key).map { try DeltaLogFile.decode($0, key: key) }
    }

    /// Where the log has been cleaned beyond what this object knows, the next version's name is free although that
    /// version has long been: a commit under it would be lost. Log clean-up keeps hours, so what is seen here is still
    /// so when the commit is written.
    private func catchUpWithCleaning() throws {
        if let last = try reader.lastCheckpoint(), last.version > snapshot.version { _ = try refresh() }
    }

    private static func randomUUID() -> String {
        var bytes = Random.bytes(16)
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let hex = Array(Hex.encode(bytes))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }.joined(separator: "-")
    }

    static func creation(_ schema: TableSchema, _ createdAt: Timestamp, id: String) -> [DeltaAction] {
        let milliseconds = createdAt.microseconds / 1000
        return [
            DeltaAction(
                commitInfo: DeltaCommitInfo(
                    timestamp: milliseconds, operation: "CREATE TABLE", engineInfo: "Columba", isBlindAppend: true)),
            DeltaAction(protocol: DeltaProtocol(minReaderVersion: 1, minWriterVersion: 2)),
            DeltaAction(
                metaData: DeltaMetadata(
                    id: id, name: schema.name,
                    format: .init(provider: "parquet", options: [:]), schemaString: schema.schemaString,
                    partitionColumns: schema.partitionColumns, configuration: [:], createdTime: milliseconds)),
        ]
    }
}

/// The names of the archiver's transactions in a Delta log, one for each partition: `archiver-p00`, `archiver-p01`, …
package enum ArchiverPartition {
    private static let prefix = "archiver-p"

    package static func application(_ partition: Int) -> String {
        prefix + (partition < 10 ? "0" : "") + String(partition)
    }

    /// `p03`: in the names of what each partition has of its own.
    static func folder(_ partition: Int) -> String { "p" + (partition < 10 ? "0" : "") + String(partition) }

    static func isOne(_ application: String) -> Bool { application.hasPrefix(prefix) }
}
