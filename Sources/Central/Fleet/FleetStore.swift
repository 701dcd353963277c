// What central keeps about its fleet beside lake and vault: a ledger for each relay, incidents, rule sets. One SQLite
// file in the data directory, `fleet.db`. Losing it loses no report: ledgers fill again from relays' reports and the
// archive. A cluster's node finds the rest at the others (`FleetSharing`); on a central that is alone, rule sets would
// have to be put, and incidents closed, again.

import FoundationEssentials
package import Models
import SQLite
package import SyncProtocol
import Synchronization

package final class FleetStore: Sendable {
    package struct StoredRules: Sendable {
        package var message: RulesMessage
        package var putAt: Timestamp

        package init(message: RulesMessage, putAt: Timestamp) {
            self.message = message
            self.putAt = putAt
        }
    }

    private let database: Mutex<Database>

    package init(path: String) throws {
        let database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("synchronous", "FULL", expecting: "2")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS relays(relay_id TEXT PRIMARY KEY, ledger BLOB NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS incidents(id TEXT PRIMARY KEY, incident BLOB NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS rule_sets(
              version INTEGER PRIMARY KEY, put_at INTEGER NOT NULL, message BLOB NOT NULL);
            """)
        self.database = Mutex(database)
    }

    // MARK: Reading

    package func ledgers() throws -> [RelayLedger] { try all("SELECT ledger FROM relays") }
    package func incidents() throws -> [Incident] { try all("SELECT incident FROM incidents") }

    /// Every version that was ever put, oldest first.
    package func ruleSets() throws -> [StoredRules] {
        try database.withLock { database in
            let query = try database.prepare("SELECT put_at, message FROM rule_sets ORDER BY version")
            var sets: [StoredRules] = []
            while try query.step() {
                guard let message = try? JSONDecoder().decode(RulesMessage.self, from: Data(query.bytes(1))) else {
                    continue
                }
                sets.append(StoredRules(message: message, putAt: Timestamp(microseconds: query.int64(0))))
            }
            return sets
        }
    }

    /// Rows that an earlier version wrote in a way nobody reads any more are left out: they fill again.
    private func all<Value: Decodable & Sendable>(_ sql: String) throws -> [Value] {
        try database.withLock { database in
            let query = try database.prepare(sql)
            var values: [Value] = []
            while try query.step() {
                if let value = try? JSONDecoder().decode(Value.self, from: Data(query.bytes(0))) {
                    values.append(value)
                }
            }
            return values
        }
    }

    // MARK: Writing: on disk when it returns

    package func save(_ ledgers: [RelayLedger], incidents: [String: Incident?]) throws {
        guard !ledgers.isEmpty || !incidents.isEmpty else { return }
        let relays = try ledgers.map { ($0.relayID, [UInt8](try JSONEncoder().encode($0))) }
        let changes = try incidents.map { id, incident in
            (id, try incident.map { [UInt8](try JSONEncoder().encode($0)) })
        }
        try database.transaction { database in
            let saveRelay = try database.prepare("INSERT OR REPLACE INTO relays VALUES (?1, ?2)")
            for (relayID, ledger) in relays {
                try saveRelay.bind(1, relayID)
                try saveRelay.bind(2, ledger)
                try saveRelay.run()
            }
            let saveIncident = try database.prepare("INSERT OR REPLACE INTO incidents VALUES (?1, ?2)")
            let remove = try database.prepare("DELETE FROM incidents WHERE id = ?1")
            for (id, incident) in changes {
                let statement = incident == nil ? remove : saveIncident
                try statement.bind(1, id)
                if let incident { try statement.bind(2, incident) }
                try statement.run()
            }
        }
    }

    package func add(_ rules: StoredRules) throws {
        let message = [UInt8](try JSONEncoder().encode(rules.message))
        try database.transaction { database in
            let insert = try database.prepare("INSERT INTO rule_sets VALUES (?1, ?2, ?3)")
            try insert.bind(1, Int64(rules.message.version))
            try insert.bind(2, rules.putAt.microseconds)
            try insert.bind(3, message)
            try insert.run()
        }
    }
}
