// Holds the lake and the vault against their logs: every file that is in a table is there, has the bytes that were
// written, as many rows as the log says, within the ranges that the log says; no file lies about that no version knows;
// and no report is in the archive twice (I5). Changes nothing.

package import DuckDB
import FoundationEssentials
package import Models
import ObjectStore
import Crypto
import System

package struct LakeFinding: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        /// In the table and not in the store.
        case missing
        /// Other bytes, rows or ranges than the log says.
        case altered
        /// In the store, and no version that is remembered names it.
        case extra
        /// The same (drone, boot, seq) more than once in `reports`.
        case repeated
        /// The log itself.
        case log
    }

    package var table: String
    package var kind: Kind
    /// Relative to the table; empty if it is about the table as a whole.
    package var path: String
    package var detail: String
}

package struct LakeVerificationResult: Hashable, Sendable, Codable {
    package struct Table: Hashable, Sendable, Codable {
        package var table: String
        package var version: Int64
        package var files: Int
        package var bytes: Int
        package var rows: Int
        /// Files of an older Columba or of another engine: nothing says what their bytes were.
        package var withoutDigest: Int
        /// Files that left the table and are kept for readers of older versions.
        package var removed: Int
        /// Files no version names that are too young to be called left over: somebody may be about to commit them.
        package var pending: Int
    }

    package var tables: [Table] = []
    package var findings: [LakeFinding] = []
}

package struct LakeVerification {
    private let duckDB: DuckDBRunner
    private let now: Timestamp
    private let graceSeconds: Double
    private let progress: (Int) -> Void
    /// Rows whose identities are held against each other at once; more are done in several passes.
    private let identitiesPerPass: Int

    /// `graceSeconds`: files that no version names are `extra` only when they are older. `progress` is told of bytes.
    package init(
        duckDB: DuckDBRunner, now: Timestamp, graceSeconds: Double, identitiesPerPass: Int = 20_000_000,
        progress: @escaping (Int) -> Void = { _ in }
    ) {
        precondition(identitiesPerPass > 0, "a pass takes at least one row")
        self.duckDB = duckDB
        self.now = now
        self.graceSeconds = graceSeconds
        self.identitiesPerPass = identitiesPerPass
        self.progress = progress
    }

    package func run(_ tables: [DeltaTable]) throws -> LakeVerificationResult {
        var result = LakeVerificationResult()
        for table in tables {
            // The listing comes first: what is committed after it is in the snapshot and not taken for left over.
            let objects = try table.store.list(table.schema.name)
            let snapshot = try table.refresh()
            guard snapshot.version >= 0 else { continue }
            try verify(table, snapshot, objects, into: &result)
        }
        return result
    }

    private func verify(
        _ table: DeltaTable, _ snapshot: DeltaSnapshot, _ objects: [ObjectInfo],
        into result: inout LakeVerificationResult
    ) throws {
        let name = table.schema.name
        var readable: [DeltaFile] = []
        for file in snapshot.files.values.sorted(by: { $0.path < $1.path }) {
            defer { table.store.release([table.key(file.path)]) }
            if let finding = try bytesDiffer(file, table) {
                result.findings.append(finding)
                continue
            }
            readable.append(file)
            if let detail = try rowsDiffer(file, table) {
                result.findings.append(
                    LakeFinding(table: name, kind: .altered, path: file.path, detail: detail))
            }
        }
        let left = LeftOver.find(in: objects, table: name, snapshot, now: now, graceSeconds: graceSeconds)
        for object in left.orphans {
            result.findings.append(
                LakeFinding(
                    table: name, kind: .extra, path: object.path,
                    detail: "\(object.bytes) bytes that no version names; `columba-central vacuum` removes it"))
        }
        if let detail = try logDiffers(table, snapshot) {
            result.findings.append(LakeFinding(table: name, kind: .log, path: "_delta_log", detail: detail))
        }
        if name == TableSchema.reports.name { result.findings += try repeatedIdentities(readable, table) }
        result.tables.append(
            .init(
                table: name, version: snapshot.version, files: snapshot.files.count, bytes: snapshot.bytes,
                rows: snapshot.rows, withoutDigest: snapshot.files.values.count { $0.tags.sha256 == nil },
                removed: left.kept, pending: left.young))
    }

    private func bytesDiffer(_ file: DeltaFile, _ table: DeltaTable) throws -> LakeFinding? {
        let key = table.key(file.path)
        func finding(_ kind: LakeFinding.Kind, _ detail: String) -> LakeFinding {
            LakeFinding(table: table.schema.name, kind: kind, path: file.path, detail: detail)
        }
        let fresh: String?
        do {
            fresh = try table.store.freshFile(key)
        } catch let error as S3Error where error.kind == .damaged {
            progress(file.bytes)
            return finding(.altered, "\(error.detail); restore it from a backup of the lake")
        }
        guard let path = fresh, let size = FileSystem.fileSize(path) else {
            progress(file.bytes)
            return finding(.missing, "the file is not there; restore it from a backup of the lake")
        }
        guard size == file.bytes else {
            progress(file.bytes)
            return finding(.altered, "\(size) bytes instead of \(file.bytes); restore it from a backup of the lake")
        }
        guard let sha256 = file.tags.sha256 else {
            progress(file.bytes)
            return nil
        }
        guard try FileDigest.sha256(ofFile: path, progress: progress) == sha256 else {
            return finding(.altered, "other bytes than were written (SHA-256); restore it from a backup of the lake")
        }
        return nil
    }

    /// Counts and ranges as the log has them: readers skip files by them.
    private func rowsDiffer(_ file: DeltaFile, _ table: DeltaTable) throws -> String? {
        let path = try table.store.localFile(table.key(file.path))
        let query = FileStatistics.Query(table.schema)
        let found: FileStatistics
        do {
            let answer = try duckDB.run(query.sql(from: Compactor.rows([path], table.schema)))
            found = try query.statistics(from: Data(answer.split(separator: 0x0a).first ?? []))
        } catch let error as DuckDBError {
            guard error.kind != .unavailable, error.kind != .memory else { throw error }
            return "it cannot be read as Parquet (\(error.type)); restore it from a backup of the lake"
        }
        guard let recorded = file.statistics else { return nil }
        guard found.rows == recorded.numRecords else {
            return "\(found.rows) rows, the log says \(recorded.numRecords)"
        }
        guard let claimed = file.stats.flatMap({ RecordedRanges(json: $0) }) else { return nil }
        return claimed.columnThatDoesNotCover(found).map { "values of \($0) lie outside the range in the log" }
    }

    /// A checkpoint says the same as the versions it stands for, as far as those are still there.
    private func logDiffers(_ table: DeltaTable, _ snapshot: DeltaSnapshot) throws -> String? {
        for checkpoint in try table.reader.checkpoints() {
            let read: DeltaSnapshot
            do {
                read = try table.reader.read(checkpoint)
            } catch {
                return "the checkpoint of version \(checkpoint.version) cannot be read; the one before it is used"
            }
            var replayed = read
            while replayed.version < snapshot.version, let actions = try table.actions(ofVersion: replayed.version + 1)
            {
                try replayed.apply(actions, version: replayed.version + 1)
            }
            guard replayed.version == snapshot.version else { continue }
            if replayed.files.keys != snapshot.files.keys || replayed.transactions != snapshot.transactions {
                return "the checkpoint of version \(checkpoint.version) leads to another table than the log"
            }
        }
        return nil
    }

    /// The files themselves, or, where they may not all be on this machine, their key columns in a folder of its own.
    private func keyFiles(_ files: [DeltaFile], _ table: DeltaTable) throws -> (paths: [String], folder: String?) {
        guard table.store.localBytesLimit != nil else { return (try table.localFiles(files.map(\.path)), nil) }
        let folder = "\(duckDB.configuration.temporaryDirectory)/keys-\(Random.hex(bytes: 8))"
        try FileSystem.makeDirectories(folder)
        var made: [String] = []
        try table.store.withLocalFiles(files.map { table.object($0) }) { paths in
            let output = "\(folder)/\(made.count).parquet"
            _ = try duckDB.run(
                "copy (select drone_id, boot, seq from read_parquet(\(SQLText.list(paths)))) "
                    + "to \(SQLText.literal(output)) (format parquet, compression zstd);")
            made.append(output)
        }
        return (made, folder)
    }

    /// By hash of the drone in so many passes that each fits in memory.
    private func repeatedIdentities(_ files: [DeltaFile], _ table: DeltaTable) throws -> [LakeFinding] {
        guard !files.isEmpty else { return [] }
        let keys = try keyFiles(files, table)
        defer { if let folder = keys.folder { try? FileSystem.removeTree(folder) } }
        let paths = keys.paths
        let passes = files.reduce(0) { $0 + $1.rows } / identitiesPerPass + 1
        var repeated = 0
        for pass in 0..<passes {
            let chosen = passes == 1 ? "" : " where hash(drone_id) % \(passes) = \(pass)"
            let answer = try duckDB.run(
                """
                .mode list
                .headers off
                select count(*) from (select drone_id, boot, seq from read_parquet(\(SQLText.list(paths)))\(chosen)
                  group by drone_id, boot, seq having count(*) > 1);
                """)
            repeated += Int(String(decoding: answer.filter { $0 != 0x0a }, as: UTF8.self)) ?? 0
        }
        guard repeated > 0 else { return [] }
        return [
            LakeFinding(
                table: table.schema.name, kind: .repeated, path: "",
                detail: "\(repeated) identities (drone, boot, seq) have more than one row")
        ]
    }
}
