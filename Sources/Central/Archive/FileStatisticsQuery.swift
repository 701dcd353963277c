// The statistics of rows that are in Parquet files already: the same columns as `FileStatistics` gathers while rows are
// written, asked of DuckDB.

import DuckDB
import FoundationEssentials

extension FileStatistics {
    struct Query {
        private let columns: [Column]

        /// Columns that are never null, of types that have an order.
        init(_ schema: TableSchema) {
            let names: Set<String>
            switch schema.name {
            case TableSchema.reports.name, TableSchema.duplicates.name:
                names = [
                    "drone_id", "seq", "observed_at", "received_at", "lat", "lon", "cell", "relay_id", "epoch",
                    "relay_seq",
                ]
            case TableSchema.alerts.name: names = ["at", "received_at", "relay_id", "epoch", "relay_seq"]
            default: names = []
            }
            columns = schema.fileColumns.filter { names.contains($0.name) }
        }

        /// One row: `rows`, then `min_…` and `max_…`. `source` is a subquery.
        func sql(from source: String) -> String {
            var parts = ["count(*) as rows"]
            for column in columns {
                let name = SQLText.identifier(column.name)
                let value = column.type == .timestamp ? "epoch_us(\(name))" : name
                parts.append("min(\(value)) as \"min_\(column.name)\"")
                parts.append("max(\(value)) as \"max_\(column.name)\"")
            }
            return "select \(parts.joined(separator: ", ")) from \(source);\n"
        }

        private enum Value: Decodable {
            case integer(Int64)
            case number(Double)
            case text(String)
            case null

            init(from decoder: any Decoder) throws {
                let value = try decoder.singleValueContainer()
                if value.decodeNil() {
                    self = .null
                } else if let integer = try? value.decode(Int64.self) {
                    self = .integer(integer)
                } else if let number = try? value.decode(Double.self) {
                    self = .number(number)
                } else {
                    self = .text(try value.decode(String.self))
                }
            }
        }

        func statistics(from line: Data) throws -> FileStatistics {
            let values = try JSONDecoder().decode([String: Value].self, from: line)
            guard case .integer(let rows)? = values["rows"] else {
                throw ArchiveError.conversion(type: "unreadable statistics")
            }
            var statistics = FileStatistics()
            statistics.rows = Int(rows)
            for column in columns {
                guard let low = values["min_\(column.name)"], let high = values["max_\(column.name)"] else { continue }
                switch (column.type, low, high) {
                case (.string, .text(let low), .text(let high)):
                    statistics.set(column.name, ValueRange(smallest: low, largest: high))
                case (.long, .integer(let low), .integer(let high)):
                    statistics.set(column.name, ValueRange(smallest: low, largest: high))
                case (.timestamp, .integer(let low), .integer(let high)):
                    statistics.set(timestamps: column.name, ValueRange(smallest: low, largest: high))
                case (.double, let low, let high):
                    guard let low = number(low), let high = number(high) else { continue }
                    statistics.set(column.name, ValueRange(smallest: low, largest: high))
                default: continue
                }
            }
            return statistics
        }

        private func number(_ value: Value) -> Double? {
            switch value {
            case .integer(let integer): Double(integer)
            case .number(let number): number
            case .text, .null: nil
            }
        }
    }
}
