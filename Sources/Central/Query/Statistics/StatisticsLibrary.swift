// The statistics there are: the built-in files and those of the folder that the configuration names. The folders are
// read at each question, so a new file is a statistic at once; a broken one is listed with what is wrong and harms no
// other. A file of the configured folder takes the place of a built-in one of the same name.

package import Models
import Synchronization
import System

package struct StatisticEntry: Sendable {
    package var name: String
    /// The folder it is from; nil: built-in.
    package var folder: String?
    package var result: Result<Statistic, StatisticFault>
}

package final class StatisticsLibrary: Sendable {
    private let builtIn: String?
    private let folders: [String]
    private let queries: QueryService
    /// What DuckDB said of a file's text.
    private let checked = Mutex<[String: Result<[QueryColumn], StatisticFault>]>([:])
    /// So many files of a folder are looked at.
    private static let maxFiles = 1_000

    /// - Parameter builtIn: the folder `queries`; nil where it was not found (then only `folders` count).
    package init(builtIn: String?, folders: [String], queries: QueryService) {
        self.builtIn = builtIn
        self.folders = folders
        self.queries = queries
    }

    /// `COLUMBA_QUERIES`, else `share/columba/queries` beside the program's folder (an installed package), else
    /// `queries` in a folder above it or above the working directory (a checkout).
    package static func locateBuiltIn() -> String? {
        if let path = Environment.variable("COLUMBA_QUERIES"), !path.isEmpty { return path }
        let program = Environment.executableDirectory
        var candidates = ["\(FileSystem.parent(of: program))/share/columba/queries"]
        for start in [program, Environment.variable("PWD") ?? ""] {
            var folder = start
            while folder.utf8.count > 1 {
                candidates.append("\(folder)/queries")
                folder = FileSystem.parent(of: folder)
            }
        }
        return candidates.first { FileSystem.exists("\($0)/reports-per-hour.sql") }
    }

    /// By name.
    package func entries() -> [StatisticEntry] {
        var found: [String: StatisticEntry] = [:]
        for (folder, isBuiltIn) in (builtIn.map { [($0, true)] } ?? []) + folders.map({ ($0, false) }) {
            let names = ((try? FileSystem.list(folder)) ?? []).filter { $0.hasSuffix(".sql") }.sorted()
            for file in names.prefix(Self.maxFiles) {
                let name = String(file.dropLast(4))
                found[name] = StatisticEntry(
                    name: name, folder: isBuiltIn ? nil : folder, result: Self.read("\(folder)/\(file)", name))
            }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    private static func read(_ path: String, _ name: String) -> Result<Statistic, StatisticFault> {
        do throws(StatisticFault) {
            guard Statistic.isValidName(name) else {
                throw StatisticFault(reason: "a statistic's name has a-z, 0-9 and hyphens")
            }
            guard let size = FileSystem.fileSize(path), size <= Statistic.maxBytes,
                let bytes = try? FileSystem.read(path)
            else { throw StatisticFault(reason: "the file cannot be read, or is larger than 64 KiB") }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw StatisticFault(reason: "the file is not UTF-8")
            }
            return .success(try Statistic(name: name, sql: text))
        } catch {
            return .failure(error)
        }
    }

    package func statistic(_ name: String) throws(Problem) -> Statistic {
        guard let entry = entries().first(where: { $0.name == name }) else {
            throw Problem(
                status: 404, code: "no_such_statistic", detail: "GET /v1/stats lists the statistics there are.")
        }
        switch entry.result {
        case .success(let statistic): return statistic
        case .failure(let fault):
            throw Problem(
                status: 422, code: "statistic_broken", detail: "the statistic's file cannot be used: \(fault)",
                field: "name")
        }
    }

    /// The entries with their columns, or what DuckDB says is wrong. A file is asked about once for each of its texts.
    package func described() throws(Problem) -> [(entry: StatisticEntry, columns: [QueryColumn])] {
        var entries = entries()
        let known = checked.withLock { $0 }
        let unknown = entries.compactMap { try? $0.result.get() }.filter { known[$0.sql] == nil }
        let answers = unknown.isEmpty ? [] : try queries.describe(unknown.map(\.skeleton))
        var texts: Set<String> = []
        for entry in entries { if let statistic = try? entry.result.get() { texts.insert(statistic.sql) } }
        let current = checked.withLock { checked in
            for (statistic, answer) in zip(unknown, answers) {
                switch answer {
                case .success(let columns): checked[statistic.sql] = Self.check(statistic, columns)
                // A machine too busy to say is no fault of the file.
                case .failure(let problem) where problem.status >= 500: continue
                case .failure(let problem):
                    checked[statistic.sql] = .failure(StatisticFault(reason: problem.detail))
                }
            }
            checked = checked.filter { texts.contains($0.key) }
            return checked
        }
        var described: [(StatisticEntry, [QueryColumn])] = []
        for index in entries.indices {
            var columns: [QueryColumn] = []
            if let statistic = try? entries[index].result.get(), let answer = current[statistic.sql] {
                switch answer {
                case .success(let found): columns = found
                case .failure(let fault): entries[index].result = .failure(fault)
                }
            }
            described.append((entries[index], columns))
        }
        return described
    }

    private static func check(_ statistic: Statistic, _ columns: [QueryColumn]) -> Result<[QueryColumn], StatisticFault>
    {
        let names = Set(columns.map(\.name))
        if let people = statistic.people, !names.contains(people) {
            return .failure(StatisticFault(reason: "people: names \(people), which is no column of the result"))
        }
        if let note = statistic.columns.first(where: { !names.contains($0.name) }) {
            return .failure(StatisticFault(reason: "column \(note.name) is no column of the result"))
        }
        return .success(columns)
    }
}
