// The archive's tables: their columns as Delta Lake and as DuckDB call them. Contract §5 is this file's source; a
// column is only ever added at the end (old files then read as null), never renamed.

package indirect enum ColumnType: Hashable, Sendable {
    case string, long, double, boolean, date
    /// Microseconds, UTC: Delta `timestamp`, DuckDB TIMESTAMP WITH TIME ZONE.
    case timestamp
    case array(ColumnType)
    case map(ColumnType, ColumnType)
    case structure([Column])

    /// The type inside Delta's `schemaString`.
    var deltaJSON: String {
        switch self {
        case .string: #""string""#
        case .long: #""long""#
        case .double: #""double""#
        case .boolean: #""boolean""#
        case .date: #""date""#
        case .timestamp: #""timestamp""#
        case .array(let element): #"{"type":"array","elementType":\#(element.deltaJSON),"containsNull":true}"#
        case .map(let key, let value):
            #"{"type":"map","keyType":\#(key.deltaJSON),"valueType":\#(value.deltaJSON),"valueContainsNull":true}"#
        case .structure(let columns): Column.deltaJSON(columns)
        }
    }

    package var duckDBName: String {
        switch self {
        case .string: "VARCHAR"
        case .long: "BIGINT"
        case .double: "DOUBLE"
        case .boolean: "BOOLEAN"
        case .date: "DATE"
        case .timestamp: "TIMESTAMPTZ"
        case .array(let element): "\(element.duckDBName)[]"
        case .map(let key, let value): "MAP(\(key.duckDBName), \(value.duckDBName))"
        case .structure(let columns):
            "STRUCT(" + columns.map { "\"\($0.name)\" \($0.type.duckDBName)" }.joined(separator: ", ") + ")"
        }
    }
}

package struct Column: Hashable, Sendable {
    package var name: String
    package var type: ColumnType

    package init(_ name: String, _ type: ColumnType) {
        self.name = name
        self.type = type
    }

    static func deltaJSON(_ columns: [Column]) -> String {
        let fields = columns.map {
            #"{"name":"\#($0.name)","type":\#($0.type.deltaJSON),"nullable":true,"metadata":{}}"#
        }
        return #"{"type":"struct","fields":["# + fields.joined(separator: ",") + "]}"
    }
}

package struct TableSchema: Hashable, Sendable {
    /// The folder in its store.
    package var name: String
    package var columns: [Column]
    /// Either `date` or nothing. Its values are in the path and the log, not in the files.
    package var partitionColumns: [String]
    /// The order of rows within a file.
    package var sortColumns: [String]

    package var schemaString: String { Column.deltaJSON(columns) }
    /// What the Parquet files hold.
    var fileColumns: [Column] { columns.filter { !partitionColumns.contains($0.name) } }
}

extension TableSchema {
    private static let reportColumns = [
        Column("date", .date), Column("drone_id", .string), Column("boot", .string), Column("seq", .long),
        Column("observed_at", .timestamp), Column("received_at", .timestamp), Column("archived_at", .timestamp),
        Column("relay_id", .string), Column("epoch", .string), Column("relay_seq", .long),
        Column("lat", .double), Column("lon", .double), Column("alt_m", .double), Column("cell", .string),
        Column(
            "citizens",
            .array(
                .structure([
                    Column("person_id", .string), Column("peacescore", .double), Column("confidence", .double),
                ]))),
        Column("words", .array(.string)),
        Column("readings", .map(.string, .double)),
        Column(
            "media",
            .array(
                .structure([
                    Column("uri", .string), Column("sha256", .string), Column("bytes", .long), Column("type", .string),
                ]))),
        Column("extra", .string), Column("digest", .string), Column("time_suspect", .boolean),
        Column("late", .boolean),
    ]
    private static let reportOrder = ["cell", "drone_id", "observed_at"]

    /// Every report once, for ever (I5).
    package static let reports = TableSchema(
        name: "reports", columns: reportColumns, partitionColumns: ["date"], sortColumns: reportOrder)

    /// Further copies: `reason` is `duplicate` (the same bytes) or `conflict` (the same identity or record number,
    /// other bytes).
    package static let duplicates = TableSchema(
        name: "duplicates", columns: reportColumns + [Column("reason", .string)], partitionColumns: ["date"],
        sortColumns: reportOrder)

    /// Alerts (`kind` `alert`) and what operators did about them (`alert_state`). `at` is when it was raised or
    /// changed; `date` is its UTC day.
    package static let alerts = TableSchema(
        name: "alerts",
        columns: [
            Column("date", .date), Column("kind", .string), Column("alert_id", .string), Column("state", .string),
            Column("at", .timestamp), Column("rule", .string), Column("rule_version", .long),
            Column("severity", .string), Column("drone_id", .string), Column("boot", .string), Column("seq", .long),
            Column("lat", .double), Column("lon", .double), Column("cell", .string), Column("person_id", .string),
            Column("value", .double), Column("limit", .double), Column("observed_at", .timestamp),
            Column("received_at", .timestamp), Column("archived_at", .timestamp), Column("by", .string),
            Column("note", .string), Column("outcome", .string), Column("relay_id", .string),
            Column("epoch", .string), Column("relay_seq", .long), Column("digest", .string),
        ],
        partitionColumns: ["date"], sortColumns: ["at", "alert_id"])

    /// The only place a name is: in a store of its own.
    package static let identities = TableSchema(
        name: "identities",
        columns: [Column("person_id", .string), Column("name", .string), Column("first_seen", .timestamp)],
        partitionColumns: [], sortColumns: ["person_id"])
}
