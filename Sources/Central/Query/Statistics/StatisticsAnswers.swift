// `GET /v1/stats` and `/v1/stats/{name}`: the list, and one statistic as JSON, CSV, Parquet or as the SQL behind it.

import HTTPServer
import JSON
import Models

struct StatisticsAnswers: Sendable {
    let library: StatisticsLibrary
    let queries: QueryService

    static let prefix = "/v1/stats/"

    func list(_ exchange: HTTPExchange) {
        QueryThread.run(exchange) { [self] _ throws(Problem) in
            exchange.respond(CentralRoutes.json(Self.json(try library.described())))
        }
    }

    func run(_ exchange: HTTPExchange, now: Timestamp) {
        let name = String(exchange.path.dropFirst(Self.prefix.count))
        let items = exchange.queryItems
        QueryThread.run(exchange) { [self] isCancelled throws(Problem) in
            var query = try AnalystQuery(items, now: now)
            let asSQL = query.peek("format") == "sql"
            let format = asSQL ? .json : try query.choice("format", of: QueryFormat.ofStatements) ?? .json
            let limit = try query.integer("limit", in: 1...10_000_000)
            let statistic = try library.statistic(name)
            let resolved = try statistic.resolved(query.rest, now: now, smallestGroup: queries.smallestGroup)
            if asSQL {
                return exchange.respond(
                    HTTPResponse(
                        status: 200, contentType: "application/sql; charset=utf-8", body: Array(resolved.sql.utf8)))
            }
            let request = Self.request(statistic, resolved, format: format, limit: limit)
            QueryThread.respond(exchange, try queries.run(request, isCancelled: isCancelled))
        }
    }

    static func request(
        _ statistic: Statistic, _ resolved: Statistic.Resolved, format: QueryFormat, limit: Int?
    ) -> QueryRequest {
        var request = QueryRequest(sql: resolved.sql, format: format, limit: limit)
        request.people = statistic.people
        var preamble = JSONWriter()
        preamble.object { json in
            json.member("name", statistic.name)
            json.member("title", statistic.title)
            json.object("parameters") { json in for value in resolved.values { json.member(value.name, value.value) } }
        }
        request.preamble = preamble.bytes.dropFirst().dropLast() + [UInt8(ascii: ",")]
        for note in statistic.columns {
            var json = JSONWriter()
            json.object { json in
                if let unit = note.unit { json.member("unit", unit) }
                json.member("description", note.description)
            }
            request.columnNotes[note.name] = [UInt8(ascii: ",")] + json.bytes.dropFirst().dropLast()
        }
        return request
    }

    private static func json(_ entries: [(entry: StatisticEntry, columns: [QueryColumn])]) -> [UInt8] {
        var json = JSONWriter(reservedBytes: 16 << 10)
        json.object { json in
            json.key("statistics")
            json.array { json in
                for (entry, columns) in entries {
                    json.object { json in
                        json.member("name", entry.name)
                        json.member("source", entry.folder ?? "built-in")
                        switch entry.result {
                        case .failure(let fault): json.member("error", fault.description)
                        case .success(let statistic): append(statistic, columns, to: &json)
                        }
                    }
                }
            }
        }
        return json.bytes
    }

    private static func append(_ statistic: Statistic, _ columns: [QueryColumn], to json: inout JSONWriter) {
        json.member("title", statistic.title)
        json.member("description", statistic.description)
        json.key("parameters")
        json.array { json in
            for parameter in statistic.parameters {
                json.object { json in
                    json.member("name", parameter.name)
                    json.member("type", parameter.kind.rawValue)
                    json.member("required", parameter.defaultText == nil)
                    if let value = parameter.defaultText { json.member("default", value) }
                    json.member("description", parameter.description)
                }
            }
        }
        json.key("columns")
        json.array { json in
            for column in columns {
                let note = statistic.columns.first { $0.name == column.name }
                json.object { json in
                    json.member("name", column.name)
                    json.member("type", column.type)
                    if let unit = note?.unit { json.member("unit", unit) }
                    if let note { json.member("description", note.description) }
                }
            }
        }
        if let plot = statistic.plot { json.member("plot", plot) }
        json.member("people", statistic.people != nil)
    }
}
