// Which nodes of the cluster live: those whose entry on the shared board has changed within the last seconds, by the
// reader's own monotonic clock. Pure; no clock of another machine is ever compared with ours.
//
// The clock stands still while nothing on the board changes at all, not even the reader's own entry: then it is the
// board that pauses (a NATS server was lost, and its group elects a leader for some seconds) or the reader that is cut
// off from it, and neither is a reason to take every node for dead. A cut-off node keeps what it owned: without the
// board it has no stream either, and once it can read again it sees who took over.
//
// An entry seen for the first time counts as changed: nobody can tell how old it is, and taking the partitions of a
// living node for a moment disturbs more than leaving those of a dead one for a few seconds longer.

package import Models

/// What a node tells the others about itself, every second.
package struct NodeEntry: Codable, Sendable, Equatable {
    package var nodeID: String
    package var roles: Set<CentralRole>
    /// Random, one for each start: two processes under one name are told apart by it.
    package var life: String
    package var startedMicroseconds: Int64
    /// Where the analysts' port answers, for people.
    package var address: String
    package var version: String
    /// Counts up: an entry that is the same twice is not a sign of life.
    package var beat: Int

    package init(
        nodeID: String, roles: Set<CentralRole>, life: String, startedMicroseconds: Int64, address: String,
        version: String, beat: Int = 0
    ) {
        self.nodeID = nodeID
        self.roles = roles
        self.life = life
        self.startedMicroseconds = startedMicroseconds
        self.address = address
        self.version = version
        self.beat = beat
    }

    private enum CodingKeys: String, CodingKey {
        case roles, life, address, version, beat
        case nodeID = "node_id"
        case startedMicroseconds = "started"
    }

    package var startedAt: Timestamp { Timestamp(microseconds: startedMicroseconds) }
}

package struct NodeLiveness: Sendable {
    /// Five heartbeats.
    package static let seconds = 5.0
    /// Between two looks no more than this goes by: a reader that was stopped itself saw nobody's silence.
    private static let secondsPerLook = 1.5

    private struct Seen: Sendable {
        var entry: NodeEntry
        /// By `clock`.
        var changedAt: Double
        /// How often the entry went back to the life before: two processes under one name.
        var returns = 0
        var previousLife: String?
    }

    private var seen: [String: Seen] = [:]
    /// Seconds for which the board was seen to work.
    private var clock = 0.0
    private var lookedAt: UInt64?

    package init() {}

    /// The whole board as it is now. A node that is not on it any more has said goodbye.
    package mutating func look(_ entries: [NodeEntry], atNanoseconds now: UInt64) {
        let isMoving = entries.contains { seen[$0.nodeID]?.entry != $0 } || entries.count != seen.count
        if isMoving {
            let elapsed = lookedAt.map { Double(now - min(now, $0)) / 1e9 } ?? 0
            clock += min(elapsed, Self.secondsPerLook)
        }
        lookedAt = now
        let listed = Set(entries.map(\.nodeID))
        seen = seen.filter { listed.contains($0.key) }
        for entry in entries { note(entry) }
    }

    private mutating func note(_ entry: NodeEntry) {
        guard var known = seen[entry.nodeID] else {
            seen[entry.nodeID] = Seen(entry: entry, changedAt: clock)
            return
        }
        guard entry != known.entry else { return }
        if entry.life != known.entry.life {
            known.returns = entry.life == known.previousLife ? known.returns + 1 : 0
            known.previousLife = known.entry.life
        }
        known.entry = entry
        known.changedAt = clock
        seen[entry.nodeID] = known
    }

    /// By name.
    package var live: [NodeEntry] {
        seen.values.filter { isLive($0) }.map(\.entry).sorted { $0.nodeID < $1.nodeID }
    }

    /// All on the board, dead ones too, with the seconds for which nothing was heard of them.
    package var all: [(entry: NodeEntry, silentSeconds: Double, isLive: Bool)] {
        seen.values.sorted { $0.entry.nodeID < $1.entry.nodeID }.map { ($0.entry, clock - $0.changedAt, isLive($0)) }
    }

    package var archivers: Set<String> { Set(live.filter { $0.roles.contains(.archive) }.map(\.nodeID)) }

    /// Names under which two processes write in turn: a mistake in somebody's configuration.
    package var namesakes: Set<String> { Set(seen.values.filter { $0.returns > 0 }.map(\.entry.nodeID)) }

    private func isLive(_ seen: Seen) -> Bool { clock - seen.changedAt < Self.seconds }
}
