// Files of a remote lake that are not on this machine yet: a query fetches those it opens, and no others.
//
// Nobody but DuckDB knows which files a statement opens (a filter on `date` passes over whole days). So a day that is
// not here is represented in the view by one file of zeros in a folder of the same name. A statement that passes over
// the day never opens it. One that does open it fails, and the error names the file: the day is fetched, and the
// statement runs again. Where several days are wanted one after the other, more and more of them are fetched at once.
// What was fetched stays in the cache, so the second such question is as fast as on a local lake.
//
// The first file of a view tells its columns, so before the stand-ins there is an empty one with the right columns.

import DuckDB
import Models
import ObjectStore
import Synchronization
import System

final class AbsentFiles: Sendable {
    private struct Day {
        var table: DeltaTable
        var keys: [String]
    }

    private struct State {
        /// By the stand-in's path, which sorts by table and day.
        var days: [String: Day] = [:]
        var wanted: String?
        /// What is on this machine stays here while the query runs.
        var leases: [FileLease] = []
    }

    private let directory: String
    private let duckDB: DuckDBRunner
    private let state = Mutex(State())
    private static let zeros = [UInt8](repeating: 0, count: 1024)
    /// Fetched at once at most.
    private static let maxDays = 64

    /// `directory`: for stand-ins, by its real path; may be used by many queries at once.
    init(directory: String, duckDB: DuckDBRunner) {
        self.directory = directory
        self.duckDB = duckDB
    }

    /// What a view reads: the files that are here, and stand-ins for days that are not.
    func paths(_ table: DeltaTable, _ snapshot: DeltaSnapshot) throws -> [String] {
        let days = Dictionary(grouping: snapshot.files.values) { ($0.partitionValues["date"] ?? nil) ?? "" }
        var paths: [String] = []
        for (day, files) in days.sorted(by: { $0.key < $1.key }) {
            let keys = files.map { table.key($0.path) }.sorted()
            if let lease = table.store.lease(keys) {
                paths += lease.paths
                state.withLock { $0.leases.append(lease) }
                continue
            }
            let standIn = "\(try folder(table, day))/absent.parquet"
            if !FileSystem.exists(standIn) { try FileSystem.append(Self.zeros, to: standIn) }
            state.withLock { $0.days[standIn] = Day(table: table, keys: keys) }
            paths.append(standIn)
        }
        let isWhole = state.withLock { $0.days.values.allSatisfy { $0.table !== table } }
        return isWhole ? paths : [try columns(table, days.keys.min() ?? "")] + paths
    }

    private func folder(_ table: DeltaTable, _ day: String) throws -> String {
        let folder = "\(directory)/\(table.schema.name)" + (day.isEmpty ? "" : "/date=\(day)")
        try FileSystem.makeDirectories(folder)
        return folder
    }

    /// A file without rows.
    private func columns(_ table: DeltaTable, _ day: String) throws -> String {
        let path = "\(try folder(table, day))/columns.parquet"
        guard !FileSystem.exists(path) else { return path }
        let nulls = table.schema.fileColumns.map { "null::\($0.type.duckDBName) as \(SQLText.identifier($0.name))" }
        let temporary = "\(path).\(UInt64.random(in: 0 ... .max))"
        _ = try duckDB.run(
            "copy (select \(nulls.joined(separator: ", ")) where false) to \(SQLText.literal(temporary)) "
                + "(format parquet, use_tmp_file false);")
        try FileSystem.rename(temporary, to: path)
        return path
    }

    // MARK: - After a failure

    /// Remembers the stand-in that DuckDB stumbled over, if that is why it failed.
    func note(_ error: DuckDBError) {
        guard let start = error.message.firstRange(of: directory)?.lowerBound else { return }
        let path = String(error.message[start...].prefix { $0 != "'" && $0 != "\"" })
        state.withLock { state in
            if state.days[path] != nil { state.wanted = path }
        }
    }

    /// Fetches the day that was wanted and `more` days after it, as far as they fit; false if none was wanted.
    func fetch(more: Int, isCancelled: () -> Bool) throws -> Bool {
        let days = state.withLock { state -> [Day] in
            // The query is over: what it did not open may make room.
            state.leases = []
            guard let wanted = state.wanted, let first = state.days[wanted] else { return [] }
            let later = state.days.filter { $0.key > wanted && $0.value.table === first.table }
                .sorted { $0.key < $1.key }.prefix(more).map(\.value)
            return [first] + later
        }
        for (index, day) in days.enumerated() where index == 0 || !isCancelled() {
            do {
                _ = try day.table.store.localFiles(day.keys)
            } catch is ObjectCache.Full where index > 0 {
                break
            }
        }
        return !days.isEmpty
    }

    // MARK: - The loop

    /// Runs `body` until it needs no file that is not here. The views are made anew each time: of the versions of then.
    /// `timeoutSeconds`: of all fetching together; what came until then stays.
    static func run<Answer>(
        time: any TimeSource, timeoutSeconds: Double, isCancelled: () -> Bool,
        views: () throws -> LakeViews, _ body: (LakeViews) throws -> Answer
    ) throws -> Answer {
        let start = time.monotonicNanoseconds()
        var more = 0
        while true {
            let views = try views()
            defer { withExtendedLifetime(views) {} }
            do {
                return try body(views)
            } catch {
                guard let absent = views.absent else { throw error }
                do {
                    guard try absent.fetch(more: more, isCancelled: isCancelled) else { throw error }
                } catch let full as ObjectCache.Full {
                    throw Problem(
                        status: 507, code: "cache_full",
                        detail: "the question reads more of the archive than this node may hold at once "
                            + "(s3.cache_bytes, \(full.maxBytes) bytes); ask about fewer days, or wait 15 minutes")
                }
                guard !isCancelled() else { throw error }
                guard Double(time.monotonicNanoseconds() - start) / 1e9 < timeoutSeconds else {
                    throw Problem(
                        status: 503, code: "archive_fetching",
                        detail: "the days asked about are being fetched from the object store; ask again to go on",
                        retryAfterSeconds: 1)
                }
                more = min(max(1, more * 2), maxDays)
            }
        }
    }
}
