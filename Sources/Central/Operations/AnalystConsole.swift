// What analysts and their programs ask of central: SQL, figures, metrics, the page.

package import HTTPServer
import FoundationEssentials
import Models

package final class AnalystConsole: CentralConsole {
    private let queries: QueryService
    private let jobs: JobService
    private let instruments: CentralMetrics
    private let figures: @Sendable () -> CentralFigures
    private let clusterFigures: @Sendable () -> ClusterFigures
    private let troublesNow: @Sendable () -> [String]
    private let moreMetrics: @Sendable () -> [UInt8]

    init(
        queries: QueryService, jobs: JobService, figures: @escaping @Sendable () -> CentralFigures,
        cluster: @escaping @Sendable () -> ClusterFigures, troubles: @escaping @Sendable () -> [String],
        moreMetrics: @escaping @Sendable () -> [UInt8] = { [] }
    ) {
        self.queries = queries
        self.jobs = jobs
        self.figures = figures
        clusterFigures = cluster
        troublesNow = troubles
        self.moreMetrics = moreMetrics
        instruments = CentralMetrics(figures)
    }

    package func status() -> [UInt8] { figures().statusJSON() }
    package func relays() -> [UInt8] { figures().relaysJSON() }
    package func cluster() -> [UInt8] { clusterFigures().json() }
    package func metrics() -> [UInt8] {
        instruments.render() + clusterFigures().metrics() + jobs.metrics() + moreMetrics()
    }
    package func troubles() -> [String] { troublesNow() }
    package func jobs(_ exchange: HTTPExchange) { jobs.handle(exchange) }
    package func page(hint: String) -> [UInt8] { CentralPage.html(figures(), hint: hint) }

    // MARK: SQL

    private struct Statement: Decodable {
        var sql: String?
        var format: String?
        var limit: Int?
    }

    /// `POST /v1/sql` `{"sql","format"?,"limit"?}`. A query blocks its thread: it gets one of its own, and ends when
    /// the client has gone.
    package func sql(_ exchange: HTTPExchange) {
        let sql: String
        let format: QueryFormat
        let limit: Int?
        do throws(Problem) {
            (sql, format, limit) = try Self.statement(Array(exchange.body))
        } catch {
            return exchange.respond(HTTPResponse(problem: error))
        }
        QueryThread.answer(exchange) { [queries] isCancelled throws(Problem) in
            try queries.run(sql: sql, format: format, limit: limit, isCancelled: isCancelled)
        }
    }

    private static func statement(_ body: [UInt8]) throws(Problem) -> (String, QueryFormat, Int?) {
        let statement: Statement
        do {
            statement = try JSONDecoder().decode(Statement.self, from: Data(body))
        } catch {
            throw Problem(
                status: 400, code: "invalid_json",
                detail: #"Send {"sql": "SELECT …", "format": "json", "limit": 1000}; format and limit may be left out."#
            )
        }
        guard let sql = statement.sql else {
            throw Problem(status: 422, code: "missing_field", detail: "sql is required.", field: "sql")
        }
        guard let format = QueryFormat.ofStatements.first(where: { $0.rawValue == statement.format ?? "json" }) else {
            throw Problem(
                status: 422, code: "invalid_field", detail: "format is json, csv or parquet.", field: "format")
        }
        return (sql, format, statement.limit)
    }
}

enum CentralPage {
    /// Without the explorer's files. `hint` has no markup in it.
    static func html(_ figures: CentralFigures, hint: String) -> [UInt8] {
        let links = [
            ("/v1/status", "status"), ("/v1/relays", "relays"), ("/metrics", "metrics"),
            ("/openapi.json", "interface description"),
        ]
        let list = links.map { #"<li><a href="\#($0.0)">\#($0.1)</a></li>"# }.joined()
        let through = figures.completeThrough?.rfc3339 ?? "nothing yet"
        return Array(
            """
            <!doctype html><html lang="en"><meta charset="utf-8"><title>Columba central</title>
            <h1>Columba central</h1><p>\(hint)</p>
            <p>\(figures.archive.reports) reports, \(figures.archive.duplicates) duplicates and \
            \(figures.archive.alerts) alert records in \(figures.archive.files) files, \(figures.archive.bytes) bytes; \
            version \(figures.archive.version); complete through \(through).</p>
            <p>Ask: <code>columba sql --central URL "SELECT count(*) FROM reports"</code></p><ul>\(list)</ul></html>

            """.utf8)
    }
}
