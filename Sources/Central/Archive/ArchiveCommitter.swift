// Makes an archive call's files part of the tables: durable files first, then the commits in the order that `Archiver`
// relies on, `reports` last.

import Crypto
import Models
import ObjectStore
import SyncProtocol

struct ArchiveCommitter {
    let tables: ArchiverTables
    let vault: any ObjectStore
    let failurePoint: @Sendable (ArchiveStep) throws -> Void

    static let quarantineFolder = "_columba/quarantine"

    func commit(
        _ files: [ConvertedFile], _ call: ArchiveCall, _ transactions: ArchiveTransactions, now: Timestamp
    ) throws -> ArchiveCommit {
        let position = transactions.position
        let milliseconds = now.microseconds / 1000
        var adds: [String: [DeltaAdd]] = [:]
        try failurePoint(.upload)
        for file in files {
            adds[file.schema.name, default: []].append(
                try upload(file, position: transactions.position(of: file.partition), milliseconds))
        }
        let notes = call.finishedNotes()
        try failurePoint(.quarantine)
        try quarantine(call)
        let secondary: [(DeltaTable, ArchiveStep)] = [
            (tables.identities, .commitIdentities), (tables.alerts, .commitAlerts),
            (tables.duplicates, .commitDuplicates),
        ]
        for (table, step) in secondary {
            try failurePoint(step)
            guard let added = adds[table.schema.name] else { continue }
            _ = try commit(table, added, transactions, milliseconds, note: nil)
        }
        try failurePoint(.commitReports)
        let version = try commit(
            tables.reports, adds[TableSchema.reports.name] ?? [], transactions, milliseconds,
            note: ArchiveNote(position: position, relays: notes))
        return ArchiveCommit(
            position: position, version: version, relays: notes, files: files.count,
            parquetBytes: adds.values.joined().reduce(0) { $0 + $1.size }, retry: call.retryOutcome)
    }

    /// The file's name says which call made it; the random part keeps a repeated call from writing over the first's
    /// file.
    func upload(_ file: ConvertedFile, position: Int64, _ milliseconds: Int64) throws -> DeltaAdd {
        let table = tables.all.first { $0.schema.name == file.schema.name }
        guard let table else { preconditionFailure("every converted file belongs to a table") }
        let digits = String(position)
        let padded = String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
        let partition = file.partition.map { "-p\($0.index)" } ?? ""
        let name = "part-\(padded)\(partition)-\(Random.hex(bytes: 8)).parquet"
        let path = file.day.isEmpty ? name : "date=\(file.day)/\(name)"
        try table.store.putFile("\(file.schema.name)/\(path)", fromPath: file.path)
        return DeltaAdd(
            path: path, partitionValues: file.day.isEmpty ? [:] : ["date": file.day], size: file.bytes,
            modificationTime: milliseconds, dataChange: true, stats: file.statistics,
            tags: FileTags(position: position, sha256: file.sha256, partition: file.partition).dictionary)
    }

    private func commit(
        _ table: DeltaTable, _ adds: [DeltaAdd], _ transactions: ArchiveTransactions, _ milliseconds: Int64,
        note: ArchiveNote?
    ) throws -> Int64 {
        let actions = Self.actions(adds, transactions, for: table, milliseconds, note: note)
        return try table.commit(actions, expecting: transactions.expected(of: table))
    }

    static func actions(
        _ adds: [DeltaAdd], _ transactions: ArchiveTransactions, for table: DeltaTable, _ milliseconds: Int64,
        note: ArchiveNote? = nil
    ) -> [DeltaAction] {
        let information = DeltaCommitInfo(
            timestamp: milliseconds, operation: "WRITE", engineInfo: "Columba", isBlindAppend: true, columba: note)
        return [.commitInfo(information)] + transactions.actions(for: table, lastUpdated: milliseconds)
            + adds.map { .add($0) }
    }

    /// Lines that cannot be stored, with their numbers and codes: in the vault, for they may hold names. The same call
    /// repeated writes the same objects. Each partition has its own, so that archivers cannot write over each other's.
    private func quarantine(_ call: ArchiveCall) throws {
        var lines: [Int?: [UInt8]] = [:]
        for item in call.quarantine {
            let batch = call.batches[item.batch]
            QuarantineEntry(
                relayID: batch.relayID, epoch: batch.epoch, n: item.n, position: batch.position, code: item.code,
                receivedAt: batch.centralReceivedAt, line: item.line.map { Array(batch.ndjson[$0]) }
            ).append(to: &lines[batch.partition, default: []])
        }
        for (partition, bytes) in lines.sorted(by: { ($0.key ?? -1) < ($1.key ?? -1) }) {
            let positions = call.batches.filter { $0.partition == partition }.map(\.position)
            guard let first = positions.first, let last = positions.last else { continue }
            try vault.put(Self.quarantineKey(partition, "\(first)-\(last)"), bytes)
        }
    }

    /// `p03-17-42.ndjson`; without a cluster `17-42.ndjson`.
    private static func quarantineKey(_ partition: Int?, _ positions: String) -> String {
        let prefix = partition.map { "\(ArchiverPartition.folder($0))-" } ?? ""
        return "\(quarantineFolder)/\(prefix)\(positions).ndjson"
    }

    /// Whose lines an object of the quarantine holds; nil: an archiver's that has no partitions.
    static func quarantinePartition(ofKey key: String) -> Int? {
        guard let name = key.split(separator: "/").last, name.first == "p" else { return nil }
        return name.dropFirst().split(separator: "-").first.flatMap { Int($0) }
    }
}
