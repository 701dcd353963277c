// A question of an analyst and its answer (contract §6).

package import DuckDB
package import Models

package enum QueryFormat: String, CaseIterable, Hashable, Sendable {
    case json, csv, parquet

    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .csv: "text/csv; charset=utf-8; header=present"
        case .parquet: "application/vnd.apache.parquet"
        }
    }
}

package struct QueryColumn: Codable, Hashable, Sendable {
    package var name: String
    /// As DuckDB writes it: `BIGINT`, `STRUCT(a DOUBLE)[]`.
    package var type: String
}

package struct QueryAnswer: Sendable {
    package var contentType: String
    package var body: [UInt8]
    package var columns: [QueryColumn]
    package var rowCount: Int
    /// There were more rows than the limit.
    package var truncated: Bool
    /// For the header `X-Complete-Through`.
    package var completeThrough: Timestamp?
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

    package init(duckDB: DuckDBExecutable, scratchDirectory: String) {
        self.duckDB = duckDB
        self.scratchDirectory = scratchDirectory
    }
}
