// Nodes that archive, as threads on one lake in memory: partitions move, a node disappears, the stream and the store
// fail for a while, and everything comes home without anybody doing anything (I11).

import Central
import Log
import Models
import SyncProtocol
import Synchronization
import System
import TestSupport
import Testing
import WorldSimulation

@Suite("owners of partitions") struct PartitionOwnerTests {
    /// One node: its owner, on a thread.
    private final class Node: Sendable {
        private let owned: Monitor<Set<Int>>
        let owner: PartitionOwner
        private let thread: WorkerThread

        init(
            _ name: String, owning: Set<Int>, _ cluster: ClusterDisk, _ stream: MemoryPartitionStream,
            of partitions: Int, plan: FaultPlan = FaultPlan()
        ) {
            let owned = Monitor(owning)
            var configuration = PartitionOwner.Configuration(
                archiver: cluster.configuration(name, plan: plan), partitions: partitions, maxRows: 40,
                maxWaitSeconds: 0.01)
            configuration.lookSeconds = 0.02
            let owner = PartitionOwner(
                configuration, stream: stream, owned: { owned.withLock { $0 } }, time: SystemTime(),
                log: Log(component: "test", sink: .none))
            self.owned = owned
            self.owner = owner
            thread = WorkerThread(name: "owner") { owner.run() }
        }

        func own(_ partitions: Set<Int>) { owned.update { $0 = partitions } }

        func stop() {
            owner.stop()
            thread.join()
        }
    }

    private static let partitions = 4

    private func traffic(_ seed: UInt64) -> ClusterTraffic {
        ClusterTraffic(seed: seed, partitions: Self.partitions, batches: 40)
    }

    private func checkEnd(_ traffic: ClusterTraffic, _ cluster: ClusterDisk) throws {
        #expect(try cluster.archivedRows() == traffic.expectedRows())
        let follower = try cluster.follower(of: Self.partitions)
        for source in ClusterTraffic.sources {
            let archived = follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
            #expect(archived == traffic.numbers(source))
        }
        let persons = try cluster.rows(.identities).map(\.personID)
        #expect(Set(persons).count == persons.count)
    }

    @Test("nodes whose partitions overlap, move and disappear archive everything once, and the stream is empty then")
    func moving() throws {
        let seed: UInt64 = 11
        let cluster = ClusterDisk(seed: seed)
        let stream = MemoryPartitionStream()
        let traffic = traffic(seed)
        let third = traffic.messages.count / 3
        try stream.append(Array(traffic.messages[..<third]))
        let nodes = [Set([0, 1, 2]), [1, 2, 3]].enumerated().map { number, owned in
            Node("node-\(number)", owning: owned, cluster, stream, of: Self.partitions)
        }
        #expect(eventually { stream.count == 0 })
        // One node goes, the other one takes over.
        nodes[0].own([])
        nodes[1].own([0, 1, 2, 3])
        try stream.append(Array(traffic.messages[third..<2 * third]))
        #expect(eventually { stream.count == 0 })
        #expect(eventually { nodes[0].owner.snapshot.owned.isEmpty })
        #expect(nodes[1].owner.snapshot.owned == [0, 1, 2, 3])
        nodes[0].own([2, 3])
        nodes[1].own([0, 1])
        try stream.append(Array(traffic.messages[(2 * third)...]))
        #expect(eventually { stream.count == 0 })
        for node in nodes { node.stop() }
        try checkEnd(traffic, cluster)
        for partition in 0..<Self.partitions {
            #expect(stream.released[partition] == traffic.last(of: partition))
        }
    }

    @Test("a stream and a store that fail for a while are waited for, and a commit nobody could confirm counts once")
    func failures() throws {
        let seed: UInt64 = 12
        let cluster = ClusterDisk(seed: seed)
        let stream = MemoryPartitionStream()
        let traffic = traffic(seed)
        let plan = FaultPlan()
        plan.arm(.commitAlerts) { throw ClusterCrash() }
        plan.arm(.publish) { throw ClusterCrash() }
        stream.failReads(2)
        try stream.append(traffic.messages)
        let node = Node("node", owning: [0, 1, 2, 3], cluster, stream, of: Self.partitions, plan: plan)
        #expect(eventually(within: 20) { stream.count == 0 })
        node.stop()
        let progress = node.owner.snapshot
        #expect(progress.archive.failures >= 4 && progress.failuresInTurn == 0 && progress.archive.commits > 0)
        try checkEnd(traffic, cluster)
    }

    @Test("an entry whose payload is damaged blocks nothing, and its records are never called archived")
    func damaged() throws {
        let cluster = ClusterDisk(seed: 13)
        let stream = MemoryPartitionStream()
        let source = RecordSource(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch)
        let parts = (1...6 as ClosedRange<Int64>).flatMap { batch in
            (0..<2).map { partition in
                PartitionedArchiverTests.part(
                    partition, of: 2, at: batch * 2 + Int64(partition), partition == 1 ? [batch] : [],
                    cover: batch...batch)
            }
        }
        // Partition 1's part of batch 3.
        try stream.append(parts, damaging: [7])
        let node = Node("node", owning: [0, 1], cluster, stream, of: 2)
        #expect(eventually { stream.count == 0 })
        node.stop()
        #expect(node.owner.snapshot.unreadable == 1)
        let follower = try cluster.follower(of: 2)
        let archived = follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
        #expect(archived == IntervalSet([1...2, 4...6]))
        #expect(try cluster.rows(.reports).map(\.n).sorted() == [1, 2, 4, 5, 6])
    }

    @Test("a node that owns nothing of a lake leaves it alone")
    func nothing() throws {
        let cluster = ClusterDisk(seed: 14)
        let stream = MemoryPartitionStream()
        try stream.append(traffic(14).messages)
        let node = Node("node", owning: [], cluster, stream, of: Self.partitions)
        #expect(!eventually(within: 0.1) { !cluster.disk.paths.isEmpty })
        node.stop()
        #expect(cluster.disk.paths.isEmpty)
    }
}
