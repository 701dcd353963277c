// The explorer's own addresses, `/v1/explore/…`: each is one statement over the analysts' views, asked through the same
// sandbox and limits as anybody's SQL, as JSON, CSV, Parquet, or (`format=sql`) as the statement itself.

import HTTPServer
package import Models

package enum ExplorerPath: String, CaseIterable, Sendable {
    case histogram, bins, points, fields, values, chart, archive, schema, days

    private static let prefix = "/v1/explore/"

    package init?(path: String) {
        guard path.hasPrefix(Self.prefix) else { return nil }
        self.init(rawValue: String(path.dropFirst(Self.prefix.count)))
    }

    package var path: String { Self.prefix + rawValue }

    package enum Format: String, CaseIterable, Sendable {
        case json, csv, parquet, geojson, sql

        var query: QueryFormat {
            switch self {
            case .json, .sql: .json
            case .csv: .csv
            case .parquet: .parquet
            case .geojson: .geojson
            }
        }
    }

    package var formats: [Format] {
        switch self {
        case .points: [.json, .csv, .parquet, .geojson, .sql]
        case .days: [.json, .csv]
        default: [.json, .csv, .parquet, .sql]
        }
    }

    /// `period`: what the archive has, where nobody says from when or to when.
    package func question(
        _ queryItems: [(name: String, value: String)], now: Timestamp, within period: LakePeriod?
    ) throws(Problem) -> (question: ExplorerQuestion?, format: Format) {
        var query = try AnalystQuery(queryItems, now: now)
        let format = try query.choice("format", of: formats) ?? .json
        let question: ExplorerQuestion? =
            switch self {
            case .histogram: try .histogram(&query, within: period)
            case .bins: try .bins(&query, within: period)
            case .points: try .points(&query, within: period)
            case .fields: try .fields(&query, within: period)
            case .values: try .values(&query, within: period)
            case .chart: try .chart(&query, within: period)
            case .archive: try .archive(&query, within: period)
            case .schema: .schema
            case .days: nil
            }
        try query.finish()
        return (question, format)
    }
}

struct ExplorerRoutes: Sendable {
    let queries: QueryService

    func handle(_ exchange: HTTPExchange, _ path: ExplorerPath, now: Timestamp) {
        let items = exchange.queryItems
        QueryThread.run(exchange) { [queries] isCancelled throws(Problem) in
            let days = try queries.lakeDays()
            let (question, format) = try path.question(items, now: now, within: days.period)
            guard let question else {
                guard format == .csv else { return exchange.respond(CentralRoutes.json(days.json(now: now))) }
                return exchange.respond(
                    HTTPResponse(status: 200, contentType: QueryFormat.csv.contentType, body: days.csv))
            }
            guard format != .sql else { return Self.respondSQL(exchange) { question.sql } }
            let request = question.request(format.query)
            QueryThread.respond(exchange, try queries.run(request, isCancelled: isCancelled))
        }
    }

    /// `format=sql`: the statement itself, which `POST /v1/sql` answers as well.
    static func respondSQL(_ exchange: HTTPExchange, _ statement: () throws(Problem) -> String) {
        do throws(Problem) {
            exchange.respond(
                HTTPResponse(
                    status: 200, contentType: "application/sql; charset=utf-8",
                    body: Array((try statement() + "\n").utf8)))
        } catch {
            exchange.respond(HTTPResponse(problem: error))
        }
    }
}
