// SQLite: a thin wrapper. One `Database` or `Statement` is used by one thread at a time (NOMUTEX); handing it from one
// thread to another through a lock is fine. Every call that fails throws a `SQLiteError`.
//
// The distribution's SQLite (3.7.0–3.51.2) has the WAL-reset bug when two connections write or checkpoint one database
// at once: whoever opens a database for writing must be its only writer *and* its only checkpointer.
//
// No file is ever mapped, neither a database nor the index of a write-ahead log: a full disk would end the process with
// SIGBUS. The index is in this process's memory (CSQLiteVFS), so a WAL database is written by one process; another one
// that reads it must cope with a file that changes under its eyes.

import CSQLite
import CSQLiteVFS

/// A failed SQLite call.
package struct SQLiteError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The primary result code, for example `SQLITE_FULL`.
    package var code: Int32
    /// The extended result code, for example `SQLITE_IOERR_FSYNC`.
    package var extendedCode: Int32
    /// SQLite's own words.
    package var message: String
    /// What was tried: "open", "step", a PRAGMA. Never data.
    package var operation: String
    package var path: String
    /// `errno` of the operating system's call behind it; 0 if unknown.
    package var systemErrno: Int32

    package init(
        code: Int32, extendedCode: Int32, message: String, operation: String, path: String, systemErrno: Int32 = 0
    ) {
        self.code = code
        self.extendedCode = extendedCode
        self.message = message
        self.operation = operation
        self.path = path
        self.systemErrno = systemErrno
    }

    package var description: String {
        let system = systemErrno == 0 ? "" : ", errno \(systemErrno)"
        return "SQLite cannot \(operation) \(path): \(message) (\(extendedCode)\(system))"
    }

    /// The disk or the quota is full: may pass once space is freed.
    package var isFull: Bool {
        let noSpace: Int32 = 28
        let overQuota: Int32 = 122
        return code == SQLITE_FULL || (code == SQLITE_IOERR && (systemErrno == noSpace || systemErrno == overQuota))
    }

    /// The file's content is not what SQLite wrote.
    package var isDamage: Bool { code == SQLITE_CORRUPT || code == SQLITE_NOTADB }

    /// No more files can be opened (EMFILE shows as CANTOPEN).
    package var isCannotOpen: Bool { code == SQLITE_CANTOPEN }

    /// fsync of a file or a directory failed: nobody knows what is on the disk.
    package var isFlushFailure: Bool {
        extendedCode == columba_SQLITE_IOERR_FSYNC || extendedCode == columba_SQLITE_IOERR_DIR_FSYNC
    }

    /// A read met the end of a file where there should be content.
    package var isShortFile: Bool { extendedCode == columba_SQLITE_IOERR_SHORT_READ }

    /// The operating system refused to read or write: the disk, not the file's content.
    package var isInputOutput: Bool { code == SQLITE_IOERR || code == SQLITE_FULL || code == SQLITE_NOMEM }

    /// The file or its file system does not allow it.
    package var isPermission: Bool { code == SQLITE_READONLY || code == SQLITE_PERM || code == SQLITE_AUTH }

    /// A crash left a journal that only a writing connection can undo (SQLITE_READONLY_ROLLBACK).
    package var needsRollback: Bool { code == SQLITE_READONLY && extendedCode >> 8 == 3 }

    package var isBusy: Bool { code == SQLITE_BUSY || code == SQLITE_LOCKED }
}

/// One connection.
package final class Database {
    package enum Mode: Sendable {
        case readOnly
        case readWrite
        case create
        /// Takes the file as it is, without locks, journal or write-ahead log: for one that nobody writes.
        case immutable
    }

    /// How far a checkpoint goes; see SQLite's `wal_checkpoint_v2`.
    package enum CheckpointMode: Sendable {
        /// Copies what no reader still needs, waits for nobody.
        case passive
        /// Copies everything, waits for readers (up to the busy timeout), and empties the WAL file.
        case truncate
    }

    package struct CheckpointResult: Hashable, Sendable {
        package var walFrames: Int
        package var checkpointedFrames: Int
        package var isComplete: Bool { walFrames == checkpointedFrames }
    }

    package let path: String
    let handle: OpaquePointer

    package init(path: String, mode: Mode) throws {
        var opened: OpaquePointer?
        let flags: Int32 =
            switch mode {
            case .readOnly: SQLITE_OPEN_READONLY
            case .readWrite: SQLITE_OPEN_READWRITE
            case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            case .immutable: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
            }
        let name = mode == .immutable ? Self.immutableName(path) : path
        guard let fileSystem = columba_sqlite_vfs() else {
            preconditionFailure("SQLite has its file system for Unix, and memory for a name")
        }
        let code = sqlite3_open_v2(name, &opened, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, fileSystem)
        guard code == SQLITE_OK, let opened else {
            let error = Database.error(opened, code, "open", path)
            sqlite3_close_v2(opened)
            throw error
        }
        self.path = path
        handle = opened
    }

    deinit { sqlite3_close_v2(handle) }

    /// https://www.sqlite.org/uri.html
    private static func immutableName(_ path: String) -> String {
        let escaped = path.map { character -> String in
            switch character {
            case "%": "%25"
            case "?": "%3f"
            case "#": "%23"
            default: String(character)
            }
        }
        return "file:\(escaped.joined())?immutable=1"
    }

    /// Runs one or more statements, ignoring rows.
    package func execute(_ sql: String) throws {
        try check(sqlite3_exec(handle, sql, nil, nil, nil), sql)
    }

    /// Compiles one statement, to be used many times.
    package func prepare(_ sql: String) throws -> Statement {
        var prepared: OpaquePointer?
        try check(sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil), sql)
        guard let prepared else { preconditionFailure("a statement to prepare is not empty: \(sql)") }
        return Statement(database: self, handle: prepared, sql: sql)
    }

    /// Runs `PRAGMA <assignment>` and returns SQLite's answer, which can differ from the wish without an error:
    /// callers compare it (F36). Empty if SQLite answers nothing.
    package func pragma(_ assignment: String) throws -> String {
        let statement = try prepare("PRAGMA \(assignment)")
        guard try statement.step() else { return "" }
        return statement.text(0)
    }

    /// Sets a PRAGMA and reads it back; throws if it did not take effect.
    package func setPragma(_ name: String, _ value: String, expecting expected: String? = nil) throws {
        let answer = try pragma("\(name)=\(value)")
        let effective = answer.isEmpty ? try pragma(name) : answer
        guard effective == expected ?? value else {
            throw SQLiteError(
                code: SQLITE_ERROR, extendedCode: SQLITE_ERROR,
                message: "PRAGMA \(name) is \(effective), not \(expected ?? value)", operation: "set \(name)",
                path: path)
        }
    }

    /// Waits this long for another connection's lock.
    package func setBusyTimeout(milliseconds: Int32) {
        sqlite3_busy_timeout(handle, milliseconds)
    }

    /// Closing the last connection neither checkpoints nor deletes the WAL.
    package func disableCheckpointOnClose() throws {
        guard columba_sqlite3_no_checkpoint_on_close(handle) == 1 else {
            throw Database.error(handle, SQLITE_ERROR, "disable the checkpoint on close of", path)
        }
    }

    /// From now on a checkpoint flushes after every so many bytes and rests as long as that took, so that others who
    /// wait for the same disk are not held up by one flush of everything.
    package func flushInSteps(ofBytes bytes: Int) throws {
        var bytes = Int64(bytes)
        try check(
            sqlite3_file_control(handle, "main", Int32(columba_SQLITE_FCNTL_STEPS), &bytes), "write in steps")
    }

    /// Moves WAL content into the database file. Not complete is not an error: readers may hold it up.
    package func checkpoint(_ mode: CheckpointMode) throws -> CheckpointResult {
        // A connection that has not read yet does not know of its WAL and would report success without doing anything.
        _ = try pragma("schema_version")
        var frames: Int32 = 0
        var done: Int32 = 0
        let flag: Int32 =
            switch mode {
            case .passive: SQLITE_CHECKPOINT_PASSIVE
            case .truncate: SQLITE_CHECKPOINT_TRUNCATE
            }
        let code = sqlite3_wal_checkpoint_v2(handle, "main", flag, &frames, &done)
        // A database without a WAL answers -1 for both. Busy: what could be copied was.
        if code & 0xff == SQLITE_BUSY { return CheckpointResult(walFrames: Int(max(frames, 1)), checkpointedFrames: 0) }
        try check(code, "checkpoint")
        return CheckpointResult(walFrames: Int(max(frames, 0)), checkpointedFrames: Int(max(done, 0)))
    }

    /// Extended code of the last failed call.
    package var lastErrorCode: Int32 { sqlite3_extended_errcode(handle) }

    package var lastInsertedRow: Int64 { sqlite3_last_insert_rowid(handle) }
    package var changes: Int { Int(sqlite3_changes(handle)) }

    /// False while a transaction is open.
    package var isAutocommit: Bool { sqlite3_get_autocommit(handle) != 0 }

    package static var version: String { String(cString: sqlite3_libversion()) }

    func check(_ code: Int32, _ operation: @autoclosure () -> String) throws {
        guard code == SQLITE_OK else { throw Database.error(handle, code, operation(), path) }
    }

    static func error(_ handle: OpaquePointer?, _ code: Int32, _ operation: String, _ path: String) -> SQLiteError {
        let message = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        return SQLiteError(
            code: code & 0xff, extendedCode: code, message: message, operation: operation, path: path,
            systemErrno: handle.map { sqlite3_system_errno($0) } ?? 0)
    }
}
