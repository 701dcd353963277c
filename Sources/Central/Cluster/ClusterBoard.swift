// What all nodes of a cluster can read and write: small values under keys, in two key-value buckets of the stream's
// servers. `COLUMBA_NODES` has who lives (written every second, so in memory); `COLUMBA_FLEET` what nodes tell each
// other about relays.

package import NATS

package protocol ClusterBoard: Sendable {
    func put(_ key: String, _ value: [UInt8]) throws
    /// False: the key is there already.
    func putIfAbsent(_ key: String, _ value: [UInt8]) throws -> Bool
    func remove(_ key: String) throws
    /// The newest entry of every key that begins with `prefix` and a dot.
    func entries(under prefix: String) throws -> [KeyValueEntry]
    /// What was written after a position, of all keys; nil, or where the board is another one since: everything. A
    /// board that was lost is there again when this returns.
    func news(after position: KeyValuePosition?) throws -> KeyValueNews
}

extension KeyValueBucket: ClusterBoard {
    /// Well below the time after which a silent node is dead: a lost answer must not cost a node its life.
    private static let putSeconds = 2.0

    package func put(_ key: String, _ value: [UInt8]) throws {
        try put(key, value, expecting: nil, timeoutSeconds: Self.putSeconds)
    }

    package func putIfAbsent(_ key: String, _ value: [UInt8]) throws -> Bool {
        do throws(NATSError) {
            try put(key, value, expecting: 0)
            return true
        } catch {
            guard error.jetStream == JetStreamCode.wrongLastSequence else { throw error }
            return false
        }
    }

    package func entries(under prefix: String) throws -> [KeyValueEntry] {
        try all(prefix)
    }
}
