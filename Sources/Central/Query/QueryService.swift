// Answers analysts' SQL: one sandboxed DuckDB process for each query, over the files of the committed versions.
//
// A statement is somebody's text: it may be wrong, greedy, endless or hostile. Whatever it does, it gets a clear error
// within its time limit, and neither central nor another query notices (`DuckDBSandbox` says how).

import DuckDB
import FoundationEssentials
package import Models
package import ObjectStore
import Synchronization
package import System

package final class QueryService: Sendable {
    private let configuration: QueryConfiguration
    private let lake: any ObjectStore
    private let tables: Mutex<[DeltaTable]>
    private let derived: DerivedTables
    private let relays: @Sendable () -> [RelayRow]
    private let completeThrough: @Sendable () -> Timestamp?
    private let time: any TimeSource
    private let running = Mutex(0)
    private let checkpoints: DuckDBCheckpoints

    /// `relays` gives the rows of the view of that name, `completeThrough` how complete the archive is as a whole.
    package init(
        configuration: QueryConfiguration, lake: any ObjectStore, time: any TimeSource,
        relays: @escaping @Sendable () -> [RelayRow] = { [] },
        completeThrough: @escaping @Sendable () -> Timestamp? = { nil }
    ) throws {
        precondition(configuration.maxConcurrent > 0 && configuration.maxRows > 0, "the limits of queries are positive")
        self.configuration = configuration
        self.lake = lake
        self.time = time
        self.relays = relays
        self.completeThrough = completeThrough
        tables = Mutex([])
        let runner = DuckDBRunner(
            .init(executable: configuration.duckDB, temporaryDirectory: configuration.scratchDirectory))
        checkpoints = DuckDBCheckpoints(duckDB: runner, directory: "\(configuration.scratchDirectory)/checkpoints")
        derived = DerivedTables(lake: lake, checkpoints: checkpoints)
        try FileSystem.removeTree(configuration.scratchDirectory)
        try FileSystem.makeDirectories(configuration.scratchDirectory)
    }

    package var runningQueries: Int { running.withLock { $0 } }

    /// Blocks its thread until the answer is there. `limit`: rows, at most the configured number. `isCancelled` is
    /// asked every 50 ms.
    package func run(
        sql: String, format: QueryFormat, limit: Int? = nil, isCancelled: @escaping () -> Bool = { false }
    ) throws(Problem) -> QueryAnswer {
        try check(sql, limit)
        let admitted = running.withLock { count in
            guard count < configuration.maxConcurrent else { return false }
            count += 1
            return true
        }
        guard admitted else {
            throw Problem(
                status: 503, code: "queries_busy",
                detail: "\(configuration.maxConcurrent) queries are running; try again",
                retryAfterSeconds: 2)
        }
        defer { running.withLock { $0 -= 1 } }
        let scratch = "\(configuration.scratchDirectory)/\(UInt64.random(in: 0 ... .max))"
        defer { try? FileSystem.removeTree(scratch) }
        let run = QueryRun(
            sql: sql, format: format, limit: min(limit ?? configuration.maxRows, configuration.maxRows),
            configuration: configuration, scratch: scratch, completeThrough: completeThrough(), time: time,
            isCancelled: isCancelled)
        do {
            try FileSystem.makeDirectories(scratch)
            return try run.answer(views(for: sql))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(status: 500, code: "archive_unreadable", detail: "the archive cannot be read")
        }
    }

    private func check(_ sql: String, _ limit: Int?) throws(Problem) {
        guard sql.utf8.count <= configuration.maxStatementBytes else {
            throw Problem(
                status: 413, code: "sql_too_long",
                detail: "a statement has at most \(configuration.maxStatementBytes) bytes", field: "sql")
        }
        // A NUL would end the text for DuckDB's shell, not for us.
        guard !sql.utf8.contains(0), sql.contains(where: { !$0.isWhitespace }) else {
            throw Problem(status: 400, code: "sql_error", detail: "the statement is empty or holds a NUL", field: "sql")
        }
        guard limit.map({ $0 > 0 }) ?? true else {
            throw Problem(status: 422, code: "invalid_field", detail: "limit is at least 1", field: "limit")
        }
    }

    /// The newest committed versions. A table nobody has created yet is an empty view.
    private func views(for sql: String) throws -> LakeViews {
        var tables = tables.withLock { $0 }
        if tables.isEmpty {
            tables = try [TableSchema.reports, .duplicates, .alerts].map { schema in
                try DeltaTable(schema, in: lake, createdAt: nil, checkpoints: checkpoints)
            }
            let opened = tables
            self.tables.withLock { $0 = opened }
        }
        var views = LakeViews()
        for table in tables { views.add(table, try table.refresh()) }
        views.addRelays(relays())
        derived.add(to: &views, mentionedIn: sql)
        return views
    }
}

/// One query, from its text to its answer.
private struct QueryRun {
    let sql: String
    let format: QueryFormat
    let limit: Int
    let configuration: QueryConfiguration
    let scratch: String
    let completeThrough: Timestamp?
    let time: any TimeSource
    let isCancelled: () -> Bool

    func answer(_ views: LakeViews) throws -> QueryAnswer {
        let tag = randomTag()
        let file = "\(scratch)/result.\(format.rawValue)"
        let limits = DuckDBSandbox.Limits(
            memoryBytes: configuration.memoryBytes, threads: configuration.threads,
            timeoutSeconds: configuration.timeoutSeconds, resultBytes: configuration.maxResultBytes)
        var sandbox: DuckDBSandbox?
        defer { sandbox?.end() }
        do throws(DuckDBError) {
            let started = try DuckDBSandbox(
                configuration.duckDB, limits: limits, scratchDirectory: scratch,
                allowedPaths: views.paths + (format == .json ? [] : [file]), setup: views.script, time: time,
                isCancelled: isCancelled)
            sandbox = started
            let source = SQLText.query(sql, tag: tag)
            let columns = try describe(source, started)
            guard format != .json else { return try json(columns, source, started) }
            return try exported(columns, source, to: file, started)
        } catch {
            let position = sandbox.flatMap { QueryProblem.parserPosition(error, sql: sql, tag: tag, $0) }
            throw QueryProblem.make(error, sql: sql, position: position, configuration: configuration)
        }
    }

    /// Letters that the statement cannot guess, nor by chance contain.
    private func randomTag() -> String {
        while true {
            let digits =
                String(UInt64.random(in: 0 ... .max), radix: 16) + String(UInt64.random(in: 0 ... .max), radix: 16)
            if !sql.contains(digits) { return "q" + digits }
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

    private func json(
        _ columns: [QueryColumn], _ source: String, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> QueryAnswer {
        let select = ResultShape.jsonRows(columns, from: source, limit: limit + 1)
        let lines = try sandbox.ask(".mode list\n.headers off\n\(select);")
        sandbox.end()
        var body = Array(#"{"columns":["#.utf8)
        for (index, column) in columns.enumerated() {
            body.append(contentsOf: (index == 0 ? #"{"name":"# : #",{"name":"#).utf8)
            JSONText.appendString(column.name, to: &body)
            body.append(contentsOf: #","type":"#.utf8)
            JSONText.appendString(column.type, to: &body)
            body.append(UInt8(ascii: "}"))
        }
        body.append(contentsOf: #"],"rows":["#.utf8)
        let (rows, more) = ResultShape.rows(fromLines: lines[...], limit: limit, into: &body)
        body.append(contentsOf: #"],"row_count":\#(rows),"truncated":\#(more),"complete_through":"#.utf8)
        if let completeThrough {
            JSONText.appendTimestamp(completeThrough, to: &body)
        } else {
            body.append(contentsOf: "null".utf8)
        }
        body.append(UInt8(ascii: "}"))
        return answer(body, columns, rows, more)
    }

    /// CSV and Parquet: DuckDB writes a file, the only one it may.
    private func exported(
        _ columns: [QueryColumn], _ source: String, to file: String, _ sandbox: DuckDBSandbox
    ) throws(DuckDBError) -> QueryAnswer {
        let counted = try sandbox.ask(
            """
            create temp table answer as select * from \(source) limit \(limit + 1);
            .mode list
            .headers off
            select count(*) from answer;
            """)
        guard let count = Int(String(decoding: counted.filter { $0 != 0x0a }, as: UTF8.self)) else {
            throw DuckDBError(kind: .crashed, message: "DuckDB counted no rows")
        }
        let options = format == .csv ? "format csv, header true" : "format parquet, compression zstd"
        let selected = format == .csv ? csvColumns(columns) : "*"
        _ = try sandbox.ask(
            "copy (select \(selected) from answer limit \(limit)) to \(SQLText.literal(file)) "
                + "(\(options), use_tmp_file false);"
        )
        sandbox.end()
        do {
            return answer(try FileSystem.read(file), columns, min(count, limit), count > limit)
        } catch {
            throw DuckDBError(kind: .storage, message: "\(error)")
        }
    }

    /// Times as RFC 3339, lists and structures as JSON.
    private func csvColumns(_ columns: [QueryColumn]) -> String {
        columns.map { column in
            let name = SQLText.identifier(column.name)
            let type = DescribedType(column.type)
            switch type {
            case .time: return "\(type.rewritten(name)) as \(name)"
            case .list, .structure, .map: return "to_json(\(type.rewritten(name)))::VARCHAR as \(name)"
            case .plain: return name
            }
        }.joined(separator: ", ")
    }

    private func answer(_ body: [UInt8], _ columns: [QueryColumn], _ rows: Int, _ more: Bool) -> QueryAnswer {
        QueryAnswer(
            contentType: format.contentType, body: body, columns: columns, rowCount: rows, truncated: more,
            completeThrough: completeThrough)
    }
}
