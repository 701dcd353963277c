// Turns row files into Parquet files: one DuckDB process, or two, for all tables and days of an archive call, one COPY
// for each.
//
// Settings, measured on 100,000 and 20,000 reports: zstd at its default level (level 1 saves nothing); row groups of
// 122,880 rows; a dictionary of up to half as many values as there are rows. DuckDB's own limit, a fifth, leaves the
// words of a small commit without one (+25 %); no limit at all gives one to digests and links, which never repeat
// (+11 %). Nested columns keep DuckDB's own types; times are TIMESTAMPTZ, which Parquet marks as UTC, as Delta's
// `timestamp` wants.

package import DuckDB
package import Models
import Synchronization
import System

package struct ConvertedFile {
    package var schema: TableSchema
    package var day: String
    package var path: String
    /// Delta's `stats`.
    package var statistics: String
    package var rows: Int
    package var bytes: Int
    /// nil if the engine's files have no bytes to hash.
    package var sha256: String?
    package var partition: DronePartition?

    package init(
        schema: TableSchema, day: String, path: String, statistics: String, rows: Int, bytes: Int,
        sha256: String? = nil, partition: DronePartition? = nil
    ) {
        self.schema = schema
        self.day = day
        self.path = path
        self.statistics = statistics
        self.rows = rows
        self.bytes = bytes
        self.sha256 = sha256
        self.partition = partition
    }
}

package struct ParquetWriter {
    private let duckDB: DuckDBRunner
    private let directory: String
    private static let rowGroupRows = 122_880
    /// A vocabulary of words is about this large, whatever the number of rows.
    private static let dictionaryValues = 10_000...100_000
    /// The longest row DuckDB accepts; a report is at most 256 KiB, pseudonyms and escapes enlarge it a few times.
    static let maxRowBytes = 16 << 20

    /// `directory`: for probes.
    package init(duckDB: DuckDBRunner, directory: String) {
        self.duckDB = duckDB
        self.directory = directory
    }

    package func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile] {
        guard !buffers.isEmpty else { return [] }
        for buffer in buffers {
            try buffer.sink.finish()
            try FileSystem.remove(output(buffer))
        }
        try run(Self.shares(buffers).map { $0.map { copy($0, to: output($0), archivedAt) }.joined() })
        return try buffers.map { buffer in
            guard let bytes = FileSystem.fileSize(output(buffer)) else {
                throw ArchiveError.conversion(type: "no Parquet file")
            }
            return ConvertedFile(
                schema: buffer.schema, day: buffer.day, path: output(buffer), statistics: buffer.statistics.json,
                rows: buffer.rows, bytes: bytes, sha256: try FileDigest.sha256(ofFile: output(buffer)),
                partition: buffer.partition)
        }
    }

    /// Two processes with one thread each keep two cores busy where one process with two threads mostly waits for its
    /// single row group. Not worth a second start for a small call.
    private static let rowsWorthTwoProcesses = 20_000

    /// The buffers in one part, or in two of about as many rows.
    static func shares(_ buffers: [RowBuffer]) -> [[RowBuffer]] {
        guard buffers.count > 1, buffers.reduce(0, { $0 + $1.rows }) >= rowsWorthTwoProcesses else { return [buffers] }
        var shares: [(rows: Int, buffers: [RowBuffer])] = [(0, []), (0, [])]
        for buffer in buffers.sorted(by: { $0.rows > $1.rows }) {
            let smaller = shares[0].rows <= shares[1].rows ? 0 : 1
            shares[smaller].rows += buffer.rows
            shares[smaller].buffers.append(buffer)
        }
        return shares.map(\.buffers)
    }

    /// All scripts at once, each in a process of its own; the first error of any is thrown when all have ended.
    private func run(_ scripts: [String]) throws(DuckDBError) {
        let failure = Mutex<DuckDBError?>(nil)
        let settings = duckDB.configuration
        @Sendable func run(_ number: Int, _ script: String) {
            // Two processes that spill must not do so into the same files.
            var own = settings
            if number > 0 { own.temporaryDirectory += "-\(number)" }
            do throws(DuckDBError) {
                _ = try DuckDBRunner(own).run(script)
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        withExtendedLifetime(failure) {
            let others = scripts.enumerated().dropFirst().map { number, script in
                WorkerThread(name: "archive-convert", stackBytes: 1 << 20) { run(number, script) }
            }
            if let first = scripts.first { run(0, first) }
            for thread in others { thread.join() }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func output(_ buffer: RowBuffer) -> String { buffer.sink.path + ".parquet" }

    private func copy(_ buffer: RowBuffer, to path: String, _ archivedAt: Timestamp) -> String {
        let limits = Self.dictionaryValues
        let dictionaryValues = min(max(buffer.rows / 2, limits.lowerBound), limits.upperBound)
        let order = buffer.schema.sortColumns.map { SQLText.identifier($0) }.joined(separator: ", ")
        return """
            copy (\(select(buffer.schema, from: buffer.sink.path, archivedAt)) order by \(order))
            to \(SQLText.literal(path)) (format parquet, compression zstd, row_group_size \(Self.rowGroupRows), \
            dictionary_size_limit \(dictionaryValues), use_tmp_file false);

            """
    }

    /// Times come as microseconds: DuckDB reads an integer faster than a date.
    private func select(_ schema: TableSchema, from path: String, _ archivedAt: Timestamp) -> String {
        var input: [String] = []
        var output: [String] = []
        for column in schema.fileColumns {
            let name = SQLText.identifier(column.name)
            if column.name == "archived_at" {
                output.append("make_timestamptz(\(archivedAt.microseconds)) as \(name)")
                continue
            }
            let isTime = column.type == .timestamp
            input.append("\(name): '\(isTime ? "BIGINT" : column.type.duckDBName)'")
            output.append(isTime ? "make_timestamptz(\(name)) as \(name)" : name)
        }
        return "select \(output.joined(separator: ", ")) from read_json(\(SQLText.literal(path)), "
            + "format='newline_delimited', maximum_object_size=\(Self.maxRowBytes), "
            + "columns={\(input.joined(separator: ", "))})"
    }

    // MARK: - Rows DuckDB does not take

    /// The rows that make the conversion fail. Everything in a row was checked or written by us, so this is a net below
    /// the net: it reads the row file again and again, halving it, until single rows are left.
    package func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int> {
        let rows = try buffer.sink.contents().split(separator: 0x0a)
        return Set(try badRows(buffer.schema, rows[...], archivedAt))
    }

    private func badRows(
        _ schema: TableSchema, _ rows: ArraySlice<ArraySlice<UInt8>>, _ archivedAt: Timestamp
    ) throws -> [Int] {
        guard try !isReadable(schema, rows, archivedAt) else { return [] }
        if rows.count == 1 { return [rows.startIndex] }
        let middle = rows.startIndex + rows.count / 2
        return try badRows(schema, rows[rows.startIndex..<middle], archivedAt)
            + badRows(schema, rows[middle..<rows.endIndex], archivedAt)
    }

    private func isReadable(
        _ schema: TableSchema, _ rows: ArraySlice<ArraySlice<UInt8>>, _ archivedAt: Timestamp
    ) throws -> Bool {
        let probe = "\(directory)/probe.ndjson"
        try FileSystem.remove(probe)
        let file = try RowFile(path: probe)
        for row in rows { try file.append(row + [0x0a]) }
        try file.finish()
        do throws(DuckDBError) {
            _ = try duckDB.run("create temp table probe as \(select(schema, from: probe, archivedAt));")
            return true
        } catch {
            guard error.kind == .rejected else { throw error }
            return false
        }
    }
}
