// `GET /v1/export`: all reports that fit the filters, as one file. DuckDB writes it into the query's scratch folder
// while it reads, and the answer is sent from there, so neither side ever holds it in memory. Limits: `query
// {export_timeout_s, max_export_bytes}` and two at once; whoever wants more exports a month at a time, or reads the
// lake.

import HTTPServer
import JSON
package import Models

package struct ExportRequest: Sendable {
    package static let formats: [QueryFormat] = [.parquet, .csv, .geojson, .ndjson]
    private static let maxConditionBytes = 20_000
    private static let sampleRows = 2_000

    private let condition: String
    private let format: QueryFormat
    let wantsEstimate: Bool

    package init(_ queryItems: [(name: String, value: String)], now: Timestamp) throws(Problem) {
        var query = try AnalystQuery(queryItems, now: now)
        let selection = try ReportSelection(&query)
        format = try query.choice("format", of: Self.formats) ?? .parquet
        let estimate = query.text("estimate")
        guard estimate == nil || estimate == "true" || estimate == "false" else {
            throw AnalystQuery.invalid("estimate is true or false", "estimate")
        }
        wantsEstimate = estimate == "true"
        var condition = selection.whereClause
        if let sql = query.text("where") {
            guard sql.utf8.count <= Self.maxConditionBytes, !sql.utf8.contains(0) else {
                throw AnalystQuery.invalid(
                    "where is an SQL condition of at most \(Self.maxConditionBytes) bytes", "where")
            }
            try Self.checkBalance(sql)
            // On lines of its own: a comment at its end must not eat the parenthesis.
            condition += "\n  and (\n\(sql)\n)"
        }
        self.condition = condition
        try query.finish()
    }

    /// The condition stays one: it closes no parenthesis that it has not opened. Whatever it does, it is read-only and
    /// sees the same views as any statement; this is for the error's sake.
    private static func checkBalance(_ sql: String) throws(Problem) {
        var depth = 0
        for token in SQLTokens.all(sql) where token.kind == .symbol {
            if token.text == "(" { depth += 1 }
            if token.text == ")" { depth -= 1 }
            if depth < 0 || token.text == ";" { break }
        }
        guard depth == 0 else { throw AnalystQuery.invalid("where has unbalanced parentheses", "where") }
    }

    package var request: QueryRequest {
        var request = QueryRequest(sql: "select * from reports where \(condition)", format: format)
        request.isExport = true
        return request
    }

    package var download: String { "reports.\(format.rawValue)" }

    /// How many reports and about how many bytes: counted, and measured on the first rows.
    package func estimate(
        _ queries: QueryService, isCancelled: @escaping () -> Bool = { false }
    ) throws(Problem) -> (rows: Int, bytes: Int) {
        try Self.naming("where") { () throws(Problem) in
            let sample = try queries.run(
                QueryRequest(sql: request.sql, format: format, limit: Self.sampleRows), isCancelled: isCancelled)
            let counted = try queries.run(
                QueryRequest(sql: "select count(*) as n from reports where \(condition)", format: .json),
                isCancelled: isCancelled)
            let rows = Self.count(in: counted.body) ?? sample.rowCount
            guard sample.rowCount > 0 else { return (rows, sample.body.count) }
            return (rows, Int(Double(sample.body.count) / Double(sample.rowCount) * Double(rows)))
        }
    }

    /// `"rows":[{"n":12}]`
    private static func count(in answer: [UInt8]) -> Int? {
        let text = String(decoding: answer, as: UTF8.self)
        return text.split(separator: #"[{"n":"#).dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) }
    }

    /// An error's place would be one in our statement.
    static func naming<Answer>(_ field: String, _ body: () throws(Problem) -> Answer) throws(Problem) -> Answer {
        do throws(Problem) {
            return try body()
        } catch {
            guard error.field == "sql" else { throw error }
            var problem = error
            problem.field = field
            if let place = problem.detail.range(of: " (line ") { problem.detail = String(problem.detail[..<place]) }
            throw problem
        }
    }

    func answer(_ exchange: HTTPExchange, _ queries: QueryService) {
        QueryThread.run(exchange) { [self] isCancelled throws(Problem) in
            if wantsEstimate {
                let (rows, bytes) = try estimate(queries, isCancelled: isCancelled)
                var json = JSONWriter()
                json.object { json in
                    json.member("rows", rows)
                    json.member("bytes", bytes)
                }
                return exchange.respond(CentralRoutes.json(json.bytes))
            }
            let answer = try Self.naming("where") { () throws(Problem) in
                try queries.run(request, isCancelled: isCancelled)
            }
            QueryThread.respond(exchange, answer, download: download)
        }
    }
}

extension String {
    fileprivate func range(of text: String) -> Index? {
        let wanted = Array(text.utf8)
        let bytes = Array(utf8)
        guard bytes.count >= wanted.count else { return nil }
        let found = (0...(bytes.count - wanted.count)).last { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
        return found.flatMap { utf8.index(startIndex, offsetBy: $0) }
    }
}
