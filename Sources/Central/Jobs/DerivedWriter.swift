// Makes a finished Parquet file the content, or a further part, of a derived table: one Delta commit, exactly once for
// each scheduled instant.
//
// A file is named `run-<instant>-<random>.parquet` and durable before the log names it (I10). Whether an instant is
// done is asked of the log, never of the folder: a file of a run that was killed before its commit is in no version,
// and the next attempt writes its own. The commit also holds `txn` (`job-<name>`, the instant in microseconds), for
// readers of the log; two centrals on one lake cannot commit the same instant twice, because the version they both want
// is written put-if-absent and the loser asks the log again.

import Crypto
import Models
import ObjectStore

struct DerivedWriter {
    let lake: any ObjectStore
    let tables: DerivedTables
    private static let maxAttempts = 50

    struct Result {
        var path: String
        var columns: [DerivedColumn]
        var rows: Int
        var bytes: Int
    }

    enum Outcome: Equatable {
        case committed(version: Int64)
        case alreadyDone(version: Int64)
    }

    /// A table's rows of an earlier run with other columns cannot stand beside new ones.
    struct OtherColumns: Error {}
    /// Somebody else has made the table with partitions, or with a Delta version that is unknown here.
    struct ForeignTable: Error {}

    static func application(_ job: String) -> String { "job-\(job)" }

    /// `20261120T050000`: an instant as a part of a file's name; microseconds only where there are any.
    static func stamp(_ instant: Timestamp) -> String {
        let digits = instant.rfc3339.filter { $0 != "-" && $0 != ":" && $0 != "Z" }
        return digits.hasSuffix(".000") ? String(digits.dropLast(4)) : digits
    }

    private static func prefix(_ job: String, _ instant: Timestamp) -> String { "run-\(job)-\(stamp(instant))-" }

    /// The version that has the instant's rows; nil if none has.
    func version(of instant: Timestamp, job: String, table name: String) throws -> Int64? {
        let snapshot = try tables.table(name).refresh()
        return done(instant, job, snapshot) ? snapshot.version : nil
    }

    private func done(_ instant: Timestamp, _ job: String, _ snapshot: DeltaSnapshot) -> Bool {
        snapshot.transactions[Self.application(job)] == instant.microseconds
            || snapshot.files.keys.contains { $0.hasPrefix(Self.prefix(job, instant)) }
    }

    /// `failurePoint` is called when the file is in the table's folder and before the log names it.
    func commit(
        _ result: Result, table name: String, append: Bool, job: String, instant: Timestamp, now: Timestamp,
        failurePoint: () throws -> Void
    ) throws -> Outcome {
        let table = try tables.table(name)
        let file = Self.prefix(job, instant) + Random.hex(bytes: 8) + ".parquet"
        try check(table.refresh(), result.columns, append: append)
        try lake.putFile("\(table.schema.name)/\(file)", fromPath: result.path)
        try failurePoint()
        for _ in 0..<Self.maxAttempts {
            let snapshot = try table.refresh()
            if done(instant, job, snapshot) { return .alreadyDone(version: snapshot.version) }
            try check(snapshot, result.columns, append: append)
            let actions = actions(snapshot, result, file, append: append, job, instant, now, name)
            let key = DeltaLogFile.key(table: table.schema.name, version: snapshot.version + 1)
            if try lake.putIfAbsent(key, DeltaLogFile.encode(actions)) {
                return .committed(version: snapshot.version + 1)
            }
        }
        throw ArchiveError.tooManyConflicts(table: table.schema.name, attempts: Self.maxAttempts)
    }

    private func check(_ snapshot: DeltaSnapshot, _ columns: [DerivedColumn], append: Bool) throws {
        guard let metadata = snapshot.metadata else { return }
        guard metadata.partitionColumns.isEmpty else { throw ForeignTable() }
        guard append, !snapshot.files.isEmpty else { return }
        guard let old = DerivedColumn.columns(schemaString: metadata.schemaString),
            old.allSatisfy(columns.contains)
        else { throw OtherColumns() }
    }

    private func actions(
        _ snapshot: DeltaSnapshot, _ result: Result, _ file: String, append: Bool, _ job: String, _ instant: Timestamp,
        _ now: Timestamp, _ name: String
    ) -> [DeltaAction] {
        let milliseconds = now.microseconds / 1000
        var actions = [
            DeltaAction(
                commitInfo: DeltaCommitInfo(
                    timestamp: milliseconds, operation: "WRITE", engineInfo: "Columba", isBlindAppend: append))
        ]
        if snapshot.metadata == nil {
            actions.append(DeltaAction(protocol: DeltaProtocol(minReaderVersion: 1, minWriterVersion: 2)))
        }
        let schema = DerivedColumn.deltaJSON(result.columns)
        if snapshot.metadata?.schemaString != schema {
            actions.append(
                DeltaAction(
                    metaData: DeltaMetadata(
                        id: snapshot.metadata?.id ?? UUIDText.random(), name: name,
                        format: .init(provider: "parquet", options: [:]), schemaString: schema, partitionColumns: [],
                        configuration: snapshot.metadata?.configuration ?? [:],
                        createdTime: snapshot.metadata?.createdTime ?? milliseconds)))
        }
        // A run of an older instant, made up for later, does not move the application's number back.
        let application = Self.application(job)
        let version = max(instant.microseconds, snapshot.transactions[application] ?? .min)
        actions.append(.txn(application, version, lastUpdated: milliseconds))
        if !append {
            actions += snapshot.files.keys.sorted().map { path in
                DeltaAction(
                    remove: DeltaRemove(
                        path: PercentEncoding.encode(path), deletionTimestamp: milliseconds, dataChange: true))
            }
        }
        actions.append(
            .add(
                DeltaAdd(
                    path: file, partitionValues: [:], size: result.bytes, modificationTime: milliseconds,
                    dataChange: true, stats: #"{"numRecords":\#(result.rows)}"#)))
        return actions
    }
}

enum UUIDText {
    /// Version 4.
    static func random() -> String {
        var bytes = Random.bytes(16)
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let hex = Array(Hex.encode(bytes))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(hex[$0]) }.joined(separator: "-")
    }
}
