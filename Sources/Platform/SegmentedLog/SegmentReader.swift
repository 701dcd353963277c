// Reading a segment through a connection of its own, and a small cache of such connections (open files are limited).

import SQLite
import Synchronization
import System

/// What is known about a segment that has entries.
struct SegmentFacts: Hashable, Sendable {
    var name: SegmentName
    var first: Int64
    /// The last durable position.
    var last: Int64
    /// Positions between first and last that are missing since a repair.
    var holes: [ClosedRange<Int64>] = []
    var firstTime: Int64
    var lastTime: Int64
    var bytes: Int
    var sealed: Bool
    /// Everything is in the database file: no WAL to recover at the next start.
    var checkpointed = false

    var entries: Int { Int(last - first + 1) - holes.reduce(0) { $0 + $1.count } }

    /// The next position that must be there, from `position` on; nil behind the end.
    func expected(from position: Int64) -> Int64? {
        var next = max(position, first)
        for hole in holes where hole.contains(next) { next = hole.upperBound + 1 }
        return next <= last ? next : nil
    }
}

/// How far a read may go.
struct ReadLimits {
    var through: Int64
    var entries: Int
    var bytes: Int
}

// Safety: used by one thread at a time; it goes from one to the next only through the pool's lock.
final class SegmentReader: @unchecked Sendable {
    let name: SegmentName
    /// The pool's count of evictions when this reader was last taken from it.
    var generation: Int
    private let database: Database
    private let select: Statement

    init(_ name: SegmentName, in directory: String, generation: Int) throws {
        self.name = name
        self.generation = generation
        database = try SegmentFile.openReader(name, in: directory)
        select = try database.prepare(
            "SELECT position, time, kind, header, payload, checksum FROM entries"
                + " WHERE position >= ?1 AND position <= ?2 ORDER BY position")
    }

    /// Appends to `entries` what the segment holds from `position` on, up to the limits. Every entry's checksum is
    /// verified, and that none is missing: throws `DamagedSegment` at the first that is not as it was written. The
    /// entries before it are in `entries` then.
    func read(_ facts: SegmentFacts, from position: Int64, limits: ReadLimits, into entries: inout [LogEntry]) throws {
        let through = min(limits.through, facts.last)
        guard var expected = facts.expected(from: position), expected <= through else { return }
        var bytes = entries.reduce(0) { $0 + $1.byteCount }
        defer { select.reset() }
        try select.bind(1, expected)
        try select.bind(2, through)
        while try select.step() {
            let found = select.int64(0)
            guard found == expected else { throw DamagedSegment("position \(expected) is missing") }
            let size = select.byteCount(3) + select.byteCount(4)
            if !entries.isEmpty && bytes + size > limits.bytes { return }
            entries.append(try verifiedEntry(found))
            bytes += size
            if entries.count >= limits.entries { return }
            guard let next = facts.expected(from: found + 1), next <= through else { return }
            expected = next
        }
        throw DamagedSegment("position \(expected) is missing")
    }

    private func verifiedEntry(_ position: Int64) throws -> LogEntry {
        let time = select.int64(1)
        let kind = select.int64(2)
        let stored = select.int64(5)
        return try select.withBytes(3) { header in
            try select.withBytes(4) { payload in
                guard let kind = UInt8(exactly: kind),
                    stored
                        == EntryChecksum.of(
                            position: position, timeMicroseconds: time, kind: kind, header: header, payload: payload)
                else { throw DamagedSegment("the checksum of position \(position) is wrong") }
                return LogEntry(
                    position: position, timeMicroseconds: time, kind: kind, header: [UInt8](header),
                    payload: [UInt8](payload))
            }
        }
    }
}

/// Keeps the most recently used read connections.
final class ReaderPool: Sendable {
    private struct State {
        /// Least recently used first.
        var idle: [SegmentReader] = []
        /// Counts evictions: a reader taken before one is not kept when it comes back.
        var generation = 0
    }

    private let state = Mutex(State())
    private let directory: String
    private let capacity: Int

    init(directory: String, capacity: Int) {
        self.directory = directory
        self.capacity = capacity
    }

    func withReader<Result>(_ name: SegmentName, _ body: (SegmentReader) throws -> Result) throws -> Result {
        let (found, generation) = state.withLock { state in
            let index = state.idle.lastIndex { $0.name == name }
            return (index.map { state.idle.remove(at: $0) }, state.generation)
        }
        let reader = try found ?? SegmentReader(name, in: directory, generation: generation)
        reader.generation = generation
        // Not kept after an error: the next reader starts afresh.
        let result = try body(reader)
        giveBack(reader)
        return result
    }

    private func giveBack(_ reader: SegmentReader) {
        // What is dropped is closed after the lock is gone.
        let dropped: SegmentReader? = state.withLock { state in
            guard reader.generation == state.generation, capacity > 0 else { return reader }
            let oldest = state.idle.count >= capacity ? state.idle.removeFirst() : nil
            state.idle.append(reader)
            return oldest
        }
        withExtendedLifetime(dropped) {}
    }

    /// Closes the idle connections to a segment; those in use are closed when they come back.
    func evict(_ name: SegmentName?) {
        let dropped = state.withLock { state in
            state.generation += 1
            let dropped = state.idle.filter { name == nil || $0.name == name }
            state.idle.removeAll { name == nil || $0.name == name }
            return dropped
        }
        withExtendedLifetime(dropped) {}
    }
}
