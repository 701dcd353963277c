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
        let files = files(table, through: position) { low, high in
            drones.overlaps(low.drone_id, high.drone_id) && numbers.overlaps(low.seq, high.seq)
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
            let files = files(table, through: position) { low, high in
                relays.overlaps(low.relay_id, high.relay_id) && numbers.overlaps(low.relay_seq, high.relay_seq)
            }
            guard !files.isEmpty else { continue }
            found.merge(try engine.digests(of: wanted, in: files)) { $0 + $1 }
        }
        return found
    }

    // MARK: - Inside

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
        _ mayHold: (RecordedStatistics.Keys, RecordedStatistics.Keys) -> Bool
    ) -> [String] {
        table.snapshot.files.values.filter { file in
            guard file.position ?? 0 <= position else { return false }
            guard let low = file.statistics?.minValues, let high = file.statistics?.maxValues else { return true }
            return mayHold(low, high)
        }
        .compactMap { table.store.localPath("\(table.schema.name)/\($0.path)") }.sorted()
    }
}
