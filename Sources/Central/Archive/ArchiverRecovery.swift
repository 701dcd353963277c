// What an archiver must know when it starts, from the lake and the vault alone. `reports` is the master: whatever its
// newest version does not cover is decided again from the stream, whichever secondary table already has its rows.

import Crypto
import Models
import ObjectStore
import SyncProtocol

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
    let engine: any ArchiveEngine

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

    private func readIdentities(_ files: [String], into identities: inout IdentityTracker) throws {
        let paths = files.sorted().compactMap { lake.localPath("reports/\($0)") }
        for found in try engine.identityRanges(in: paths) {
            identities.insert(droneID: found.droneID, boot: found.boot, range: found.range)
        }
    }

    private func readPersons() throws -> Set<PersonID> {
        let table = tables.identities
        return try engine.persons(
            in: table.snapshot.files.keys.sorted().compactMap { table.store.localPath("identities/\($0)") })
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
