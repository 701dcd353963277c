// The index of a write-ahead log lives in this process's memory, not in a mapped file that a full disk turns into a
// SIGBUS: nothing is mapped, and connections see each other's locks and commits as with SQLite's own.

import Synchronization
import System
import Testing

import SQLite

@Suite struct SQLiteIndex {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-sqlite")
        defer { try? FileSystem.removeTree(directory) }
        try body(directory)
    }

    private func open(_ path: String, _ mode: Database.Mode = .create) throws -> Database {
        let database = try Database(path: path, mode: mode)
        database.setBusyTimeout(milliseconds: 10_000)
        if mode == .create { try database.setPragma("journal_mode", "wal") }
        return database
    }

    private func count(_ database: Database) throws -> Int64 {
        let select = try database.prepare("SELECT count(*) FROM t")
        _ = try select.step()
        return select.int64(0)
    }

    @Test("no file beside the database and its WAL, and none of them mapped into memory")
    func nothingMapped() throws {
        try withFolder { folder in
            let writer = try open(folder + "/a.db")
            try writer.execute("CREATE TABLE t(i INTEGER); INSERT INTO t VALUES(1)")
            let reader = try open(folder + "/a.db", .readOnly)
            #expect(try count(reader) == 1)
            #expect(try FileSystem.list(folder).sorted() == ["a.db", "a.db-wal"])
            let maps = String(decoding: try FileSystem.read("/proc/self/maps"), as: UTF8.self)
            #expect(!maps.contains(folder))
            withExtendedLifetime(writer) {}
        }
    }

    @Test("a reader keeps its snapshot, and a checkpoint waits for it")
    func snapshots() throws {
        try withFolder { folder in
            let writer = try open(folder + "/a.db")
            writer.setBusyTimeout(milliseconds: 1)
            try writer.execute("CREATE TABLE t(i INTEGER); INSERT INTO t VALUES(1)")
            let reader = try open(folder + "/a.db", .readOnly)
            try reader.execute("BEGIN")
            #expect(try count(reader) == 1)
            try writer.execute("INSERT INTO t VALUES(2)")
            #expect(try count(reader) == 1)
            #expect(try !writer.checkpoint(.truncate).isComplete, "the reader still needs the WAL")
            try reader.execute("COMMIT")
            #expect(try count(reader) == 2)
            #expect(try writer.checkpoint(.truncate).isComplete)
            #expect(FileSystem.fileSize(folder + "/a.db-wal") == 0)
            #expect(try count(reader) == 2)
        }
    }

    @Test("two connections do not write at once")
    func oneWriter() throws {
        try withFolder { folder in
            let first = try open(folder + "/a.db")
            try first.execute("CREATE TABLE t(i INTEGER)")
            let second = try open(folder + "/a.db")
            second.setBusyTimeout(milliseconds: 1)
            try first.execute("BEGIN IMMEDIATE")
            #expect {
                try second.execute("BEGIN IMMEDIATE")
            } throws: {
                ($0 as? SQLiteError)?.isBusy == true
            }
            try first.execute("COMMIT")
            try second.execute("BEGIN IMMEDIATE; COMMIT")
        }
    }

    @Test("a file that took another's name has an index of its own")
    func replacedFile() throws {
        try withFolder { folder in
            let path = folder + "/a.db"
            let old = try open(path)
            try old.execute("CREATE TABLE t(i INTEGER); INSERT INTO t VALUES(1)")
            for suffix in ["", "-wal"] { try FileSystem.rename(path + suffix, to: folder + "/b.db" + suffix) }
            let new = try open(path)
            try new.execute("CREATE TABLE t(i INTEGER); INSERT INTO t VALUES(1), (2), (3)")
            #expect(try count(old) == 1 && count(new) == 3)
        }
    }

    @Test("readers on other threads see whole transactions only, while the WAL is written, checkpointed and restarted")
    func threads() throws {
        try withFolder { folder in
            let path = folder + "/a.db"
            let writer = try open(path)
            try writer.setPragma("synchronous", "OFF", expecting: "0")
            try writer.setPragma("wal_autocheckpoint", "20")
            try writer.execute("CREATE TABLE t(i INTEGER PRIMARY KEY, b BLOB)")
            let isDone = Atomic(false)
            let torn = Mutex<[String]>([])
            let seen = Atomic(0)
            let readers = (0..<3).map { _ in
                WorkerThread(name: "reader") {
                    do {
                        let database = try Database(path: path, mode: .readOnly)
                        database.setBusyTimeout(milliseconds: 10_000)
                        let select = try database.prepare("SELECT count(*), coalesce(sum(i), 0) FROM t")
                        while !isDone.load(ordering: .acquiring) {
                            _ = try select.step()
                            let (rows, sum) = (select.int64(0), select.int64(1))
                            select.reset()
                            // Seven rows a transaction: 1...7, 8...14, …
                            if rows % 7 != 0 || sum != rows * (rows + 1) / 2 {
                                torn.withLock { $0.append("\(rows) rows, sum \(sum)") }
                            }
                            if rows > 0 { seen.add(1, ordering: .relaxed) }
                        }
                    } catch {
                        torn.withLock { $0.append("\(error)") }
                    }
                }
            }
            for _ in 0..<1_500 {
                try writer.execute(
                    "BEGIN IMMEDIATE; WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 7)"
                        + " INSERT INTO t(b) SELECT randomblob(700) FROM n; COMMIT")
            }
            isDone.store(true, ordering: .releasing)
            for reader in readers { reader.join() }
            #expect(torn.withLock { $0 }.isEmpty)
            #expect(seen.load(ordering: .relaxed) > 0)
            #expect(try writer.pragma("integrity_check") == "ok")
        }
    }
}
