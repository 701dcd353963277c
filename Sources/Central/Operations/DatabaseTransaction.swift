// Central's small databases are written all or nothing, under their lock.

import SQLite
import Synchronization

extension Mutex where Value == Database {
    /// On disk when it returns; as if it had never begun when it throws.
    func transaction<Result: Sendable>(_ body: (Database) throws -> Result) throws -> Result {
        try withLock { database in
            try database.execute("BEGIN IMMEDIATE")
            do {
                let result = try body(database)
                try database.execute("COMMIT")
                return result
            } catch {
                try? database.execute("ROLLBACK")
                throw error
            }
        }
    }
}
