// Three real servers, kill -9 while batches are published: every acknowledged batch is there, whole, afterwards.

import Central
import JSON
import Models
import NATS
import Synchronization
import SyncProtocol
import System
import TestSupport
import Testing

@Suite("the cluster's stream under faults", .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct ClusterFaultTests {
    /// A relay: sends its batches, each again until it is acknowledged, and notes the longest pause.
    private final class Sender: Sendable {
        struct Progress {
            var acknowledged = IntervalSet()
            var batches = 0
            var resends = 0
            var longestPause = 0.0
            var isStopping = false
        }

        let progress = Mutex(Progress())

        func stop() { progress.withLock { $0.isStopping = true } }

        func run(_ node: StreamNode, seed: UInt64, relay: String) {
            var source = BatchSource(seed: seed)
            let time = SystemTime()
            while !progress.withLock({ $0.isStopping }) {
                guard let batch = try? source.batch(records: 60, paddingBytes: 200, withOthers: false) else { return }
                let started = time.monotonicNanoseconds()
                while (try? node.append(batch)) == nil {
                    if progress.withLock({ progress in
                        progress.resends += 1
                        return progress.isStopping
                    }) {
                        return
                    }
                }
                let seconds = Double(time.monotonicNanoseconds() - started) / 1e9
                progress.withLock { progress in
                    progress.acknowledged.formUnion(batch.header.numbers)
                    progress.batches += 1
                    progress.longestPause = max(progress.longestPause, seconds)
                }
            }
        }
    }

    /// More for a longer look: `COLUMBA_CLUSTER_ROUNDS=20 swift test --filter ClusterFaultTests`.
    private static let rounds = Environment.variable("COLUMBA_CLUSTER_ROUNDS").flatMap { Int($0) } ?? 2

    /// The server that leads the stream now.
    private func leader(_ servers: NATSServers, _ node: StreamNode) -> Int? {
        var index: Int?
        _ = eventually(within: 20, everyMilliseconds: 50) {
            guard let name = node.stream.leaderName, let found = servers.names.firstIndex(of: name) else {
                return false
            }
            index = found
            return true
        }
        return index
    }

    private func settle(_ node: StreamNode, partitions: Int) throws -> Settled {
        var settled = Settled(partitions: partitions)
        var cursor = StreamCursor.everything(after: 0)
        while true {
            let entries = try node.stream.read(after: cursor, maxBytes: 32 << 20)
            if entries.isEmpty { return settled }
            for entry in entries {
                settled.take(entry, numbers: try NATSStreamTests.numbers(entry))
                cursor.pass(entry)
            }
        }
    }

    @Test("kill -9 of the stream's leader, again and again: no acknowledged batch is lost, no line stored twice")
    func leaderKilled() throws {
        let servers = try NATSServers(count: 3)
        let node = try StreamNode(servers)
        let sender = Sender()
        let thread = WorkerThread(name: "sender", stackBytes: 4 << 20) { sender.run(node, seed: 31, relay: "r-1") }
        for _ in 0..<Self.rounds {
            let before = sender.progress.withLock { $0.batches }
            #expect(eventually(within: 20) { sender.progress.withLock { $0.batches } > before + 20 })
            let killed = try #require(leader(servers, node))
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
        let settled = try settle(node, partitions: 4)
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
        let settled = try settle(node, partitions: 4)
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
