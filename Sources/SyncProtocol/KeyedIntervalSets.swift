// Interval sets by key: the record numbers of each (relay, epoch), the report numbers of each (drone, boot).

package import Models

package struct KeyedIntervalSets<Key: Hashable & Sendable>: Sendable {
    private var sets: [Key: IntervalSet] = [:]

    package init() {}

    package var keyCount: Int { sets.count }
    package var keys: Dictionary<Key, IntervalSet>.Keys { sets.keys }

    /// The set of `key`; empty where there is none. Setting an empty set forgets the key.
    package subscript(key: Key) -> IntervalSet {
        get { sets[key] ?? IntervalSet() }
        set { sets[key] = newValue.isEmpty ? nil : newValue }
    }

    package func contains(_ value: Int64, for key: Key) -> Bool { sets[key]?.contains(value) ?? false }

    /// True if the number was not there before.
    @discardableResult
    package mutating func insert(_ value: Int64, for key: Key) -> Bool {
        sets[key, default: IntervalSet()].insert(value)
    }

    /// True if at least one number of the range was not there before.
    @discardableResult
    package mutating func insert(_ range: ClosedRange<Int64>, for key: Key) -> Bool {
        sets[key, default: IntervalSet()].insert(range)
    }

    package mutating func formUnion(_ other: KeyedIntervalSets<Key>) {
        for (key, set) in other.sets { sets[key, default: IntervalSet()].formUnion(set) }
    }

    package func forEach(_ body: (Key, IntervalSet) throws -> Void) rethrows {
        for (key, set) in sets { try body(key, set) }
    }

    /// All values of all keys; linear in the number of ranges.
    package var valueCount: Int { sets.values.reduce(0) { $0 + $1.count } }
    package var rangeCount: Int { sets.values.reduce(0) { $0 + $1.rangeCount } }

    /// Roughly what the table holds on the heap. `keyHeapBytes` tells what a key holds outside itself.
    package func approximateBytes(keyHeapBytes: (Key) -> Int = { _ in 0 }) -> Int {
        let slot = MemoryLayout<Key>.stride + MemoryLayout<IntervalSet>.stride
        return sets.reduce(sets.capacity * slot) { $0 + $1.value.heapBytes + keyHeapBytes($1.key) }
    }
}

/// Which reports have been seen, for ever: the numbers of each power-up of each drone (I5).
package struct IdentityTracker: Sendable {
    package struct Key: Hashable, Sendable {
        package var droneID: String
        package var boot: String

        package init(droneID: String, boot: String) {
            self.droneID = droneID
            self.boot = boot
        }

        /// Strings of up to 15 bytes lie in the key itself.
        fileprivate var heapBytes: Int {
            [droneID, boot].reduce(0) { $0 + ($1.utf8.count > 15 ? 32 + $1.utf8.count : 0) }
        }
    }

    private var sets = KeyedIntervalSets<Key>()

    package init() {}

    /// True if the report is new.
    @discardableResult
    package mutating func insert(_ identity: ReportIdentity) -> Bool {
        sets.insert(identity.seq, for: Key(droneID: identity.droneID, boot: identity.boot))
    }

    /// True if at least one of the reports is new.
    @discardableResult
    package mutating func insert(droneID: String, boot: String, range: ClosedRange<Int64>) -> Bool {
        sets.insert(range, for: Key(droneID: droneID, boot: boot))
    }

    package func contains(_ identity: ReportIdentity) -> Bool {
        sets.contains(identity.seq, for: Key(droneID: identity.droneID, boot: identity.boot))
    }

    package func intervals(droneID: String, boot: String) -> IntervalSet {
        sets[Key(droneID: droneID, boot: boot)]
    }

    package mutating func formUnion(_ other: IdentityTracker) { sets.formUnion(other.sets) }

    package func forEach(_ body: (Key, IntervalSet) throws -> Void) rethrows { try sets.forEach(body) }

    /// Pairs of drone and boot.
    package var keyCount: Int { sets.keyCount }
    package var reportCount: Int { sets.valueCount }
    package var rangeCount: Int { sets.rangeCount }
    /// Roughly what it holds in memory; linear in the number of keys: ask once a while.
    package var approximateBytes: Int { sets.approximateBytes { $0.heapBytes } }
}
