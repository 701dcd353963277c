// The wrapper: values go in and come out, PRAGMA answers are checked, errors say what failed.

import SQLite
import System
import Testing

@Suite struct SQLiteWrapper {
    private func withDatabase(_ body: (Database, String) throws -> Void) throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-sqlite")
        defer { try? FileSystem.removeTree(directory) }
        try body(try Database(path: directory + "/test.db", mode: .create), directory + "/test.db")
    }

    @Test("every kind of value is read back as it was bound")
    func values() throws {
        try withDatabase { database, _ throws in
            try database.execute("CREATE TABLE t(i INTEGER, d REAL, s TEXT, b BLOB, e BLOB, n BLOB, v TEXT)")
            let insert = try database.prepare("INSERT INTO t VALUES(?, ?, ?, ?, ?, ?, ?)")
            let bytes: [UInt8] = [0, 1, 255, 0]
            try insert.bind(1, Int64.min)
            try insert.bind(2, 0.1)
            try insert.bind(3, "Grüße\u{1F54A}")
            try insert.bind(4, bytes)
            try insert.bind(5, [UInt8]())
            try insert.bindNull(6)
            try insert.bind(7, "")
            try insert.run()
            try bytes.withUnsafeBytes { buffer in
                try insert.bindBlobStatic(4, buffer)
                try insert.bindBlobStatic(5, UnsafeRawBufferPointer(start: nil, count: 0))
                try insert.run()
                insert.clearBindings()
            }
            let select = try database.prepare("SELECT * FROM t")
            for _ in 0..<2 {
                #expect(try select.step())
                #expect(select.int64(0) == .min && select.double(1) == 0.1 && select.text(2) == "Grüße\u{1F54A}")
                #expect(select.bytes(3) == bytes && select.bytes(4).isEmpty && !select.isNull(4) && select.isNull(5))
                #expect(select.text(6).isEmpty && !select.isNull(6))
            }
            #expect(try !select.step())
        }
    }

    @Test("a PRAGMA that does not take effect is an error")
    func pragmas() throws {
        try withDatabase { database, _ throws in
            try database.setPragma("journal_mode", "wal")
            try database.setPragma("synchronous", "FULL", expecting: "2")
            #expect(try database.pragma("synchronous") == "2")
            #expect(throws: SQLiteError.self) { try database.setPragma("page_size", "1000") }
            let memory = try Database(path: ":memory:", mode: .create)
            #expect(try memory.pragma("journal_mode=WAL") == "memory")
            #expect(throws: SQLiteError.self) { try memory.setPragma("journal_mode", "wal") }
        }
    }

    @Test("errors carry SQLite's code, words and the file")
    func errors() throws {
        #expect {
            _ = try Database(path: "/no/such/directory/x.db", mode: .create)
        } throws: { ($0 as? SQLiteError)?.isCannotOpen == true }
        try withDatabase { database, path throws in
            #expect {
                try database.execute("SELECT * FROM missing")
            } throws: { error in
                let error = error as? SQLiteError
                return error?.code == 1 && error?.message == "no such table: missing" && error?.path == path
            }
            try database.execute("CREATE TABLE t(i INTEGER PRIMARY KEY); INSERT INTO t VALUES(1)")
            let reader = try Database(path: path, mode: .readOnly)
            #expect {
                try reader.execute("INSERT INTO t VALUES(2)")
            } throws: { ($0 as? SQLiteError)?.isPermission == true }
            try FileSystem.writeAtomically(path + "2", Array("this is no database, and long enough to tell".utf8))
            #expect {
                try Database(path: path + "2", mode: .readOnly).execute("SELECT * FROM t")
            } throws: { ($0 as? SQLiteError)?.isDamage == true }
        }
    }

    @Test("the WAL stays until it is checkpointed, also when the last connection closes")
    func checkpointing() throws {
        try withDatabase { _, path throws in
            do {
                let database = try Database(path: path, mode: .readWrite)
                try database.disableCheckpointOnClose()
                try database.setPragma("journal_mode", "wal")
                try database.setPragma("wal_autocheckpoint", "0")
                try database.execute("CREATE TABLE t(i); INSERT INTO t VALUES(7)")
            }
            #expect(FileSystem.fileSize(path + "-wal").map { $0 > 0 } == true)
            let database = try Database(path: path, mode: .readWrite)
            #expect(try database.checkpoint(.passive).isComplete)
            #expect(try database.checkpoint(.truncate).isComplete)
            #expect(FileSystem.fileSize(path + "-wal") == 0)
            #expect(try database.pragma("journal_mode=DELETE") == "delete")
        }
    }
}
