// Several nodes that know the fleet together: each with a keeper, a file and a clock of its own, over one board and one
// archive. What one decides holds at all, whichever of them loses its disk, and if the board loses everything.

import Central
import Models
import NATS
import SyncProtocol
import System
import Testing

@Suite("nodes know the fleet together")
struct FleetClusterTests {
    private let cluster: FleetCluster
    private static let epochs = ["a", "b", "c"].map { String(repeating: $0, count: 32) }

    init() throws { cluster = try FleetCluster() }

    private func nodes(_ names: String...) throws -> [FleetNode] { try names.map { try cluster.node($0) } }

    /// So that what any of them knows has reached all.
    private func share(_ nodes: [FleetNode]) { for _ in 0..<2 { for node in nodes { node.share() } } }

    private func report(
        _ relayID: String = "ghost", at seconds: Double, _ lives: [(life: Int, through: Int64)] = [],
        missing: IntervalSet = IntervalSet()
    ) -> RelayReport {
        var report = RelayReport(
            relayID: relayID, epoch: Self.epochs[lives.last?.life ?? 0], version: "1",
            sentAt: Timestamp(microseconds: ArchiveFixture.start).adding(seconds: seconds),
            rules: .init(version: 0, state: .local))
        report.epochs = lives.map {
            .init(epoch: Self.epochs[$0.life], through: $0.through, waiting: 0, missing: missing)
        }
        return report
    }

    // MARK: Incidents

    @Test("a conflict is counted the same at every node, once, and closed at all when it is closed at one")
    func closed() throws {
        // Their clocks differ: what they write down of it must not.
        let nodes = [
            try cluster.node("a"), try cluster.node("b", skewSeconds: 90), try cluster.node("c", skewSeconds: -40),
        ]
        try cluster.conflict(1, count: 3)
        for node in nodes { node.look() }
        share(nodes)
        #expect(nodes.map { $0.incident(.identityConflict)?.count } == [3, 3, 3])
        #expect(Set(nodes.map { $0.incident(.identityConflict) }).count == 1)
        #expect(try nodes[0].close(.identityConflict)?.isOpen == false)
        share(nodes)
        for node in nodes {
            node.look(seconds: 3)
            #expect(node.isOpen(.identityConflict) == false && node.incident(.identityConflict)?.closedBy == "a")
        }
        #expect(try nodes[1].close(.identityConflict) == nil, "it is closed")
        // One more, and each of them counts it by itself.
        try cluster.conflict(9)
        for node in nodes { node.look() }
        share(nodes)
        #expect(nodes.map { $0.incident(.identityConflict)?.count } == [1, 1, 1])
        #expect(nodes.map { $0.incident(.identityConflict)?.total } == [4, 4, 4])
        #expect(nodes.allSatisfy { $0.isOpen(.identityConflict) == true })
    }

    @Test("a node that reads the archive late does not open again what was closed meanwhile")
    func late() throws {
        let nodes = try nodes("a", "b")
        nodes[1].fallBehind(true)
        try cluster.conflict(1, count: 2)
        nodes[0].look()
        _ = try nodes[0].close(.identityConflict)
        // It sees the conflicts before it hears that they were raised and closed.
        nodes[1].fallBehind(false)
        nodes[1].time.advance(seconds: 600)
        nodes[1].look()
        #expect(nodes[1].isOpen(.identityConflict) == true)
        share(nodes)
        #expect(nodes.map { $0.isOpen(.identityConflict) } == [false, false])
    }

    @Test("a node with an empty disk raises nothing again, also where it hears of the others only later")
    func emptyDisk() throws {
        let nodes = try nodes("a", "b")
        try cluster.conflict(1)
        nodes[0].hear(report(at: 1, [(0, 9)]))
        nodes[0].hear(report(at: 2, [(0, 5)]))
        for node in nodes { node.look() }
        share(nodes)
        for code in [IncidentCode.identityConflict, .rollback] {
            _ = try nodes[0].close(code, code == .rollback ? "ghost" : ArchiveFixture.relay)
        }
        share(nodes)
        let new = try cluster.node("c")
        cluster.board.cutOff("d", true)
        let alone = try cluster.node("d")
        alone.look(seconds: 3)
        #expect(alone.isOpen(.identityConflict) == true, "it cannot know")
        cluster.board.cutOff("d", false)
        share([new, alone] + nodes)
        for node in [new, alone] + nodes {
            node.look(seconds: 3)
            #expect(node.isOpen(.identityConflict) == false, "\(node.name)")
            #expect(node.isOpen(.rollback, "ghost") == false, "\(node.name)")
        }
        // The next one is one more for the new node as well, wherever it is heard.
        new.hear(report(at: 3, [(1, 1)]))
        new.hear(report(at: 4, [(0, 9), (1, 1)]))
        share([new, alone] + nodes)
        #expect(nodes[1].isOpen(.rollback, "ghost") == true && nodes[1].incident(.rollback, "ghost")?.total == 2)
    }

    @Test("what only one node heard is an event once, and known at all")
    func events() throws {
        let nodes = try nodes("a", "b", "c")
        nodes[0].hear(report(at: 1, [(0, 80)]))
        share(nodes)
        // The relay turns to another node, restored from an older state of itself.
        nodes[1].hear(report(at: 11, [(0, 50)]))
        share(nodes)
        #expect(nodes.map { $0.incident(.rollback, "ghost")?.count } == [1, 1, 1])
    }

    @Test("a node that cannot reach the board closes by itself, and tells when it can; what happened since is open")
    func cutOff() throws {
        let nodes = try nodes("a", "b")
        for relay in ["ghost", "other"] {
            nodes[0].hear(report(relay, at: 1, [(0, 9)]))
            nodes[0].hear(report(relay, at: 2, [(0, 5)]))
        }
        share(nodes)
        cluster.board.cutOff("a", true)
        #expect(try nodes[0].close(.rollback, "ghost") != nil)
        #expect(try nodes[0].close(.rollback, "other") != nil)
        nodes[1].hear(report("other", at: 3, [(0, 9)]))
        nodes[1].hear(report("other", at: 4, [(0, 4)]))
        share(nodes)
        #expect(nodes[1].isOpen(.rollback, "ghost") == true)
        // It starts anew meanwhile: what it closed is on its disk.
        nodes[0].stop()
        let again = try cluster.node("a")
        cluster.board.cutOff("a", false)
        share([again, nodes[1]])
        for node in [again, nodes[1]] {
            #expect(node.isOpen(.rollback, "ghost") == false)
            #expect(node.isOpen(.rollback, "other") == true)
        }
    }

    @Test("a word that could not be told is not told after a newer one was heard")
    func overtaken() throws {
        let nodes = try nodes("a", "b")
        try cluster.conflict(1)
        cluster.board.cutOff("a", true)
        nodes[0].look()
        nodes[0].share()
        nodes[1].look()
        _ = try nodes[1].close(.identityConflict)
        nodes[1].share()
        let revision = cluster.board.revision
        cluster.board.cutOff("a", false)
        nodes[0].share()
        #expect(cluster.board.revision == revision && nodes[0].isOpen(.identityConflict) == false)
    }

    // MARK: Losses

    @Test("lost records are counted once at all nodes, and a new node does not count them again")
    func lost() throws {
        let nodes = try nodes("a", "b")
        for node in nodes { receive(IntervalSet([1...10, 14...20]), node) }
        nodes[0].hear(report(ArchiveFixture.relay, at: 1, [(0, 20)], missing: IntervalSet(11...13)))
        share(nodes)
        for node in nodes { node.look(seconds: 3) }
        share(nodes)
        #expect(nodes.map { $0.incident(.recordsLost)?.count } == [3, 3])
        _ = try nodes[1].close(.recordsLost)
        share(nodes)
        let new = try cluster.node("c")
        receive(IntervalSet([1...10, 14...20]), new)
        new.look(seconds: 3)
        share([new] + nodes)
        #expect(([new] + nodes).map { $0.isOpen(.recordsLost) } == [false, false, false])
        // A loss that shrinks and grows again is a new one.
        for node in [new] + nodes { receive(IntervalSet(11...12), node) }
        for node in [new] + nodes { node.look(seconds: 3) }
        nodes[0].hear(report(ArchiveFixture.relay, at: 9, [(0, 30)], missing: IntervalSet([13...13, 21...30])))
        share([new] + nodes)
        for node in [new] + nodes { node.look(seconds: 3) }
        share([new] + nodes)
        #expect(([new] + nodes).map { $0.incident(.recordsLost)?.count } == [10, 10, 10])
        #expect(([new] + nodes).allSatisfy { $0.isOpen(.recordsLost) == true })
    }

    private func receive(_ numbers: IntervalSet, _ node: FleetNode) {
        node.fleet.received(
            StreamHeader(
                relay: ArchiveFixture.relay, epoch: Self.epochs[0], numbers: numbers, rejected: [],
                records: numbers.count),
            name: nil, digest: nil, at: node.now)
    }

    @Test("a new node knows of records that were lost with a life that no report lists any more")
    func livesThatAreOver() throws {
        let nodes = try nodes("a", "b")
        for node in nodes { receive(IntervalSet(1...70), node) }
        for node in nodes { node.look() }
        nodes[0].hear(report(ArchiveFixture.relay, at: 1, [(0, 80)]))
        share(nodes)
        nodes[0].hear(report(ArchiveFixture.relay, at: 11, [(1, 1)]))
        share(nodes)
        let new = try cluster.node("c")
        receive(IntervalSet(1...70), new)
        for node in [new] + nodes {
            node.look(seconds: 2)
            let all = node.keeper.completeness(node.fleet.relays(), cluster.archiver.statistics)
            #expect(all.relay(ArchiveFixture.relay)?.lost == 10, "\(node.name)")
        }
    }

    // MARK: Retirement

    @Test("a relay retired at one node is retired at all until any of them hears of it again")
    func retired() throws {
        let nodes = try nodes("a", "b", "c")
        nodes[0].hear(report(at: 0.5))
        share(nodes)
        // This node heard it last, and says so only after it was retired.
        nodes[1].time.advance(seconds: 5)
        nodes[1].hear(report(at: 5))
        for node in nodes { node.time.advance(seconds: 10) }
        #expect(try nodes[0].keeper.retire("ghost", by: "ops", note: "fell off"))
        for node in nodes { node.time.advance(seconds: 5) }
        share(nodes)
        #expect(nodes.map { $0.isRetired("ghost") } == [true, true, true])
        let new = try cluster.node("d")
        #expect(new.isRetired("ghost") == true)
        nodes[2].time.advance(seconds: 10)
        nodes[2].hear(report(at: 30))
        share(nodes + [new])
        #expect((nodes + [new]).map { $0.isRetired("ghost") } == [false, false, false, false])
    }

    @Test("a report that came after the retirement ends it, also at a node that had yet to hear of it")
    func concurrent() throws {
        let nodes = try nodes("a", "b")
        nodes[0].hear(report(at: 0.5))
        share(nodes)
        _ = try nodes[0].keeper.retire("ghost", by: "ops", note: "")
        nodes[1].time.advance(seconds: 20)
        nodes[1].hear(report(at: 20))
        share(nodes)
        #expect(nodes.map { $0.isRetired("ghost") } == [false, false])
    }

    // MARK: The board

    @Test("a board that lost everything has it again from the nodes, and a new one learns it from there")
    func boardLost() throws {
        let nodes = try nodes("a", "b")
        try cluster.conflict(1)
        for node in nodes { node.look() }
        _ = try nodes[0].close(.identityConflict)
        nodes[1].hear(report(at: 1, [(0, 9)]))
        nodes[1].hear(report(at: 2, [(0, 5)]))
        _ = try nodes[1].keeper.retire("ghost", by: "ops", note: "")
        let set = FleetStore.StoredRules(
            message: RulesMessage(version: 4, rules: "{}", settings: nil), putAt: nodes[0].now)
        try nodes[0].put(set)
        share(nodes)
        let keys = cluster.board.keys
        for node in nodes { node.stop() }
        cluster.board.lose()
        let again = try cluster.node("a")
        #expect(cluster.board.keys == keys)
        cluster.board.lose()
        share([nodes[1], again])
        #expect(cluster.board.keys == keys)
        let new = try cluster.node("c")
        new.look(seconds: 2)
        #expect(new.isOpen(.identityConflict) == false && new.isOpen(.rollback, "ghost") == true)
        #expect(new.isRetired("ghost") == true && new.rules.versions == [4])
        #expect(new.keeper.ledgers["ghost"]?.report == report(at: 2, [(0, 5)]))
    }

    @Test("nodes that agree write nothing, however long they look")
    func quiet() throws {
        let nodes = try nodes("a", "b", "c")
        try cluster.conflict(1)
        nodes[0].hear(report(at: 1, [(0, 9)]))
        nodes[1].hear(report(at: 2, [(0, 5)]))
        for _ in 0..<2 {
            for node in nodes { node.look() }
            share(nodes)
        }
        let revision = cluster.board.revision
        for _ in 0..<5 {
            for node in nodes { node.look() }
            share(nodes)
        }
        #expect(cluster.board.revision == revision)
    }

    @Test("what another version or a stranger wrote is overlooked")
    func strange() throws {
        let nodes = try nodes("a", "b")
        let seat = cluster.board.seen(by: "x")
        for key in ["incident.00", "relay.00", "report.00", "gossip.x", "incident.zz"] {
            try seat.put(key, Array("{}".utf8))
        }
        // Under another one's key.
        nodes[0].hear(report(at: 1, [(0, 9)]))
        nodes[0].hear(report(at: 2, [(0, 5)]))
        nodes[0].share()
        let key = FleetWord.incident(try #require(nodes[0].incident(.rollback, "ghost"))).key
        let value = try #require(cluster.board.entry(key)?.value)
        try seat.put("\(key)ff", value)
        share(nodes)
        #expect(nodes[1].keeper.incidents.map(\.id) == ["rollback.ghost"])
    }
}
