// One query, from its text to its answer: the sandbox is started for it and ends with it.

import DuckDB
import FoundationEssentials
import Models
import System

struct QueryRun {
    let request: QueryRequest
    let configuration: QueryConfiguration
    let scratch: QueryScratch
    /// Started ahead; `scratch` is then its own.
    var spare: SpareSandbox?
    let completeThrough: Timestamp?
    let time: any TimeSource
    let isCancelled: () -> Bool

    private var limit: Int {
        min(request.limit ?? configuration.maxRows, configuration.maxRows)
    }
    private var format: QueryFormat { request.format }
    private var file: String { "\(scratch.path)/result.\(format.rawValue)" }

    func answer(_ views: LakeViews) throws(Problem) -> QueryAnswer {
        try inSandbox(views) { (sandbox, statement) throws(DuckDBError) -> QueryAnswer in
            var source = statement
            let columns = try describe(source, sandbox)
            let suppressed = try suppressSmallGroups(columns, &source, sandbox)
            var answer: QueryAnswer
            if format == .json {
                answer = try json(columns, source, suppressed: suppressed, sandbox)
            } else if request.isExport {
                try write(columns, "\(source)", sandbox)
                answer = fileAnswer(columns, rows: nil, truncated: false)
            } else {
                answer = try limited(columns, source, sandbox)
            }
            answer.suppressed = suppressed
            return answer
        }
    }

    func columns(_ views: LakeViews) throws(Problem) -> [QueryColumn] {
        try inSandbox(views) { (sandbox, source) throws(DuckDBError) in try describe(source, sandbox) }
    }

    private func inSandbox<Answer>(
        _ views: LakeViews, _ body: (DuckDBSandbox, String) throws(DuckDBError) -> Answer
    ) throws(Problem) -> Answer {
        let tag = randomTag()
        let limits = DuckDBSandbox.Limits(
            memoryBytes: configuration.memoryBytes, threads: configuration.threads,
            timeoutSeconds: request.isExport ? configuration.exportTimeoutSeconds : configuration.timeoutSeconds,
            resultBytes: request.isExport ? configuration.maxExportBytes : configuration.maxResultBytes)
        var sandbox: DuckDBSandbox?
        defer { sandbox?.end() }
        do throws(DuckDBError) {
            let started: DuckDBSandbox
            if let spare, readied(spare.sandbox, views, limits) {
                started = spare.sandbox
            } else {
                started = try DuckDBSandbox(
                    configuration.duckDB, limits: limits, scratchDirectory: scratch.path,
                    allowedPaths: views.paths + (format == .json ? [] : [file]),
                    // An export is written as it is read: keeping the order would keep rows in memory.
                    setup: views.script + (request.isExport ? "set preserve_insertion_order=false;\n" : ""),
                    time: time, isCancelled: isCancelled)
            }
            sandbox = started
            return try body(started, SQLText.query(request.sql, tag: tag))
        } catch {
            views.absent?.note(error)
            let position = sandbox.flatMap {
                QueryProblem.parserPosition(error, sql: request.sql, tag: tag, $0)
            }
            throw QueryProblem.make(
                error, sql: request.sql, position: position, limits: limits)
        }
    }

    /// False if the waiting process has died: then the query has one started for it.
    private func readied(_ sandbox: DuckDBSandbox, _ views: LakeViews, _ limits: DuckDBSandbox.Limits) -> Bool {
        sandbox.begin(timeoutSeconds: limits.timeoutSeconds, isCancelled: isCancelled)
        do throws(DuckDBError) {
            _ = try sandbox.ask(views.relaysScript)
            return true
        } catch {
            sandbox.end()
            return false
        }
    }

    /// Letters that the statement cannot guess, nor by chance contain.
    private func randomTag() -> String {
        while true {
            let digits =
                String(UInt64.random(in: 0 ... .max), radix: 16) + String(UInt64.random(in: 0 ... .max), radix: 16)
            if !request.sql.contains(digits) { return "q" + digits }
        }
    }

    private struct DescribedColumn: Decodable {
        var column_name: String
        var column_type: String
    }

    private func describe(_ source: String, _ sandbox: DuckDBSandbox) throws(DuckDBError) -> [QueryColumn] {
        let lines = try sandbox.ask("describe select * from \(source);").split(separator: 0x0a)
        let decoder = JSONDecoder()
        let columns = lines.compactMap { try? decoder.decode(DescribedColumn.self, from: Data($0)) }
        guard columns.count == lines.count, !columns.isEmpty else {
            throw DuckDBError(kind: .crashed, message: "DuckDB described no columns")
        }
        return columns.map { QueryColumn(name: $0.column_name, type: $0.column_type) }
    }

    // MARK: People

    /// Replaces `source` by its rows about enough people, and says how many were left out.
    private func suppressSmallGroups(
        _ columns: [QueryColumn], _ source: inout String, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> Int? {
        guard let people = request.people else { return nil }
        guard columns.contains(where: { $0.name == people }) else {
            throw DuckDBError(
                kind: .rejected, message: "Binder Error: people: there is no column \"\(people)\" in the result")
        }
        let isLarge = "coalesce(\(SQLText.identifier(people)) >= \(configuration.minGroup), false)"
        let left = try number(
            "create temp table people_groups as select * from \(source);",
            "select count(*) from people_groups where not \(isLarge)", sandbox)
        source = "(select * from people_groups where \(isLarge))"
        return left
    }

    private func number(
        _ preparation: String, _ question: String, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> Int {
        let text = try sandbox.ask("\(preparation)\n.mode list\n.headers off\n\(question);")
        guard let number = Int(String(decoding: text.filter { $0 != 0x0a }, as: UTF8.self)) else {
            throw DuckDBError(kind: .crashed, message: "DuckDB counted no rows")
        }
        return number
    }

    // MARK: JSON

    private func json(
        _ columns: [QueryColumn], _ source: String, suppressed: Int?, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> QueryAnswer {
        var source = source
        if request.cursor != nil {
            _ = try sandbox.ask("create temp table answer as select * from \(source) limit \(limit + 1);")
            source = "answer"
        }
        let select = ResultShape.jsonRows(columns, from: source, limit: limit + 1)
        let lines = try sandbox.ask(".mode list\n.headers off\n\(select);")
        var body = [UInt8(ascii: "{")] + request.preamble + Array(#""columns":["#.utf8)
        for (index, column) in columns.enumerated() {
            body.append(contentsOf: (index == 0 ? #"{"name":"# : #",{"name":"#).utf8)
            JSONText.appendString(column.name, to: &body)
            body.append(contentsOf: #","type":"#.utf8)
            JSONText.appendString(column.type, to: &body)
            body.append(contentsOf: request.columnNotes[column.name] ?? [])
            body.append(UInt8(ascii: "}"))
        }
        body.append(contentsOf: #"],"rows":["#.utf8)
        let (rows, more) = ResultShape.rows(fromLines: lines[...], limit: limit, into: &body)
        body.append(contentsOf: #"],"row_count":\#(rows),"truncated":\#(more),"#.utf8)
        if let suppressed {
            body.append(
                contentsOf: #""suppressed_groups":\#(suppressed),"smallest_group":\#(configuration.minGroup),"#.utf8)
        }
        let next = more ? try nextCursor(sandbox) : nil
        sandbox.end()
        body.append(contentsOf: #""complete_through":"#.utf8)
        if let completeThrough {
            JSONText.appendTimestamp(completeThrough, to: &body)
        } else {
            body.append(contentsOf: "null".utf8)
        }
        if request.cursor != nil {
            body.append(contentsOf: #","next_cursor":"#.utf8)
            if let next { JSONText.appendString(next, to: &body) } else { body.append(contentsOf: "null".utf8) }
        }
        body.append(UInt8(ascii: "}"))
        return QueryAnswer(
            contentType: format.contentType, content: .bytes(body), columns: columns, rows: rows, truncated: more,
            completeThrough: completeThrough, nextCursor: next)
    }

    /// After the last row that the client gets, from the table `answer`.
    private func nextCursor(_ sandbox: DuckDBSandbox) throws(DuckDBError) -> String? {
        guard let cursor = request.cursor else { return nil }
        let text = try sandbox.ask(
            ".mode list\n.headers off\nselect \(cursor) from answer limit 1 offset \(limit - 1);")
        return String(decoding: text.filter { $0 > 0x20 }, as: UTF8.self)
    }

    // MARK: Files

    /// CSV and the like: DuckDB writes a file, the only one it may.
    private func limited(
        _ columns: [QueryColumn], _ source: String, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> QueryAnswer {
        let count = try number(
            "create temp table answer as select * from \(source) limit \(limit + 1);", "select count(*) from answer",
            sandbox)
        try write(columns, "(select * from answer limit \(limit))", sandbox)
        let next = count > limit ? try nextCursor(sandbox) : nil
        sandbox.end()
        var answer = fileAnswer(columns, rows: min(count, limit), truncated: count > limit)
        answer.nextCursor = next
        return answer
    }

    private func write(_ columns: [QueryColumn], _ source: String, _ sandbox: DuckDBSandbox) throws(DuckDBError) {
        let (select, options) = ResultShape.file(format, columns, from: source)
        _ = try sandbox.ask(
            "copy (\(select)) to \(SQLText.literal(file)) (\(options), use_tmp_file false);")
    }

    private func fileAnswer(_ columns: [QueryColumn], rows: Int?, truncated: Bool) -> QueryAnswer {
        QueryAnswer(
            contentType: format.contentType, content: .file(file, scratch), columns: columns, rows: rows,
            truncated: truncated, completeThrough: completeThrough)
    }
}
