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

    /// Whether `reports` covers a file of any table: not so where a call was cut short and will be decided again.
    func isArchived(_ file: DeltaFile) -> Bool {
        guard let position = file.position, let partition = file.tags.partition else { return true }
        return position <= reports.snapshot.transactions[ArchiverPartition.application(partition.index)] ?? 0
    }
}

/// What an archiver knows of one of its partitions, or of the whole lake where it is the only one.
struct ArchivedPart {
    /// nil: the whole lake.
    let partition: DronePartition?
    var deduplicator: Deduplicator
    var relays: [RecordSource: RelayProgress]
    /// What `reports` has of it.
    var position: Int64
}

struct RecoveredState {
    /// By partition; exactly one without a scope.
    var parts: [ArchivedPart]
    var persons: KnownPersons
    /// See `Archiver.interrupted`.
    var interrupted: [Int?: Int64] = [:]

    /// The largest of the parts'.
    var position: Int64 { parts.map(\.position).max() ?? 0 }

    func part(_ partition: Int?) -> ArchivedPart? { parts.first { $0.partition?.index == partition } }

    /// Whether a batch is committed.
    func has(_ batch: StreamedBatch) -> Bool { batch.position <= part(batch.partition)?.position ?? .min }

    mutating func committed(_ commit: ArchiveCommit, _ positions: [Int?: Int64]) {
        for index in parts.indices {
            let partition = parts[index].partition?.index
            parts[index].deduplicator.committed()
            if let position = positions[partition] {
                parts[index].position = position
                if position >= interrupted[partition] ?? .min { interrupted[partition] = nil }
            }
            for note in commit.relays where note.partition == partition {
                parts[index].relays[note.source, default: RelayProgress()].add(note)
            }
        }
    }
}

struct ArchiverRecovery {
    let tables: ArchiverTables
    let lake: any ObjectStore
    let vault: any ObjectStore
    let engine: any ArchiveEngine
    let scope: ArchiverScope?
    /// With a scope.
    private let cluster: ClusterLake?

    /// Throws `.wrongCluster` if the lake is not for an archiver of this kind.
    init(
        tables: ArchiverTables, lake: any ObjectStore, vault: any ObjectStore, engine: any ArchiveEngine,
        scope: ArchiverScope?
    ) throws {
        self.tables = tables
        self.lake = lake
        self.vault = vault
        self.engine = engine
        self.scope = scope
        if let scope {
            cluster = try ClusterLake.open(lake: lake, tables: tables, partitions: scope.count)
        } else {
            cluster = nil
            try checkNoCluster()
        }
    }

    private func checkNoCluster() throws {
        guard let found = try ClusterLake.read(from: lake) else { return }
        throw ArchiveError.wrongCluster(
            detail: "the lake belongs to a cluster (\(found.partitions) partitions); "
                + "give this central the cluster's stream: {nats: […]}")
    }

    /// What a table has of a partition, or of all.
    func position(_ table: DeltaTable, _ partition: DronePartition?) -> Int64 {
        guard let partition, let cluster else { return ArchiverTables.position(table) }
        return cluster.position(table, partition: partition.index)
    }

    func recover() throws -> RecoveredState {
        for table in tables.all { _ = try table.refresh() }
        if let scope, let cluster {
            let parts = try PartitionRecovery(
                tables: tables, lake: lake, vault: vault, engine: engine, cluster: cluster
            ).parts(scope)
            return RecoveredState(parts: parts, persons: try readPersons(), interrupted: interrupted(parts))
        }
        try checkNoCluster()
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
        let part = ArchivedPart(
            partition: nil, deduplicator: Deduplicator(identities: state.identities, settled: settled),
            relays: state.relays, position: position)
        return RecoveredState(parts: [part], persons: try readPersons(), interrupted: interrupted([part]))
    }

    private func interrupted(_ parts: [ArchivedPart]) -> [Int?: Int64] {
        var interrupted: [Int?: Int64] = [:]
        for part in parts {
            let reached = [tables.alerts, tables.duplicates].map { position($0, part.partition) }.max() ?? 0
            if reached > part.position { interrupted[part.partition?.index] = reached }
        }
        return interrupted
    }

    /// What the versions after the state's settled; false if one of them is gone.
    private func readNotes(into state: inout DeduplicatorSnapshot, through last: Int64) throws -> Bool {
        var version = state.version + 1
        while version <= last {
            guard let actions = try tables.reports.actions(ofVersion: version) else { return false }
            for relay in actions.compactMap({ $0.commitInfo?.columba }).flatMap(\.relays) {
                state.relays[relay.source, default: RelayProgress()].add(relay)
            }
            version += 1
        }
        return true
    }

    /// Another archiver that commits for a partition lets the stream forget what it has committed. Batches that were
    /// read behind its back then have a hole before them, and rows for `duplicates` that are decided over a hole are
    /// wrong, although only the commit of `reports` would notice. So: the batches are read, and only now it is asked
    /// whether `reports` is where this archiver left it. If it is, nobody had a reason to forget anything.
    func checkNothingIsMissing(_ state: RecoveredState) throws {
        _ = try tables.reports.refresh()
        for part in state.parts {
            let found = position(tables.reports, part.partition)
            guard let partition = part.partition, found != part.position else { continue }
            throw ArchiveError.anotherWriter(
                table: TableSchema.reports.name, application: ArchiverPartition.application(partition.index),
                found: found)
        }
    }

    /// Reads what others have committed meanwhile, which may only be what leaves the archiver's transactions alone.
    func refreshExpecting(_ transactions: ArchiveTransactions, position: Int64) throws {
        for table in [tables.reports, tables.duplicates, tables.alerts] {
            let before = ArchiverTables.position(table)
            _ = try table.refresh()
            guard scope == nil else {
                try transactions.check(table)
                continue
            }
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

    private func readPersons() throws -> KnownPersons {
        let table = tables.identities
        let files = table.snapshot.files.keys.sorted()
        let persons = try engine.persons(in: try table.localFiles(files))
        return KnownPersons(known: persons, files: Set(files))
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
