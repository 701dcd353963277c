// Three real servers, kill -9 while batches are published: every acknowledged batch is there, whole, afterwards.

import Central
import Synchronization
import SyncProtocol
import System
import TestSupport
import Testing

@Suite("the cluster's stream under faults", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct ClusterFaultTests {
    /// More for a longer look: `COLUMBA_CLUSTER_ROUNDS=20 swift test --filter ClusterFaultTests`.
    private static let rounds = Environment.variable("COLUMBA_CLUSTER_ROUNDS").flatMap { Int($0) } ?? 2

    @Test("kill -9 of the stream's leader, again and again: no acknowledged batch is lost, no line stored twice")
    func leaderKilled() throws {
        let servers = try NATSServers(count: 3)
        let node = try StreamNode(servers)
        let sender = StreamSender()
        let thread = WorkerThread(name: "sender", stackBytes: 4 << 20) { sender.run(node, seed: 31) }
        for _ in 0..<Self.rounds {
            let before = sender.progress.withLock { $0.batches }
            #expect(eventually(within: 20) { sender.progress.withLock { $0.batches } > before + 20 })
            let killed = try #require(node.leader(among: servers))
            let atKill = sender.progress.withLock { $0.batches }
            try servers.kill(killed)
            // It goes on without the lost server.
            #expect(eventually(within: 30) { sender.progress.withLock { $0.batches } > atKill + 20 })
            try servers.start(killed)
            #expect(servers.isReady(within: 30))
        }
        sender.stop()
        thread.join()
        let progress = sender.progress.withLock { $0 }
        print("batches \(progress.batches), resends \(progress.resends), longest pause \(progress.longestPause) s")
        let settled = try node.settle(partitions: 4)
        #expect(progress.acknowledged.subtracting(settled.archived).isEmpty)
        #expect(
            progress.acknowledged.ranges.allSatisfy { range in
                range.allSatisfy { settled.lines[$0] == 1 }
            })
        withExtendedLifetime(servers) {}
    }

    @Test("two of three servers down: nothing is acknowledged; all three killed and back: nothing acknowledged is lost")
    func majorityLost() throws {
        let servers = try NATSServers(count: 3)
        let node = try StreamNode(servers, batchSeconds: 3)
        var source = BatchSource(seed: 32)
        var acknowledged = IntervalSet()
        for _ in 0..<20 {
            let batch = try source.batch(records: 30)
            try node.append(batch)
            acknowledged.formUnion(batch.header.numbers)
        }
        let refused = try source.batch(records: 30)
        let killed = [0, 1]
        for index in killed { try servers.kill(index) }
        #expect(throws: (any Error).self) { try node.append(refused) }
        try servers.kill(2)
        for index in 0..<3 { try servers.start(index) }
        #expect(servers.isReady(within: 40))
        #expect(eventually(within: 30) { (try? node.append(refused)) != nil })
        acknowledged.formUnion(refused.header.numbers)
        let settled = try node.settle(partitions: 4)
        #expect(acknowledged.subtracting(settled.archived).isEmpty)
        #expect(settled.lines.values.allSatisfy { $0 == 1 })
        // The tail follows again: another batch is seen without being asked for.
        let last = node.stream.lastPosition
        try node.append(try source.batch(records: 3))
        #expect(node.stream.wait(beyond: .partitions([1: last]), timeoutSeconds: 60))
        #expect(eventually(within: 30) { node.stream.records(after: last) == 3 })
        withExtendedLifetime(servers) {}
    }
}
