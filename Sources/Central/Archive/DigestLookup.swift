// The digests that the deduplicator does not remember, from the tables: one question to the engine for all of an
// archive call's, over the files whose statistics do not rule them out.

import Crypto
import Models
import ObjectStore

struct DigestLookup {
    let engine: any ArchiveEngine

    /// What `reports` holds of these identities.
    func identities(
        _ wanted: Set<ReportIdentity>, in table: DeltaTable, through position: Int64
    ) throws -> [ReportIdentity: SHA256Digest] {
        guard let drones = Bounds(wanted.map(\.droneID)), let numbers = Bounds(wanted.map(\.seq)) else { return [:] }
        let partitions = WantedPartitions(wanted)
        let files = files(table, through: position) { file, low, high in
            drones.overlaps(low?.drone_id, high?.drone_id) && numbers.overlaps(low?.seq, high?.seq)
                && partitions.mayBe(in: file.tags.partition)
        }
        return files.isEmpty ? [:] : try engine.digests(of: wanted, in: files)
    }

    /// All digests stored under these record numbers, in any of the tables.
    func records(
        _ wanted: Set<RecordNumber>, in tables: [DeltaTable], through position: Int64
    ) throws -> [RecordNumber: [SHA256Digest]] {
        guard let relays = Bounds(wanted.map(\.source.relayID)), let numbers = Bounds(wanted.map(\.n)) else {
            return [:]
        }
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for table in tables {
            let files = files(table, through: position) { _, low, high in
                relays.overlaps(low?.relay_id, high?.relay_id) && numbers.overlaps(low?.relay_seq, high?.relay_seq)
            }
            guard !files.isEmpty else { continue }
            found.merge(try engine.digests(of: wanted, in: files)) { $0 + $1 }
        }
        return found
    }

    // MARK: - Inside

    /// Which partitions the wanted drones are in, for each number of partitions that files were written with.
    private final class WantedPartitions {
        private let drones: Set<String>
        private var indices: [Int: Set<Int>] = [:]

        init(_ wanted: Set<ReportIdentity>) { drones = Set(wanted.map(\.droneID)) }

        func mayBe(in partition: DronePartition?) -> Bool {
            guard let partition else { return true }
            if let known = indices[partition.count] { return known.contains(partition.index) }
            let found = Set(drones.map { DronePartition.index(ofDrone: $0, count: partition.count) })
            indices[partition.count] = found
            return found.contains(partition.index)
        }
    }

    private struct Bounds<Value: Comparable> {
        var smallest: Value
        var largest: Value

        init?(_ values: [Value]) {
            guard let smallest = values.min(), let largest = values.max() else { return nil }
            self.smallest = smallest
            self.largest = largest
        }

        func overlaps(_ low: Value?, _ high: Value?) -> Bool {
            guard let low, let high else { return true }
            return low <= largest && smallest <= high
        }
    }

    /// Files a later archive call of a crashed archiver added do not count: their rows are decided again (`Archiver`).
    private func files(
        _ table: DeltaTable, through position: Int64,
        _ mayHold: (DeltaFile, RecordedStatistics.Keys?, RecordedStatistics.Keys?) -> Bool
    ) -> [String] {
        table.snapshot.files.values.filter { file in
            guard file.position ?? 0 <= position else { return false }
            return mayHold(file, file.statistics?.minValues, file.statistics?.maxValues)
        }
        .compactMap { table.store.localPath("\(table.schema.name)/\($0.path)") }.sorted()
    }
}
