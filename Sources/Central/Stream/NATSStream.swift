// The cluster's stream: JetStream, replicated, every message on the disks of most of its servers before it is
// acknowledged (`sync_interval: always`, deploy/central/nats). A `BatchStream` without state of its own: what is in it
// is asked from the servers, what was archived is in the lake.
//
//   append ─ split (caller's thread) ─▶ queue ─▶ `run`: PublishStateMachine ─▶ JetStream ─▶ PubAcks ─▶ answer     (I4)
//   tail (own thread) ─ headers of every message, as they come ─▶ StreamBacklog ─▶ wait, records, lastPosition
//   read ─ batched direct reads from any server that has the stream, from a position on
//   release ─ purge of a partition's subject up to its committed position
//
// Positions are the stream's sequence. They never go back: a stream that is made anew begins far beyond every position
// that the lake knows, and one that has lost its end (every server lost power and lied about its disk) is filled up
// past them before anything is taken (F51, F52). While running, either is fatal: a new start tells relays only of what
// is left, and they send the rest again (I2).

package import Log
import Models
import NATS
package import System
import SyncProtocol
import Synchronization

package final class NATSStream: BatchStream {
    struct Inbox {
        var batches: [QueuedBatch] = []
        var bytes = 0
        var facts: [Fact] = []
        /// The state machine takes more.
        var hasRoom = true
        var isClosed = false
    }

    struct QueuedBatch: Sendable {
        let parts: [BatchPart]
        let answer: @Sendable (Result<Int64, any Error>) -> Void
    }

    enum Fact: Sendable {
        case answered(PublishStateMachine.Token, Result<PublishAcknowledgement, NATSError>)
        case connectionLost
    }

    struct Known {
        var backlog = StreamBacklog()
        var bytes = 0
        /// The tail has seen every header up to a moment ago.
        var isCaughtUp = false
        var isClosed = false
        /// The newest entries of the ledger, without payload: all those after `ledgerAfter`.
        var ledger: [StreamEntry] = []
        var ledgerAfter: Int64 = 0
    }

    package let configuration: NATSStreamConfiguration
    let connection: NATSConnection
    let jetStream: JetStream
    let splitter: BatchSplitter
    let inbox: Monitor<Inbox>
    let known: Monitor<Known>
    let time: any TimeSource
    let log: Log
    let onFatal: @Sendable (String) -> Void
    let created: String
    private let tail: Mutex<WorkerThread?> = Mutex(nil)

    /// Connects, checks the servers, makes the stream or sees that it is the right one. Waits up to
    /// `configuration.startSeconds` for a cluster that is still starting.
    /// - Parameters:
    ///   - archivedThrough: the greatest position that any table of the lake names.
    ///   - onFatal: called when only a fresh start can go on; the program must end.
    package init(
        _ configuration: NATSStreamConfiguration, archivedThrough: Int64, time: any TimeSource, log: Log,
        onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.configuration = configuration
        self.time = time
        self.log = log
        self.onFatal = onFatal
        splitter = BatchSplitter(partitions: configuration.partitions, messageBytes: configuration.messageBytes)
        let inbox = Monitor(Inbox())
        self.inbox = inbox
        known = Monitor(Known())
        let opening = StreamOpening(configuration, time: time, log: log)
        connection = try opening.connect { event in
            Self.note(event, log)
            if case .disconnected = event { inbox.update { $0.facts.append(.connectionLost) } }
        }
        jetStream = JetStream(connection)
        let info = try opening.ensure(jetStream, archivedThrough: archivedThrough)
        created = info.created
        let first = Int64(clamping: info.state.firstSequence)
        known.update { known in
            known.bytes = Int(clamping: info.state.bytes)
            known.backlog.startBehind(Int64(clamping: info.state.lastSequence))
            known.ledgerAfter = first - 1
        }
        let thread = WorkerThread(name: "stream-tail", stackBytes: 2 << 20) { [weak self] in
            StreamTail.run(from: first) { self }
        }
        tail.withLock { $0 = thread }
    }

    private static func note(_ event: NATSEvent, _ log: Log) {
        switch event {
        case .disconnected(let reason): log.warning("nats_disconnected", ["reason": .string(reason)])
        case .reconnected(let server): log.info("nats_reconnected", ["server": .string(server)])
        case .closed: log.info("nats_closed")
        case .problem(let text): log.warning("nats_problem", ["problem": .string(text)])
        }
    }

    // MARK: What is in it

    package var partitionCount: Int? { configuration.partitions }
    package var totalBytes: Int { known.withLock { $0.bytes } }
    package var lastPosition: Int64 { known.withLock { $0.backlog.lastPosition } }

    package func wait(beyond cursor: StreamCursor, timeoutSeconds: Double) -> Bool {
        known.wait(timeoutSeconds: timeoutSeconds) { known -> Bool? in
            if known.backlog.hasMore(than: cursor) { return true }
            return known.isClosed ? false : nil
        } ?? false
    }

    package func records(after cursor: StreamCursor) -> Int {
        known.withLock { $0.backlog.waiting(after: cursor).records }
    }

    package func batches(after cursor: StreamCursor) -> Int {
        known.withLock { $0.backlog.waiting(after: cursor).entries }
    }

    // MARK: Ending

    /// Takes nothing any more; what was taken is answered, at the latest when its time is over.
    package func close() {
        inbox.update { $0.isClosed = true }
        known.update { $0.isClosed = true }
    }

    package func closeLog() {
        close()
        tail.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        connection.close()
    }
}
