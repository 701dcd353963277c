// Tables that jobs and Spark make of the archive, as an analyst's SQL sees them: `<lake>/derived/<name>/` is the view
// `derived.<name>`, and `<name>` where nothing else has that name.
//
// Anyone with write access to the lake may put a table there, so one that is broken must not cost anything but itself:
// only tables that a statement mentions become views of its process, and one that cannot be read becomes a view that
// says why.

import DuckDB
import Models
import ObjectStore
import Synchronization
import System

final class DerivedTables: Sendable {
    static let folder = "derived"
    private let lake: any ObjectStore
    private let checkpoints: any DeltaCheckpointFormat
    private let tables = Mutex<[String: DeltaTable]>([:])

    /// `scratchDirectory`: for checkpoints on their way.
    init(lake: any ObjectStore, duckDB: DuckDBExecutable, scratchDirectory: String) {
        self.lake = lake
        let runner = DuckDBRunner(.init(executable: duckDB, temporaryDirectory: scratchDirectory))
        checkpoints = DuckDBCheckpoints(duckDB: runner, directory: "\(scratchDirectory)/derived-checkpoints")
    }

    /// `[a-z][a-z0-9_]{0,62}`: the same in SQL, in a path and in Spark.
    static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, (0x61...0x7a).contains(first), bytes.count <= 63 else { return false }
        return bytes.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }
    }

    /// Those that have a log, by name; `mayBe` is asked first, for each look is a question to the store.
    private func names(_ mayBe: (String) -> Bool) -> [String] {
        guard let found = try? lake.folders(Self.folder) else { return [] }
        return found.filter { name in
            guard Self.isName(name), mayBe(name) else { return false }
            return ((try? lake.folders("\(Self.folder)/\(name)")) ?? []).contains("_delta_log")
        }
    }

    /// `Self.mentions` decides which; a statement that asks for the catalogue gets all.
    func add(to views: inout LakeViews, mentionedIn sql: String) {
        let sql = sql.lowercased()
        let wantsAll = sql.contains("information_schema") || sql.contains("duckdb_")
        let names = names { wantsAll || sql.contains($0) }
        guard !names.isEmpty else { return }
        var script = "create schema \(Self.folder);\n"
        var paths: [String] = []
        for name in names {
            let view = "\(Self.folder).\(SQLText.identifier(name))"
            do {
                let (select, files) = try select(name)
                script += "create view \(view) as \(select);\n"
                paths += files
            } catch {
                // Made anew, it begins at version 0 again: next time it is opened afresh.
                tables.withLock { $0[name] = nil }
                // The reason may name files; the log of whoever wrote the table is the place for that.
                let problem = SQLText.literal("\(Self.folder).\(name) cannot be read")
                // In a condition, so that counting its rows fails as well.
                script += "create view \(view) as select 1 as problem where error(\(problem))::varchar = 'x';\n"
            }
            script += "create view if not exists \(SQLText.identifier(name)) as select * from \(view);\n"
        }
        views.add(script: script, paths: paths)
    }

    private struct Unreadable: Error {}

    private func select(_ name: String) throws -> (sql: String, files: [String]) {
        let table = try table(name)
        let snapshot = try table.refresh()
        guard let columns = snapshot.metadata.flatMap({ DerivedColumn.columns(schemaString: $0.schemaString) }) else {
            throw Unreadable()
        }
        let names = columns.map { SQLText.identifier($0.name) }
        // Nobody's log reaches beyond its own folder.
        guard snapshot.files.keys.allSatisfy({ !$0.split(separator: "/").contains("..") }) else { throw Unreadable() }
        let files = try table.localFiles(snapshot.files.keys)
        guard !files.isEmpty else {
            let empty = zip(names, columns).map { "null::\($1.type.duckDBName) as \($0)" }.joined(separator: ", ")
            return ("select \(empty) where false", [])
        }
        guard files.allSatisfy(FileSystem.exists) else { throw Unreadable() }
        return (
            "select \(names.joined(separator: ", ")) from read_parquet(\(SQLText.list(files)), union_by_name=true)",
            files
        )
    }

    /// Kept open: a look is then one question for the next version. A table that does not exist has version -1.
    func table(_ name: String) throws -> DeltaTable {
        if let table = tables.withLock({ $0[name] }) { return table }
        let table = try DeltaTable(Self.schema(name), in: lake, createdAt: nil, checkpoints: checkpoints)
        tables.withLock { $0[name] = table }
        return table
    }

    /// Checkpoints and cleans the table's log, and removes files that left it, or never were in it, a day ago. Whoever
    /// wrote them: Spark has nobody else to do it.
    func tidy(_ name: String, now: Timestamp) throws {
        let table = try table(name)
        _ = try table.writeCheckpoint(every: Self.versionsPerCheckpoint, now: now, retention: Self.retention)
        _ = try table.cleanLog(now: now, retention: Self.retention)
        _ = try table.vacuum(now: now, graceSeconds: Self.graceSeconds, dryRun: false)
    }

    private static let versionsPerCheckpoint: Int64 = 50
    private static let graceSeconds = 24 * 3600.0
    private static let retention = DeltaLogRetention(
        logSeconds: graceSeconds, tombstoneSeconds: graceSeconds + graceSeconds)

    /// The columns of a derived table are in its log; derived tables have no partitions.
    static func schema(_ name: String) -> TableSchema {
        TableSchema(name: "\(folder)/\(name)", columns: [], partitionColumns: [], sortColumns: [])
    }
}
