// Carries out compaction jobs: reads the files, sorts their rows into one file, and replaces them in one Delta commit
// that changes no data.
//
//   sort → hold the new file's rows against the old ones' → upload (durable) → commit: remove old, add new
//
// Killed before the commit, the table is as it was and a file lies about that no version names; killed after it, the
// new file is the table's. Queries see the old files or the new one, never both (F19). Nothing is deleted here: readers
// of the version before may still hold the old files open, so `LakeVacuum` removes them after a time (I10).
//
// It works beside the archiver: neither takes anything back that the other has committed. Of two compactors one at a
// time works (`UpkeepLock`), and if two do, the second one's commit finds its files gone and does nothing.

import Crypto
package import DuckDB
import FoundationEssentials
import ObjectStore
package import Models
import System

/// The steps of a job, in order: a crash may come before each.
package enum CompactionStep: String, CaseIterable, Hashable, Sendable {
    case sort, check, upload, commit, cleanUp
}

package struct CompactionResult: Hashable, Sendable {
    package var table: String
    package var day: String
    package var filesBefore: Int
    package var bytesBefore: Int
    package var bytesAfter: Int
    package var rows: Int
    package var version: Int64
}

package struct Compactor {
    private let duckDB: DuckDBRunner
    private let directory: String
    private let failurePoint: (CompactionStep) throws -> Void
    private let isCancelled: @Sendable () -> Bool
    private static let rowGroupRows = 122_880
    /// As the archiver's: a vocabulary gets a dictionary, digests and times, which never repeat, must not.
    private static let dictionaryValues = 10_000...60_000

    /// `directory`: for files on their way, on the lake's file system.
    package init(
        duckDB: DuckDBRunner, directory: String, isCancelled: @escaping @Sendable () -> Bool = { false },
        failurePoint: @escaping (CompactionStep) throws -> Void = { _ in }
    ) {
        self.duckDB = duckDB
        self.directory = directory
        self.isCancelled = isCancelled
        self.failurePoint = failurePoint
    }

    /// Throws `.filesGone` if somebody else has replaced one of the files meanwhile; nothing is changed then.
    package func run(_ job: CompactionJob, in table: DeltaTable, now: Timestamp) throws -> CompactionResult {
        precondition(job.files.count > 1, "a compaction has at least two files")
        precondition(job.table == table.schema.name, "a job is of its table")
        try FileSystem.makeDirectories(directory)
        let output = "\(directory)/\(Random.hex(bytes: 8)).parquet"
        defer { try? FileSystem.remove(output) }
        let inputs = try table.localFiles(job.files.map(\.path))
        defer { table.store.release(job.files.map { table.key($0.path) }) }

        try failurePoint(.sort)
        let ranges = FileStatistics.Query(table.schema)
        let answer = try duckDB.run(
            sort(inputs, rows: job.rows, table.schema, to: output) + sums(inputs, table.schema)
                + sums([output], table.schema)
                + ranges.sql(from: Self.rows([output], table.schema)), isCancelled: isCancelled)
        try failurePoint(.check)
        let lines = answer.split(separator: 0x0a).map { Data($0) }
        guard lines.count == 3 else { throw ArchiveError.conversion(type: "unreadable sums") }
        try check(before: lines[0], after: lines[1], job)
        let statistics = try ranges.statistics(from: lines[2])
        let sha256 = try FileDigest.sha256(ofFile: output)
        guard let bytes = FileSystem.fileSize(output) else { throw ArchiveError.conversion(type: "no Parquet file") }

        try failurePoint(.upload)
        let path = name(of: job)
        try table.store.putFile("\(table.schema.name)/\(path)", fromPath: output)

        try failurePoint(.commit)
        let actions = actions(job, path: path, bytes: bytes, statistics: statistics.json, sha256: sha256, now: now)
        let version = try table.commit(actions, expecting: [:])
        try failurePoint(.cleanUp)
        return CompactionResult(
            table: job.table, day: job.day, filesBefore: job.files.count, bytesBefore: job.bytes, bytesAfter: bytes,
            rows: statistics.rows, version: version)
    }

    /// `date=2026-11-20/compact-<first position>-<last>-p<partition>-<random>.parquet`
    private func name(of job: CompactionJob) -> String {
        let first = job.files.compactMap(\.tags.firstPosition).min() ?? 0
        let last = job.files.compactMap(\.tags.lastPosition).max() ?? 0
        let partition = job.partition.map { "-p\($0.index)" } ?? ""
        let name = "compact-\(first)-\(last)\(partition)-\(Random.hex(bytes: 8)).parquet"
        return job.day.isEmpty ? name : "date=\(job.day)/\(name)"
    }

    private func actions(
        _ job: CompactionJob, path: String, bytes: Int, statistics: String, sha256: String, now: Timestamp
    ) -> [DeltaAction] {
        let milliseconds = now.microseconds / 1000
        var tags = FileTags()
        tags.sha256 = sha256
        tags.firstPosition = job.files.compactMap(\.tags.firstPosition).min()
        tags.lastPosition = job.files.compactMap(\.tags.lastPosition).max()
        tags.partition = job.partition
        let information = DeltaCommitInfo(
            timestamp: milliseconds, operation: "OPTIMIZE", engineInfo: "Columba", isBlindAppend: false)
        let removes = job.files.map { file in
            DeltaAction.remove(
                DeltaRemove(
                    path: PercentEncoding.encode(file.path), deletionTimestamp: milliseconds, dataChange: false))
        }
        let add = DeltaAdd(
            path: path, partitionValues: job.day.isEmpty ? [:] : ["date": job.day], size: bytes,
            modificationTime: milliseconds, dataChange: false, stats: statistics, tags: tags.dictionary)
        return [.commitInfo(information)] + removes + [.add(add)]
    }

    // MARK: - SQL

    /// The table's columns, in its order; one that the files are too old for is null.
    static func rows(_ files: [String], _ schema: TableSchema) -> String {
        let nulls = schema.fileColumns.map { "null::\($0.type.duckDBName) as \(SQLText.identifier($0.name))" }
        let names = schema.fileColumns.map { SQLText.identifier($0.name) }.joined(separator: ", ")
        return "(select \(names) from (select \(nulls.joined(separator: ", ")) where false union all by name "
            + "select * from read_parquet(\(SQLText.list(files)), union_by_name=true, hive_partitioning=false)))"
    }

    private func sort(_ inputs: [String], rows: Int, _ schema: TableSchema, to output: String) -> String {
        let order = schema.sortColumns.map { SQLText.identifier($0) }.joined(separator: ", ")
        let limits = Self.dictionaryValues
        let dictionaryValues = min(max(rows / 2, limits.lowerBound), limits.upperBound)
        return """
            copy (select * from \(Self.rows(inputs, schema)) order by \(order))
            to \(SQLText.literal(output)) (format parquet, compression zstd, row_group_size \(Self.rowGroupRows), \
            dictionary_size_limit \(dictionaryValues), use_tmp_file false);

            """
    }

    private struct Sums: Decodable, Equatable {
        var rows: Int
        var hashes: String?
    }

    private func sums(_ files: [String], _ schema: TableSchema) -> String {
        "select count(*) as rows, sum(hash(t)::hugeint)::varchar as hashes from \(Self.rows(files, schema)) as t;\n"
    }

    /// The new file has exactly the rows of the old ones: as many, and their hashes add up to the same.
    private func check(before: Data, after: Data, _ job: CompactionJob) throws {
        let decoder = JSONDecoder()
        let before = try decoder.decode(Sums.self, from: before)
        let after = try decoder.decode(Sums.self, from: after)
        guard before == after, before.rows == job.rows else {
            throw ArchiveError.damagedData(
                table: job.table, files: job.files.map(\.path),
                detail: "the log counts \(job.rows) rows, the files hold \(before.rows), and sorted \(after.rows)")
        }
    }
}
