// Records that central could not read or store: kept byte for byte with their reason until a person decides, each
// once. One SQLite file in the vault, for the records may hold names (I9): `_columba/quarantine.db`. This is the
// quarantine of a central alone; a cluster's is `SharedQuarantine`.
//
//   waiting ──retry──▶ retrying ──archived──▶ archived
//      │  ▲               │
//      │  └──refused again┘
//      └──drop──▶ dropped          archived and dropped: the decision stays, the record's bytes are removed here
//
// The archiver leaves its own rejects as files in the vault's `_columba/quarantine/`; they are taken in from there.
// What stays of a file are the records' numbers and codes (`….numbers.ndjson`): `RelayRebuild` needs them, and there
// are no names in them.

package import Models
package import ObjectStore
import Crypto
import FoundationEssentials
import SQLite
import Synchronization
import System

package struct QuarantinedRecord: Sendable, Equatable {
    package enum State: String, Sendable, Codable, CaseIterable { case waiting, retrying, archived, dropped }

    package var id: String
    package var relayID: String
    package var epoch: String
    /// nil: the line had no number that could be read.
    package var n: Int64?
    package var code: String
    /// Central's clock.
    package var receivedAt: Timestamp
    package var state: State
    package var bytes: Int
    package var decidedAt: Timestamp?
    package var decidedBy: String?
    package var note: String?
    /// Where the stream has it again.
    package var retryPosition: Int64?
}

package final class Quarantine: Sendable {
    package static let folder = "_columba"

    private let database: Mutex<Database>
    /// Where the archiver leaves its rejects.
    private let rejects: any ObjectStore
    /// Waiting and retrying, by relay.
    private let waiting = Mutex<[String: Int]>([:])

    /// - Parameters:
    ///   - vault: this machine's folder for it.
    ///   - rejects: the vault itself; nil: it is that folder.
    ///   - oldPath: where an earlier version kept it; taken over once.
    package init(vault: String, rejects: (any ObjectStore)? = nil, oldPath: String? = nil) throws {
        try FileSystem.makeDirectories("\(vault)/\(Self.folder)")
        let path = "\(vault)/\(Self.folder)/quarantine.db"
        self.rejects = try rejects ?? LocalObjectStore(directory: vault)
        let database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("synchronous", "FULL", expecting: "2")
        // A dropped record's bytes are overwritten, not only unlinked.
        try database.setPragma("secure_delete", "1")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS quarantined(
              id TEXT PRIMARY KEY, relay_id TEXT NOT NULL, epoch TEXT NOT NULL, n INTEGER, code TEXT NOT NULL,
              received_at INTEGER NOT NULL, state TEXT NOT NULL, bytes INTEGER NOT NULL, line BLOB, decided_at INTEGER,
              decided_by TEXT, note TEXT, position INTEGER) WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS by_time ON quarantined(state, received_at, id);
            """)
        self.database = Mutex(database)
        if let oldPath, FileSystem.exists(oldPath) { try takeOver(oldPath) }
        try countWaiting()
    }

    // MARK: In

    /// On disk when it returns.
    package func keep(
        _ records: [BatchExamination.Rejected], relayID: String, epoch: String, at time: Timestamp
    ) throws {
        try insert(
            records.map {
                Entry(relayID: relayID, epoch: epoch, n: $0.n, code: $0.code, receivedAt: time, line: $0.line)
            })
    }

    private struct Entry: Sendable {
        var relayID: String
        var epoch: String
        var n: Int64?
        var code: String
        var receivedAt: Timestamp
        var line: [UInt8]
    }

    /// A record that is here already stays as it is; one that was tried again and refused again waits.
    private func insert(_ entries: [Entry]) throws {
        guard !entries.isEmpty else { return }
        try database.transaction { database in
            let insert = try database.prepare(
                """
                INSERT INTO quarantined(id, relay_id, epoch, n, code, received_at, state, bytes, line)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?7, ?8)
                ON CONFLICT(id) DO UPDATE SET state = 'waiting', code = excluded.code, position = NULL
                WHERE state = 'retrying'
                """)
            for entry in entries {
                try insert.bind(1, Self.id(entry.relayID, entry.epoch, entry.n, entry.line))
                try insert.bind(2, entry.relayID)
                try insert.bind(3, entry.epoch)
                if let n = entry.n { try insert.bind(4, n) } else { try insert.bindNull(4) }
                try insert.bind(5, entry.code)
                try insert.bind(6, entry.receivedAt.microseconds)
                try insert.bind(7, Int64(entry.line.count))
                try insert.bind(8, entry.line)
                try insert.run()
            }
        }
        try countWaiting()
    }

    /// 128 bits of a hash over record and bytes: the same record again is the same one.
    package static func id(_ relayID: String, _ epoch: String, _ n: Int64?, _ line: [UInt8]) -> String {
        var text = Array("\(relayID)\n\(epoch)\n\(n.map(String.init) ?? "-")\n".utf8)
        text += line
        return Hex.encode(Array(SHA256.hash(text).bytes.prefix(16)))
    }

    // MARK: What the archiver left

    private struct ArchiveReject: Codable {
        var relay_id: String
        var epoch: String
        var n: Int64?
        var position: Int64
        var code: String
        var line_base64: String?
    }

    private static let numbersSuffix = ".numbers.ndjson"

    /// Takes in the archiver's rejects and leaves their numbers. To be called at start and after each commit that
    /// rejected something.
    package func takeInArchiveRejects(at now: Timestamp) throws {
        for key in try rejects.list(ArchiveCommitter.quarantineFolder).map(\.key)
        where key.hasSuffix(".ndjson") && !key.hasSuffix(Self.numbersSuffix) {
            var entries: [Entry] = []
            var numbers: [UInt8] = []
            for line in (try rejects.get(key) ?? []).split(separator: 0x0a) {
                guard var reject = try? JSONDecoder().decode(ArchiveReject.self, from: Data(line)),
                    let bytes = reject.line_base64.flatMap({ Data(base64Encoded: $0) })
                else { continue }
                entries.append(
                    Entry(
                        relayID: reject.relay_id, epoch: reject.epoch, n: reject.n, code: reject.code, receivedAt: now,
                        line: [UInt8](bytes)))
                reject.line_base64 = nil
                numbers += [UInt8](try JSONEncoder().encode(reject)) + [0x0a]
            }
            try insert(entries)
            try rejects.put(key.dropLast(".ndjson".count) + Self.numbersSuffix, numbers)
            try rejects.remove(key)
        }
    }

    /// The table of an earlier version, in central's data directory.
    private func takeOver(_ path: String) throws {
        let old = try Database(path: path, mode: .readWrite)
        let query = try old.prepare("SELECT relay_id, epoch, n, code, received_at, line FROM records")
        var entries: [Entry] = []
        while try query.step() {
            entries.append(
                Entry(
                    relayID: query.text(0), epoch: query.text(1), n: query.int64(2), code: query.text(3),
                    receivedAt: Timestamp(microseconds: query.int64(4)), line: query.bytes(5)))
        }
        query.reset()
        try insert(entries)
        for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
            try FileSystem.remove(path + suffix)
        }
    }

    // MARK: Out

    package func count() throws -> Int { counts.values.reduce(0, +) }

    /// Records that wait for a decision, by relay.
    package var counts: [String: Int] { waiting.withLock { $0 } }

    private static let columns =
        "id, relay_id, epoch, n, code, received_at, state, bytes, decided_at, decided_by, note, position"

    /// Newest first, after the record `after`.
    package func list(
        states: Set<QuarantinedRecord.State>, relayID: String?, after: String?, limit: Int
    ) throws -> [QuarantinedRecord] {
        precondition(limit > 0, "a page has at least one record")
        let places = states.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
        return try database.withLock { database in
            let query = try database.prepare(
                """
                SELECT \(Self.columns) FROM quarantined
                WHERE state IN (\(places)) AND (?1 = '' OR relay_id = ?1) AND (?2 = '' OR
                  (received_at, id) < (SELECT received_at, id FROM quarantined WHERE id = ?2))
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

    /// The record, and its line where it is asked for and still kept.
    package func record(_ id: String, withLine: Bool) throws -> (record: QuarantinedRecord, line: [UInt8]?)? {
        try database.withLock { database in
            let query = try database.prepare("SELECT \(Self.columns), line FROM quarantined WHERE id = ?1")
            try query.bind(1, id)
            guard try query.step() else { return nil }
            return (Self.record(query), withLine && !query.isNull(12) ? query.bytes(12) : nil)
        }
    }

    private static func record(_ row: Statement) -> QuarantinedRecord {
        func text(_ column: Int32) -> String? { row.isNull(column) ? nil : row.text(column) }
        return QuarantinedRecord(
            id: row.text(0), relayID: row.text(1), epoch: row.text(2), n: row.isNull(3) ? nil : row.int64(3),
            code: row.text(4), receivedAt: Timestamp(microseconds: row.int64(5)),
            state: QuarantinedRecord.State(rawValue: row.text(6)) ?? .waiting, bytes: Int(row.int64(7)),
            decidedAt: row.isNull(8) ? nil : Timestamp(microseconds: row.int64(8)), decidedBy: text(9), note: text(10),
            retryPosition: row.isNull(11) ? nil : row.int64(11))
    }

    // MARK: Decisions

    /// From one state to another; false if it is in none of `from`. `removesLine`: the bytes go, the decision stays.
    package func move(
        _ id: String, from: [QuarantinedRecord.State], to state: QuarantinedRecord.State, by: String? = nil,
        note: String? = nil, at time: Timestamp, position: Int64? = nil, removesLine: Bool = false
    ) throws -> Bool {
        let isMoved = try database.transaction { database in
            let places = from.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            let update = try database.prepare(
                """
                UPDATE quarantined SET state = ?2, decided_at = ?3, decided_by = ifnull(?4, decided_by),
                  note = ifnull(?5, note), position = ?6, line = \(removesLine ? "NULL" : "line")
                WHERE id = ?1 AND state IN (\(places)) RETURNING 1
                """)
            try update.bind(1, id)
            try update.bind(2, state.rawValue)
            try update.bind(3, time.microseconds)
            for (index, text) in [(Int32(4), by), (5, note)] {
                if let text { try update.bind(index, text) } else { try update.bindNull(index) }
            }
            if let position { try update.bind(6, position) } else { try update.bindNull(6) }
            let found = try update.step()
            while try update.step() {}
            return found
        }
        try countWaiting()
        return isMoved
    }

    /// At start: what was being tried again. Archived up to `position`; the rest, unless the stream still has it,
    /// waits again.
    package func settleRetries(archivedThrough position: Int64, inStream: Set<String>, at time: Timestamp) throws {
        for record in try list(states: [.retrying], relayID: nil, after: nil, limit: 1_000_000)
        where !inStream.contains(record.id) {
            let isArchived = record.retryPosition.map { $0 <= position } ?? false
            _ = try move(
                record.id, from: [.retrying], to: isArchived ? .archived : .waiting, at: time,
                position: record.retryPosition, removesLine: isArchived)
        }
    }

    // MARK: Private

    private func countWaiting() throws {
        let counts = try database.withLock { database in
            let query = try database.prepare(
                """
                SELECT relay_id, count(*) FROM quarantined WHERE state IN ('waiting', 'retrying') GROUP BY relay_id
                """)
            var counts: [String: Int] = [:]
            while try query.step() { counts[query.text(0)] = Int(query.int64(1)) }
            return counts
        }
        waiting.withLock { $0 = counts }
    }
}
