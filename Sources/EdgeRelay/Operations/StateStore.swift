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
    private let savePositions: Statement
    private let forgetPositions: Statement

    /// What is noted about an epoch's records.
    package struct EpochNote: Sendable, Equatable {
        package var archived = IntervalSet()
        /// The last record that was on disk when this was noted.
        package var through: Int64 = 0
        /// Records that the operator's retention rule dropped.
        package var dropped = IntervalSet()

        package init(archived: IntervalSet = IntervalSet(), through: Int64 = 0, dropped: IntervalSet = IntervalSet()) {
            self.archived = archived
            self.through = through
            self.dropped = dropped
        }
    }

    package init(path: String) throws {
        database = try Database(path: path, mode: .create)
        if path != Self.inMemory { try database.setPragma("journal_mode", "wal") }
        // NORMAL: a power cut may take the last seconds of this cache, not its integrity.
        try database.setPragma("synchronous", "NORMAL", expecting: "1")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS alerts(
              alert_id TEXT PRIMARY KEY, event_id INTEGER NOT NULL, alert BLOB NOT NULL, change BLOB) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS epochs(epoch TEXT PRIMARY KEY, archived BLOB NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS positions(
              epoch TEXT PRIMARY KEY, through INTEGER NOT NULL, dropped BLOB NOT NULL) WITHOUT ROWID;
            """)
        saveAlert = try database.prepare("INSERT OR REPLACE INTO alerts VALUES (?1, ?2, ?3, ?4)")
        saveEpoch = try database.prepare("INSERT OR REPLACE INTO epochs VALUES (?1, ?2)")
        forgetEpoch = try database.prepare("DELETE FROM epochs WHERE epoch = ?1")
        savePositions = try database.prepare("INSERT OR REPLACE INTO positions VALUES (?1, ?2, ?3)")
        forgetPositions = try database.prepare("DELETE FROM positions WHERE epoch = ?1")
    }

    private static let inMemory = ":memory:"

    /// Opens the store; one that is damaged is moved aside and begun anew: it is only a cache. Where the disk does not
    /// let it be opened, the relay starts all the same, without one for this life.
    package static func openOrReplace(path: String, log: Log) throws -> sending StateStore {
        do {
            return try StateStore(path: path)
        } catch let error as SQLiteError where error.isDamage {
            log.warning("state_replaced", ["error": .string("\(error)")])
            for suffix in ["", "-wal", "-shm"] where FileSystem.exists(path + suffix) {
                try FileSystem.rename(path + suffix, to: path + suffix + ".damaged")
            }
            return try StateStore(path: path)
        } catch {
            log.error(
                "state_in_memory",
                [
                    "error": .string("\(error)"),
                    "hint": "states of alerts are not kept over a restart until it is solved",
                ])
            return try StateStore(path: inMemory)
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

    package func save(epoch: String, through: Int64, dropped: IntervalSet) throws {
        var bytes: [UInt8] = []
        dropped.appendJSON(to: &bytes)
        try savePositions.bind(1, epoch)
        try savePositions.bind(2, through)
        try savePositions.bind(3, bytes)
        try savePositions.run()
    }

    package func forget(epoch: String) throws {
        for statement in [forgetEpoch, forgetPositions] {
            try statement.bind(1, epoch)
            try statement.run()
        }
    }

    package func loadEpochs() throws -> [String: EpochNote] { try Self.epochs(in: database) }

    /// What the state store of a data directory notes, without changing a byte of it; nil where it cannot be read now.
    package static func epochs(path: String) -> [String: EpochNote]? {
        // A relay that runs may rewrite the files meanwhile and does not know of this reader.
        for _ in 0..<outsideReads {
            let before = [path, path + "-wal"].map(FileSystem.changeMark)
            guard FileSystem.exists(path), let database = try? Database(path: path, mode: .readOnly),
                (try? database.disableCheckpointOnClose()) != nil
            else { return nil }
            let found = try? epochs(in: database)
            if before == [path, path + "-wal"].map(FileSystem.changeMark) { return found }
        }
        return nil
    }

    private static let outsideReads = 20

    private static func epochs(in database: Database) throws -> [String: EpochNote] {
        var epochs: [String: EpochNote] = [:]
        let archived = try database.prepare("SELECT epoch, archived FROM epochs")
        while try archived.step() {
            epochs[archived.text(0), default: EpochNote()].archived = intervals(archived.bytes(1))
        }
        let positions = try database.prepare("SELECT epoch, through, dropped FROM positions")
        while try positions.step() {
            epochs[positions.text(0), default: EpochNote()].through = positions.int64(1)
            epochs[positions.text(0), default: EpochNote()].dropped = intervals(positions.bytes(2))
        }
        return epochs
    }

    private static func intervals(_ bytes: [UInt8]) -> IntervalSet {
        (try? JSONDecoder().decode(IntervalSet.self, from: Data(bytes))) ?? IntervalSet()
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
