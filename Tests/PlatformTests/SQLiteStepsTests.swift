// A checkpoint in steps: everyone else's flush waits for one step at most, and a step that fails is a failed flush.

import System
import Testing

import SQLite

private let childVariable = "COLUMBA_STEPS_CHILD"

@Suite(.enabled(if: FileSystem.isExecutable("/usr/bin/strace"), "needs strace to count and to fail flushes"))
struct SQLiteSteps {
    /// Runs the child with its flushes traced: what it wrote, and the flushes it made. Nil where tracing is forbidden.
    private func run(_ options: [String]) throws -> (text: String, flushes: Int)? {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-sqlite")
        defer { try? FileSystem.removeTree(folder) }
        var configuration = ChildProcess.Configuration(
            executable: "/usr/bin/strace",
            arguments: ["-f", "-qq", "-o", folder + "/trace", "-e", "trace=fdatasync,fsync"] + options
                + [Environment.executablePath, "--testing-library", "swift-testing", "--filter", "SQLiteStepsChild"])
        configuration.environment = Environment.variables.merging([childVariable: folder], uniquingKeysWith: { $1 })
        configuration.standardOutput = .pipe
        configuration.standardError = .pipe
        let result = try ChildProcess(configuration).converse(timeoutSeconds: 60, maxOutputBytes: 1 << 20)
        let text = String(decoding: result.output + result.error, as: UTF8.self)
        guard text.contains("SQLiteStepsChild") else { return nil }
        let trace = String(decoding: try FileSystem.read(folder + "/trace"), as: UTF8.self)
        return (text, trace.split(separator: "\n").count { $0.contains("sync(") })
    }

    @Test("a checkpoint of eight steps flushes eight times and more")
    func steps() throws {
        guard let (text, flushes) = try run([]) else { return }
        #expect(text.contains("passed"), "\(text)")
        // Besides: the WAL before, the rest after.
        #expect((8...12).contains(flushes), "\(flushes) flushes")
    }

    @Test("a step whose flush fails makes the checkpoint fail as a failed flush does")
    func failedStep() throws {
        guard let (text, _) = try run(["-e", "inject=fdatasync:error=EIO:when=4"]) else { return }
        #expect(text.contains("isFlushFailure true"), "\(text)")
    }
}

@Suite(.enabled(if: Environment.variable(childVariable) != nil, "runs under strace, started by SQLiteSteps"))
struct SQLiteStepsChild {
    @Test("checkpoints eight MiB in steps of one")
    func checkpoint() throws {
        let folder = try #require(Environment.variable(childVariable))
        let database = try Database(path: folder + "/a.db", mode: .create)
        // Only the checkpoint's flushes are wanted.
        try database.setPragma("synchronous", "OFF", expecting: "0")
        try database.setPragma("page_size", "8192")
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("wal_autocheckpoint", "0")
        try database.execute(
            "CREATE TABLE t(b BLOB); WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 8)"
                + " INSERT INTO t SELECT randomblob(1048576) FROM n")
        try database.setPragma("synchronous", "FULL", expecting: "2")
        try database.flushInSteps(ofBytes: 1 << 20)
        do {
            #expect(try database.checkpoint(.truncate).isComplete)
        } catch let error as SQLiteError {
            Issue.record("isFlushFailure \(error.isFlushFailure): \(error)")
        }
    }
}
