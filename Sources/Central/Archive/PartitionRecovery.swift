// What an archiver of a cluster must know of its partitions when it starts, or goes on after another one has committed:
// from the lake and the vault alone, and only what those partitions need. A snapshot of the partition, the notes of the
// versions since, the key columns of its files committed since.
//
// Where a partition has no snapshot of its own yet, it begins with the last one of the lake's life before the cluster,
// or with nothing. Notes without a partition are of that life: they count for every partition, their counts for
// partition 0 alone, so that sums over the partitions are right.

import ObjectStore
import SyncProtocol

struct PartitionRecovery {
    let tables: ArchiverTables
    let lake: any ObjectStore
    let vault: any ObjectStore
    let engine: any ArchiveEngine
    let cluster: ClusterLake

    /// The tables have been read.
    func parts(_ scope: ArchiverScope) throws -> [ArchivedPart] {
        guard !scope.owned.isEmpty else { return [] }
        let reports = tables.reports.snapshot
        var states = try scope.partitions.map { try start($0, through: reports.version) }
        try readNotes(scope, into: &states, through: reports)
        try readIdentities(scope, into: &states, reports)
        let cached = 200_000 / scope.owned.count
        return zip(scope.partitions, states).map { partition, state in
            var settled = KeyedIntervalSets<RecordSource>()
            for (source, progress) in state.relays { settled[source] = progress.settled }
            return ArchivedPart(
                partition: partition,
                deduplicator: Deduplicator(
                    identities: state.identities, settled: settled, cachedDigests: cached, sharesNumbers: true),
                relays: state.relays, position: cluster.position(reports, partition: partition.index))
        }
    }

    /// What all partitions have settled, without identities: what a follower needs.
    func progress(through reports: DeltaSnapshot) throws -> [DeduplicatorSnapshot] {
        let all = ArchiverScope(owned: 0..<cluster.partitions, of: cluster.partitions)
        var states = try all.partitions.map { partition in
            var state = try start(partition, through: reports.version)
            state.identities = IdentityTracker()
            return state
        }
        try readNotes(all, into: &states, through: reports)
        return states
    }

    private func start(_ partition: DronePartition, through version: Int64) throws -> DeduplicatorSnapshot {
        let own = try DeduplicatorSnapshot.load(from: lake, through: version, partition: partition.index)
        if let own { return own }
        guard let before = try DeduplicatorSnapshot.load(from: lake, through: version) else {
            return DeduplicatorSnapshot(version: -1, position: 0)
        }
        return before.part(partition)
    }

    /// What the versions after each state's settled.
    private func readNotes(
        _ scope: ArchiverScope, into states: inout [DeduplicatorSnapshot], through reports: DeltaSnapshot
    ) throws {
        let first = states.map(\.version).min() ?? reports.version
        var version = first + 1
        while version <= reports.version {
            guard let actions = try tables.reports.actions(ofVersion: version) else {
                try rebuild(scope, &states, missing: version, reports)
                version = (states.map(\.version).min() ?? version) + 1
                continue
            }
            try cluster.fold(version, actions, into: &states, of: scope)
            version += 1
        }
    }

    /// The log has been cleaned and every snapshot that covered what went is damaged: the rows know.
    private func rebuild(
        _ scope: ArchiverScope, _ states: inout [DeduplicatorSnapshot], missing version: Int64, _ reports: DeltaSnapshot
    ) throws {
        for (slot, partition) in scope.partitions.enumerated() where states[slot].version < version {
            states[slot] = DeduplicatorSnapshot(version: reports.version, position: 0)
            let rebuild = RelayRebuild(tables: tables, vault: vault, engine: engine, begunAfter: cluster.begunAfter)
            states[slot].relays = try rebuild.relays(
                through: cluster.position(reports, partition: partition.index), of: partition)
        }
    }

    /// A compacted file counts as young as the youngest of those it replaced; what is known already does no harm.
    private func readIdentities(
        _ scope: ArchiverScope, into states: inout [DeduplicatorSnapshot], _ reports: DeltaSnapshot
    ) throws {
        let wanted = Array(zip(scope.partitions, states.map(\.position)))
        let files = reports.files.values.filter { file in
            wanted.contains { file.mayHold($0.0) && (file.position ?? .max) > $0.1 }
        }
        let objects = files.map { tables.reports.object($0) }.sorted { $0.key < $1.key }
        let slots = Dictionary(uniqueKeysWithValues: scope.owned.enumerated().map { ($0.element, $0.offset) })
        try lake.withLocalFiles(objects) { paths in
            for found in try engine.identityRanges(in: paths) {
                let partition = DronePartition.index(ofDrone: found.droneID, count: scope.count)
                guard let slot = slots[partition] else { continue }
                states[slot].identities.insert(droneID: found.droneID, boot: found.boot, range: found.range)
            }
        }
    }
}

extension DeduplicatorSnapshot {
    /// A snapshot of the lake's life before the cluster, as one of its partitions sees it.
    fileprivate func part(_ partition: DronePartition) -> DeduplicatorSnapshot {
        var part = DeduplicatorSnapshot(version: version, position: position)
        identities.forEach { key, set in
            guard partition.mayHold(drone: key.droneID) else { return }
            set.forEachRange { part.identities.insert(droneID: key.droneID, boot: key.boot, range: $0) }
        }
        part.relays = partition.index == 0 ? relays : relays.mapValues(\.withoutCounts)
        return part
    }
}

extension ClusterLake {
    /// What a version settled, for those of the partitions that have not heard of it. Returns whose states changed.
    @discardableResult
    func fold(
        _ version: Int64, _ actions: [DeltaAction], into states: inout [DeduplicatorSnapshot], of scope: ArchiverScope
    ) throws -> Set<RecordSource> {
        var changed: Set<RecordSource> = []
        for note in actions.compactMap({ $0.commitInfo?.columba }) {
            for relay in note.relays {
                guard relay.partition != nil || note.position <= begunAfter else {
                    throw ArchiveError.wrongCluster(
                        detail: "version \(version) of reports is of an embedded central that went on after the "
                            + "cluster had begun; stop it: a lake is a cluster's or one central's")
                }
                changed.insert(relay.source)
                for (slot, partition) in scope.owned.enumerated() where states[slot].version < version {
                    guard relay.partition == nil || relay.partition == partition else { continue }
                    let counted = relay.partition == nil && partition != 0 ? relay.withoutCounts : relay
                    states[slot].relays[relay.source, default: RelayProgress()].add(counted)
                }
            }
        }
        for slot in states.indices { states[slot].version = max(states[slot].version, version) }
        return changed
    }
}
