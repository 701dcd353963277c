// DuckDB as a program: where it is and whether it is the version that everything here was tried with.
//
// It runs as a child process, never inside ours: DuckDB says itself that it has no privilege boundary, so the process
// is the boundary, and a query that eats all memory takes only itself down.

import System

package struct DuckDBExecutable: Hashable, Sendable {
    /// Pinned: the sandbox's behaviour and the Parquet writer's options are only known for this one.
    package static let version = "1.5.5"

    package let path: String

    /// Trusts that `path` is the right program; `locate` checks.
    package init(path: String) { self.path = path }

    /// Looks at `COLUMBA_DUCKDB`, then at `.tools/duckdb/duckdb` beside the executable or any folder above it or
    /// above the working directory, then in `PATH`, and asks the program found for its version.
    package static func locate() throws(DuckDBError) -> DuckDBExecutable {
        if let path = Environment.variable("COLUMBA_DUCKDB"), !path.isEmpty {
            return try checked(path)
        }
        for start in [Environment.executableDirectory, Environment.variable("PWD") ?? ""] {
            if let path = toolAbove(start) { return try checked(path) }
        }
        for folder in (Environment.variable("PATH") ?? "").split(separator: ":") {
            let path = "\(folder)/duckdb"
            if FileSystem.isExecutable(path) { return try checked(path) }
        }
        throw DuckDBError(
            kind: .unavailable, message: "the DuckDB program (version \(version)) was not found",
            hint: "run `make tools`, or set COLUMBA_DUCKDB to its path")
    }

    private static func toolAbove(_ start: String) -> String? {
        var folder = start
        while folder.utf8.count > 1 {
            let path = "\(folder)/.tools/duckdb/duckdb"
            if FileSystem.isExecutable(path) { return path }
            folder = FileSystem.parent(of: folder)
        }
        return nil
    }

    private static func checked(_ path: String) throws(DuckDBError) -> DuckDBExecutable {
        var configuration = ChildProcess.Configuration(executable: path, arguments: ["--version"])
        configuration.standardOutput = .pipe
        configuration.standardError = .null
        let answer: String
        do {
            let conversation = try ChildProcess(configuration).converse(timeoutSeconds: 10, maxOutputBytes: 4096)
            answer = String(decoding: conversation.output, as: UTF8.self)
        } catch {
            throw DuckDBError(
                kind: .unavailable, message: "\(path) cannot be started: \(error)",
                hint: "set COLUMBA_DUCKDB to its path")
        }
        guard answer.hasPrefix("v\(version) ") else {
            throw DuckDBError(
                kind: .unavailable, message: "\(path) is not DuckDB \(version)", hint: "run `make tools` to fetch it")
        }
        return DuckDBExecutable(path: path)
    }
}
