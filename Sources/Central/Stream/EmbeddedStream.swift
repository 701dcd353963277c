// The embedded stream: batches as they came, durable before a relay hears `received` (I4), kept until every archive
// table has taken them. The same segmented log as the relay's buffer; one entry is one batch.
//
// Entry: kind 1 · header = JSON of StreamHeader · payload = the batch's compressed bytes, unchanged.

package import Log
package import Models
package import SyncProtocol
import FoundationEssentials
import SegmentedLog
import System

/// What central knows about a batch without inflating it again.
package struct StreamHeader: Codable, Equatable, Sendable {
    package var relay: String
    package var epoch: String
    /// The record numbers in the batch: exactly these, not the range its name claims.
    package var numbers: IntervalSet
    /// Those that intake could not read: in quarantine, not for the archive.
    package var rejected: [RejectedRecord]
    /// `received_at` of the last record: the relay was complete through then, if nothing is missing before it.
    package var records: Int
    /// A record from the quarantine, tried again: its id there.
    package var retry: String?
    /// In a partitioned stream: whose lines these are. `numbers` are the whole batch's (the cover), `records` this
    /// part's, `rejected` stands in part 0 only.
    package var partition: Int?

    package init(
        relay: String, epoch: String, numbers: IntervalSet, rejected: [RejectedRecord], records: Int,
        retry: String? = nil, partition: Int? = nil
    ) {
        self.relay = relay
        self.epoch = epoch
        self.numbers = numbers
        self.rejected = rejected
        self.records = records
        self.retry = retry
        self.partition = partition
    }
}

package struct StreamEntry: Sendable {
    package let position: Int64
    package let receivedAt: Timestamp
    package let header: StreamHeader
    /// zstd NDJSON.
    package let payload: [UInt8]

    package var partition: Int? { header.partition }

    package init(position: Int64, receivedAt: Timestamp, header: StreamHeader, payload: [UInt8]) {
        self.position = position
        self.receivedAt = receivedAt
        self.header = header
        self.payload = payload
    }
}

package final class EmbeddedStream: Sendable {
    private static let batchKind: UInt8 = 1

    /// One batch waiting to be written.
    // Safety: handed over through the queue's lock; its bytes are owned.
    fileprivate final class Pending: @unchecked Sendable {
        let header: [UInt8]
        let records: Int
        let payload: [UInt8]
        let receivedAt: Timestamp
        let answer: (Result<Int64, any Error>) -> Void

        init(
            header: [UInt8], records: Int, payload: [UInt8], receivedAt: Timestamp,
            answer: @escaping (Result<Int64, any Error>) -> Void
        ) {
            self.header = header
            self.records = records
            self.payload = payload
            self.receivedAt = receivedAt
            self.answer = answer
        }
    }

    private struct Queue {
        var pending: [Pending] = []
        var bytes = 0
        var isClosed = false
        /// The last position on disk.
        var durable: Int64 = 0
        /// Records of the batches that are not released yet, by position.
        var backlog: [(position: Int64, records: Int)] = []
    }

    /// Bytes of batches waiting for the disk beyond which relays are told to wait (I7).
    package static let queueBytes = 128 << 20

    private let log: SegmentedLog
    private let queue: Monitor<Queue>

    /// - Parameter archivedThrough: the position of the archive's last commit. New batches come after it even where
    ///   every
    ///   older segment is gone: a position is never used twice.
    package init(directory: String, archivedThrough: Int64, log: Log) throws {
        try FileSystem.makeDirectories(directory)
        let configuration = SegmentedLog.Configuration(
            segmentBytes: 128 << 20, firstPosition: max(0, archivedThrough) + 1)
        self.log = try SegmentedLog(directory: directory, configuration: configuration) { incident in
            // A transaction cut off by a crash was never acknowledged.
            if incident.kind == .incompleteTail { return log.info("stream_tail_cut", ["path": .string(incident.path)]) }
            log.error("stream_incident", ["incident": .string("\(incident)")])
        }
        var queue = Queue()
        queue.durable = self.log.nextPosition - 1
        self.queue = Monitor(queue)
    }

    package var totalBytes: Int { log.totalBytes }
    /// The last durable position; 0 where nothing was ever appended.
    package var lastPosition: Int64 { queue.withLock { $0.durable } }
    package var firstPosition: Int64? { log.segments.first { $0.entries > 0 }?.firstPosition }

    /// From where to read what arrived since then, at latest, and whether everything since then is still here.
    package func firstPosition(since time: Timestamp) -> (position: Int64, isWhole: Bool) {
        let segments = log.segments.filter { $0.entries > 0 }
        guard let first = segments.first else { return (lastPosition + 1, lastPosition == 0) }
        let recent = segments.first { $0.lastTimeMicroseconds >= time.microseconds }
        return (
            recent?.firstPosition ?? lastPosition + 1,
            first.firstPosition == 1 || first.firstTimeMicroseconds < time.microseconds
        )
    }

    /// Queues a batch. `answer` is called on the writer thread once it is durable, with its position, or failed.
    /// False when the queue is full or closed: then `answer` is never called.
    package func append(
        _ header: StreamHeader, payload: [UInt8], receivedAt: Timestamp,
        answer: @escaping (Result<Int64, any Error>) -> Void
    ) -> Bool {
        guard let encoded = try? JSONEncoder().encode(header) else { return false }
        let pending = Pending(
            header: Array(encoded), records: header.records, payload: payload, receivedAt: receivedAt, answer: answer)
        return queue.withLock(notify: true) { queue in
            guard !queue.isClosed, queue.bytes + payload.count <= Self.queueBytes else { return false }
            queue.pending.append(pending)
            queue.bytes += payload.count
            return true
        }
    }

    /// The writer thread's body; ends after `close` when everything queued is answered.
    package func run() {
        while let group = takeGroup() {
            let result: Result<Int64, any Error>
            do {
                result = .success(try write(group))
            } catch {
                result = .failure(error)
            }
            for (index, pending) in group.enumerated() { pending.answer(result.map { $0 + Int64(index) }) }
            // Readers wake up after the answers: intake has then handed over what it knows of these batches.
            if case .success(let first) = result { announce(group, from: first) }
        }
    }

    private func takeGroup() -> [Pending]? {
        queue.wait { queue -> [Pending]?? in
            guard !queue.pending.isEmpty else { return queue.isClosed ? .some(nil) : nil }
            defer {
                queue.pending = []
                queue.bytes = 0
            }
            return .some(queue.pending)
        } ?? nil
    }

    /// One transaction; returns the first position.
    private func write(_ group: [Pending]) throws -> Int64 {
        var arena: [UInt8] = []
        for pending in group {
            arena.append(contentsOf: pending.header)
            arena.append(contentsOf: pending.payload)
        }
        let range = try arena.withUnsafeBytes { arena in
            var offset = 0
            func take(_ count: Int) -> UnsafeRawBufferPointer {
                defer { offset += count }
                return UnsafeRawBufferPointer(rebasing: arena[offset..<offset + count])
            }
            let entries = group.map { pending in
                NewLogEntry(
                    timeMicroseconds: pending.receivedAt.microseconds, kind: Self.batchKind,
                    header: take(pending.header.count), payload: take(pending.payload.count))
            }
            return try log.append(entries)
        }
        return range.lowerBound
    }

    private func announce(_ group: [Pending], from first: Int64) {
        queue.update { queue in
            queue.durable = first + Int64(group.count) - 1
            for (index, pending) in group.enumerated() {
                queue.backlog.append((first + Int64(index), pending.records))
            }
        }
    }

    /// Records in the durable batches beyond `position`.
    package func records(after position: Int64) -> Int {
        queue.withLock { $0.backlog.reduce(0) { $1.position > position ? $0 + $1.records : $0 } }
    }

    package func batches(after position: Int64) -> Int {
        queue.withLock { $0.backlog.count { $0.position > position } }
    }

    /// At start: tells every batch beyond `position`, oldest first, that an earlier life left.
    package func recover(after position: Int64, _ body: (StreamEntry) -> Void) throws {
        var next = max(position + 1, 1)
        while true {
            let entries = try read(from: next, maxBytes: 16 << 20)
            guard let last = entries.last else { return }
            for entry in entries {
                body(entry)
                queue.withLock { $0.backlog.append((entry.position, entry.header.records)) }
            }
            next = last.position + 1
        }
    }

    /// Durable batches from `position` on. An entry whose header is unreadable is left out; its position stays
    /// consumed.
    package func read(from position: Int64, maxBytes: Int) throws -> [StreamEntry] {
        try log.read(from: position, through: .max, maxEntries: 512, maxBytes: maxBytes).compactMap { entry in
            guard let header = try? JSONDecoder().decode(StreamHeader.self, from: Data(entry.header)) else {
                return nil
            }
            return StreamEntry(
                position: entry.position, receivedAt: Timestamp(microseconds: entry.timeMicroseconds), header: header,
                payload: entry.payload)
        }
    }

    /// Waits until something beyond `position` is durable; false when the time is over or the stream is closed.
    package func wait(beyond position: Int64, timeoutSeconds: Double) -> Bool {
        queue.wait(timeoutSeconds: timeoutSeconds) { $0.durable > position || $0.isClosed ? true : nil } ?? false
            && lastPosition > position
    }

    /// Everything up to `position` is in committed archive versions: whole segments below it go.
    package func release(through position: Int64) throws {
        queue.withLock { $0.backlog.removeAll { $0.position <= position } }
        for segment in log.segments where segment.sealed && segment.lastPosition <= position {
            try log.release(segmentStartingAt: segment.firstPosition)
        }
    }

    package func close() { queue.update { $0.isClosed = true } }
    /// After the writer thread has ended.
    package func closeLog() { log.close() }
}
