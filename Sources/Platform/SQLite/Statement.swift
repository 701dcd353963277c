// A compiled SQL statement. Parameters count from 1 as in SQL, columns from 0.

import CSQLite

package final class Statement {
    private let database: Database
    private let handle: OpaquePointer
    private let sql: String

    init(database: Database, handle: OpaquePointer, sql: String) {
        self.database = database
        self.handle = handle
        self.sql = sql
    }

    deinit { sqlite3_finalize(handle) }

    // MARK: - Parameters

    package func bind(_ index: Int32, _ value: Int64) throws {
        try database.check(sqlite3_bind_int64(handle, index, value), sql)
    }

    package func bind(_ index: Int32, _ value: Double) throws {
        try database.check(sqlite3_bind_double(handle, index, value), sql)
    }

    package func bind(_ index: Int32, _ value: String) throws {
        var value = value
        let code = value.withUTF8 { text in
            text.withMemoryRebound(to: CChar.self) { characters in
                // An empty string has no address; a null address would bind NULL.
                "".withCString { empty in
                    columba_sqlite3_bind_text_copied(
                        handle, index, characters.baseAddress ?? empty, UInt64(characters.count))
                }
            }
        }
        try database.check(code, sql)
    }

    package func bindNull(_ index: Int32) throws {
        try database.check(sqlite3_bind_null(handle, index), sql)
    }

    /// Binds a copy of the bytes.
    package func bind(_ index: Int32, _ bytes: [UInt8]) throws {
        let code = bytes.withUnsafeBytes { buffer in
            buffer.isEmpty
                ? sqlite3_bind_zeroblob(handle, index, 0)
                : columba_sqlite3_bind_blob_copied(handle, index, buffer.baseAddress, UInt64(buffer.count))
        }
        try database.check(code, sql)
    }

    /// Binds the bytes in place: they must stay unchanged until the statement is reset *and* bound anew or released.
    package func bindBlobStatic(_ index: Int32, _ bytes: UnsafeRawBufferPointer) throws {
        let code =
            bytes.isEmpty
            ? sqlite3_bind_zeroblob(handle, index, 0)
            : columba_sqlite3_bind_blob_static(handle, index, bytes.baseAddress, UInt64(bytes.count))
        try database.check(code, sql)
    }

    // MARK: - Running

    /// Runs to the next row; false at the end.
    package func step() throws -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE { return false }
        throw Database.error(sqlite3_db_handle(handle), code, sql, database.path)
    }

    /// Runs a statement that gives no rows and makes it ready for the next use, also after an error.
    package func run() throws {
        defer { reset() }
        while try step() {}
    }

    /// Ends the run: releases locks. An error of the last step was reported by it already.
    package func reset() {
        sqlite3_reset(handle)
    }

    /// Forgets all parameters, for example before statically bound bytes go away.
    package func clearBindings() {
        sqlite3_clear_bindings(handle)
    }

    // MARK: - Columns of the current row

    package func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    package func double(_ column: Int32) -> Double { sqlite3_column_double(handle, column) }
    package func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    package func byteCount(_ column: Int32) -> Int { Int(sqlite3_column_bytes(handle, column)) }

    package func text(_ column: Int32) -> String {
        guard let text = sqlite3_column_text(handle, column) else { return "" }
        return String(cString: text)
    }

    /// A copy of a blob; empty for NULL.
    package func bytes(_ column: Int32) -> [UInt8] {
        withBytes(column) { [UInt8]($0) }
    }

    /// A blob in place, valid inside `body` only.
    package func withBytes<Result>(
        _ column: Int32, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        let address = sqlite3_column_blob(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return try body(UnsafeRawBufferPointer(start: address, count: address == nil ? 0 : count))
    }
}
