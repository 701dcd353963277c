// Nodes on one board: who owns what, who takes over, who says goodbye. The clock is a test's.

import Central
import Log
import NATS
import Synchronization
import System
import Testing

/// What a bucket of the stream's servers is, in memory.
final class MemoryBoard: Sendable {
    fileprivate struct State {
        var entries: [String: KeyValueEntry] = [:]
        var revision: UInt64 = 0
        var life = 1
        var cutOff: Set<String> = []
    }

    private struct Unreachable: Error {}

    private let state = Mutex(State())

    var keys: Set<String> { Set(state.withLock { $0.entries.keys }) }

    /// The board as one node sees it.
    func seen(by node: String) -> Seat { Seat(board: self, node: node) }

    func cutOff(_ node: String, _ isCutOff: Bool) {
        state.withLock { state in
            if isCutOff { state.cutOff.insert(node) } else { state.cutOff.remove(node) }
        }
    }

    /// Everything is gone; another board with revisions of its own is in its place.
    func lose() {
        state.withLock { state in
            state.entries = [:]
            state.revision = 0
            state.life += 1
        }
    }

    func entry(_ key: String) -> KeyValueEntry? { state.withLock { $0.entries[key] } }
    var revision: UInt64 { state.withLock { $0.revision } }

    private func access<Result: Sendable>(_ node: String, _ body: (inout State) -> Result) throws -> Result {
        let result = state.withLock { state -> Result? in
            guard !state.cutOff.contains(node) else { return nil }
            return body(&state)
        }
        guard let result else { throw Unreachable() }
        return result
    }

    struct Seat: ClusterBoard {
        let board: MemoryBoard
        let node: String

        func put(_ key: String, _ value: [UInt8]) throws {
            try board.access(node) { state in
                state.revision += 1
                state.entries[key] = KeyValueEntry(key: key, value: value, revision: state.revision)
            }
        }

        func putIfAbsent(_ key: String, _ value: [UInt8]) throws -> Bool {
            guard try board.access(node, { $0.entries[key] == nil }) else { return false }
            try put(key, value)
            return true
        }

        func remove(_ key: String) throws { try board.access(node) { $0.entries[key] = nil } }

        func entries(under prefix: String) throws -> [KeyValueEntry] {
            try board.access(node) { state in
                state.entries.values.filter { $0.key.hasPrefix("\(prefix).") }.sorted { $0.key < $1.key }
            }
        }

        func news(after position: KeyValuePosition?) throws -> KeyValueNews {
            try board.access(node) { state in
                let known = position.flatMap { $0.created == "\(state.life)" ? $0 : nil }
                return KeyValueNews(
                    entries: state.entries.values.filter { $0.revision > known?.revision ?? 0 }
                        .sorted { $0.revision < $1.revision },
                    position: KeyValuePosition(created: "\(state.life)", revision: state.revision),
                    isWhole: known == nil)
            }
        }
    }
}

@Suite("membership of a cluster")
struct ClusterMembershipTests {
    private final class Node: Sendable {
        let membership: ClusterMembership

        init(_ name: String, board: MemoryBoard, time: ManualTime, roles: Set<CentralRole> = [.archive]) {
            let told = Monitor<[Set<Int>]>([])
            self.heard = told
            membership = ClusterMembership(
                NodeEntry(
                    nodeID: name, roles: roles, life: name, startedMicroseconds: 0, address: "", version: "1"),
                partitions: 8, board: board.seen(by: name), time: time, log: Log(component: "test", sink: .none)
            ) { owned in told.update { $0.append(owned) } }
        }

        private let heard: Monitor<[Set<Int>]>
        var owned: Set<Int> { membership.view.owned }
        var heardOwnership: [Set<Int>] { heard.withLock { $0 } }
    }

    private let board = MemoryBoard()
    private let time = ManualTime()

    private func nodes(_ names: String...) -> [Node] { names.map { Node($0, board: board, time: time) } }

    private func beat(_ nodes: [Node], seconds: Int) {
        for _ in 0..<seconds {
            for node in nodes { node.membership.step() }
            time.advance(seconds: 1)
        }
    }

    private func covered(_ nodes: [Node]) -> Bool {
        nodes.reduce(0) { $0 + $1.owned.count } == 8
            && nodes.reduce(into: Set()) { $0.formUnion($1.owned) } == Set(0..<8)
    }

    @Test("live archivers share all partitions, each once, and hear of every change once")
    func share() {
        let all = nodes("a", "b", "c")
        beat([all[0]], seconds: 2)
        #expect(all[0].owned == Set(0..<8))
        beat(all, seconds: 2)
        #expect(covered(all) && all.allSatisfy { !$0.owned.isEmpty })
        #expect(all[0].heardOwnership.first == Set(0..<8) && all[0].heardOwnership.last == all[0].owned)
        let heard = all.map { $0.heardOwnership.count }
        beat(all, seconds: 10)
        #expect(all.map { $0.heardOwnership.count } == heard)
    }

    @Test("a dead node's partitions are the others' after six seconds, and its own again when it is back")
    func death() {
        let all = nodes("a", "b", "c")
        beat(all, seconds: 3)
        let before = all.map(\.owned)
        let living = [all[0], all[2]]
        beat(living, seconds: 4)
        #expect(living.map(\.owned) == [before[0], before[2]])
        beat(living, seconds: 2)
        #expect(covered(living))
        beat(all, seconds: 2)
        #expect(all.map(\.owned) == before)
    }

    @Test("a node that stops says goodbye: its partitions are the others' with their next look")
    func goodbye() {
        let all = nodes("a", "b", "c")
        beat(all, seconds: 2)
        all[1].membership.stop()
        all[1].membership.run()
        #expect(board.keys == ["node.a", "node.c"])
        beat([all[0], all[2]], seconds: 1)
        #expect(covered([all[0], all[2]]))
    }

    @Test("a node that cannot reach the board keeps what it owned, says why, and sees the truth when it can again")
    func cutOff() {
        let all = nodes("a", "b", "c")
        beat(all, seconds: 3)
        let before = all[1].owned
        board.cutOff("b", true)
        beat(all, seconds: 10)
        #expect(all[1].owned == before && all[1].membership.view.trouble != nil)
        #expect(covered([all[0], all[2]]))
        board.cutOff("b", false)
        beat(all, seconds: 2)
        #expect(covered(all) && all[1].membership.view.trouble == nil)
    }

    @Test("a board that stands still for everybody moves no partition")
    func standstill() {
        let all = nodes("a", "b", "c")
        beat(all, seconds: 3)
        let before = all.map(\.owned)
        for name in ["a", "b", "c"] { board.cutOff(name, true) }
        beat(all, seconds: 60)
        for name in ["c", "a", "b"] {
            board.cutOff(name, false)
            beat(all, seconds: 2)
            #expect(all.map(\.owned) == before)
        }
    }

    @Test("nodes without the role archive own nothing and see everything")
    func watchers() {
        let archiver = Node("a", board: board, time: time)
        let watcher = Node("w", board: board, time: time, roles: [.query])
        beat([archiver, watcher], seconds: 2)
        #expect(watcher.owned.isEmpty && archiver.owned.count == 8)
        #expect(watcher.membership.view.assignment.owner(of: 3) == "a")
        #expect(watcher.membership.view.live.map(\.nodeID) == ["a", "w"])
    }
}
