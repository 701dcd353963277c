// Tables that jobs and Spark make of the archive, as an analyst's SQL sees them: `<lake>/derived/<name>/` is the view
// `derived.<name>`, and `<name>` where nothing else has that name.
//
// Anyone with write access to the lake may put a table there, so one that is broken must not cost anything but itself:
// only tables that a statement mentions become views of its process, and one that cannot be read becomes a view that
// says why.

import DuckDB
import ObjectStore
import Synchronization
import System

final class DerivedTables: Sendable {
    static let folder = "derived"
    private let lake: any ObjectStore
    private let tables = Mutex<[String: DeltaTable]>([:])

    /// Other engines write checkpoints by themselves, and old versions of their logs go.
    private let checkpoints: any DeltaCheckpointFormat

    init(lake: any ObjectStore, checkpoints: any DeltaCheckpointFormat) {
        self.lake = lake
        self.checkpoints = checkpoints
    }

    /// `[a-z][a-z0-9_]{0,62}`: the same in SQL, in a path and in Spark.
    static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        guard let first = bytes.first, (0x61...0x7a).contains(first), bytes.count <= 63 else { return false }
        return bytes.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }
    }

    /// All there are, by name.
    func names() -> [String] {
        guard let path = lake.localPath(Self.folder), let found = try? FileSystem.list(path) else { return [] }
        return found.filter { Self.isName($0) && FileSystem.isDirectory("\(path)/\($0)/_delta_log") }.sorted()
    }

    /// `Self.mentions` decides which; a statement that asks for the catalogue gets all.
    func add(to views: inout LakeViews, mentionedIn sql: String) {
        let sql = sql.lowercased()
        let wantsAll = sql.contains("information_schema") || sql.contains("duckdb_")
        let names = names().filter { wantsAll || sql.contains($0) }
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
                script += "create view \(view) as select error('\(Self.folder).\(name) cannot be read') as problem;\n"
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
        let files = snapshot.files.keys.sorted().compactMap { table.store.localPath("\(table.schema.name)/\($0)") }
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

    /// Kept open: a look is then one question for the next version.
    private func table(_ name: String) throws -> DeltaTable {
        if let table = tables.withLock({ $0[name] }) { return table }
        let table = try DeltaTable(Self.schema(name), in: lake, createdAt: nil, checkpoints: checkpoints)
        tables.withLock { $0[name] = table }
        return table
    }

    /// The columns of a derived table are in its log; derived tables have no partitions.
    static func schema(_ name: String) -> TableSchema {
        TableSchema(name: "\(folder)/\(name)", columns: [], partitionColumns: [], sortColumns: [])
    }
}
