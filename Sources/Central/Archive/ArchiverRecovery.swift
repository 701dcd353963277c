// What an archiver must know when it starts, from the lake and the vault alone. `reports` is the master: whatever its
// newest version does not cover is decided again from the stream, whichever secondary table already has its rows.

import Crypto
import Models
import ObjectStore
import SyncProtocol

package struct ArchiverTables: Sendable {
    package let reports: DeltaTable
    package let duplicates: DeltaTable
    package let alerts: DeltaTable
    /// In the vault.
    package let identities: DeltaTable

    /// Creates what is missing if `createdAt` is given.
    init(
        lake: any ObjectStore, vault: any ObjectStore, createdAt: Timestamp?,
        checkpoints: (any DeltaCheckpointFormat)?
    ) throws {
        reports = try DeltaTable(.reports, in: lake, createdAt: createdAt, checkpoints: checkpoints)
        duplicates = try DeltaTable(.duplicates, in: lake, createdAt: createdAt, checkpoints: checkpoints)
        alerts = try DeltaTable(.alerts, in: lake, createdAt: createdAt, checkpoints: checkpoints)
        identities = try DeltaTable(.identities, in: vault, createdAt: createdAt, checkpoints: checkpoints)
    }

    package var all: [DeltaTable] { [identities, alerts, duplicates, reports] }

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
    let vault: any ObjectStore
    let engine: any ArchiveEngine

    func recover() throws -> RecoveredState {
        for table in tables.all { _ = try table.refresh() }
        let reports = tables.reports.snapshot
        let position = ArchiverTables.position(tables.reports)
        let start = try DeduplicatorSnapshot.load(from: lake, through: reports.version)
        var state = start ?? DeduplicatorSnapshot(version: -1, position: 0)
        if try !readNotes(into: &state, through: reports.version) {
            // The log has been cleaned and every snapshot that covered what went is damaged: the rows know.
            state = DeduplicatorSnapshot(version: reports.version, position: 0)
            state.relays = try RelayRebuild(tables: tables, vault: vault, engine: engine).relays(through: position)
        }
        // A compacted file counts as young as the youngest of those it replaced; what is known already does no harm.
        let files = reports.files.values.filter { ($0.position ?? .max) > state.position }
        try readIdentities(files, into: &state.identities)
        var settled = KeyedIntervalSets<RecordSource>()
        for (source, progress) in state.relays { settled[source] = progress.settled }
        return RecoveredState(
            deduplicator: Deduplicator(identities: state.identities, settled: settled), relays: state.relays,
            knownPersons: try readPersons(), position: position)
    }

    /// What the versions after the state's settled; false if one of them is gone.
    private func readNotes(into state: inout DeduplicatorSnapshot, through last: Int64) throws -> Bool {
        var version = state.version + 1
        while version <= last {
            guard let actions = try tables.reports.actions(ofVersion: version) else { return false }
            for relay in actions.compactMap({ $0.commitInfo?.columba }).flatMap(\.relays) {
                let source = RecordSource(relayID: relay.relayID, epoch: relay.epoch)
                state.relays[source, default: RelayProgress()].add(relay)
            }
            version += 1
        }
        return true
    }

    /// Reads what others have committed meanwhile, which may only be what leaves the archiver's transactions alone.
    func refreshExpecting(position: Int64) throws {
        for table in [tables.reports, tables.duplicates, tables.alerts] {
            let before = ArchiverTables.position(table)
            _ = try table.refresh()
            let after = ArchiverTables.position(table)
            guard after == before, table.schema.name != TableSchema.reports.name || after == position else {
                throw ArchiveError.anotherWriter(
                    table: table.schema.name, application: ArchiverPartition.application(0), found: after)
            }
        }
    }

    private func readIdentities(_ files: [DeltaFile], into identities: inout IdentityTracker) throws {
        let objects = files.map { tables.reports.object($0) }.sorted { $0.key < $1.key }
        try lake.withLocalFiles(objects) { paths in
            for found in try engine.identityRanges(in: paths) {
                identities.insert(droneID: found.droneID, boot: found.boot, range: found.range)
            }
        }
    }

    private func readPersons() throws -> Set<PersonID> {
        let table = tables.identities
        return try engine.persons(in: try table.localFiles(table.snapshot.files.keys))
    }

    /// Parquet files that no version names: left by a crash between upload and commit. Never those of another writer
    /// that is just about to commit, hence the grace.
    func removeOrphans(now: Timestamp, graceSeconds: Double) throws -> Int {
        var removed = 0
        for table in tables.all {
            let name = table.schema.name
            let objects = try table.store.list(name)
            let left = LeftOver.find(in: objects, table: name, table.snapshot, now: now, graceSeconds: graceSeconds)
            for file in left.orphans { try table.store.remove(file.key) }
            removed += left.orphans.count
        }
        return removed
    }
}
