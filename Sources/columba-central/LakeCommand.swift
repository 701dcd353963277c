// `columba-central compact|verify|vacuum`: the archive's files, beside the running central or without one.

import Central
import DuckDB
import FoundationEssentials
import System

struct LakeCommand {
    static let names = ["compact", "verify", "vacuum", "lake"]

    static let usage = """
        usage: columba-central compact --config FILE [--dry-run] [--json]
               columba-central verify  --config FILE [--json]
               columba-central vacuum  --config FILE [--dry-run] [--older-than HOURS] [--json]

        compact  puts small files of a day together, sorted by place, drone and time, into files of about
                 archive.file_bytes; the rows stay the same, and the files replaced stay until a vacuum
        verify   reads every file and holds it against the log: missing, altered and left-over files, row counts,
                 ranges, and whether a report is in the archive twice; exit 1 if anything differs
        vacuum   removes files that no version of the tables needs: those replaced, and those a crash left, both only
                 when older than archive.keep_removed_h (--older-than: another time, at least 1)

        --dry-run says what would be done. All three may be killed at any moment and run beside central. Run them as
        central's user.

        """

    private let name: String
    private let options: Options
    private let upkeep: LakeUpkeep
    private let tables: ArchiverTables

    struct Options {
        var config = ""
        var json = false
        var dryRun = false
        var olderThanHours: Double?

        /// Nil: not a way to call it.
        init?(_ arguments: [String], of command: String) {
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                switch argument {
                case "--config":
                    guard let path = rest.popFirst() else { return nil }
                    config = path
                case "--json": json = true
                case "--dry-run" where command != "verify": dryRun = true
                case "--older-than" where command == "vacuum":
                    guard let hours = rest.popFirst().flatMap(Double.init), hours >= 1, hours <= 87_600 else {
                        return nil
                    }
                    olderThanHours = hours
                default: return nil
                }
            }
            if config.isEmpty { return nil }
        }
    }

    /// Returns the exit status.
    static func run(_ name: String, _ arguments: [String]) -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            StandardStreams.output(usage)
            return 0
        }
        guard name != "lake", let options = Options(arguments, of: name) else {
            StandardStreams.error(usage)
            return 2
        }
        do {
            let command = try LakeCommand(name, options)
            switch name {
            case "compact": return try command.compact()
            case "verify": return try command.verify()
            default: return try command.vacuum()
            }
        } catch let error as DuckDBError {
            // Its message may quote values of the data.
            let told = error.kind == .unavailable ? "\(error)" : "DuckDB failed: \(error.type)"
            StandardStreams.error("columba-central: \(told)\n")
            return 1
        } catch {
            StandardStreams.error("columba-central: \(error)\n")
            return 1
        }
    }

    private init(_ name: String, _ options: Options) throws {
        self.name = name
        self.options = options
        let configuration = try CentralConfiguration.load(path: options.config, environment: Environment.variables)
        let stores = try CentralStores(existing: configuration)
        var settings = UpkeepConfiguration(configuration, stores, duckDB: try DuckDBExecutable.locate())
        settings.duckDBThreads = 2
        settings.niceness = 10
        upkeep = LakeUpkeep(settings, time: SystemTime())
        tables = try upkeep.openTables()
    }

    // MARK: - Compact

    private struct Compacted: Encodable {
        var table: String
        var day: String
        var files: Int
        var bytesBefore: Int
        var bytes: Int?
        var rows: Int
        var version: Int64?
        var error: String?
    }

    private func compact() throws -> Int32 {
        let planned = try upkeep.plan(.everything, tables)
        if options.dryRun {
            try report(planned.map { row($0, nil) }) { "would put together \(line($0))" }
            return 0
        }
        var bar = TerminalProgress(
            label: "compacting", total: planned.reduce(0) { $0 + $1.bytes }, isQuiet: options.json)
        let result = try upkeep.compact(
            .everything, tables, onJob: { job, done in bar.advance(done == nil ? 0 : job.bytes) })
        bar.end()
        let rows =
            result.done.map {
                Compacted(
                    table: $0.table, day: $0.day, files: $0.filesBefore, bytesBefore: $0.bytesBefore,
                    bytes: $0.bytesAfter, rows: $0.rows, version: $0.version)
            } + result.failed.map { row($0.job, $0.reason) }
        try report(rows) { line($0) }
        if rows.isEmpty, !options.json { StandardStreams.error("nothing to put together\n") }
        _ = try upkeep.checkpoint(tables)
        return result.failed.isEmpty ? 0 : 1
    }

    private func row(_ job: CompactionJob, _ error: String?) -> Compacted {
        Compacted(
            table: job.table, day: job.day, files: job.files.count, bytesBefore: job.bytes, rows: job.rows, error: error
        )
    }

    private func line(_ row: Compacted) -> String {
        let place = row.day.isEmpty ? row.table : "\(row.table) \(row.day)"
        let before = "\(place): \(row.files) files, \(row.bytesBefore) bytes, \(row.rows) rows"
        if let error = row.error { return "\(before): FAILED, \(error)" }
        guard let bytes = row.bytes, let version = row.version else { return before }
        return "\(before) → 1 file, \(bytes) bytes (version \(version))"
    }

    // MARK: - Verify

    private func verify() throws -> Int32 {
        let bar = ProgressBox(
            TerminalProgress(label: "verifying", total: upkeep.bytes(of: tables), isQuiet: options.json))
        let result = try upkeep.verify(tables) { bar.progress.advance($0) }
        bar.progress.end()
        if options.json {
            try output(result)
        } else {
            for table in result.tables {
                var text = "\(table.table): version \(table.version), \(table.files) files, \(table.bytes) bytes, "
                text += "\(table.rows) rows"
                if table.withoutDigest > 0 { text += ", \(table.withoutDigest) files without a recorded SHA-256" }
                if table.removed > 0 { text += ", \(table.removed) replaced files kept" }
                StandardStreams.output(text + "\n")
            }
            for finding in result.findings {
                let place = finding.path.isEmpty ? finding.table : "\(finding.table)/\(finding.path)"
                StandardStreams.output("\(finding.kind.rawValue.uppercased()) \(place): \(finding.detail)\n")
            }
            StandardStreams.output(result.findings.isEmpty ? "ok\n" : "\(result.findings.count) differences\n")
        }
        return result.findings.isEmpty ? 0 : 1
    }

    /// A closure that escapes needs a reference.
    private final class ProgressBox {
        var progress: TerminalProgress
        init(_ progress: TerminalProgress) { self.progress = progress }
    }

    // MARK: - Vacuum

    private struct Vacuumed: Encodable {
        var table: String
        var replaced: Int
        var leftOver: Int
        var bytes: Int
        var kept: Int
    }

    private func vacuum() throws -> Int32 {
        let found = try upkeep.vacuum(
            tables, graceSeconds: options.olderThanHours.map { $0 * 3600 }, dryRun: options.dryRun)
        let rows = found.map {
            Vacuumed(
                table: $0.table, replaced: $0.left.replaced.count, leftOver: $0.left.orphans.count,
                bytes: $0.left.removable.reduce(0) { $0 + $1.bytes }, kept: $0.left.kept + $0.left.young)
        }
        let verb = options.dryRun ? "would remove" : "removed"
        try report(rows) {
            "\($0.table): \(verb) \($0.replaced) replaced and \($0.leftOver) left-over files, \($0.bytes) bytes; "
                + "\($0.kept) too young"
        }
        return 0
    }

    // MARK: - Output

    private func report<Row: Encodable>(_ rows: [Row], _ text: (Row) -> String) throws {
        if options.json { return try output([name == "vacuum" ? "tables" : "jobs": rows]) }
        for row in rows { StandardStreams.output(text(row) + "\n") }
    }

    private func output(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        StandardStreams.output(String(decoding: try encoder.encode(value), as: UTF8.self) + "\n")
    }
}
