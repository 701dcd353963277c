// What a lake says of the cluster that writes it: `_columba/cluster.json`, written once, by whichever node comes first,
// and never changed. The number of partitions is fixed for the lake's life, because the drones of a partition decide
// whose interval sets know them; the position says where the life before the cluster ended, if there was one.
//
// An embedded lake is taken over as it is. Its commits have no partition: they count for every partition. The cluster's
// stream must begin after `begunAfter`, or its first positions would be taken for archived ones; the same holds for a
// stream that is made again after it was lost (F51): it begins after `highestPosition`.

import FoundationEssentials
package import ObjectStore

package struct ClusterLake: Codable, Hashable, Sendable {
    package static let key = "_columba/cluster.json"
    private static let newestFormat = 1

    package var format = Self.newestFormat
    package var partitions: Int
    /// The last stream position of the lake's life before the cluster; 0 where there was none.
    package var begunAfter: Int64

    package init(partitions: Int, begunAfter: Int64 = 0) {
        self.partitions = partitions
        self.begunAfter = begunAfter
    }

    private enum CodingKeys: String, CodingKey {
        case format, partitions
        case begunAfter = "begun_after"
    }

    /// nil while no cluster has written to the lake.
    package static func read(from lake: any ObjectStore) throws -> ClusterLake? {
        guard let bytes = try lake.get(key) else { return nil }
        guard let found = try? JSONDecoder().decode(ClusterLake.self, from: Data(bytes)),
            ArchiverScope.counts.contains(found.partitions), found.begunAfter >= 0
        else { throw ArchiveError.damagedLog(key: key, detail: "it does not say how many partitions there are") }
        guard found.format <= newestFormat else {
            throw ArchiveError.wrongCluster(detail: "\(key) is of a newer version of Columba; update this node")
        }
        return found
    }

    /// What the lake says; says it, where nothing is said yet. For every node of a cluster, before anything else.
    package static func open(
        lake: any ObjectStore, vault: any ObjectStore, partitions: Int, checkpoints: (any DeltaCheckpointFormat)?
    ) throws -> ClusterLake {
        if let found = try read(from: lake) { return try found.checked(partitions) }
        let tables = try ArchiverTables(lake: lake, vault: vault, createdAt: nil, checkpoints: checkpoints)
        return try open(lake: lake, tables: tables, partitions: partitions)
    }

    static func open(lake: any ObjectStore, tables: ArchiverTables, partitions: Int) throws -> ClusterLake {
        if let found = try read(from: lake) { return try found.checked(partitions) }
        let archived = ArchiverTables.position(tables.reports)
        let begun = highestPosition(tables)
        guard begun == archived else {
            // A call of the embedded archiver that was cut short: its rows in `alerts` and `duplicates` can only be
            // told from new ones by its own positions, which the cluster's stream does not have.
            throw ArchiveError.wrongCluster(
                detail: "the last commit of the embedded central was cut short (reports at \(archived), others at "
                    + "\(begun)); start it once more with stream: \"embedded\", let it archive, then begin the cluster")
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let bytes = Array(try encoder.encode(ClusterLake(partitions: partitions, begunAfter: begun))) + [0x0a]
        _ = try lake.putIfAbsent(key, bytes)
        // Whoever was first: what is there now is what counts.
        guard let found = try read(from: lake) else {
            throw ArchiveError.damagedLog(key: key, detail: "it was written and is not there")
        }
        return try found.checked(partitions)
    }

    private func checked(_ wanted: Int) throws -> ClusterLake {
        guard partitions == wanted else {
            throw ArchiveError.wrongCluster(
                detail: "the lake has \(partitions) partitions for its whole life, not \(wanted); "
                    + "set archive: {partitions: \(partitions)}")
        }
        return self
    }

    /// No table has rows of a later position: where a new stream may begin, at earliest one later.
    static func highestPosition(_ tables: ArchiverTables) -> Int64 {
        tables.all.map { ArchiverTables.position($0) }.max() ?? 0
    }

    /// For a stream that is made anew over a lake that is not.
    package static func highestPosition(
        lake: any ObjectStore, vault: any ObjectStore, checkpoints: (any DeltaCheckpointFormat)?
    ) throws -> Int64 {
        highestPosition(
            try ArchiverTables(lake: lake, vault: vault, createdAt: nil, checkpoints: checkpoints))
    }

    /// What a table's log says of one partition.
    func position(_ table: DeltaTable, partition: Int) -> Int64 { position(table.snapshot, partition: partition) }

    func position(_ snapshot: DeltaSnapshot, partition: Int) -> Int64 {
        max(snapshot.transactions[ArchiverPartition.application(partition)] ?? 0, begunAfter)
    }
}
