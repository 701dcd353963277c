// What one node hears of a relay the others hear of: reports and rule sets, over one board.

import Central
import Log
import Models
import SyncProtocol
import Synchronization
import Testing

@Suite("nodes tell each other about relays")
struct FleetSharingTests {
    private final class Node: Sendable {
        let sharing: FleetSharing
        private let state = Mutex<(reports: [RelayReport], rules: [Int])>(([], []))

        init(_ name: String, _ board: MemoryBoard) {
            sharing = FleetSharing(board: board.seen(by: name), log: Log(component: "test", sink: .none))
        }

        var reports: [RelayReport] { state.withLock { $0.reports } }
        var rules: [Int] { state.withLock { $0.rules } }

        func tell(_ report: RelayReport) { sharing.tell(report, heardAt: report.sentAt) }

        func step() {
            sharing.step(
                FleetSharing.Listener(
                    adopt: { word in
                        if case .report(let report, _) = word { self.state.withLock { $0.reports.append(report) } }
                        return nil
                    },
                    words: { _ in [] },
                    rules: { rules in self.state.withLock { $0.rules.append(rules.message.version) } },
                    ruleSets: { [] }))
        }
    }

    private let board = MemoryBoard()

    private func report(_ relayID: String, at seconds: Int64) -> RelayReport {
        RelayReport(
            relayID: relayID, epoch: String(repeating: "a", count: 32), version: "1",
            sentAt: Timestamp(microseconds: seconds * 1_000_000), rules: .init(version: 0, state: .local))
    }

    private func rules(_ version: Int, _ text: String = "{}") -> FleetStore.StoredRules {
        FleetStore.StoredRules(
            message: RulesMessage(version: version, rules: text, settings: nil), putAt: Timestamp(microseconds: 7))
    }

    @Test("a relay's report reaches every other node, once, and never its own node again")
    func reports() {
        let nodes = ["a", "b", "c"].map { Node($0, board) }
        nodes[0].tell(report("north.3", at: 1))
        for _ in 0..<3 { for node in nodes { node.step() } }
        #expect(nodes[0].reports.isEmpty)
        #expect(nodes[1].reports == [report("north.3", at: 1)] && nodes[2].reports == nodes[1].reports)
    }

    @Test("of several reports the newest counts, and a node that comes later finds it")
    func newest() {
        let first = Node("a", board)
        for second in 1...3 {
            first.tell(report("north-3", at: Int64(second)))
            first.tell(report(".south", at: Int64(second)))
        }
        first.step()
        let later = Node("b", board)
        later.step()
        #expect(Set(later.reports) == [report("north-3", at: 3), report(".south", at: 3)])
    }

    @Test("a report that could not be told is told when the board is back, unless there is a newer one")
    func unreachable() {
        let (told, other) = (Node("a", board), Node("b", board))
        board.cutOff("a", true)
        told.tell(report("north-3", at: 1))
        told.step()
        other.step()
        #expect(other.reports.isEmpty)
        told.tell(report("north-3", at: 2))
        board.cutOff("a", false)
        told.step()
        other.step()
        #expect(other.reports == [report("north-3", at: 2)])
    }

    @Test("a report that could not be told does not take the place of a newer one that another node told meanwhile")
    func overtaken() {
        let (late, other, new) = (Node("a", board), Node("b", board), Node("c", board))
        board.cutOff("a", true)
        late.tell(report("north-3", at: 1))
        late.tell(report("south-1", at: 5))
        late.step()
        other.tell(report("north-3", at: 2))
        other.tell(report("south-1", at: 4))
        other.step()
        board.cutOff("a", false)
        late.step()
        new.step()
        #expect(Set(new.reports) == [report("north-3", at: 2), report("south-1", at: 5)])
    }

    @Test("a rule set that was put at one node is known at all, in the order of versions")
    func ruleSets() throws {
        let (first, second) = (Node("a", board), Node("b", board))
        try first.sharing.put(rules(2))
        try first.sharing.put(rules(10))
        second.step()
        second.step()
        #expect(second.rules == [2, 10])
    }

    @Test("two rule sets with one version: the first one counts, the second is refused; the same again is not")
    func conflict() throws {
        let (first, second) = (Node("a", board), Node("b", board))
        try first.sharing.put(rules(4))
        try second.sharing.put(rules(4))
        let refused = #expect(throws: Problem.self) { try second.sharing.put(rules(4, "{version: 4}")) }
        #expect(refused?.status == 409 && refused?.field == "version")
    }
}
