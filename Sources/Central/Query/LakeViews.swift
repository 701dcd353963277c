// The views an analyst's SQL sees, over exactly the files of one committed version of each table: never a glob, which
// would count orphans of a crash and files that a compaction has replaced.

import DuckDB
import Models
import ObjectStore

struct LakeViews {
    /// Files the sandbox may read.
    private(set) var paths: [String] = []
    private(set) var script = ""
    /// Of the tables, in the order in which they were added.
    private(set) var versions: [Int64] = []
    /// The view `relays`, made anew by every query: its rows change all the time.
    private(set) var relaysScript = ""
    /// Reads more than the archive's own tables.
    private(set) var hasOthers = false
    /// For lakes that are not on this machine; nil: every file is here.
    let absent: AbsentFiles?

    init(absent: AbsentFiles? = nil) { self.absent = absent }

    mutating func add(_ table: DeltaTable, _ snapshot: DeltaSnapshot) throws {
        let schema = table.schema
        versions.append(snapshot.version)
        let names = schema.columns.map { SQLText.identifier($0.name) }.joined(separator: ", ")
        let files = try absent?.paths(table, snapshot) ?? table.localFiles(snapshot.files.keys)
        guard !files.isEmpty else {
            let columns = schema.columns.map { "null::\($0.type.duckDBName) as \(SQLText.identifier($0.name))" }
            script += "create view \(schema.name) as select \(columns.joined(separator: ", ")) where false;\n"
            return
        }
        paths += files
        let options =
            schema.partitionColumns.isEmpty ? "" : ", hive_partitioning=true, hive_types={'date': DATE}"
        script += "create view \(schema.name) as select \(names) from read_parquet(\(SQLText.list(files))\(options));\n"
    }

    /// Views made elsewhere, and the files they read.
    mutating func add(script: String, paths: [String]) {
        self.script += script
        self.paths += paths
        hasOthers = true
    }

    /// After the tables.
    mutating func addHelpers() { script += SQLHelpers.script }

    mutating func addRelays(_ rows: [RelayRow]) {
        let columns = [
            ("relay_id", "VARCHAR"), ("last_contact", "TIMESTAMPTZ"), ("received", "BIGINT"), ("archived", "BIGINT"),
            ("duplicates", "BIGINT"), ("rejected", "BIGINT"), ("waiting", "BIGINT"),
            ("complete_through", "TIMESTAMPTZ"),
        ]
        func time(_ timestamp: Timestamp?) -> String {
            timestamp.map { "make_timestamptz(\($0.microseconds))" } ?? "null"
        }
        var values = rows.map { row in
            "(\(SQLText.literal(row.relayID)), \(time(row.lastContact)), \(row.received), \(row.archived), "
                + "\(row.duplicates), \(row.rejected), \(row.waiting), \(time(row.completeThrough)))"
        }
        let isEmpty = values.isEmpty
        if isEmpty { values = ["(" + columns.map { _ in "null" }.joined(separator: ", ") + ")"] }
        let names = columns.map(\.0).joined(separator: ", ")
        let typed = columns.map { "\($0.0)::\($0.1) as \($0.0)" }.joined(separator: ", ")
        relaysScript =
            "create or replace view relays as select \(typed) from (values "
            + "\(values.joined(separator: ", "))) as r(\(names))\(isEmpty ? " where false" : "");\n"
        script += relaysScript
    }
}
