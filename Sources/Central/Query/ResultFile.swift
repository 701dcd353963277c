// How a result becomes a file that DuckDB's COPY writes: the SELECT and the options for each format.

import DuckDB
import Models

extension ResultShape {
    static func file(
        _ format: QueryFormat, _ columns: [QueryColumn], from source: String
    ) -> (select: String, options: String) {
        // One column of text, written as it is: no text of JSON holds a raw line feed or U+0001.
        let lines = #"format csv, header false, quote '', escape '', delimiter e'\x01'"#
        switch format {
        case .csv: return ("select \(csvColumns(columns)) from \(source)", "format csv, header true")
        case .parquet: return ("select * from \(source)", "format parquet, compression zstd")
        case .json, .ndjson: return (jsonRows(columns, from: source), lines)
        case .geojson:
            let frame = #"prefix '{"type":"FeatureCollection","features":[', suffix ']}', new_line e',\n'"#
            return (features(columns, from: source), "\(lines), \(frame)")
        }
    }

    /// What a spreadsheet would take for a formula begins so (F93).
    private static let formulaStart = #"'^[=+@\t\r-]'"#

    /// Times as RFC 3339, lists and structures as JSON, texts that look like a formula with a quote before them.
    private static func csvColumns(_ columns: [QueryColumn]) -> String {
        columns.map { column in
            let name = SQLText.identifier(column.name)
            let looksLikeFormula = column.name.first.map { "=+-@\t\r".contains($0) } ?? false
            let head = SQLText.identifier(looksLikeFormula ? "'" + column.name : column.name)
            let type = DescribedType(column.type)
            switch type {
            case .time: return "\(type.rewritten(name)) as \(head)"
            case .list, .structure, .map: return "to_json(\(type.rewritten(name)))::VARCHAR as \(head)"
            case .plain:
                guard column.type == "VARCHAR" || column.type.hasPrefix("ENUM") else { return "\(name) as \(head)" }
                return "case when regexp_matches(\(name)::VARCHAR, \(formulaStart)) "
                    + "then '''' || \(name)::VARCHAR else \(name)::VARCHAR end as \(head)"
            }
        }.joined(separator: ", ")
    }

    /// A row as a Feature: `lat`, `lon` and `alt_m` are its point, the other columns its properties.
    private static func features(_ columns: [QueryColumn], from source: String) -> String {
        let place: Set<String> = ["lat", "lon", "alt_m"]
        var parts: [String] = []
        for column in columns where !place.contains(column.name) {
            var key: [UInt8] = Array(parts.isEmpty ? "".utf8 : ",".utf8)
            JSONText.appendString(column.name, to: &key)
            key.append(UInt8(ascii: ":"))
            parts.append(SQLText.literal(String(decoding: key, as: UTF8.self)))
            let value = DescribedType(column.type).rewritten(SQLText.identifier(column.name))
            parts.append("coalesce(to_json(\(value))::VARCHAR, 'null')")
        }
        let properties = parts.isEmpty ? "''" : parts.joined(separator: ", ")
        return """
            select concat('{"type":"Feature","geometry":', case when lat is null or lon is null then 'null' else
                concat('{"type":"Point","coordinates":[', lon, ',', lat, case when alt_m is null then '' else
                    concat(',', alt_m) end, ']}') end, ',"properties":{', \(properties), '}}') from \(source)
            """
    }
}
