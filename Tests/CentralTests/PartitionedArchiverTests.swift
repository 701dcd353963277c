// One archiver with partitions of its own: positions, covers, numbers used twice, what a start reads back, and a lake
// that was one central's before. With a real DuckDB where tables are looked into, else in memory.

import Central
import Models
import ObjectStore
import SyncProtocol
import System
import Testing
import WorldSimulation

@Suite("an archiver with a scope") struct PartitionedArchiverTests {
    private let source = RecordSource(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch)
    private static let partitions = 4

    /// A drone of this partition.
    static func drone(_ partition: Int, of count: Int = partitions, _ number: Int = 0) -> String {
        let fitting = (0..<10_000).lazy.map { "pw-\($0)" }.filter {
            DronePartition.index(ofDrone: $0, count: count) == partition
        }
        return fitting.dropFirst(number).first { _ in true } ?? ""
    }

    /// Reports of one drone as a partition's part of a batch.
    static func part(
        _ partition: Int, of count: Int = partitions, at position: Int64, _ numbers: [Int64], cover: ClosedRange<Int64>,
        name: String = "Ada Martin", seqs: [Int64]? = nil
    ) -> StreamedBatch {
        var maker = BatchMaker()
        for (n, seq) in zip(numbers, seqs ?? numbers) {
            maker.add(n, BatchMaker.report(drone: drone(partition, of: count), seq: seq, name: name))
        }
        var batch = maker.batch(at: position)
        batch.partition = partition
        batch.cover = IntervalSet(cover)
        return batch
    }

    @Test("each partition has its own position, on one axis, and only its own transaction")
    func positions() throws {
        let cluster = ClusterDisk(seed: 1)
        let archiver = try cluster.archiver("a", owning: [1, 3], of: 4)
        _ = try archiver.archive([
            Self.part(1, at: 7, [1], cover: 1...2), Self.part(3, at: 8, [2], cover: 1...2),
            Self.part(1, at: 12, [3], cover: 3...3),
        ])
        #expect(archiver.positions == [1: 12, 3: 8] && archiver.committedPosition == 8)
        let table = try DeltaTable(.reports, in: cluster.lake, createdAt: nil)
        #expect(table.snapshot.transactions == ["archiver-p01": 12, "archiver-p03": 8])
        let notes = try #require(try table.actions(ofVersion: 1)).compactMap { $0.commitInfo?.columba }.flatMap(
            \.relays)
        #expect(notes.map(\.partition) == [1, 3])
        #expect(notes.map { $0.ranges.map { $0.first...$0.last } } == [[1...3], [1...2]])
        #expect(table.snapshot.files.values.allSatisfy { $0.tags.partition?.count == 4 })
    }

    @Test("a batch at or before its partition's position is passed over, the next one is not")
    func positionsAreExact() throws {
        let cluster = ClusterDisk(seed: 2)
        let archiver = try cluster.archiver("a", owning: [1, 2], of: 4)
        let first = Self.part(1, at: 5, [1], cover: 1...1)
        _ = try archiver.archive([first])
        // Another partition's position says nothing about this one's.
        _ = try archiver.archive([Self.part(2, at: 4, [2], cover: 2...2)])
        #expect(archiver.positions == [1: 5, 2: 4])
        let again = try archiver.archive([first, Self.part(1, at: 6, [3], cover: 3...3)])
        #expect(again.reports == 1 && archiver.positions == [1: 6, 2: 4])
        let nothing = try archiver.archive([first])
        #expect(nothing.reports == 0 && nothing.version == again.version)
        #expect(throws: ArchiveError.self) {
            try archiver.archive([
                Self.part(1, at: 9, [4], cover: 4...4), Self.part(1, at: 8, [5], cover: 5...5),
            ])
        }
        // The refused call left nothing behind.
        #expect(try archiver.archive([Self.part(1, at: 8, [5], cover: 5...5)]).reports == 1)
    }

    @Test("a number counts as archived once every partition has settled it, not before")
    func intersection() throws {
        let cluster = ClusterDisk(seed: 3)
        let follower = try cluster.follower(of: 2)
        let parts = [
            Self.part(0, of: 2, at: 2, [1, 3], cover: 1...4), Self.part(1, of: 2, at: 1, [2, 4], cover: 1...4),
        ]
        let first = try cluster.archiver("a", owning: [0], of: 2)
        _ = try first.archive([parts[0]])
        #expect(first.archivedRanges(relayID: source.relayID, epoch: source.epoch).isEmpty, "it is not its to say")
        #expect(try follower.look())
        #expect(follower.archivedRanges(relayID: source.relayID, epoch: source.epoch).isEmpty)
        #expect(follower.relayState(relayID: source.relayID, epoch: source.epoch)?.underWay == 4)
        #expect(follower.committedPosition == 0 && follower.positions == [2, 0])
        _ = try cluster.archiver("b", owning: [1], of: 2).archive([parts[1]])
        #expect(try follower.look())
        #expect(try !follower.look(), "nothing is new")
        let state = try #require(follower.relayState(relayID: source.relayID, epoch: source.epoch))
        #expect(state.archived == IntervalSet(1...4) && state.reports == 4 && state.underWay == 0)
        #expect(state.completeThrough?.microseconds == ArchiveFixture.start + 4_000_000)
        #expect(follower.committedPosition == 1 && follower.statistics.reports == 4)
    }

    @Test("a partition without a line settles the whole batch, and complete data stays one range")
    func covers() throws {
        let cluster = ClusterDisk(seed: 4)
        let archiver = try cluster.archiver("a", owning: 0..<3, of: 3)
        for number in 0..<20 as Range<Int64> {
            let numbers = number * 10 + 1...number * 10 + 10
            _ = try archiver.archive(
                (0..<3).map { partition in
                    Self.part(
                        partition, of: 3, at: number * 3 + Int64(partition) + 1, partition == 1 ? Array(numbers) : [],
                        cover: numbers)
                })
        }
        let state = try #require(archiver.relayState(relayID: source.relayID, epoch: source.epoch))
        #expect(state.archived.ranges == [1...200] && state.reports == 200 && state.underWay == 0)
        #expect(state.completeThrough?.microseconds == ArchiveFixture.start + 200_000_000)
    }

    @Test("a record number used again for another drone's report is kept, in its first call and after a start")
    func numbersUsedAgain() throws {
        let cluster = ClusterDisk(seed: 5)
        let plain = Self.part(1, at: 1, [7], cover: 7...7)
        let empty = Self.part(2, at: 2, [], cover: 7...7)
        _ = try cluster.archiver("a", owning: 0..<4, of: 4).archive([plain, empty])
        // A relay restored from a copy of its disk gives 7 to a report of a drone of partition 2.
        let reused = Self.part(2, at: 3, [7], cover: 7...7, seqs: [99])
        let archiver = try cluster.archiver("b", owning: [2], of: 4)
        let commit = try archiver.archive([reused, Self.part(2, at: 4, [7], cover: 7...7, seqs: [99])])
        #expect(commit.conflicts == 1 && commit.reports == 0, "kept once, marked")
        let later = try cluster.archiver("c", owning: [2], of: 4)
        #expect(try later.archive([Self.part(2, at: 9, [7], cover: 7...7, seqs: [99])]).conflicts == 0, "a resend")
        let rows = try cluster.rows(.duplicates)
        #expect(rows.count == 1 && rows.first?.n == 7 && rows.first?.seq == 99 && rows.first?.reason == "conflict")
        let state = try #require(
            try cluster.follower(of: 4).relayState(relayID: source.relayID, epoch: source.epoch))
        #expect(state.recordConflicts == 1)
    }

    @Test("a report in another partition's part is set aside, for nobody there knows what was archived of its drone")
    func wrongPartition() throws {
        let cluster = ClusterDisk(seed: 6)
        let archiver = try cluster.archiver("a", owning: [0], of: 4)
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(drone: Self.drone(3), seq: 1))
        maker.add(2, BatchMaker.report(drone: Self.drone(0), seq: 1))
        var batch = maker.batch(at: 1)
        batch.partition = 0
        let commit = try archiver.archive([batch])
        #expect(commit.reports == 1 && commit.rejected == 1)
        #expect(commit.relays.first?.rejected == [RejectedRecord(n: 1, code: "wrong_partition")])
        #expect(cluster.quarantined() == [RecordNumber(source: source, n: 1)])
    }

    @Test("the number of partitions is fixed for the lake's life, and another one is refused with the right one")
    func partitionsAreFixed() throws {
        let cluster = ClusterDisk(seed: 7)
        _ = try cluster.archiver("a", owning: [0], of: 4)
        #expect(try ClusterLake.read(from: cluster.lake) == ClusterLake(partitions: 4))
        for attempt in [
            { _ = try cluster.archiver("b", owning: [0], of: 8) }, { _ = try cluster.follower(of: 8) },
        ] {
            let error = #expect(throws: ArchiveError.self) { try attempt() }
            #expect(error?.description.contains("archive: {partitions: 4}") == true && error?.isFatal == true)
        }
        let embedded = #expect(throws: ArchiveError.self) {
            try Archiver(cluster.configuration("c"), time: cluster.time)
        }
        #expect(embedded?.description.contains("belongs to a cluster (4 partitions)") == true)
    }

    @Test("without a partition's snapshots, and without any, a start finds the same", arguments: [true, false])
    func withoutSnapshots(onlyOne: Bool) throws {
        let traffic = ClusterTraffic(seed: 8, partitions: 3, batches: 25, hasUnstorable: false)
        let cluster = ClusterDisk(seed: 8)
        let archiver = try cluster.archiver("a", owning: 0..<3, of: 3)
        for start in stride(from: 0, to: traffic.messages.count, by: 5) {
            _ = try archiver.archive(Array(traffic.messages[start..<min(start + 5, traffic.messages.count)]))
        }
        let before = try cluster.archivedRows()
        #expect(before == traffic.expectedRows())
        let snapshots = try cluster.lake.list("_columba/dedup").map(\.key)
        #expect(Set(snapshots.compactMap { $0.split(separator: "/").dropLast().last }) == ["p00", "p01", "p02"])
        for key in snapshots where !onlyOne || key.hasPrefix("_columba/dedup/p01/") { try cluster.lake.remove(key) }
        let follower = try cluster.follower(of: 3)
        for source in ClusterTraffic.sources {
            let archived = follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
            #expect(archived == traffic.numbers(source))
        }
        let again = try cluster.archiver("b", owning: 0..<3, of: 3)
        let last = traffic.messages.last?.position ?? 0
        let resent = traffic.messages.map { message in
            var resent = message
            resent.position += last
            return resent
        }
        let commit = try again.archive(resent)
        #expect(commit.reports == 0 && commit.duplicates == 0 && commit.alerts == 0 && commit.conflicts == 0)
        #expect(try cluster.archivedRows() == before)
    }

    @Test("a record that is tried again is archived by its partition and no longer counts as rejected by partition 0")
    func retry() throws {
        let cluster = ClusterDisk(seed: 9)
        let archiver = try cluster.archiver("a", owning: 0..<2, of: 2)
        var rejected = Self.part(0, of: 2, at: 1, [], cover: 1...3)
        rejected.skip = IntervalSet(2...2)
        rejected.skipCodes = [2: "missing_field"]
        _ = try archiver.archive([rejected, Self.part(1, of: 2, at: 2, [1, 3], cover: 1...3)])
        var state = try #require(archiver.relayState(relayID: source.relayID, epoch: source.epoch))
        #expect(state.rejectedCount == 1 && state.rejected == [RejectedRecord(n: 2, code: "missing_field")])
        var retried = Self.part(1, of: 2, at: 3, [2], cover: 2...2)
        retried.isRetry = true
        let commit = try archiver.archive([retried])
        #expect(commit.reports == 1)
        for follower in [try cluster.follower(of: 2), try cluster.follower(of: 2)] {
            state = try #require(follower.relayState(relayID: source.relayID, epoch: source.epoch))
            #expect(state.rejectedCount == 0 && state.rejected.isEmpty && state.reports == 3)
            #expect(state.archived == IntervalSet(1...3))
        }
    }

    @Test("the books allow rows to be ahead of the numbers by what is under way between partitions, and by no more")
    func accounts() {
        func mismatches(_ reports: Int, underWay: Int) -> Int {
            var book = AccountBook()
            var life = AccountBook.Life(epoch: "e", archivedNumbers: 10)
            life.reports = reports
            life.underWay = underWay
            var found = 0
            for _ in 0..<AccountBook.looksBeforeMismatch {
                found = book.look([("north-3", [life])], tableReports: reports, notedReports: reports).count
            }
            return found
        }
        #expect(mismatches(10, underWay: 0) == 0 && mismatches(13, underWay: 3) == 0)
        #expect(mismatches(14, underWay: 3) == 1 && mismatches(9, underWay: 3) == 1 && mismatches(11, underWay: 0) == 1)
    }
}
