// Checkpoints of a Delta log through DuckDB, in the columns that the Delta protocol asks of reader version 1 and writer
// version 2 (one file, no sidecars, statistics as a JSON text). Every column may be null: one row holds one action.

package import DuckDB
import Crypto
import System

package struct DuckDBCheckpoints: DeltaCheckpointFormat {
    private let duckDB: DuckDBRunner
    private let directory: String
    /// The statistics of a file are below 4 KiB; the schema of a table with thousands of columns fits too.
    private static let maxLineBytes = 16 << 20

    /// `directory`: for files on their way; on the lake's file system, or they are copied once more.
    package init(duckDB: DuckDBRunner, directory: String) {
        self.duckDB = duckDB
        self.directory = directory
    }

    private static let texts = "MAP(VARCHAR, VARCHAR)"
    private static let columns = [
        ("txn", #"STRUCT("appId" VARCHAR, "version" BIGINT, "lastUpdated" BIGINT)"#),
        (
            "add",
            #"STRUCT("path" VARCHAR, "partitionValues" \#(texts), "size" BIGINT, "modificationTime" BIGINT, "#
                + #""dataChange" BOOLEAN, "stats" VARCHAR, "tags" \#(texts))"#
        ),
        ("remove", #"STRUCT("path" VARCHAR, "deletionTimestamp" BIGINT, "dataChange" BOOLEAN)"#),
        (
            "metaData",
            #"STRUCT("id" VARCHAR, "name" VARCHAR, "description" VARCHAR, "#
                + #""format" STRUCT("provider" VARCHAR, "options" \#(texts)), "schemaString" VARCHAR, "#
                + #""partitionColumns" VARCHAR[], "configuration" \#(texts), "createdTime" BIGINT)"#
        ),
        ("protocol", #"STRUCT("minReaderVersion" INTEGER, "minWriterVersion" INTEGER)"#),
    ]

    package func parquet(ofActions actions: [UInt8]) throws -> String {
        try FileSystem.makeDirectories(directory)
        let name = "\(directory)/\(Random.hex(bytes: 8))"
        defer { try? FileSystem.remove("\(name).ndjson") }
        let file = try RowFile(path: "\(name).ndjson")
        try file.append(actions)
        try file.finish()
        let columns = Self.columns.map { "\(SQLText.identifier($0.0)): \(SQLText.literal($0.1))" }
        _ = try duckDB.run(
            """
            copy (select * from read_json(\(SQLText.literal("\(name).ndjson")), format='newline_delimited', \
            maximum_object_size=\(Self.maxLineBytes), columns={\(columns.joined(separator: ", "))}))
            to \(SQLText.literal("\(name).parquet")) (format parquet, compression zstd, use_tmp_file false);
            """)
        return "\(name).parquet"
    }

    package func actions(inParquet paths: [String]) throws -> [UInt8] {
        guard !paths.isEmpty else { return [] }
        return try duckDB.run("select * from read_parquet(\(SQLText.list(paths)), union_by_name=true);")
    }
}
