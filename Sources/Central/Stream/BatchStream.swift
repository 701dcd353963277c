// The seam between central's parts and the stream of batches: durable before a relay hears `received` (I4), kept until
// every archive table has taken it. `EmbeddedStream` is one machine's, `NATSStream` the cluster's.
//
// A stream is one axis of positions. The cluster's is cut into partitions by drone: a batch becomes one entry for every
// partition, perhaps with no line, and the entry of partition 0 (the ledger) comes last: whoever sees it knows that
// the whole batch is durable. A reader says what it wants with a `StreamCursor`; the stream keeps no reader's place.
//
//   intake ── append ──▶ entries ──▶ read(after: cursor) ──▶ archiver ── committed ──▶ release(cursor)
//                          └──────▶ read(after: cursor) ──▶ live view (keeps nothing from being released)

package import Models

/// A batch on its way into the stream.
package struct NewBatch: Sendable {
    /// Of the whole batch; `partition` is nil.
    package var header: StreamHeader
    /// zstd NDJSON as it came.
    package var payload: [UInt8]
    /// The same, inflated: a partitioned stream splits it.
    package var lines: [UInt8]
    package var receivedAt: Timestamp

    package init(header: StreamHeader, payload: [UInt8], lines: [UInt8], receivedAt: Timestamp) {
        precondition(header.partition == nil, "a batch is split by the stream, not before it")
        self.header = header
        self.payload = payload
        self.lines = lines
        self.receivedAt = receivedAt
    }
}

/// How far a reader is: the last position that it no longer needs, for all it reads or partition by partition.
package enum StreamCursor: Hashable, Sendable {
    case everything(after: Int64)
    /// Only these partitions, each after a position of its own. On a stream without partitions it means partition 0.
    case partitions([Int: Int64])

    /// Where reading begins; `.max` where no partition is wanted.
    package var lowest: Int64 {
        switch self {
        case .everything(let position): position
        case .partitions(let positions): positions.values.min() ?? .max
        }
    }

    /// The position after which entries of this partition are wanted; nil where none is. `partition` nil: of a stream
    /// without partitions.
    package func position(in partition: Int?) -> Int64? {
        switch self {
        case .everything(let position): position
        case .partitions(let positions): positions[partition ?? 0]
        }
    }

    package func wants(_ position: Int64, in partition: Int?) -> Bool {
        self.position(in: partition).map { position > $0 } ?? false
    }

    /// The reader has taken this entry.
    package mutating func pass(_ entry: StreamEntry) {
        switch self {
        case .everything(let position): self = .everything(after: max(position, entry.position))
        case .partitions(var positions):
            let partition = entry.partition ?? 0
            guard let position = positions[partition] else { return }
            positions[partition] = max(position, entry.position)
            self = .partitions(positions)
        }
    }
}

package protocol BatchStream: AnyObject, Sendable {
    /// nil: its entries are whole batches.
    var partitionCount: Int? { get }
    /// What the stream takes on disk; in a cluster on each of its servers, as of a moment ago.
    var totalBytes: Int { get }
    /// The last durable position that this process knows of; 0 where nothing was ever appended.
    var lastPosition: Int64 { get }

    /// From where to read what arrived since then, at latest, and whether everything since then is still here.
    func firstPosition(since time: Timestamp) -> (position: Int64, isWhole: Bool)

    /// Takes a batch. `answer` is called once, on a thread of the stream's, when all of it is durable, with the
    /// position of its last entry; or with the reason when that is not so, or not known: then part of it may be in the
    /// stream, which harms nobody, and the relay has to send it again. False when the stream is closed or has too much
    /// waiting (I7): then `answer` is never called.
    func append(_ batch: NewBatch, answer: @escaping @Sendable (Result<Int64, any Error>) -> Void) -> Bool

    /// Durable entries that the cursor wants, ascending; about `maxBytes` of payload, at least one entry if there is
    /// one. An entry whose header cannot be read is left out. Blocks; any thread.
    func read(after cursor: StreamCursor, maxBytes: Int) throws -> [StreamEntry]

    /// Waits until there is something the cursor wants; false when the time is over or the stream is closed.
    func wait(beyond cursor: StreamCursor, timeoutSeconds: Double) -> Bool

    /// Records in the durable entries that the cursor wants; far behind it, about.
    func records(after cursor: StreamCursor) -> Int
    func batches(after cursor: StreamCursor) -> Int

    /// What the cursor has passed is in committed archive versions: the stream may forget it, soon.
    func release(_ passed: StreamCursor) throws

    /// Tells every batch that became durable after this position, oldest first: for what relays are told. Of a
    /// partitioned stream only the ledger's entries (partition 0), without their payload; call it again from the last
    /// one on for those that came meanwhile, by this node or by another one.
    func recover(after position: Int64, _ body: (StreamEntry) -> Void) throws

    /// The writer thread's body; ends after `close` when everything that was taken is answered.
    func run()
    func close()
    /// After the writer thread has ended: lets go of files or connections.
    func closeLog()
}

extension BatchStream {
    /// The same for those who read everything from one position on.
    package func read(from position: Int64, maxBytes: Int) throws -> [StreamEntry] {
        try read(after: .everything(after: position - 1), maxBytes: maxBytes)
    }

    package func wait(beyond position: Int64, timeoutSeconds: Double) -> Bool {
        wait(beyond: .everything(after: position), timeoutSeconds: timeoutSeconds)
    }

    package func records(after position: Int64) -> Int { records(after: .everything(after: position)) }
    package func batches(after position: Int64) -> Int { batches(after: .everything(after: position)) }
    package func release(through position: Int64) throws { try release(.everything(after: position)) }
}

// The embedded stream: one partition, which is everything.
extension EmbeddedStream: BatchStream {
    package var partitionCount: Int? { nil }

    package func append(_ batch: NewBatch, answer: @escaping @Sendable (Result<Int64, any Error>) -> Void) -> Bool {
        append(batch.header, payload: batch.payload, receivedAt: batch.receivedAt, answer: answer)
    }

    package func read(after cursor: StreamCursor, maxBytes: Int) throws -> [StreamEntry] {
        guard let position = cursor.position(in: nil) else { return [] }
        return try read(from: position + 1, maxBytes: maxBytes)
    }

    package func wait(beyond cursor: StreamCursor, timeoutSeconds: Double) -> Bool {
        wait(beyond: cursor.position(in: nil) ?? .max, timeoutSeconds: timeoutSeconds)
    }

    package func records(after cursor: StreamCursor) -> Int { cursor.position(in: nil).map { records(after: $0) } ?? 0 }
    package func batches(after cursor: StreamCursor) -> Int { cursor.position(in: nil).map { batches(after: $0) } ?? 0 }

    package func release(_ passed: StreamCursor) throws {
        guard let position = passed.position(in: nil) else { return }
        try release(through: position)
    }
}
