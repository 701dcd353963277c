// Which node has which partition: everything owned once, fair, the same for everybody, and little of it moves.

import Central
import Testing
import TestSupport

@Suite("partitions over live archivers")
struct PartitionAssignmentTests {
    private struct Fleet {
        var nodes: Set<String>
        var partitions: Int

        init(_ generator: inout SeededGenerator, smallest: Int = 1) {
            nodes = []
            let count = Int.random(in: smallest...12, using: &generator)
            while nodes.count < count { nodes.insert("central-\(UInt16.random(in: 0 ... .max, using: &generator))") }
            partitions = [1, 4, 8, 16, 64].randomElement(using: &generator) ?? 8
        }
    }

    private static func withFleets(_ rounds: Int, smallest: Int = 1, _ body: (inout SeededGenerator, Fleet) -> Void) {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<rounds {
            let fleet = Fleet(&generator, smallest: smallest)
            body(&generator, fleet)
        }
    }

    @Test("every partition has exactly one owner, a live one, and no node has more than its fair share")
    func fair() {
        Self.withFleets(500) { _, fleet in
            let assignment = PartitionAssignment(partitions: fleet.partitions, archivers: fleet.nodes)
            #expect(assignment.owners.count == fleet.partitions)
            let owned = fleet.nodes.map { assignment.partitions(of: $0) }
            #expect(owned.reduce(0) { $0 + $1.count } == fleet.partitions)
            #expect(owned.reduce(into: Set()) { $0.formUnion($1) } == Set(0..<fleet.partitions))
            let share = (fleet.partitions + fleet.nodes.count - 1) / fleet.nodes.count
            #expect(owned.allSatisfy { $0.count <= share })
            for partition in 0..<fleet.partitions {
                let owner = assignment.owner(of: partition)
                #expect(owner.map { fleet.nodes.contains($0) } == true)
                #expect(owner.map { assignment.partitions(of: $0).contains(partition) } == true)
            }
        }
    }

    @Test("the same live set gives the same owners, in whatever order it became known")
    func deterministic() {
        Self.withFleets(100) { generator, fleet in
            let shuffled = Set(fleet.nodes.shuffled(using: &generator))
            #expect(
                PartitionAssignment(partitions: fleet.partitions, archivers: fleet.nodes)
                    == PartitionAssignment(partitions: fleet.partitions, archivers: shuffled))
        }
        // Pinned: nodes of two versions of the program must agree while one is upgraded after the other.
        let pinned = PartitionAssignment(partitions: 8, archivers: ["central-0", "central-1", "central-2"])
        #expect(pinned.owners.map { $0.suffix(1) }.joined() == "00220111", "\(pinned.owners)")
    }

    @Test("a node that goes takes little with it: beyond its own partitions less than a third as many again move")
    func movement() {
        var (needed, moved) = (0, 0)
        Self.withFleets(2_000, smallest: 2) { generator, fleet in
            guard let lost = fleet.nodes.sorted().randomElement(using: &generator) else { return }
            let before = PartitionAssignment(partitions: fleet.partitions, archivers: fleet.nodes)
            let after = PartitionAssignment(
                partitions: fleet.partitions, archivers: fleet.nodes.subtracting([lost]))
            needed += before.partitions(of: lost).count
            moved += zip(before.owners, after.owners).count { $0 != $1 }
        }
        #expect(moved >= needed)
        #expect(Double(moved) < Double(needed) * 4 / 3, "\(moved) moved, \(needed) had to")
    }

    @Test("with as many nodes as partitions, and with more, no node has two")
    func manyNodes() {
        let nodes = Set((0..<20).map { "central-\($0)" })
        let assignment = PartitionAssignment(partitions: 8, archivers: nodes)
        #expect(Set(assignment.owners).count == 8)
    }

    @Test("while nobody is live nothing is owned")
    func nobody() {
        let assignment = PartitionAssignment(partitions: 8, archivers: [])
        #expect(assignment.owners.isEmpty && assignment.owner(of: 0) == nil)
        #expect(assignment.partitions(of: "central-0").isEmpty)
    }
}
