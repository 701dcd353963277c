// The outbox on disk: which alert still has to go where, so that a relay that starts again goes on where it stopped.
// One small SQLite file beside the buffer, written by one thread.
//
// It need not be exact. An alert is durable in the buffer, in the transaction of its report; what is missing here is
// found there (a crash right after the commit, F07), and what was delivered but not yet noted is sent again with the
// same id (F08). A power cut may take the last moments of it, never its integrity (WAL, synchronous=NORMAL).

package import Log
package import Models
import JSON
import SQLite
import System

package struct OutboxEntry: Sendable, Equatable {
    package var alertID: String
    package var record: DeliveryRecord
    /// When it was first to be sent.
    package var since: Timestamp
    /// Of a pending one.
    package var alert: Alert?
}

package final class Outbox {
    /// How long settled deliveries are remembered: longer than any alert is retried.
    private static let keepSeconds = 48.0 * 3600
    /// Settled rows at most, per target (I7).
    private static let maxSettledPerTarget = 100_000

    private let database: Database
    private let save: Statement
    /// The file was damaged and begun anew: nobody knows what was delivered.
    package let wasReplaced: Bool

    private init(path: String, wasReplaced: Bool) throws {
        self.wasReplaced = wasReplaced
        database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("synchronous", "NORMAL", expecting: "1")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS deliveries(
              alert_id TEXT, target TEXT, kind TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL,
              at INTEGER NOT NULL, error TEXT, since INTEGER NOT NULL, alert BLOB,
              PRIMARY KEY(alert_id, target)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS targets(name TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
            """)
        save = try database.prepare("INSERT OR REPLACE INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
    }

    /// Opens the outbox; one that cannot be read is moved aside and begun anew.
    package static func open(path: String, log: Log) throws -> sending Outbox {
        do {
            return try Outbox(path: path, wasReplaced: false)
        } catch {
            log.warning("outbox_replaced", ["error": .string("\(error)")])
            for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
                try FileSystem.rename(path + suffix, to: path + suffix + ".damaged")
            }
            return try Outbox(path: path, wasReplaced: true)
        }
    }

    /// Since when each target is known. Targets that are new here begin now; those gone from the configuration are
    /// forgotten, with what they were still to get.
    package func register(_ targets: [String], at now: Timestamp) throws -> [String: Timestamp] {
        var known: [String: Timestamp] = [:]
        let query = try database.prepare("SELECT name, since FROM targets")
        while try query.step() { known[query.text(0)] = Timestamp(microseconds: query.int64(1)) }
        let add = try database.prepare("INSERT OR IGNORE INTO targets VALUES (?1, ?2)")
        for name in targets where known[name] == nil {
            let since = wasReplaced ? Timestamp.earliest : now
            known[name] = since
            try add.bind(1, name)
            try add.bind(2, since.microseconds)
            try add.run()
        }
        for (table, column) in [("targets", "name"), ("deliveries", "target")] {
            let forget = try database.prepare("DELETE FROM \(table) WHERE \(column) = ?1")
            for name in known.keys where !targets.contains(name) {
                try forget.bind(1, name)
                try forget.run()
            }
        }
        return known.filter { targets.contains($0.key) }
    }

    package func load() throws -> [OutboxEntry] {
        let query = try database.prepare(
            "SELECT alert_id, target, kind, state, tries, at, error, since, alert FROM deliveries ORDER BY at")
        var entries: [OutboxEntry] = []
        while try query.step() {
            guard let kind = ChannelKind(rawValue: query.text(2)),
                let state = DeliveryRecord.State(rawValue: query.text(3))
            else { continue }
            let record = DeliveryRecord(
                target: query.text(1), kind: kind, state: state, tries: Int(query.int64(4)),
                at: Timestamp(microseconds: query.int64(5)), lastError: query.isNull(6) ? nil : query.text(6))
            let alert = query.isNull(8) ? nil : try? query.withBytes(8, Alert.init(json:))
            entries.append(
                OutboxEntry(
                    alertID: query.text(0), record: record, since: Timestamp(microseconds: query.int64(7)),
                    alert: alert))
        }
        return entries
    }

    package func save(_ entries: [OutboxEntry]) throws {
        try transaction {
            for entry in entries {
                let record = entry.record
                try save.bind(1, entry.alertID)
                try save.bind(2, record.target)
                try save.bind(3, record.kind.rawValue)
                try save.bind(4, record.state.rawValue)
                try save.bind(5, Int64(record.tries))
                try save.bind(6, record.at.microseconds)
                if let error = record.lastError { try save.bind(7, error) } else { try save.bindNull(7) }
                try save.bind(8, entry.since.microseconds)
                if let alert = entry.alert { try save.bind(9, alert.json()) } else { try save.bindNull(9) }
                try save.run()
            }
        }
    }

    /// Forgets settled deliveries that nobody can need any more. Names leave the disk with the row that held them.
    package func tidy(targets: Int, at now: Timestamp) throws {
        try transaction {
            let old = try database.prepare("DELETE FROM deliveries WHERE state != 'pending' AND at < ?1")
            try old.bind(1, now.adding(seconds: -Self.keepSeconds).microseconds)
            try old.run()
            try database.execute(
                """
                DELETE FROM deliveries WHERE state != 'pending' AND at <
                  (SELECT at FROM deliveries WHERE state != 'pending' ORDER BY at DESC
                   LIMIT 1 OFFSET \(Self.maxSettledPerTarget * max(1, targets)))
                """)
        }
    }

    private func transaction(_ body: () throws -> Void) throws {
        try database.execute("BEGIN")
        do {
            try body()
            try database.execute("COMMIT")
        } catch {
            // The first error is the one to report; without a transaction there is nothing to undo.
            try? database.execute("ROLLBACK")
            throw error
        }
    }
}
