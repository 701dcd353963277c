// What a cluster's node knows of the vault's quarantine: which files it has read, which records are in them, and what
// was decided. A cache in one SQLite file, without the records' bytes: it may be deleted at any time, and is where it
// does not open. Knows nothing of the vault; `SharedQuarantine` feeds it.

import Models
import ObjectStore
import SQLite
import Synchronization
import System

final class QuarantineIndex: Sendable {
    private static let layout = "1"

    private let database: Mutex<Database>
    /// Waiting and retrying, by relay.
    private let waiting = Mutex<[String: Int]>([:])

    init(path: String) throws {
        do {
            database = Mutex(try Self.open(path))
        } catch is SQLiteError {
            for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
                try FileSystem.remove(path + suffix)
            }
            database = Mutex(try Self.open(path))
        }
        try countWaiting()
    }

    private static func open(_ path: String) throws -> Database {
        try FileSystem.makeDirectories(FileSystem.parent(of: path))
        let database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        // What a power cut takes is read from the vault again.
        try database.setPragma("synchronous", "NORMAL", expecting: "1")
        if try database.pragma("user_version") == "0" {
            try database.execute(
                """
                BEGIN IMMEDIATE;
                CREATE TABLE files(
                  key TEXT PRIMARY KEY, bytes INTEGER NOT NULL, modified INTEGER NOT NULL) WITHOUT ROWID;
                CREATE TABLE contents(id TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY(id, file)) WITHOUT ROWID;
                CREATE INDEX by_file ON contents(file);
                CREATE TABLE decisions(
                  id TEXT NOT NULL, step INTEGER NOT NULL, state TEXT, at INTEGER, person TEXT, note TEXT, code TEXT,
                  PRIMARY KEY(id, step)) WITHOUT ROWID;
                CREATE TABLE records(
                  id TEXT PRIMARY KEY, relay_id TEXT NOT NULL, epoch TEXT NOT NULL, n INTEGER, code TEXT NOT NULL,
                  received_at INTEGER NOT NULL, state TEXT NOT NULL, bytes INTEGER NOT NULL, decided_at INTEGER,
                  decided_by TEXT, note TEXT, code_since TEXT, step INTEGER NOT NULL) WITHOUT ROWID;
                CREATE INDEX by_time ON records(state, received_at, id);
                PRAGMA user_version = \(layout);
                COMMIT;
                """)
        }
        let found = try database.pragma("user_version")
        guard found == layout else {
            throw SQLiteError(
                code: 1, extendedCode: 1, message: "layout \(found) of another version", operation: "open", path: path)
        }
        return database
    }

    // MARK: In

    /// Of all files in the vault those that are to be read: new, or written again. Forgets those that are gone.
    func unread(_ listed: [ObjectInfo]) throws -> [ObjectInfo] {
        let known = try database.withLock { database in
            let query = try database.prepare("SELECT key, bytes, modified FROM files")
            var known: [String: ObjectInfo] = [:]
            while try query.step() {
                let key = query.text(0)
                known[key] = ObjectInfo(key: key, bytes: Int(query.int64(1)), modifiedMicroseconds: query.int64(2))
            }
            return known
        }
        let gone = Set(known.keys).subtracting(listed.map(\.key))
        try forget(gone)
        return listed.filter { known[$0.key] != $0 }
    }

    private func forget(_ keys: Set<String>) throws {
        guard !keys.isEmpty else { return }
        try database.transaction { database in
            for sql in ["DELETE FROM contents WHERE file = ?1", "DELETE FROM files WHERE key = ?1"] {
                let delete = try database.prepare(sql)
                for key in keys {
                    try delete.bind(1, key)
                    try delete.run()
                }
            }
        }
    }

    /// What a file holds. A record that is known stays as it is, but for when it came first.
    func took(_ file: ObjectInfo, _ entries: [QuarantineEntry]) throws {
        try database.transaction { database in
            let clear = try database.prepare("DELETE FROM contents WHERE file = ?1")
            try clear.bind(1, file.key)
            try clear.run()
            let insert = try database.prepare(
                """
                INSERT INTO records(id, relay_id, epoch, n, code, received_at, state, bytes, step)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?7, 0)
                ON CONFLICT(id) DO UPDATE SET code = excluded.code, received_at = excluded.received_at
                WHERE (excluded.received_at, excluded.code) < (received_at, code)
                """)
            let contents = try database.prepare("INSERT OR IGNORE INTO contents(id, file) VALUES (?1, ?2)")
            for entry in entries {
                guard let id = entry.id else { continue }
                try Self.bind(insert, id, entry)
                try insert.run()
                try Self.settle(id, database)
                guard entry.line != nil else { continue }
                try contents.bind(1, id)
                try contents.bind(2, file.key)
                try contents.run()
            }
            let note = try database.prepare("INSERT OR REPLACE INTO files(key, bytes, modified) VALUES (?1, ?2, ?3)")
            try note.bind(1, file.key)
            try note.bind(2, Int64(file.bytes))
            try note.bind(3, file.modifiedMicroseconds)
            try note.run()
        }
        try countWaiting()
    }

    private static func bind(_ insert: Statement, _ id: String, _ entry: QuarantineEntry) throws {
        try insert.bind(1, id)
        try insert.bind(2, entry.relayID)
        try insert.bind(3, entry.epoch)
        if let n = entry.n { try insert.bind(4, n) } else { try insert.bindNull(4) }
        try insert.bind(5, entry.code)
        try insert.bind(6, entry.receivedAt.microseconds)
        try insert.bind(7, Int64(entry.bytes))
    }

    /// Of all decisions in the vault those that are to be read.
    func unreadDecisions(_ keys: [String]) throws -> [(key: String, id: String, step: Int)] {
        try database.withLock { database in
            let query = try database.prepare("SELECT 1 FROM decisions WHERE id = ?1 AND step = ?2")
            return try keys.compactMap { key in
                guard let place = QuarantineDecision.place(ofKey: key) else { return nil }
                try query.bind(1, place.id)
                try query.bind(2, Int64(place.step))
                defer { query.reset() }
                return try query.step() ? nil : (key, place.id, place.step)
            }
        }
    }

    /// - Parameter decision: nil: unreadable. Its place is taken, and it changes nothing.
    func took(_ decision: QuarantineDecision?, of id: String, step: Int) throws {
        try database.transaction { database in
            let insert = try database.prepare(
                """
                INSERT OR IGNORE INTO decisions(id, step, state, at, person, note, code)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                """)
            try insert.bind(1, id)
            try insert.bind(2, Int64(step))
            let state = decision?.state.rawValue
            for (index, text) in [(Int32(3), state), (5, decision?.by), (6, decision?.note), (7, decision?.code)] {
                if let text { try insert.bind(index, text) } else { try insert.bindNull(index) }
            }
            if let decision { try insert.bind(4, decision.atMicroseconds) } else { try insert.bindNull(4) }
            try insert.run()
            try Self.settle(id, database)
        }
        try countWaiting()
    }

    /// A record is what its last decision says; who decided, and why, is what a person said last.
    private static func settle(_ id: String, _ database: Database) throws {
        let update = try database.prepare(
            """
            UPDATE records SET
              step = ifnull((SELECT max(step) FROM decisions d WHERE d.id = ?1), 0),
              state = ifnull((SELECT d.state FROM decisions d WHERE d.id = ?1 AND d.state IS NOT NULL
                ORDER BY step DESC LIMIT 1), 'waiting'),
              decided_at = (SELECT d.at FROM decisions d WHERE d.id = ?1 AND d.at IS NOT NULL
                ORDER BY step DESC LIMIT 1),
              decided_by = (SELECT d.person FROM decisions d WHERE d.id = ?1 AND d.person IS NOT NULL
                ORDER BY step DESC LIMIT 1),
              note = (SELECT d.note FROM decisions d WHERE d.id = ?1 AND d.note IS NOT NULL
                ORDER BY step DESC LIMIT 1),
              code_since = (SELECT d.code FROM decisions d WHERE d.id = ?1 AND d.code IS NOT NULL
                ORDER BY step DESC LIMIT 1)
            WHERE id = ?1
            """)
        try update.bind(1, id)
        try update.run()
    }

    // MARK: Out

    var counts: [String: Int] { waiting.withLock { $0 } }

    private static let columns =
        """
        id, relay_id, epoch, n, ifnull(code_since, code), received_at, state, bytes, decided_at, decided_by, note
        """

    func list(
        states: Set<QuarantinedRecord.State>, relayID: String?, after: String?, limit: Int
    ) throws -> [QuarantinedRecord] {
        precondition(limit > 0, "a page has at least one record")
        let places = states.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
        return try database.withLock { database in
            let query = try database.prepare(
                """
                SELECT \(Self.columns) FROM records
                WHERE state IN (\(places)) AND (?1 = '' OR relay_id = ?1) AND (?2 = '' OR
                  (received_at, id) < (SELECT received_at, id FROM records WHERE id = ?2))
                ORDER BY received_at DESC, id DESC LIMIT ?3
                """)
            try query.bind(1, relayID ?? "")
            try query.bind(2, after ?? "")
            try query.bind(3, Int64(limit))
            var records: [QuarantinedRecord] = []
            while try query.step() { records.append(Self.record(query)) }
            return records
        }
    }

    /// The record, how many decisions it has had, and which files hold its bytes.
    func record(_ id: String) throws -> (record: QuarantinedRecord, step: Int, files: [String])? {
        try database.withLock { database in
            let query = try database.prepare("SELECT \(Self.columns), step FROM records WHERE id = ?1")
            try query.bind(1, id)
            guard try query.step() else { return nil }
            let (record, step) = (Self.record(query), Int(query.int64(11)))
            let contents = try database.prepare("SELECT file FROM contents WHERE id = ?1 ORDER BY file")
            try contents.bind(1, id)
            var files: [String] = []
            while try contents.step() { files.append(contents.text(0)) }
            return (record, step, files)
        }
    }

    private static func record(_ row: Statement) -> QuarantinedRecord {
        func text(_ column: Int32) -> String? { row.isNull(column) ? nil : row.text(column) }
        return QuarantinedRecord(
            id: row.text(0), relayID: row.text(1), epoch: row.text(2), n: row.isNull(3) ? nil : row.int64(3),
            code: row.text(4), receivedAt: Timestamp(microseconds: row.int64(5)),
            state: QuarantinedRecord.State(rawValue: row.text(6)) ?? .waiting, bytes: Int(row.int64(7)),
            decidedAt: row.isNull(8) ? nil : Timestamp(microseconds: row.int64(8)), decidedBy: text(9), note: text(10))
    }

    /// Files with bytes of records that are archived or dropped, and those records.
    func filesWithDecidedBytes(limit: Int) throws -> [(file: String, decided: Set<String>)] {
        try database.withLock { database in
            let query = try database.prepare(
                """
                SELECT c.file, c.id FROM contents c JOIN records r ON r.id = c.id
                WHERE r.state IN ('archived', 'dropped') ORDER BY c.file
                """)
            var found: [(file: String, decided: Set<String>)] = []
            while try query.step() {
                let file = query.text(0)
                if found.last?.file != file {
                    guard found.count < limit else { break }
                    found.append((file, []))
                }
                found[found.count - 1].decided.insert(query.text(1))
            }
            return found
        }
    }

    // MARK: Private

    private func countWaiting() throws {
        let counts = try database.withLock { database in
            let query = try database.prepare(
                """
                SELECT relay_id, count(*) FROM records WHERE state IN ('waiting', 'retrying') GROUP BY relay_id
                """)
            var counts: [String: Int] = [:]
            while try query.step() { counts[query.text(0)] = Int(query.int64(1)) }
            return counts
        }
        waiting.withLock { $0 = counts }
    }
}
