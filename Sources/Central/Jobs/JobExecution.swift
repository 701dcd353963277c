// One run of a job: its statement in the query sandbox, the result as a file, the file as a table's version or in the
// exports' folder. Blocks its thread.

import DuckDB
import FoundationEssentials
import Models
import System

struct JobExecution: Sendable {
    let duckDB: DuckDBExecutable
    let memoryBytes: Int
    let threads: Int
    /// On the lake's file system: a result moves into the lake by a rename.
    let scratchDirectory: String
    let exportsDirectory: String
    /// What the statement sees.
    let views: @Sendable (String) throws -> LakeViews
    let writer: DerivedWriter
    let time: any TimeSource
    /// Tests end the process here: the file is written, nothing names it yet.
    var failurePoint: @Sendable () throws -> Void = {}

    private static let maxResultBytes = 16 << 30

    struct Done {
        var outcome: JobRun.Outcome
        var rows: Int?
        var bytes: Int?
        var version: Int64?
        var file: String?
    }

    struct Failure: Error {
        var code: String
        /// For analysts.
        var detail: String
        /// The same again would fail again: no retry.
        var isFinal = false
    }

    /// `[start, end)` of the period that the run stands for; `end` is its instant.
    func run(
        _ job: JobDefinition, instant: Timestamp, isCancelled: @escaping @Sendable () -> Bool
    ) throws(Failure) -> Done {
        do {
            if let done = try alreadyDone(job, instant) { return done }
            let scratch = "\(scratchDirectory)/\(job.name)-\(UInt64.random(in: 0 ... .max))"
            try FileSystem.makeDirectories(scratch)
            defer { try? FileSystem.removeTree(scratch) }
            let result = try compute(job, instant, scratch, isCancelled)
            return try publish(job, instant, result)
        } catch let failure as Failure {
            throw failure
        } catch let error as DuckDBError {
            throw Self.failure(error, job)
        } catch is DerivedWriter.OtherColumns {
            throw Failure(
                code: "job_columns_changed",
                detail: "the table's earlier rows have other columns; write another table, or use mode: replace",
                isFinal: true)
        } catch is DerivedWriter.ForeignTable {
            throw Failure(
                code: "job_table_foreign", detail: "the table was made by somebody else, with partitions", isFinal: true
            )
        } catch {
            throw Failure(code: "job_storage", detail: "the result could not be stored: \(error)")
        }
    }

    private func alreadyDone(_ job: JobDefinition, _ instant: Timestamp) throws -> Done? {
        switch job.output {
        case .table(let name, append: _):
            let version = try writer.version(of: instant, job: job.name, table: name)
            return version.map { Done(outcome: .alreadyDone, version: $0) }
        case .files(let folder, let format):
            let path = exportPath(job, folder, format, instant)
            guard let bytes = FileSystem.fileSize(path) else { return nil }
            return Done(outcome: .alreadyDone, bytes: bytes, file: exportName(job, format, instant))
        }
    }

    private func exportName(_ job: JobDefinition, _ format: JobDefinition.ExportFormat, _ instant: Timestamp) -> String
    {
        "\(job.name)-\(DerivedWriter.stamp(instant)).\(format.rawValue)"
    }

    private func exportPath(
        _ job: JobDefinition, _ folder: String, _ format: JobDefinition.ExportFormat, _ instant: Timestamp
    ) -> String {
        "\(exportsDirectory)/\(folder)/\(exportName(job, format, instant))"
    }

    // MARK: Computing

    private func compute(
        _ job: JobDefinition, _ instant: Timestamp, _ scratch: String, _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> DerivedWriter.Result {
        try AbsentFiles.run(
            time: time, timeoutSeconds: job.timeoutSeconds, isCancelled: isCancelled,
            views: { try views(job.sql + " " + job.inputs.joined(separator: " ")) },
            { views in
                do {
                    return try compute(job, instant, scratch, views, isCancelled)
                } catch let error as DuckDBError {
                    views.absent?.note(error)
                    throw error
                }
            })
    }

    private func compute(
        _ job: JobDefinition, _ instant: Timestamp, _ scratch: String, _ views: LakeViews,
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> DerivedWriter.Result {
        let isCSV = job.output == .files(folder: folder(job), format: .csv)
        let path = "\(scratch)/result.\(isCSV ? "csv" : "parquet")"
        let limits = DuckDBSandbox.Limits(
            memoryBytes: memoryBytes, threads: threads, timeoutSeconds: job.timeoutSeconds,
            resultBytes: Self.maxResultBytes)
        let sandbox = try DuckDBSandbox(
            duckDB, limits: limits, scratchDirectory: scratch, allowedPaths: views.paths + [path],
            setup: views.script + periods(job, instant), time: time, isCancelled: isCancelled)
        defer { sandbox.end() }
        for input in job.inputs {
            // Names were checked: letters, digits, _ and one dot.
            do throws(DuckDBError) { _ = try sandbox.ask("describe \(input);") } catch {
                throw Failure(code: "job_input_missing", detail: "there is no view \(input)")
            }
        }
        let source = SQLText.query(job.sql, tag: tag(job.sql))
        let columns = try columns(source, sandbox)
        let selected = columns.map { column in
            let name = SQLText.identifier(column.name)
            let value = isCSV ? csv(name, column.type) : "\(name)::\(column.type.duckDBName)"
            return "\(value) as \(name)"
        }
        let options = isCSV ? "format csv, header true" : "format parquet, compression zstd"
        let counted = try sandbox.ask(
            """
            create temp table job_result as select \(selected.joined(separator: ", ")) from \(source);
            copy job_result to \(SQLText.literal(path)) (\(options), use_tmp_file false);
            .mode list
            .headers off
            select count(*) from job_result;
            """)
        sandbox.end()
        guard let rows = Int(String(decoding: counted.filter { $0 != 0x0a }, as: UTF8.self)),
            let bytes = FileSystem.fileSize(path)
        else { throw DuckDBError(kind: .crashed, message: "DuckDB wrote no result") }
        return DerivedWriter.Result(path: path, columns: columns, rows: rows, bytes: bytes)
    }

    private func folder(_ job: JobDefinition) -> String {
        if case .files(let folder, format: _) = job.output { return folder }
        return ""
    }

    /// What a statement can ask about its own run.
    private func periods(_ job: JobDefinition, _ instant: Timestamp) -> String {
        let before = job.schedule.latest(through: Timestamp(microseconds: instant.microseconds - 1)) ?? instant
        return """
            create macro scheduled_at() as make_timestamptz(\(instant.microseconds));
            create macro period_start() as make_timestamptz(\(before.microseconds));
            create macro period_end() as make_timestamptz(\(instant.microseconds));

            """
    }

    private func tag(_ sql: String) -> String {
        while true {
            let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
            if !sql.contains(digits) { return "j" + digits }
        }
    }

    private struct DescribedColumn: Decodable {
        var column_name: String
        var column_type: String
    }

    private func columns(_ source: String, _ sandbox: DuckDBSandbox) throws -> [DerivedColumn] {
        let lines = try sandbox.ask("describe select * from \(source);").split(separator: 0x0a)
        let decoder = JSONDecoder()
        let described = lines.compactMap { try? decoder.decode(DescribedColumn.self, from: Data($0)) }
        guard described.count == lines.count, !described.isEmpty else {
            throw DuckDBError(kind: .crashed, message: "DuckDB described no columns")
        }
        for column in described where !DerivedColumn.isPlain(column.column_name) {
            throw Failure(
                code: "job_column_name",
                detail: "a result's column needs a plain name, such as count(*) AS reports", isFinal: true)
        }
        return described.map { DerivedColumn(name: $0.column_name, type: DerivedType(duckDB: $0.column_type)) }
    }

    /// Times as RFC 3339, lists as JSON. A text that a spreadsheet would take for a formula gets a quote before it.
    private func csv(_ name: String, _ type: DerivedType) -> String {
        switch type {
        case .plain(delta: "timestamp", _): "strftime(\(name)::TIMESTAMPTZ::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"
        case .plain(delta: "string", _):
            "case when regexp_matches(\(name)::VARCHAR, '^[=+@\\t\\r-]') then '''' || \(name) else \(name)::VARCHAR end"
        case .plain(_, let duckDB): "\(name)::\(duckDB)"
        case .array, .map, .structure: "to_json(\(name))::VARCHAR"
        }
    }

    // MARK: Publishing

    private func publish(_ job: JobDefinition, _ instant: Timestamp, _ result: DerivedWriter.Result) throws -> Done {
        switch job.output {
        case .table(let name, let append):
            let now = Timestamp(microseconds: time.wallMicroseconds())
            let outcome = try writer.commit(
                result, table: name, append: append, job: job.name, instant: instant, now: now,
                failurePoint: failurePoint)
            switch outcome {
            case .committed(let version):
                return Done(outcome: .succeeded, rows: result.rows, bytes: result.bytes, version: version)
            case .alreadyDone(let version): return Done(outcome: .alreadyDone, version: version)
            }
        case .files(let folder, let format):
            let target = exportPath(job, folder, format, instant)
            try FileSystem.makeDirectories(FileSystem.parent(of: target))
            // Beside its place, so that the last step is a rename whatever file system the exports are on.
            let temporary = "\(FileSystem.parent(of: target))/.\(exportName(job, format, instant)).tmp"
            try FileSystem.move(result.path, to: temporary)
            try FileSystem.syncFile(temporary)
            try failurePoint()
            try FileSystem.rename(temporary, to: target)
            try FileSystem.syncDirectory(FileSystem.parent(of: target))
            return Done(
                outcome: .succeeded, rows: result.rows, bytes: result.bytes,
                file: "\(folder)/\(exportName(job, format, instant))")
        }
    }

    // MARK: What went wrong

    private static func failure(_ error: DuckDBError, _ job: JobDefinition) -> Failure {
        let text = error.message.split(separator: "\n", omittingEmptySubsequences: false)
            .prefix { !$0.isEmpty && !$0.hasPrefix("LINE ") }.joined(separator: " ")
        switch error.kind {
        // A statement that is wrong today may be right tomorrow: a table it asks for is made by another job.
        case .rejected: return Failure(code: "sql_error", detail: text)
        case .memory: return Failure(code: "sql_memory", detail: "the statement needs more memory than a job gets")
        case .timedOut:
            return Failure(code: "sql_timeout", detail: "the statement did not end within \(job.timeoutSeconds) s")
        case .cancelled: return Failure(code: "job_stopped", detail: "central was stopped")
        case .tooMuchOutput: return Failure(code: "sql_result_too_large", detail: "the result is too large")
        case .storage:
            return Failure(code: "archive_unreadable", detail: "files of the archive could not be read or written")
        case .unavailable, .crashed: return Failure(code: "sql_failed", detail: "the query engine failed")
        }
    }
}

extension FileSystem {
    /// A rename, or a copy where the file systems differ.
    fileprivate static func move(_ source: String, to target: String) throws {
        do {
            try rename(source, to: target)
        } catch let error as SystemError where error.errno == Self.crossDevice {
            try writeDurably(target, read(source))
            try remove(source)
        }
    }

    private static let crossDevice: Int32 = 18
}
