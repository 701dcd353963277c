// One question of the explorer: a statement, what its answer may be at most, and what is said beside the rows. Every
// view of the page is one of these, so each has its twin as JSON and CSV, and "show SQL" is what really ran.

import JSON
import Models

/// What the page may ask of the server at most. A browser draws so much without stuttering.
package enum ExplorerLimits {
    /// Rows of any answer of the explorer.
    package static let points = 50_000
    package static let bins = 2_000
    package static let defaultBins = 240
    /// Relays of a histogram; the others are counted together.
    package static let relays = 24
    /// Series of a chart; the others are counted together.
    package static let series = 8
    /// Lists are unfolded for so many reports, picked evenly by a hash of their identity.
    package static let sampledReports = 50_000

    static func check() {
        precondition(bins * (relays + 1) <= points, "a histogram's rows are within the limit")
        precondition(bins * (series + 1) <= points, "a chart's rows are within the limit")
    }
}

package struct ExplorerQuestion: Sendable {
    package var sql: String
    package var limit = ExplorerLimits.points
    /// The column that says how many persons a row is about (`QueryRequest.people`).
    package var people: String?
    /// Members of a JSON answer before its columns.
    var about: [(name: String, value: Value)] = []

    enum Value: Sendable {
        case text(String), integer(Int), time(Timestamp)
    }

    init(_ sql: String) { self.sql = sql }

    /// Says beside the rows what they are of.
    mutating func tell(_ selection: ExplorerSelection) {
        tell("from", .time(selection.from))
        tell("to", .time(selection.to))
    }

    mutating func tell(_ name: String, _ value: Value) { about.append((name: name, value: value)) }

    package func request(_ format: QueryFormat) -> QueryRequest {
        var request = QueryRequest(sql: sql, format: format, limit: limit)
        request.people = people
        var json = JSONWriter()
        json.object { json in
            for (name, value) in about {
                switch value {
                case .text(let text): json.member(name, text)
                case .integer(let number): json.member(name, number)
                case .time(let time): json.member(name, time)
                }
            }
        }
        if !about.isEmpty { request.preamble = json.bytes.dropFirst().dropLast() + [UInt8(ascii: ",")] }
        return request
    }
}

/// Which reports, and from when to when they are counted.
struct ExplorerSelection {
    let selection: ReportSelection
    /// As asked for, or else the archive's.
    let from: Timestamp
    let to: Timestamp

    init(_ query: inout AnalystQuery, within period: LakePeriod?) throws(Problem) {
        selection = try ReportSelection(&query)
        let now = query.now
        let known = period ?? LakePeriod(from: Timestamp(microseconds: now.microseconds - 86_400_000_000), to: now)
        from = selection.from ?? min(known.from, selection.to ?? known.from)
        to = max(selection.to ?? Self.end(known, now), from)
    }

    /// An archive that is being written reaches to now, so that what is still missing has its place.
    private static func end(_ known: LakePeriod, _ now: Timestamp) -> Timestamp {
        let since = now.microseconds - known.to.microseconds
        return since > 0 && since <= (known.to.microseconds - known.from.microseconds) / 4 ? now : known.to
    }

    var condition: String { selection.whereClause }

    /// Lengths that people count in, in seconds.
    private static let widths = [
        1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 28 * 86_400,
    ]

    /// The shortest such length that gives at most so many intervals. Two more than the quotient may be begun.
    static func width(seconds: Double, bins: Int) -> Int {
        let wanted = max(bins - 2, 1)
        if let width = widths.first(where: { seconds / Double($0) <= Double(wanted) }) { return width }
        let weeks = (seconds / Double(wanted) / 604_800).rounded(.up)
        return Int(weeks) * 604_800
    }

    var seconds: Double { Double(to.microseconds - from.microseconds) / 1e6 }
}
