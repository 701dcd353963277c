// What the relay remembers beside its buffer: the alerts with their states, and which records of which epoch central
// has archived. A cache of things that the buffer or central hold as well: losing it costs repeated questions and
// resends, never a report. One small SQLite file, used by the maintenance thread and at start.

package import Log
package import SyncProtocol
import FoundationEssentials
import JSON
import Models
import SQLite
import System

package final class StateStore {
    private let database: Database
    private let saveAlert: Statement
    private let saveEpoch: Statement
    private let forgetEpoch: Statement

    package init(path: String) throws {
        database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        // NORMAL: a power cut may take the last seconds of this cache, not its integrity.
        try database.setPragma("synchronous", "NORMAL", expecting: "1")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS alerts(
              alert_id TEXT PRIMARY KEY, event_id INTEGER NOT NULL, alert BLOB NOT NULL, change BLOB) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS epochs(epoch TEXT PRIMARY KEY, archived BLOB NOT NULL) WITHOUT ROWID;
            """)
        saveAlert = try database.prepare("INSERT OR REPLACE INTO alerts VALUES (?1, ?2, ?3, ?4)")
        saveEpoch = try database.prepare("INSERT OR REPLACE INTO epochs VALUES (?1, ?2)")
        forgetEpoch = try database.prepare("DELETE FROM epochs WHERE epoch = ?1")
    }

    /// Opens the store; one that cannot be read is moved aside and begun anew: it is only a cache.
    package static func openOrReplace(path: String, log: Log) throws -> sending StateStore {
        do {
            return try StateStore(path: path)
        } catch {
            log.warning("state_replaced", ["error": .string("\(error)")])
            for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
                try FileSystem.rename(path + suffix, to: path + suffix + ".damaged")
            }
            return try StateStore(path: path)
        }
    }

    package func save(_ entries: [AlertEntry]) throws {
        guard !entries.isEmpty else { return }
        try database.execute("BEGIN")
        do {
            for entry in entries {
                try saveAlert.bind(1, entry.alert.alertID)
                try saveAlert.bind(2, entry.eventID)
                try saveAlert.bind(3, entry.storedAlert())
                if let change = entry.lastChange {
                    try saveAlert.bind(4, change.json())
                } else {
                    try saveAlert.bindNull(4)
                }
                try saveAlert.run()
            }
            // Only what the book itself would keep.
            try database.execute(
                """
                DELETE FROM alerts WHERE event_id <
                  (SELECT event_id FROM alerts ORDER BY event_id DESC LIMIT 1 OFFSET \(AlertBook.maxAlerts))
                """)
            try database.execute("COMMIT")
        } catch {
            try? database.execute("ROLLBACK")
            throw error
        }
    }

    package func loadAlerts() throws -> [AlertEntry] {
        let query = try database.prepare("SELECT event_id, alert, change FROM alerts ORDER BY event_id")
        var entries: [AlertEntry] = []
        while try query.step() {
            let eventID = query.int64(0)
            let stored = try? query.withBytes(1) { try AlertEntry(storedAlert: $0, eventID: eventID) }
            guard var entry = stored else { continue }
            if !query.isNull(2), let change = try? query.withBytes(2, AlertStateChange.init(json:)) {
                entry.lastChange = change
                entry.alert.state = change.state
            }
            entries.append(entry)
        }
        return entries
    }

    package func save(epoch: String, archived: IntervalSet) throws {
        var bytes: [UInt8] = []
        archived.appendJSON(to: &bytes)
        try saveEpoch.bind(1, epoch)
        try saveEpoch.bind(2, bytes)
        try saveEpoch.run()
    }

    package func forget(epoch: String) throws {
        try forgetEpoch.bind(1, epoch)
        try forgetEpoch.run()
    }

    package func loadEpochs() throws -> [String: IntervalSet] {
        let query = try database.prepare("SELECT epoch, archived FROM epochs")
        var epochs: [String: IntervalSet] = [:]
        while try query.step() {
            epochs[query.text(0)] = try? JSONDecoder().decode(IntervalSet.self, from: Data(query.bytes(1)))
        }
        return epochs
    }
}

/// The store for use by one thread after another.
package final class SharedStateStore: Sendable {
    private let store: Monitor<StateStore>

    package init(_ store: sending StateStore) { self.store = Monitor(store) }

    package func withStore<Result>(_ body: (StateStore) throws -> Result) rethrows -> Result {
        try store.withLock { try body($0) }
    }
}
