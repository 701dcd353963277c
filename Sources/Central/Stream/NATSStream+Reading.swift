// Reading: batched direct reads from any server that has the stream. The caller says from where; nothing is kept here
// but what the tail knows.

package import Models
import NATS
import Log
import System

extension NATSStream {
    /// Of one partition at least, where several share a read.
    private static let minBytes = 1 << 20

    /// A server that lags behind what the tail has seen is asked again so many times.
    private static let attempts = 20
    private static let lagSeconds = 0.02

    package func read(after cursor: StreamCursor, maxBytes: Int) throws -> [StreamEntry] {
        for _ in 1..<Self.attempts {
            let entries = try readOnce(after: cursor, maxBytes: maxBytes)
            let isSettled = known.withLock { !$0.backlog.waits(beyond: cursor) || $0.isClosed }
            if !entries.isEmpty || isSettled { return entries }
            Pause.seconds(Self.lagSeconds)
        }
        return try readOnce(after: cursor, maxBytes: maxBytes)
    }

    private func readOnce(after cursor: StreamCursor, maxBytes: Int) throws -> [StreamEntry] {
        switch cursor {
        case .everything(let position):
            return try entries(StreamSubject.all, after: position, maxBytes: maxBytes)
        case .partitions(let positions):
            let backlog = known.withLock { $0.isCaughtUp ? $0.backlog : nil }
            let wanted = positions.filter { partition, position in
                // Whoever has followed every header need not ask where nothing came.
                backlog?.hasMore(than: .partitions([partition: position])) ?? true
            }
            guard !wanted.isEmpty else { return [] }
            let share = max(Self.minBytes, maxBytes / wanted.count)
            var found: [StreamEntry] = []
            for (partition, position) in wanted.sorted(by: { $0.key < $1.key }) {
                let subject = StreamSubject.name(ofPartition: partition)
                found += try entries(subject, after: position, maxBytes: share)
            }
            return found.sorted { $0.position < $1.position }
        }
    }

    private func entries(_ subjects: String, after position: Int64, maxBytes: Int) throws -> [StreamEntry] {
        var found: [StreamEntry] = []
        var next = max(position, 0) + 1
        var bytes = 0
        while bytes < maxBytes {
            let messages = try jetStream.read(
                NATSStreamConfiguration.streamName, subjects: subjects, from: UInt64(next),
                header: StreamHeaderText.name, maxBytes: min(maxBytes - bytes, JetStream.bytesPerRead))
            guard let last = messages.last else { break }
            for message in messages {
                bytes += message.payload.count
                guard let entry = StreamEntry(message) else { continue }
                found.append(entry)
            }
            next = Int64(clamping: last.sequence) + 1
        }
        return found
    }

    package func release(_ passed: StreamCursor) throws {
        for partition in 0..<configuration.partitions {
            guard let position = passed.position(in: partition), position > 0 else { continue }
            guard known.withLock({ $0.backlog.holds(partition, through: position) || !$0.isCaughtUp }) else { continue }
            try jetStream.purge(
                NATSStreamConfiguration.streamName, subject: StreamSubject.name(ofPartition: partition),
                through: UInt64(position))
            known.update { $0.backlog.release(.partitions([partition: position])) }
        }
    }

    package func recover(after position: Int64, _ body: (StreamEntry) -> Void) throws {
        let isCaughtUp = known.wait(timeoutSeconds: Self.catchUpSeconds) { $0.isCaughtUp || $0.isClosed ? true : nil }
        if isCaughtUp == nil { log.warning("stream_tail_behind", ["position": .int(lastPosition)]) }
        let (ledger, ledgerAfter) = known.withLock { ($0.ledger, $0.ledgerAfter) }
        var next = position
        if position < ledgerAfter {
            // More than this node remembers: the older ones from the stream.
            try recoverOlder(after: position, through: ledgerAfter) { entry in
                next = max(next, entry.position)
                body(entry)
            }
        }
        for entry in ledger where entry.position > next { body(entry) }
    }

    private static let catchUpSeconds = 30.0

    private func recoverOlder(after position: Int64, through last: Int64, _ body: (StreamEntry) -> Void) throws {
        var next = max(position, 0) + 1
        while next <= last {
            let follower = try HeaderFollower(
                jetStream, stream: NATSStreamConfiguration.streamName, subject: StreamSubject.name(ofPartition: 0),
                from: UInt64(next), header: StreamHeaderText.name, time: time)
            var pending = follower.pendingAtStart
            reading: while pending > 0 {
                switch follower.next(timeoutSeconds: 1) {
                case .silence: continue
                case .interrupted: break reading
                case .message(let message):
                    pending = message.pending
                    next = Int64(clamping: message.sequence) + 1
                    guard next - 1 <= last else { return }
                    guard let text = message.header, let found = StreamHeaderText.decode(text, partition: 0) else {
                        continue
                    }
                    body(
                        StreamEntry(
                            position: next - 1, receivedAt: found.receivedAt, header: found.header, payload: []))
                }
            }
            if pending == 0 { return }
        }
    }

    package func firstPosition(since time: Timestamp) -> (position: Int64, isWhole: Bool) {
        do {
            let info = try jetStream.info(NATSStreamConfiguration.streamName)
            let (first, last) = (Int64(clamping: info.state.firstSequence), Int64(clamping: info.state.lastSequence))
            guard info.state.messages > 0 else {
                return (last + 1, last < Int64(clamping: info.config.firstSequence ?? 1))
            }
            let firstTime = info.state.firstTime.flatMap { Timestamp(rfc3339: $0) }
            let reachesBack =
                first == Int64(clamping: info.config.firstSequence ?? 1) || firstTime.map { $0 < time } ?? false
            let position = try jetStream.firstSequence(
                NATSStreamConfiguration.streamName, subjects: StreamSubject.all, since: time.rfc3339)
            return (position.map { Int64(clamping: $0) } ?? last + 1, reachesBack && info.state.deleted ?? 0 == 0)
        } catch {
            // Only the live view's first hour hangs on it.
            log.warning("stream_not_searched", ["reason": .string("\(error)")])
            return (lastPosition + 1, false)
        }
    }
}

extension StreamEntry {
    /// nil where the message is none of ours: a filler, or of a version to come.
    init?(_ message: StoredMessage) {
        guard let partition = StreamSubject.partition(of: message.subject), let text = message.header,
            let found = StreamHeaderText.decode(text, partition: partition)
        else { return nil }
        self.init(
            position: Int64(clamping: message.sequence), receivedAt: found.receivedAt, header: found.header,
            payload: message.payload)
    }
}

extension NATSStream {
    /// The server that leads the stream; nil while there is none. For operators and tests.
    package var leaderName: String? {
        try? jetStream.info(NATSStreamConfiguration.streamName, timeoutSeconds: 1).cluster?.leader
    }
}
