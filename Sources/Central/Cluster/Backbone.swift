// What carries reports from intake to the archive: inside this process (`EmbeddedBackbone`), or shared by the nodes of
// a cluster (`ClusterNode`). Everything else of central stands on this and does not ask which one it is.

import DuckDB
import Models
import SyncProtocol
import Synchronization
import System

protocol Backbone: AnyObject, Sendable {
    var stream: any BatchStream { get }
    /// What is archived, as far as this node knows.
    var knowledge: any ArchiveKnowledge { get }
    /// The same, as a reader of the stream says it.
    var archived: StreamCursor { get }
    /// Batches beyond this position may have to be told to relays at a start.
    var recoverAfter: Int64 { get }
    /// What this node archives itself.
    var progress: ArchiveProgress { get }
    /// The stream's limit, beyond which relays are told to wait.
    var maxStreamBytes: Int { get }
    /// What nodes tell each other about relays goes over this; nil where there is nobody to tell.
    var fleetBoard: (any ClusterBoard)? { get }
    /// Compaction, clean-up and scheduled jobs are for one node at a time.
    var doesUpkeep: Bool { get }
    /// Why this node is not ready, by role; empty: it is.
    var troubles: [String] { get }
    func figures() -> ClusterFigures

    /// Called on the archiver's thread after each version that this node commits.
    func onCommit(_ body: @escaping @Sendable (ArchiveCommit, _ retried: [String]) -> Void)
    /// `fleet` knows by now what `recoverAfter` asks for, up to this position.
    func start(_ fleet: Fleet, recoveredThrough: Int64)
    /// Answers every batch that was taken; a cluster's node gives its partitions up first.
    func drain()
    /// After the doors are closed.
    func end()
}

/// Who wants to hear of commits; made before those who listen.
final class CommitListeners: Sendable {
    private let listeners = Mutex<[@Sendable (ArchiveCommit, [String]) -> Void]>([])

    func add(_ body: @escaping @Sendable (ArchiveCommit, [String]) -> Void) { listeners.withLock { $0.append(body) } }

    func committed(_ commit: ArchiveCommit, _ retried: [String]) {
        for listener in listeners.withLock({ $0 }) { listener(commit, retried) }
    }
}

extension ArchiverConfiguration {
    /// - Parameter scratch: the name of this archiver's own folder, on this machine.
    init(_ stores: CentralStores, _ duckDB: DuckDBExecutable, scratch: String) throws {
        self.init(
            lake: stores.lake, vault: stores.vault, scratchDirectory: "\(stores.scratch)/\(scratch)", duckDB: duckDB,
            hmacKey: try PseudonymKey.load(vault: stores.vault))
    }
}

/// Threads that begin later than their owner, by name.
final class ThreadCrew: Sendable {
    private let threads = Mutex<[(name: String, thread: WorkerThread)]>([])

    func start(_ name: String, stackBytes: Int = 2 << 20, _ body: @escaping @Sendable () -> Void) {
        let thread = WorkerThread(name: name, stackBytes: stackBytes, body)
        threads.withLock { $0.append((name, thread)) }
    }

    /// Those of these names; nil: all that are left.
    func join(_ names: String...) {
        let ended = threads.withLock { threads in
            let ended = threads.filter { names.isEmpty || names.contains($0.name) }
            threads.removeAll { thread in ended.contains { $0.name == thread.name } }
            return ended
        }
        for (_, thread) in ended { thread.join() }
    }
}

extension TimeSource {
    var timestamp: Timestamp { Timestamp(microseconds: wallMicroseconds()) }
}
