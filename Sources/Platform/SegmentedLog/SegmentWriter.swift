// The one connection that writes a segment and, once it is sealed, checkpoints it. Two connections doing either at once
// would meet SQLite's WAL-reset bug, so there is never a second one.
//
// Every WAL is written in one generation: appended to until the segment is sealed, never reset. After a failed append
// the segment is sealed or removed, so nothing ever follows a failed transaction in a WAL. Recovery relies on both.

import SQLite
import System

// Safety: used by one thread at a time; it goes from the preparing to the appending to the sealing thread only through
// the log's monitor.
final class SegmentWriter: @unchecked Sendable {
    let name: SegmentName
    private let directory: String
    private let database: Database
    private let begin: Statement
    private let commit: Statement
    private let insert: Statement
    private let insertMeta: Statement
    private(set) var first: Int64?

    /// What a checkpoint flushes at a time: the appending thread's flush waits behind one such step at most.
    private static let checkpointStepBytes = 1 << 20

    /// Opens a prepared segment.
    init(_ name: SegmentName, in directory: String) throws {
        self.name = name
        self.directory = directory
        database = try SegmentFile.openWriter(name, in: directory)
        begin = try database.prepare("BEGIN IMMEDIATE")
        commit = try database.prepare("COMMIT")
        insert = try database.prepare(SegmentFile.insertEntry)
        insertMeta = try database.prepare(SegmentFile.insertMeta)
    }

    var hasEntries: Bool { first != nil }
    var bytes: Int { SegmentFile.bytes(name, in: directory) }

    /// Appends in one transaction; durable when it returns (I1). After an error nothing of it is in the log, and the
    /// segment must not be appended to any more.
    func append(_ entries: [NewLogEntry], from position: Int64, previous: SegmentName?) throws {
        do {
            try begin.run()
            if first == nil { try recordBeginning(position, previous) }
            var next = position
            for entry in entries {
                try write(entry, next)
                next += 1
            }
            try commit.run()
            insert.clearBindings()
            first = first ?? position
        } catch {
            insert.clearBindings()
            // The first error is the one that counts; a rollback that fails too changes nothing in the WAL.
            if !database.isAutocommit { try? database.execute("ROLLBACK") }
            throw error
        }
    }

    private func recordBeginning(_ position: Int64, _ previous: SegmentName?) throws {
        try setMeta("first", String(position))
        if let previous { try setMeta("previous", String(previous.number)) }
    }

    private func setMeta(_ key: String, _ value: String) throws {
        try insertMeta.bind(1, key)
        try insertMeta.bind(2, value)
        try insertMeta.run()
    }

    private func write(_ entry: NewLogEntry, _ position: Int64) throws {
        let checksum = EntryChecksum.of(
            position: position, timeMicroseconds: entry.timeMicroseconds, kind: entry.kind, header: entry.header,
            payload: entry.payload)
        try insert.bind(1, position)
        try insert.bind(2, entry.timeMicroseconds)
        try insert.bind(3, Int64(entry.kind))
        try insert.bindBlobStatic(4, entry.header)
        try insert.bindBlobStatic(5, entry.payload)
        try insert.bind(6, checksum)
        try insert.run()
    }

    /// Writes down where the segment ends and moves everything from the WAL into the database file. False if readers
    /// held it up: to be called again later. Slow: never on an append's path.
    func seal(first: Int64, last: Int64) throws -> Bool {
        try database.execute("BEGIN IMMEDIATE")
        do {
            try setMeta("first", String(first))
            try setMeta("last", String(last))
            try database.execute("COMMIT")
        } catch {
            if !database.isAutocommit { try? database.execute("ROLLBACK") }
            throw error
        }
        try database.flushInSteps(ofBytes: Self.checkpointStepBytes)
        _ = try database.checkpoint(.passive)
        return try database.checkpoint(.truncate).isComplete
    }

    /// Makes a sealed segment a single file without WAL. Fails harmlessly while a reader has it open: it stays
    /// readable.
    func leaveWriteAheadLog() {
        _ = try? database.pragma("journal_mode=DELETE")
    }
}
