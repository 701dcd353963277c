// Tells the others every second that this node lives, looks at who else does, and derives which partitions are its own.
// One thread. What it decides is in `NodeLiveness` and `PartitionAssignment`; no lease is held, so a decision that is
// late or wrong costs work done twice and never a report archived twice: the Delta log decides between two owners.

package import Log
package import System
import FoundationEssentials
import NATS
import Synchronization

/// The cluster as this node sees it.
package struct ClusterView: Sendable {
    package struct Node: Sendable {
        package var entry: NodeEntry
        package var silentSeconds: Double
        package var isLive: Bool
    }

    package var nodes: [Node] = []
    package var assignment: PartitionAssignment
    package var owned: Set<Int> = []
    /// Partitions that came and went, in this life.
    package var ownershipChanges = 0
    /// Why the board cannot be reached now.
    package var trouble: String?

    package var live: [NodeEntry] { nodes.filter(\.isLive).map(\.entry) }
}

package final class ClusterMembership: Sendable {
    package static let secondsBetweenBeats = 1.0
    private static let prefix = "node"

    private struct State {
        var liveness = NodeLiveness()
        var view: ClusterView
        var isStopping = false
        var namesakes: Set<String> = []
    }

    private let entry: NodeEntry
    private let partitions: Int
    private let board: any ClusterBoard
    private let time: any TimeSource
    private let log: Log
    private let onOwnership: @Sendable (Set<Int>) -> Void
    private let state: Monitor<State>
    private let beats = Atomic<Int>(0)

    /// - Parameter onOwnership: called on this thread whenever the set of owned partitions has changed.
    package init(
        _ entry: NodeEntry, partitions: Int, board: any ClusterBoard, time: any TimeSource, log: Log,
        onOwnership: @escaping @Sendable (Set<Int>) -> Void = { _ in }
    ) {
        self.entry = entry
        self.partitions = partitions
        self.board = board
        self.time = time
        self.log = log
        self.onOwnership = onOwnership
        state = Monitor(
            State(view: ClusterView(assignment: PartitionAssignment(partitions: partitions, archivers: []))))
    }

    package var view: ClusterView { state.withLock { $0.view } }

    /// The thread's body; ends after `stop`, with this node's goodbye.
    package func run() {
        while !state.withLock({ $0.isStopping }) {
            step()
            _ = state.wait(timeoutSeconds: Self.secondsBetweenBeats) { $0.isStopping ? true : nil }
        }
        leave()
    }

    package func stop() { state.update { $0.isStopping = true } }

    /// One heartbeat and one look.
    package func step() {
        do {
            var mine = entry
            mine.beat = beats.add(1, ordering: .relaxed).newValue
            try board.put("\(Self.prefix).\(entry.nodeID)", Array(try JSONEncoder().encode(mine)))
            let entries = try board.entries(under: Self.prefix).compactMap {
                try? JSONDecoder().decode(NodeEntry.self, from: Data($0.value))
            }
            look(entries)
        } catch {
            let isNews = state.withLock { state in
                defer { state.view.trouble = "\(error)" }
                return state.view.trouble == nil
            }
            if isNews { log.warning("cluster_board_unreachable", ["error": .string("\(error)")]) }
        }
    }

    private func look(_ entries: [NodeEntry]) {
        let now = time.monotonicNanoseconds()
        let (before, after, namesake) = state.withLock { state -> (ClusterView, ClusterView, Bool) in
            let before = state.view
            state.liveness.look(entries, atNanoseconds: now)
            state.view.nodes = state.liveness.all.map {
                ClusterView.Node(entry: $0.entry, silentSeconds: $0.silentSeconds, isLive: $0.isLive)
            }
            state.view.trouble = nil
            state.view.assignment = PartitionAssignment(partitions: partitions, archivers: state.liveness.archivers)
            state.view.owned = state.view.assignment.partitions(of: entry.nodeID)
            state.view.ownershipChanges += state.view.owned.symmetricDifference(before.owned).count
            let known = state.namesakes
            state.namesakes = state.liveness.namesakes
            let isNew = state.namesakes.contains(entry.nodeID) && !known.contains(entry.nodeID)
            return (before, state.view, isNew)
        }
        tell(before, after)
        if namesake {
            log.error(
                "node_id_taken",
                ["node_id": .string(entry.nodeID), "hint": .string("another process has this name: set node_id")])
        }
        if before.owned != after.owned { onOwnership(after.owned) }
    }

    private func tell(_ before: ClusterView, _ after: ClusterView) {
        let (old, new) = (Set(before.live.map(\.nodeID)), Set(after.live.map(\.nodeID)))
        for node in new.subtracting(old).sorted() { log.info("node_live", ["node_id": .string(node)]) }
        for node in old.subtracting(new).sorted() {
            let silent = after.nodes.first { $0.entry.nodeID == node }
            log.warning(
                silent == nil ? "node_left" : "node_dead",
                ["node_id": .string(node), "silent_s": .double(silent?.silentSeconds ?? 0)])
        }
        guard before.owned != after.owned else { return }
        let list = after.owned.sorted().map(String.init).joined(separator: " ")
        log.info("partitions_owned", ["partitions": .string(list), "of": .int(partitions)])
    }

    /// The others need not wait for our silence.
    private func leave() {
        do {
            try board.remove("\(Self.prefix).\(entry.nodeID)")
        } catch {
            log.warning("cluster_goodbye_not_said", ["error": .string("\(error)")])
        }
    }
}
