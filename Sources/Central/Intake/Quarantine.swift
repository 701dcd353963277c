// Records that central could not read, kept byte for byte with their reason, each once: one SQLite file. Nothing is
// archived from here by itself; a person looks.

package import Models
import SQLite
import Synchronization

package final class Quarantine: Sendable {
    private let database: Mutex<Database>

    package init(path: String) throws {
        let database = try Database(path: path, mode: .create)
        try database.setPragma("journal_mode", "wal")
        try database.setPragma("synchronous", "FULL", expecting: "2")
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS records(
              relay_id TEXT NOT NULL, epoch TEXT NOT NULL, n INTEGER NOT NULL, code TEXT NOT NULL,
              received_at INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY(relay_id, epoch, n, line)) WITHOUT ROWID
            """)
        self.database = Mutex(database)
    }

    /// On disk when it returns.
    package func keep(
        _ records: [BatchExamination.Rejected], relayID: String, epoch: String, at time: Timestamp
    ) throws {
        try database.withLock { database in
            try database.execute("BEGIN IMMEDIATE")
            do {
                let insert = try database.prepare("INSERT OR IGNORE INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                for record in records {
                    try insert.bind(1, relayID)
                    try insert.bind(2, epoch)
                    try insert.bind(3, record.n)
                    try insert.bind(4, record.code)
                    try insert.bind(5, time.microseconds)
                    try insert.bind(6, record.line)
                    try insert.run()
                }
                try database.execute("COMMIT")
            } catch {
                try? database.execute("ROLLBACK")
                throw error
            }
        }
    }

    package func count() throws -> Int {
        try database.withLock { database in
            let query = try database.prepare("SELECT count(*) FROM records")
            return try query.step() ? Int(query.int64(0)) : 0
        }
    }
}
