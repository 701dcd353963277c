// The archive's engine: a DuckDB process for each question, its scratch files in one directory.

package import Crypto
package import DuckDB
package import Models
import FoundationEssentials
import System

package struct DuckDBEngine: ArchiveEngine {
    private let duckDB: DuckDBRunner
    private let directory: String
    private let writer: ParquetWriter

    /// `scratchDirectory`: emptied at start; on the lake's file system, or every Parquet file is copied once more.
    /// `threads`: with a second one, one row group keeps it mostly waiting: a tenth faster for a third more processor
    /// time.
    package init(
        executable: DuckDBExecutable, scratchDirectory: String, memoryBytes: Int = 1 << 30, threads: Int = 1
    ) {
        directory = scratchDirectory
        var runner = DuckDBRunner.Configuration(
            executable: executable, temporaryDirectory: "\(scratchDirectory)/duckdb")
        runner.memoryBytes = memoryBytes
        runner.threads = threads
        duckDB = DuckDBRunner(runner)
        writer = ParquetWriter(duckDB: duckDB, directory: scratchDirectory)
    }

    package var checkpoints: (any DeltaCheckpointFormat)? {
        DuckDBCheckpoints(duckDB: duckDB, directory: "\(directory)/checkpoints")
    }

    // MARK: - Scratch space

    package func reset() throws {
        try FileSystem.removeTree(directory)
        try FileSystem.makeDirectories(directory)
    }

    private var callDirectory: String { "\(directory)/call" }

    package func beginCall() throws {
        try FileSystem.removeTree(callDirectory)
        try FileSystem.makeDirectories(callDirectory)
    }

    package func endCall() throws { try FileSystem.removeTree(callDirectory) }

    /// A row file by that name holds what `RowBuffer.drop` has read already.
    package func makeSink(_ name: String) throws -> any RowSink {
        let path = "\(callDirectory)/\(name).ndjson"
        try FileSystem.remove(path)
        return try RowFile(path: path)
    }

    package func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile] {
        try writer.convert(buffers, archivedAt: archivedAt)
    }

    package func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int> {
        try writer.badRows(buffer, archivedAt: archivedAt)
    }

    // MARK: - Reading back

    /// Ranges of report numbers, not numbers: an hour of a drone is one line.
    package func identityRanges(in files: [String]) throws -> [IdentityRange] {
        guard !files.isEmpty else { return [] }
        let output = try duckDB.run(
            """
            .mode list
            .headers off
            select drone_id, boot, min(seq), max(seq) from (
              select drone_id, boot, seq, seq - row_number() over (partition by drone_id, boot order by seq) as island
              from read_parquet(\(SQLText.list(files))))
            group by drone_id, boot, island;
            """)
        return try output.split(separator: 0x0a).map { line in
            // Identifiers hold letters, digits and ._- only, so the separator is theirs never.
            let fields = line.split(separator: UInt8(ascii: "|")).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count == 4, let first = Int64(fields[2]), let last = Int64(fields[3]), first <= last else {
                throw ArchiveError.conversion(type: "unreadable identities")
            }
            return IdentityRange(droneID: fields[0], boot: fields[1], range: first...last)
        }
    }

    package func settledRecords(in files: [String], of table: TableSchema) throws -> [SettledRecords] {
        guard !files.isEmpty else { return [] }
        struct Row: Decodable {
            var relay_id: String
            var epoch: String
            var first: Int64
            var last: Int64
            var received: Int64
            var rows: Int
            var conflicts: Int
        }
        let reason = table.columns.contains { $0.name == "reason" } ? "reason" : "''"
        let lines = try duckDB.run(
            """
            select relay_id, epoch, min(relay_seq) as first, max(relay_seq) as last,
              arg_max(epoch_us(received_at), relay_seq) as received, count(*) as rows,
              count(*) filter (where reason = 'conflict') as conflicts
            from (select relay_id, epoch, relay_seq, received_at, \(reason) as reason,
                relay_seq - dense_rank() over (partition by relay_id, epoch order by relay_seq) as island
              from read_parquet(\(SQLText.list(files))))
            group by relay_id, epoch, island;
            """)
        let decoder = JSONDecoder()
        return try lines.split(separator: 0x0a).map { line in
            let row = try decoder.decode(Row.self, from: Data(line))
            return SettledRecords(
                source: RecordSource(relayID: row.relay_id, epoch: row.epoch), range: row.first...row.last,
                lastReceivedAt: row.received, rows: row.rows, conflicts: row.conflicts)
        }
    }

    package func persons(in files: [String]) throws -> Set<PersonID> {
        guard !files.isEmpty else { return [] }
        let output = try duckDB.run(
            ".mode list\n.headers off\nselect person_id from read_parquet(\(SQLText.list(files)));")
        return Set(output.split(separator: 0x0a).compactMap { PersonID(hex: String(decoding: $0, as: UTF8.self)) })
    }

    package func digests(
        of identities: Set<ReportIdentity>, in files: [String]
    ) throws -> [ReportIdentity: SHA256Digest] {
        struct Row: Decodable {
            var drone_id: String
            var boot: String
            var seq: Int64
            var digest: String
        }
        let keys = identities.map { #"{"drone_id":"\#($0.droneID)","boot":"\#($0.boot)","seq":\#($0.seq)}"# }
        let rows: [Row] = try ask(
            keys, "drone_id: 'VARCHAR', boot: 'VARCHAR', seq: 'BIGINT'", ["drone_id", "boot", "seq"], files)
        var found: [ReportIdentity: SHA256Digest] = [:]
        for row in rows {
            guard let digest = SHA256Digest(hex: row.digest) else { continue }
            found[ReportIdentity(droneID: row.drone_id, boot: row.boot, seq: row.seq)] = digest
        }
        return found
    }

    package func digests(
        of records: Set<RecordNumber>, in files: [String]
    ) throws -> [RecordNumber: [SHA256Digest]] {
        struct Row: Decodable {
            var relay_id: String
            var epoch: String
            var relay_seq: Int64
            var digest: String
        }
        let keys = records.map {
            #"{"relay_id":"\#($0.source.relayID)","epoch":"\#($0.source.epoch)","relay_seq":\#($0.n)}"#
        }
        let rows: [Row] = try ask(
            keys, "relay_id: 'VARCHAR', epoch: 'VARCHAR', relay_seq: 'BIGINT'", ["relay_id", "epoch", "relay_seq"],
            files)
        var found: [RecordNumber: [SHA256Digest]] = [:]
        for row in rows {
            guard let digest = SHA256Digest(hex: row.digest) else { continue }
            let source = RecordSource(relayID: row.relay_id, epoch: row.epoch)
            found[RecordNumber(source: source, n: row.relay_seq), default: []].append(digest)
        }
        return found
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

extension RowFile: RowSink {
    package func contents() throws -> [UInt8] {
        try finish()
        return try FileSystem.read(path)
    }
}
