// What an archiver must know when it starts, from the lake and the vault alone. `reports` is the master: whatever its
// newest version does not cover is decided again from the stream, whichever secondary table already has its rows.

import Crypto
import DuckDB
import Models
import ObjectStore
import SyncProtocol
import System

struct ArchiverTables {
    let reports: DeltaTable
    let duplicates: DeltaTable
    let alerts: DeltaTable
    /// In the vault.
    let identities: DeltaTable

    init(lake: any ObjectStore, vault: any ObjectStore, createdAt: Timestamp) throws {
        reports = try DeltaTable(.reports, in: lake, createdAt: createdAt)
        duplicates = try DeltaTable(.duplicates, in: lake, createdAt: createdAt)
        alerts = try DeltaTable(.alerts, in: lake, createdAt: createdAt)
        identities = try DeltaTable(.identities, in: vault, createdAt: createdAt)
    }

    var all: [DeltaTable] { [identities, alerts, duplicates, reports] }

    /// The stream position a table's rows reach. One archiver writes all partitions in one commit, so they agree; one
    /// left behind by a smaller number of partitions stays where it was.
    static func position(_ table: DeltaTable) -> Int64 {
        table.snapshot.transactions.filter { ArchiverPartition.isOne($0.key) }.values.max() ?? 0
    }
}

struct RecoveredState {
    var deduplicator: Deduplicator
    var relays: [RecordSource: RelayProgress]
    var knownPersons: Set<PersonID>
    var position: Int64
}

struct ArchiverRecovery {
    let tables: ArchiverTables
    let lake: any ObjectStore
    let duckDB: DuckDBRunner

    func recover() throws -> RecoveredState {
        for table in tables.all { _ = try table.refresh() }
        let reports = tables.reports.snapshot
        let start =
            try DeduplicatorSnapshot.load(from: lake, through: reports.version)
            ?? DeduplicatorSnapshot(version: -1, position: 0)
        var state = start
        var added: [String] = []
        for version in (start.version + 1)..<(reports.version + 1) {
            guard let actions = try tables.reports.actions(ofVersion: version) else {
                throw ArchiveError.damagedLog(
                    key: DeltaLogFile.key(table: "reports", version: version), detail: "it is gone")
            }
            for action in actions {
                if let note = action.commitInfo?.columba {
                    for relay in note.relays {
                        let source = RecordSource(relayID: relay.relayID, epoch: relay.epoch)
                        state.relays[source, default: RelayProgress()].add(relay)
                    }
                }
                if let add = action.add, add.dataChange { added.append(PercentEncoding.decode(add.path)) }
            }
        }
        // A file that a compaction has replaced meanwhile may be gone, and its rows are in another: then all are read.
        let isComplete = added.allSatisfy { reports.files[$0] != nil }
        try readIdentities(isComplete ? added : Array(reports.files.keys), into: &state.identities)
        var settled = KeyedIntervalSets<RecordSource>()
        for (source, progress) in state.relays { settled[source] = progress.settled }
        return RecoveredState(
            deduplicator: Deduplicator(identities: state.identities, settled: settled), relays: state.relays,
            knownPersons: try readPersons(), position: ArchiverTables.position(tables.reports))
    }

    /// Ranges of report numbers, not numbers: an hour of a drone is one line.
    private func readIdentities(_ files: [String], into identities: inout IdentityTracker) throws {
        let paths = files.sorted().compactMap { lake.localPath("reports/\($0)") }
        guard !paths.isEmpty else { return }
        let output = try duckDB.run(
            """
            .mode list
            .headers off
            select drone_id, boot, min(seq), max(seq) from (
              select drone_id, boot, seq, seq - row_number() over (partition by drone_id, boot order by seq) as island
              from read_parquet(\(SQLText.list(paths))))
            group by drone_id, boot, island;
            """)
        for line in output.split(separator: 0x0a) {
            // Identifiers hold letters, digits and ._- only, so the separator is theirs never.
            let fields = line.split(separator: UInt8(ascii: "|")).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count == 4, let first = Int64(fields[2]), let last = Int64(fields[3]), first <= last else {
                throw ArchiveError.conversion(type: "unreadable identities")
            }
            identities.insert(droneID: fields[0], boot: fields[1], range: first...last)
        }
    }

    private func readPersons() throws -> Set<PersonID> {
        let table = tables.identities
        let paths = table.snapshot.files.keys.sorted().compactMap { table.store.localPath("identities/\($0)") }
        guard !paths.isEmpty else { return [] }
        let output = try duckDB.run(
            ".mode list\n.headers off\nselect person_id from read_parquet(\(SQLText.list(paths)));")
        return Set(output.split(separator: 0x0a).compactMap { PersonID(hex: String(decoding: $0, as: UTF8.self)) })
    }

    /// Parquet files that no version names: left by a crash between upload and commit. Never those of another writer
    /// that is just about to commit, hence the grace.
    func removeOrphans(now: Timestamp, graceSeconds: Double) throws -> Int {
        var removed = 0
        for table in tables.all {
            let snapshot = table.snapshot
            let prefix = table.schema.name + "/"
            for object in try table.store.list(table.schema.name) where object.key.hasSuffix(".parquet") {
                let path = String(object.key.dropFirst(prefix.count))
                guard !path.hasPrefix("_"), snapshot.files[path] == nil, !snapshot.removed.contains(path) else {
                    continue
                }
                let age = now.seconds(since: Timestamp(microseconds: object.modifiedMicroseconds))
                guard age > graceSeconds else { continue }
                try table.store.remove(object.key)
                removed += 1
            }
        }
        return removed
    }
}
