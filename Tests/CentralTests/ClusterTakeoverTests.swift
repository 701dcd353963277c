// A lake that one central wrote, with its embedded stream, becomes a cluster's.

import Central
import Models
import ObjectStore
import SyncProtocol
import System
import Testing
import WorldSimulation

@Suite("a cluster takes over an embedded lake") struct ClusterTakeoverTests {
    private let source = RecordSource(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch)

    /// 1…30 of six drones.
    private static func batch(_ position: Int64, _ numbers: ClosedRange<Int64>) -> StreamedBatch {
        var maker = BatchMaker()
        for n in numbers { maker.add(n, BatchMaker.report(drone: "pw-\(n % 6)", seq: n)) }
        return maker.batch(at: position)
    }

    /// The same as a partitioned stream has it, from this position on.
    private static func parts(_ first: Int64, _ numbers: ClosedRange<Int64>, of count: Int) -> [StreamedBatch] {
        (0..<count).map { partition in
            var maker = BatchMaker()
            for n in numbers where DronePartition.index(ofDrone: "pw-\(n % 6)", count: count) == partition {
                maker.add(n, BatchMaker.report(drone: "pw-\(n % 6)", seq: n))
            }
            var batch = maker.batch(at: first + Int64(partition))
            batch.partition = partition
            batch.cover = IntervalSet(numbers)
            return batch
        }
    }

    @Test(
        "what was archived before counts for every partition, once, and positions go on behind it",
        arguments: [(1, 1), (1, 100), (4, 1), (4, 100)])
    func takeover(partitionsBefore: Int, commitsPerSnapshot: Int) throws {
        let cluster = ClusterDisk(seed: 1)
        var embedded = cluster.configuration("embedded")
        embedded.partitions = partitionsBefore
        embedded.bytesPerPartition = 1
        embedded.commitsPerSnapshot = commitsPerSnapshot
        do {
            let archiver = try Archiver(embedded, time: cluster.time)
            _ = try archiver.archive([Self.batch(10, 1...20)])
            _ = try archiver.archive([Self.batch(50, 21...30)])
        }
        let lake = try ClusterLake.open(lake: cluster.lake, vault: cluster.vault, partitions: 4, checkpoints: nil)
        #expect(lake == ClusterLake(partitions: 4, begunAfter: 50))
        let highest = try ClusterLake.highestPosition(lake: cluster.lake, vault: cluster.vault, checkpoints: nil)
        #expect(highest == 50, "a new stream begins after this")
        let follower = try cluster.follower(of: 4)
        #expect(follower.archivedRanges(relayID: source.relayID, epoch: source.epoch) == IntervalSet(1...30))
        #expect(follower.committedPosition == 50)

        let archivers = try (0..<4).map { try cluster.archiver("a\($0)", owning: [$0], of: 4) }
        #expect(archivers.allSatisfy { $0.committedPosition == 50 })
        // A resend of what the embedded central archived, and ten more.
        for (archiver, part) in zip(archivers, Self.parts(51, 1...40, of: 4)) { _ = try archiver.archive([part]) }
        _ = try follower.look()
        let state = try #require(follower.relayState(relayID: source.relayID, epoch: source.epoch))
        #expect(state.archived == IntervalSet(1...40) && state.reports == 40 && state.underWay == 0)
        let late = try cluster.follower(of: 4).relayState(relayID: source.relayID, epoch: source.epoch)
        #expect(late?.archived == state.archived && late?.reports == 40)
        #expect(try cluster.rows(.reports).map(\.seq).sorted() == Array(1...40))
        #expect(try cluster.rows(.duplicates).isEmpty)
    }

    @Test("copies of what was archived before are found in its files, whichever partition asks")
    func copies() throws {
        let cluster = ClusterDisk(seed: 2)
        _ = try Archiver(cluster.configuration("embedded"), time: cluster.time).archive([Self.batch(10, 1...12)])
        let archiver = try cluster.archiver("a", owning: 0..<3, of: 3)
        var copies: [StreamedBatch] = []
        for partition in 0..<3 {
            var maker = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
            for n in 1...12 as ClosedRange<Int64>
            where DronePartition.index(ofDrone: "pw-\(n % 6)", count: 3) == partition {
                maker.add(n, BatchMaker.report(drone: "pw-\(n % 6)", seq: n, name: n == 5 ? "Eve" : "Ada Martin"))
            }
            var batch = maker.batch(at: 11 + Int64(partition))
            batch.partition = partition
            batch.cover = IntervalSet(1...12)
            copies.append(batch)
        }
        let commit = try archiver.archive(copies)
        #expect(commit.reports == 0 && commit.duplicates == 11 && commit.conflicts == 1)
    }

    @Test("a last commit that was cut short must be ended by the embedded central first")
    func cutShort() throws {
        let cluster = ClusterDisk(seed: 3)
        let plan = FaultPlan()
        let archiver = try Archiver(cluster.configuration("embedded", plan: plan), time: cluster.time)
        _ = try archiver.archive([Self.batch(1, 1...3)])
        plan.arm(.commitReports) { throw ClusterCrash() }
        var other = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
        other.add(1, BatchMaker.report(drone: "pw-1", seq: 1))
        #expect(throws: ClusterCrash.self) { try archiver.archive([other.batch(at: 4)]) }
        let error = #expect(throws: ArchiveError.self) { try cluster.archiver("a", owning: [0], of: 2) }
        #expect(error?.description.contains("stream: \"embedded\"") == true)
        _ = try archiver.archive([other.batch(at: 4)])
        #expect(try cluster.archiver("a", owning: [0], of: 2).committedPosition == 4)
    }

    @Test("an embedded central that goes on writing beside the cluster is noticed, not counted")
    func goesOn() throws {
        let cluster = ClusterDisk(seed: 4)
        let embedded = try Archiver(cluster.configuration("embedded"), time: cluster.time)
        _ = try embedded.archive([Self.batch(1, 1...3)])
        let follower = try cluster.follower(of: 2)
        _ = try embedded.archive([Self.batch(2, 4...6)])
        for attempt in [
            { _ = try follower.look() }, { _ = try cluster.archiver("a", owning: [0], of: 2) },
        ] {
            let error = #expect(throws: ArchiveError.self) { try attempt() }
            #expect(error?.description.contains("went on after the cluster had begun") == true)
        }
        #expect(follower.archivedRanges(relayID: source.relayID, epoch: source.epoch) == IntervalSet(1...3))
    }
}
