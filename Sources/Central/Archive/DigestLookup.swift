// The digests that the deduplicator does not remember, from the tables: one DuckDB query for all of an archive call's
// questions, over the files whose statistics do not rule them out.

import Crypto
import DuckDB
import FoundationEssentials
import Models
import ObjectStore
import System

struct DigestLookup {
    let duckDB: DuckDBRunner
    let directory: String

    /// What `reports` holds of these identities.
    func identities(
        _ wanted: Set<ReportIdentity>, in table: DeltaTable, through position: Int64
    ) throws -> [ReportIdentity: SHA256Digest] {
        guard let drones = Bounds(wanted.map(\.droneID)), let numbers = Bounds(wanted.map(\.seq)) else { return [:] }
        let files = files(table, through: position) { low, high in
            drones.overlaps(low.drone_id, high.drone_id) && numbers.overlaps(low.seq, high.seq)
        }
        guard !files.isEmpty else { return [:] }
        struct Row: Decodable {
            var drone_id: String
            var boot: String
            var seq: Int64
            var digest: String
        }
        let keys = wanted.map { #"{"drone_id":"\#($0.droneID)","boot":"\#($0.boot)","seq":\#($0.seq)}"# }
        let rows: [Row] = try ask(
            keys, "drone_id: 'VARCHAR', boot: 'VARCHAR', seq: 'BIGINT'", ["drone_id", "boot", "seq"], files)
        var found: [ReportIdentity: SHA256Digest] = [:]
        for row in rows {
            guard let digest = SHA256Digest(hex: row.digest) else { continue }
            found[ReportIdentity(droneID: row.drone_id, boot: row.boot, seq: row.seq)] = digest
        }
        return found
    }

    struct RecordNumber: Hashable {
        var source: RecordSource
        var n: Int64
    }

    /// All digests stored under these record numbers, in any of the tables.
    func records(
        _ wanted: Set<RecordNumber>, in tables: [DeltaTable], through position: Int64
    ) throws -> [RecordNumber: [SHA256Digest]] {
        guard let relays = Bounds(wanted.map(\.source.relayID)), let numbers = Bounds(wanted.map(\.n)) else {
            return [:]
        }
        struct Row: Decodable {
            var relay_id: String
            var epoch: String
            var relay_seq: Int64
            var digest: String
        }
        let keys = wanted.map {
            #"{"relay_id":"\#($0.source.relayID)","epoch":"\#($0.source.epoch)","relay_seq":\#($0.n)}"#
        }
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for table in tables {
            let files = files(table, through: position) { low, high in
                relays.overlaps(low.relay_id, high.relay_id) && numbers.overlaps(low.relay_seq, high.relay_seq)
            }
            guard !files.isEmpty else { continue }
            let rows: [Row] = try ask(
                keys, "relay_id: 'VARCHAR', epoch: 'VARCHAR', relay_seq: 'BIGINT'", ["relay_id", "epoch", "relay_seq"],
                files)
            for row in rows {
                guard let digest = SHA256Digest(hex: row.digest) else { continue }
                let source = RecordSource(relayID: row.relay_id, epoch: row.epoch)
                found[RecordNumber(source: source, n: row.relay_seq), default: []].append(digest)
            }
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

    private func ask<Row: Decodable>(
        _ keys: [String], _ columns: String, _ names: [String], _ files: [String]
    ) throws -> [Row] {
        let path = "\(directory)/wanted.ndjson"
        try FileSystem.remove(path)
        let file = try RowFile(path: path)
        for key in keys { try file.append(Array((key + "\n").utf8)) }
        try file.finish()
        let lines = try duckDB.run(
            """
            create temp table wanted as select * from read_json(\(SQLText.literal(path)), \
            format='newline_delimited', columns={\(columns)});
            select \(names.joined(separator: ", ")), digest from read_parquet(\(SQLText.list(files))) \
            semi join wanted using (\(names.joined(separator: ", ")));
            """)
        try FileSystem.remove(path)
        let decoder = JSONDecoder()
        return try lines.split(separator: 0x0a).map { try decoder.decode(Row.self, from: Data($0)) }
    }
}
