// A question of an analyst and its answer (contract §6).

package import DuckDB
package import Models
import System

package enum QueryFormat: String, CaseIterable, Hashable, Sendable {
    case json, csv, parquet
    /// One JSON object a line; a FeatureCollection (RFC 7946). Both for rows of reports only, whose numbers are finite.
    case ndjson, geojson

    /// What `POST /v1/sql` and the statistics offer.
    package static let ofStatements: [QueryFormat] = [.json, .csv, .parquet]

    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .csv: "text/csv; charset=utf-8; header=present"
        case .parquet: "application/vnd.apache.parquet"
        case .ndjson: "application/x-ndjson"
        case .geojson: "application/geo+json"
        }
    }
}

package struct QueryColumn: Codable, Hashable, Sendable {
    package var name: String
    /// As DuckDB writes it: `BIGINT`, `STRUCT(a DOUBLE)[]`.
    package var type: String
}

/// A statement with what is wanted of its answer.
package struct QueryRequest: Sendable {
    package var sql: String
    package var format: QueryFormat
    /// Rows, at most the configured number; nil is that number.
    package var limit: Int?
    /// All rows, written to a file as they come: no row limit, the limits of an export.
    package var isExport = false
    /// The column that says how many persons a row is about: rows about fewer than `minGroup` are left out and counted.
    package var people: String?
    /// SQL over the result's columns: a text that tells of the last row where the next page begins.
    package var cursor: String?
    /// Members that a JSON answer begins with: `"name":"…",`.
    package var preamble: [UInt8] = []
    /// Further members of a column's description, by the column's name: `,"unit":"s"`.
    package var columnNotes: [String: [UInt8]] = [:]

    package init(sql: String, format: QueryFormat, limit: Int? = nil) {
        self.sql = sql
        self.format = format
        self.limit = limit
    }
}

/// A query's own folder, gone with the last one who holds it.
package final class QueryScratch: Sendable {
    let path: String

    init(in folder: String) throws {
        path = "\(folder)/\(UInt64.random(in: 0 ... .max))"
        try FileSystem.makeDirectories(path)
    }

    deinit { try? FileSystem.removeTree(path) }
}

package struct QueryAnswer: Sendable {
    package enum Content: Sendable {
        case bytes([UInt8])
        /// A file that is there as long as the answer is.
        case file(String, QueryScratch)
    }

    package var contentType: String
    package var content: Content
    package var columns: [QueryColumn]
    /// nil for an export: nobody has counted.
    package var rows: Int?
    /// There were more rows than the limit.
    package var truncated: Bool
    /// For the header `X-Complete-Through`.
    package var completeThrough: Timestamp?
    /// Groups of too few people that were left out; nil where the answer is not about people.
    package var suppressed: Int?
    /// Where the next page begins; nil where there is none.
    package var nextCursor: String?

    package var rowCount: Int { rows ?? 0 }

    /// The whole answer in memory.
    package var body: [UInt8] {
        switch content {
        case .bytes(let bytes): bytes
        case .file(let path, _): (try? FileSystem.read(path)) ?? []
        }
    }
}

/// A row of the view `relays`; central's fleet knows them.
package struct RelayRow: Hashable, Sendable {
    package var relayID: String
    package var lastContact: Timestamp?
    package var received: Int64
    package var archived: Int64
    package var duplicates: Int64
    package var rejected: Int64
    package var waiting: Int64
    package var completeThrough: Timestamp?

    package init(
        relayID: String, lastContact: Timestamp? = nil, received: Int64 = 0, archived: Int64 = 0, duplicates: Int64 = 0,
        rejected: Int64 = 0, waiting: Int64 = 0, completeThrough: Timestamp? = nil
    ) {
        self.relayID = relayID
        self.lastContact = lastContact
        self.received = received
        self.archived = archived
        self.duplicates = duplicates
        self.rejected = rejected
        self.waiting = waiting
        self.completeThrough = completeThrough
    }
}

package struct QueryConfiguration: Sendable {
    package var duckDB: DuckDBExecutable
    /// Each query gets a fresh folder in it; emptied at start.
    package var scratchDirectory: String
    package var memoryBytes = 512 << 20
    package var threads = 2
    package var timeoutSeconds = 30.0
    package var maxRows = 100_000
    package var maxResultBytes = 256 << 20
    package var maxStatementBytes = 100_000
    /// More at once are refused with 503.
    package var maxConcurrent = 4
    /// Of an export, whose file lies in the scratch folder until the client has it.
    package var exportTimeoutSeconds = 3_600.0
    package var maxExportBytes = 16 << 30
    /// At most so many of the queries are exports.
    package var maxExports = 2
    /// Statistics over people leave out groups of fewer.
    package var minGroup = 5

    package init(duckDB: DuckDBExecutable, scratchDirectory: String) {
        self.duckDB = duckDB
        self.scratchDirectory = scratchDirectory
    }
}
