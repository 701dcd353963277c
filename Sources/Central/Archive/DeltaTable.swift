// A Delta Lake table in an object store: its state at a version, and commits.
//
// A version is one object, `_delta_log/<version, 20 digits>.json`, written put-if-absent: of several writers exactly
// one makes version N. Whoever lost reads what the winner wrote and, if the winner was not another archiver of the
// same partition, tries N+1. Data files are durable before the commit that names them (I10). Every version from 0 is
// read; checkpoints are not written yet, and a log that begins with one is refused by name.

import Crypto
package import Models
package import ObjectStore
import Synchronization

package struct DeltaFile: Hashable, Sendable {
    /// Relative to the table, decoded.
    package var path: String
    package var partitionValues: [String: String?]
    package var bytes: Int
    package var statistics: RecordedStatistics?
    /// The version that added it.
    package var version: Int64
    /// The stream position of the archiver's commit that added it; nil if somebody else's did.
    package var position: Int64?
    package var dataChange: Bool
}

package struct DeltaSnapshot: Sendable {
    package var version: Int64 = -1
    package var metadata: DeltaMetadata?
    package var files: [String: DeltaFile] = [:]
    /// Files no longer part of the table, which old readers may still hold open.
    package var removed: Set<String> = []
    package var transactions: [String: Int64] = [:]
    package var rows = 0
    package var bytes = 0

    mutating func apply(_ actions: [DeltaAction], version: Int64) throws {
        precondition(version == self.version + 1, "versions of a table are applied in order")
        let position = actions.compactMap(\.txn).first { ArchiverPartition.isOne($0.appId) }?.version
        for action in actions {
            if let wanted = action.protocol, wanted.minReaderVersion > 1 || wanted.minWriterVersion > 2 {
                throw ArchiveError.unsupportedTable(
                    detail: "it needs Delta reader \(wanted.minReaderVersion), writer \(wanted.minWriterVersion)")
            }
            if let metaData = action.metaData { metadata = metaData }
            if let txn = action.txn { transactions[txn.appId] = txn.version }
            if let remove = action.remove { forget(PercentEncoding.decode(remove.path)) }
            if let add = action.add { keep(add, version: version, position: position) }
        }
        self.version = version
    }

    private mutating func forget(_ path: String) {
        removed.insert(path)
        guard let file = files.removeValue(forKey: path) else { return }
        rows -= file.statistics?.numRecords ?? 0
        bytes -= file.bytes
    }

    private mutating func keep(_ add: DeltaAdd, version: Int64, position: Int64?) {
        let path = PercentEncoding.decode(add.path)
        forget(path)
        removed.remove(path)
        let file = DeltaFile(
            path: path, partitionValues: add.partitionValues, bytes: add.size,
            statistics: RecordedStatistics(json: add.stats), version: version, position: position,
            dataChange: add.dataChange)
        files[path] = file
        rows += file.statistics?.numRecords ?? 0
        bytes += file.bytes
    }
}

package final class DeltaTable: Sendable {
    package let schema: TableSchema
    package let store: any ObjectStore
    private let state: Mutex<DeltaSnapshot>
    /// Losing this often in a row means something is committing in a loop.
    private static let maxAttempts = 100

    /// Reads the table, and creates it first if `createdAt` is given and it does not exist.
    package init(_ schema: TableSchema, in store: any ObjectStore, createdAt: Timestamp?) throws {
        self.schema = schema
        self.store = store
        var snapshot = DeltaSnapshot()
        try Self.readNewVersions(into: &snapshot, schema, store)
        if snapshot.version < 0 {
            let log = try store.list("\(schema.name)/_delta_log")
            guard log.isEmpty else {
                throw ArchiveError.unsupportedTable(
                    detail: "\(schema.name): version 0 of its log is gone and checkpoints cannot be read yet")
            }
            if let createdAt {
                let key = DeltaLogFile.key(table: schema.name, version: 0)
                // Losing this race is fine: the winner's table is read below.
                _ = try store.putIfAbsent(
                    key, DeltaLogFile.encode(Self.creation(schema, createdAt, id: Self.randomUUID())))
                try Self.readNewVersions(into: &snapshot, schema, store)
            }
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
        try Self.readNewVersions(into: &snapshot, schema, store)
        return state.withLock { state in
            if snapshot.version > state.version { state = snapshot }
            return state
        }
    }

    /// Commits `actions`, for which the writer relied on the transactions it named being at their `expected` versions
    /// (nil: never written). Throws `.anotherWriter` if they are not any more.
    package func commit(_ actions: [DeltaAction], expecting expected: [String: Int64?]) throws -> Int64 {
        let bytes = try DeltaLogFile.encode(actions)
        for _ in 0..<Self.maxAttempts {
            var snapshot = self.snapshot
            for (application, version) in expected where snapshot.transactions[application] != version {
                throw ArchiveError.anotherWriter(
                    table: schema.name, application: application, found: snapshot.transactions[application])
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

    /// The actions of one version, read again: for notes that the snapshot does not keep.
    package func actions(ofVersion version: Int64) throws -> [DeltaAction]? {
        let key = DeltaLogFile.key(table: schema.name, version: version)
        return try store.get(key).map { try DeltaLogFile.decode($0, key: key) }
    }

    private static func readNewVersions(
        into snapshot: inout DeltaSnapshot, _ schema: TableSchema, _ store: any ObjectStore
    ) throws {
        while true {
            let key = DeltaLogFile.key(table: schema.name, version: snapshot.version + 1)
            guard let bytes = try store.get(key) else { return }
            try snapshot.apply(DeltaLogFile.decode(bytes, key: key), version: snapshot.version + 1)
        }
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

    static func isOne(_ application: String) -> Bool { application.hasPrefix(prefix) }
}

/// Paths in a Delta log are percent-encoded URIs. What Columba writes needs no encoding; other writers' paths may.
enum PercentEncoding {
    static func decode(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                output.append(value)
                rest = rest.dropFirst(2)
            } else {
                output.append(byte)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
