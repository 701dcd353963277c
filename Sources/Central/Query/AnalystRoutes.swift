// The analysts' addresses beside SQL: reports, exports, statistics, and what is live. Whatever asks DuckDB blocks its
// thread: it gets one of its own, and ends when the client has gone.

package import HTTPServer
import Models
import System

package struct AnalystRoutes: Sendable {
    private let queries: QueryService
    private let statistics: StatisticsAnswers
    private let live: LiveAnswers
    private let explorer: ExplorerRoutes
    private let time: any TimeSource

    init(_ queries: QueryService, _ live: LiveView, _ configuration: CentralConfiguration.Query, time: any TimeSource) {
        self.queries = queries
        self.live = LiveAnswers(live: live)
        explorer = ExplorerRoutes(queries: queries)
        self.time = time
        let library = StatisticsLibrary(
            builtIn: StatisticsLibrary.locateBuiltIn(), folders: configuration.statisticsFolders, queries: queries)
        statistics = StatisticsAnswers(library: library, queries: queries)
    }

    /// Whether this address is one of these. All of them are asked with GET.
    package func answers(_ path: String) -> Bool {
        switch path {
        case "/v1/reports", "/v1/export", "/v1/sql/helpers", "/v1/stats", "/v1/live", "/v1/live/stream", "/v1/alerts",
            "/v1/alerts/stream":
            true
        case _ where ExplorerPath(path: path) != nil: true
        default:
            path.hasPrefix(StatisticsAnswers.prefix)
                && Statistic.isValidName(String(path.dropFirst(StatisticsAnswers.prefix.count)))
        }
    }

    package func handle(_ exchange: HTTPExchange) {
        if let path = ExplorerPath(path: exchange.path) { return explorer.handle(exchange, path, now: now) }
        switch exchange.path {
        case "/v1/reports": reports(exchange)
        case "/v1/export": export(exchange)
        case "/v1/stats": statistics.list(exchange)
        case "/v1/live": live.summary(exchange)
        case "/v1/live/stream": live.followSummary(exchange)
        case "/v1/alerts": live.alerts(exchange, now: now)
        case "/v1/alerts/stream": live.followAlerts(exchange)
        case "/v1/sql/helpers":
            exchange.respond(
                HTTPResponse(
                    status: 200, contentType: "application/sql; charset=utf-8", body: Array(SQLHelpers.script.utf8)))
        default: statistics.run(exchange, now: now)
        }
    }

    private var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    private func export(_ exchange: HTTPExchange) {
        do throws(Problem) {
            try ExportRequest(exchange.queryItems, now: now).answer(exchange, queries)
        } catch {
            exchange.respond(HTTPResponse(problem: error))
        }
    }

    private func reports(_ exchange: HTTPExchange) {
        let asSQL = exchange.queryItem("format") == "sql"
        let items = exchange.queryItems.filter { !asSQL || $0.name != "format" }
        guard !asSQL else {
            return ExplorerRoutes.respondSQL(exchange) { () throws(Problem) in
                try ReportPage(items, now: now).request.sql
            }
        }
        QueryThread.answer(exchange) { [queries, now] isCancelled throws(Problem) in
            try queries.run(ReportPage(items, now: now).request, isCancelled: isCancelled)
        }
    }
}

/// Answers a request from a thread of its own.
enum QueryThread {
    static func answer(
        _ exchange: HTTPExchange, download: String? = nil,
        _ work: @escaping @Sendable (@escaping () -> Bool) throws(Problem) -> QueryAnswer
    ) {
        run(exchange) { isCancelled throws(Problem) in
            respond(exchange, try work(isCancelled), download: download)
        }
    }

    static func run(
        _ exchange: HTTPExchange, _ work: @escaping @Sendable (@escaping () -> Bool) throws(Problem) -> Void
    ) {
        _ = WorkerThread(name: "query", stackBytes: 2 << 20) {
            do throws(Problem) {
                try work { exchange.isClientGone() }
            } catch {
                // A client that has gone reads no answer; any status does.
                exchange.respond(HTTPResponse(problem: error))
            }
        }
    }

    static func respond(_ exchange: HTTPExchange, _ answer: QueryAnswer, download: String? = nil) {
        var headers = [("Content-Type", answer.contentType), ("Cache-Control", "no-store")]
        if let rows = answer.rows {
            headers.append(("X-Row-Count", String(rows)))
            headers.append(("X-Truncated", answer.truncated ? "true" : "false"))
        }
        if let through = answer.completeThrough { headers.append(("X-Complete-Through", through.rfc3339)) }
        if let suppressed = answer.suppressed { headers.append(("X-Suppressed-Groups", String(suppressed))) }
        if let next = answer.nextCursor { headers.append(("X-Next-Cursor", next)) }
        if let download { headers.append(("Content-Disposition", "attachment; filename=\"\(download)\"")) }
        switch answer.content {
        case .bytes(let bytes): exchange.respond(HTTPResponse(status: 200, headers: headers, body: bytes))
        case .file(let path, _):
            guard !exchange.respond(headers: headers, file: path) else { return }
            exchange.respond(
                HTTPResponse(
                    problem: Problem(status: 500, code: "sql_failed", detail: "the answer's file cannot be read")))
        }
    }
}
