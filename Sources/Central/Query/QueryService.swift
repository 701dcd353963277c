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
    private let spares: SpareSandboxes
    private let running = Mutex((all: 0, exports: 0))

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
        spares = SpareSandboxes(time: time)
        derived = DerivedTables(
            lake: lake, duckDB: configuration.duckDB, scratchDirectory: configuration.scratchDirectory)
        try FileSystem.removeTree(configuration.scratchDirectory)
        try FileSystem.makeDirectories(configuration.scratchDirectory)
    }

    package var smallestGroup: Int { configuration.minGroup }
    package var runningQueries: Int { running.withLock { $0.all } }

    /// Blocks its thread until the answer is there. `limit`: rows, at most the configured number. `isCancelled` is
    /// asked every 50 ms.
    package func run(
        sql: String, format: QueryFormat, limit: Int? = nil, isCancelled: @escaping () -> Bool = { false }
    ) throws(Problem) -> QueryAnswer {
        try run(QueryRequest(sql: sql, format: format, limit: limit), isCancelled: isCancelled)
    }

    package func run(
        _ request: QueryRequest, isCancelled: @escaping () -> Bool = { false }
    ) throws(Problem) -> QueryAnswer {
        try check(request.sql, request.limit)
        return try admitted(isExport: request.isExport) { () throws(Problem) -> QueryAnswer in
            try Self.archiveErrors {
                let seconds = request.isExport ? configuration.exportTimeoutSeconds : configuration.timeoutSeconds
                return try AbsentFiles.run(
                    time: time, timeoutSeconds: seconds, isCancelled: isCancelled,
                    views: { try views(for: request.sql) }, { try run(request, $0, isCancelled) })
            }
        }
    }

    private func run(
        _ request: QueryRequest, _ views: LakeViews, _ isCancelled: @escaping () -> Bool
    ) throws -> QueryAnswer {
        let spare = request.isExport || views.hasOthers ? nil : spares.take(for: views.versions)
        let run = QueryRun(
            request: request, configuration: configuration,
            scratch: try spare?.scratch ?? QueryScratch(in: configuration.scratchDirectory), spare: spare,
            completeThrough: completeThrough(), time: time, isCancelled: isCancelled)
        return try run.answer(views)
    }

    /// The columns of each statement, or what is wrong with it: nothing is read but the files' schemas.
    package func describe(_ statements: [String]) throws(Problem) -> [Result<[QueryColumn], Problem>] {
        try admitted(isExport: false) { () throws(Problem) in
            try Self.archiveErrors {
                let views = try views(for: statements.joined(separator: ";"))
                return try statements.map { sql in
                    let run = QueryRun(
                        request: QueryRequest(sql: sql, format: .json), configuration: configuration,
                        scratch: try QueryScratch(in: configuration.scratchDirectory), completeThrough: nil, time: time,
                        isCancelled: { false })
                    do throws(Problem) { return .success(try run.columns(views)) } catch { return .failure(error) }
                }
            }
        }
    }

    /// A thread's body: keeps a process ready for the next query; ends after `stopSpares`.
    package func keepSpare() {
        // Of a lake that is not on this machine: what a query opens is fetched for it.
        guard lake.localBytesLimit == nil else { return }
        spares.keep(
            versions: { [self] in try? openTables().map { try $0.refresh().version } },
            make: { [self] in try? makeSpare() })
    }

    package func stopSpares() { spares.stop() }

    /// Whether a process waits for the next query, and how many queries have found one.
    package var hasSpare: Bool { spares.hasOne }
    package var sparesTaken: Int { spares.taken }

    private func makeSpare() throws -> SpareSandbox {
        let views = try views(for: "")
        let scratch = try QueryScratch(in: configuration.scratchDirectory)
        let limits = DuckDBSandbox.Limits(
            memoryBytes: configuration.memoryBytes, threads: configuration.threads,
            timeoutSeconds: configuration.timeoutSeconds, resultBytes: configuration.maxResultBytes)
        let results = QueryFormat.allCases.map { "\(scratch.path)/result.\($0.rawValue)" }
        // The footers are read once more by the query, from memory.
        let sandbox = try DuckDBSandbox(
            configuration.duckDB, limits: limits, scratchDirectory: scratch.path, allowedPaths: views.paths + results,
            setup: "set parquet_metadata_cache=true;\n" + views.script + "select count(*) from reports;\n", time: time,
            isCancelled: { false })
        return SpareSandbox(sandbox: sandbox, scratch: scratch, versions: views.versions)
    }

    private func admitted<Answer>(
        isExport: Bool, _ body: () throws(Problem) -> Answer
    ) throws(Problem) -> Answer {
        let isAdmitted = running.withLock { running in
            guard running.all < configuration.maxConcurrent,
                !isExport || running.exports < configuration.maxExports
            else { return false }
            running.all += 1
            running.exports += isExport ? 1 : 0
            return true
        }
        guard isAdmitted else {
            throw Problem(
                status: 503, code: "queries_busy",
                detail: isExport
                    ? "\(configuration.maxExports) exports at once are allowed; try again"
                    : "\(configuration.maxConcurrent) queries are running; try again",
                retryAfterSeconds: 2)
        }
        defer {
            running.withLock { running in
                running.all -= 1
                running.exports -= isExport ? 1 : 0
            }
        }
        return try body()
    }

    private static func archiveErrors<Answer>(_ body: () throws -> Answer) throws(Problem) -> Answer {
        do {
            return try body()
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

    /// The days of the newest committed version of `reports`, from its log alone.
    package func lakeDays() throws(Problem) -> LakeDays {
        try Self.archiveErrors { LakeDays(try openTables()[0].refresh()) }
    }

    /// `reports`, `duplicates`, `alerts`.
    private func openTables() throws -> [DeltaTable] {
        var tables = tables.withLock { $0 }
        if tables.isEmpty {
            let runner = DuckDBRunner(
                .init(executable: configuration.duckDB, temporaryDirectory: configuration.scratchDirectory))
            let checkpoints = DuckDBCheckpoints(
                duckDB: runner, directory: "\(configuration.scratchDirectory)/checkpoints")
            tables = try [TableSchema.reports, .duplicates, .alerts].map { schema in
                try DeltaTable(schema, in: lake, createdAt: nil, checkpoints: checkpoints)
            }
            let opened = tables
            self.tables.withLock { $0 = opened }
        }
        return tables
    }

    /// The newest committed versions. A table nobody has created yet is an empty view.
    func views(for sql: String) throws -> LakeViews {
        var views = LakeViews(absent: absentFiles())
        for table in try openTables() { try views.add(table, try table.refresh()) }
        views.addRelays(relays())
        derived.add(to: &views, mentionedIn: sql)
        views.addHelpers()
        return views
    }

    private func absentFiles() -> AbsentFiles? {
        guard lake.localBytesLimit != nil else { return nil }
        let runner = DuckDBRunner(
            .init(executable: configuration.duckDB, temporaryDirectory: configuration.scratchDirectory))
        return AbsentFiles(directory: "\(configuration.scratchDirectory)/absent", duckDB: runner)
    }
}
