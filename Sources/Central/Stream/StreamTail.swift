// The stream's tail: one thread that sees the header of every message as it comes, by whichever node. From it the node
// knows how far the stream is, what waits, and which batches relays may be told of. Every few seconds it also asks how
// large the stream is and whether it is still the same one.

import Log
import Models
import NATS
import System

struct StreamTail {
    private static let retrySeconds = 0.2
    private static let waitSeconds = 0.5
    /// A stream that is gone, or ends earlier than it did, must be seen so often before it is believed: a new leader
    /// may lag behind for a moment.
    private static let sightingsOfDamage = 4
    static let ledgerEntries = 4_096

    private var next: Int64
    private var nextRefresh: UInt64 = 0
    private var damage = 0
    private var isInterrupted = false

    /// The thread's body; ends when the stream is closed or gone.
    static func run(from first: Int64, _ stream: () -> NATSStream?) {
        var tail = StreamTail(next: first)
        var follower: HeaderFollower?
        while let stream = stream(), !stream.known.withLock({ $0.isClosed }) {
            if let current = follower {
                if !tail.follow(current, stream) { follower = nil }
            } else {
                follower = tail.begin(stream)
            }
            if !tail.refresh(stream) { return }
        }
    }

    private init(next: Int64) { self.next = next }

    private mutating func begin(_ stream: NATSStream) -> HeaderFollower? {
        do throws(NATSError) {
            let follower = try HeaderFollower(
                stream.jetStream, stream: NATSStreamConfiguration.streamName, subject: nil,
                from: UInt64(max(1, next)), header: StreamHeaderText.name, time: stream.time)
            if isInterrupted { stream.log.info("stream_tail_resumed", ["position": .int(next)]) }
            isInterrupted = false
            if follower.pendingAtStart == 0 { stream.known.update { $0.isCaughtUp = true } }
            return follower
        } catch {
            interrupted("\(error)", stream)
            return nil
        }
    }

    private mutating func interrupted(_ reason: String, _ stream: NATSStream) {
        if !isInterrupted { stream.log.warning("stream_tail_interrupted", ["reason": .string(reason)]) }
        isInterrupted = true
        stream.known.update { $0.isCaughtUp = false }
        Pause.seconds(Self.retrySeconds)
    }

    /// False when the follower is of no more use.
    private mutating func follow(_ follower: HeaderFollower, _ stream: NATSStream) -> Bool {
        switch follower.next(timeoutSeconds: Self.waitSeconds) {
        case .silence: return true
        case .interrupted(let reason):
            interrupted(reason, stream)
            return false
        case .message(let message):
            take(message, stream)
            return true
        }
    }

    private mutating func take(_ message: FollowedMessage, _ stream: NATSStream) {
        let position = Int64(clamping: message.sequence)
        next = position + 1
        let partition = StreamSubject.partition(of: message.subject)
        let found = partition.flatMap { partition in
            message.header.flatMap { StreamHeaderText.decode($0, partition: partition) }
        }
        stream.known.update { known in
            if let found, let partition {
                known.backlog.add(position, partition: partition, records: found.header.records)
                if partition == 0 {
                    known.remember(
                        StreamEntry(
                            position: position, receivedAt: found.receivedAt, header: found.header, payload: []))
                }
            }
            if message.pending == 0 { known.isCaughtUp = true }
        }
    }

    /// False when only a new start can go on.
    private mutating func refresh(_ stream: NATSStream) -> Bool {
        let now = stream.time.monotonicNanoseconds()
        guard now >= nextRefresh else { return true }
        nextRefresh = now + UInt64(stream.configuration.refreshSeconds * 1e9)
        let isDamaged: Bool
        var isForeign = false
        do throws(NATSError) {
            let info = try stream.jetStream.info(
                NATSStreamConfiguration.streamName, subjects: StreamSubject.all, timeoutSeconds: 2)
            if let own = stream.configuration.lake, let other = info.config.owner { isForeign = own != other }
            isDamaged = info.created != stream.created || Int64(clamping: info.state.lastSequence) < next - 1
            stream.known.update { known in
                known.bytes = Int(clamping: info.state.bytes)
                // Counted after what the tail has seen, so never too few.
                for partition in 0..<stream.configuration.partitions where known.isCaughtUp {
                    let count = info.state.subjects?[StreamSubject.name(ofPartition: partition)] ?? 0
                    known.backlog.keepNewest(Int(clamping: count), of: partition)
                }
            }
        } catch {
            isDamaged = error.isStreamMissing
        }
        // Two nodes of different lakes may have marked an older stream in the same moment; one of them must go.
        if isForeign, !isDamaged {
            stream.log.error("stream_of_another_lake", ["lake": .string(stream.configuration.lake ?? "")])
            stream.onFatal("the stream is another lake's by now: `lake` must be the same on all nodes")
            return false
        }
        damage = isDamaged ? damage + 1 : 0
        guard damage >= Self.sightingsOfDamage else { return true }
        stream.log.error("stream_lost", ["position": .int(Int(next) - 1)])
        stream.onFatal(
            "the stream is gone, was made anew, or has lost its end: only a new start knows what relays may be told")
        return false
    }
}

extension NATSStream.Known {
    mutating func remember(_ entry: StreamEntry) {
        guard entry.position > (ledger.last?.position ?? ledgerAfter) else { return }
        ledger.append(entry)
        guard ledger.count > 2 * StreamTail.ledgerEntries else { return }
        let gone = ledger.count - StreamTail.ledgerEntries
        ledgerAfter = ledger[gone - 1].position
        ledger.removeFirst(gone)
    }
}
