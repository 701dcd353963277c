// Which reports: the filters that `GET /v1/reports` and exports share, as SQL conditions.
//
// `from` and `to` mean the time that decides a report's day in the archive: when it was observed, or, where the drone's
// clock is suspect, when a relay received it. `from` is included, `to` is not.

import DuckDB
package import Models

struct ReportSelection {
    private(set) var conditions: [String] = []
    /// Included; and not included.
    let from: Timestamp?
    let to: Timestamp?

    init(_ query: inout AnalystQuery) throws(Problem) {
        from = try query.time("from")
        to = try query.time("to")
        if let from, let to, to < from { throw AnalystQuery.invalid("to is before from", "to") }
        if let from {
            conditions += ["date >= \(Self.day(from))", "\(Self.time) >= \(Self.literal(from))"]
        }
        if let to { conditions += ["date <= \(Self.day(to))", "\(Self.time) < \(Self.literal(to))"] }
        if let box = query.text("bbox") { conditions.append(try Self.box(box)) }
        for name in ["drone_id", "relay_id"] {
            guard let id = query.text(name) else { continue }
            guard Identifier.isValidDroneID(id) else {
                throw AnalystQuery.invalid("\(name) is 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen", name)
            }
            conditions.append("\(name) = \(SQLText.literal(id))")
        }
        if let word = query.text("word") {
            guard !word.utf8.contains(0) else { throw AnalystQuery.invalid("word holds no NUL", "word") }
            conditions.append("list_contains(words, \(SQLText.literal(word)))")
        }
        if let person = query.text("person_id") {
            guard person.utf8.count == 32, person.utf8.allSatisfy({ $0 != 0 && $0 < 0x80 }) else {
                throw AnalystQuery.invalid("person_id has 32 hexadecimal digits", "person_id")
            }
            conditions.append("sees_person(citizens, \(SQLText.literal(person)))")
        }
        if let cell = query.text("cell") {
            guard cell.utf8.count <= 7, cell.utf8.allSatisfy({ Self.geohash.contains($0) }) else {
                throw AnalystQuery.invalid("cell is the beginning of a geohash, at most 7 characters", "cell")
            }
            conditions.append("starts_with(cell, \(SQLText.literal(cell)))")
        }
        conditions += try Self.furtherConditions(&query)
    }

    static let time = "report_time(observed_at, received_at, time_suspect)"
    private static let geohash = Set("0123456789bcdefghjkmnpqrstuvwxyz".utf8)

    static func literal(_ time: Timestamp) -> String { "timestamptz '\(time.rfc3339)'" }
    static func day(_ time: Timestamp) -> String { "date '\(time.utcDay)'" }

    /// `west,south,east,north` in degrees, as in GeoJSON; west beyond east crosses the 180th meridian.
    private static func box(_ text: String) throws(Problem) -> String {
        let sides = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
        guard sides.count == 4, let west = sides[0], let south = sides[1], let east = sides[2], let north = sides[3],
            [west, east].allSatisfy({ abs($0) <= 180 }), [south, north].allSatisfy({ abs($0) <= 90 }), south <= north
        else {
            throw AnalystQuery.invalid(
                "bbox is west,south,east,north in degrees: longitudes within 180, latitudes within 90, south first",
                "bbox")
        }
        return "in_box(lat, lon, \(west), \(south), \(east), \(north))"
    }

    var whereClause: String { conditions.isEmpty ? "true" : conditions.joined(separator: "\n  and ") }
}

/// A page of `GET /v1/reports`: rows by time, then identity, so that a page's end is a place that later reports do not
/// move. A report that arrives late and belongs to a page already read is not seen by going on.
package struct ReportPage {
    static let defaultLimit = 100
    static let maxLimit = 10_000

    enum Order: String, CaseIterable { case newest, oldest }

    package let request: QueryRequest

    package init(_ queryItems: [(name: String, value: String)], now: Timestamp) throws(Problem) {
        var query = try AnalystQuery(queryItems, now: now)
        let selection = try ReportSelection(&query)
        let limit = try query.integer("limit", in: 1...Self.maxLimit) ?? Self.defaultLimit
        let order = try query.choice("order", of: Order.allCases) ?? .newest
        let format = try query.choice("format", of: QueryFormat.allCases) ?? .json
        let cursor = query.text("cursor")
        try query.finish()
        var conditions = [selection.whereClause]
        if let cursor { conditions.append(try Self.condition(cursor, order)) }
        let direction = order == .newest ? "desc" : "asc"
        let key = [ReportSelection.time, "drone_id", "boot", "seq"].map { "\($0) \(direction)" }
        var request = QueryRequest(
            sql: "select * from reports where \(conditions.joined(separator: "\n  and "))\n"
                + "order by \(key.joined(separator: ", ")) limit \(limit + 1)",
            format: format, limit: limit)
        request.cursor = "concat_ws('~', epoch_us(\(ReportSelection.time)), drone_id, boot, seq)"
        self.request = request
    }

    /// `microseconds~drone~boot~seq`
    private static func condition(_ cursor: String, _ order: Order) throws(Problem) -> String {
        let parts = cursor.split(separator: "~", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count == 4, let time = Int64(parts[0]), Identifier.isValidDroneID(parts[1]),
            Identifier.isValidDroneID(parts[2]) || Identifier.isValidBoot(parts[2]) || parts[2].hasPrefix("relay."),
            let seq = Int64(parts[3]), abs(time) < 1 << 60
        else {
            throw AnalystQuery.invalid("cursor is the next_cursor of an answer before, unchanged", "cursor")
        }
        let at = Timestamp(microseconds: time)
        let compare = order == .newest ? "<" : ">"
        return "date \(compare)= \(ReportSelection.day(at)) and (\(ReportSelection.time), drone_id, boot, seq) "
            + "\(compare) (\(ReportSelection.literal(at)), \(SQLText.literal(parts[1])), "
            + "\(SQLText.literal(parts[2])), \(seq))"
    }
}
