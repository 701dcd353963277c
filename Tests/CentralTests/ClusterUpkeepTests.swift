// What upkeep does to a cluster's lake, with a real DuckDB: compaction keeps partitions apart and leaves alone what
// will be decided again, and the log is cleaned only where every partition's snapshots know.

import Central
import DuckDB
import Log
import Models
import ObjectStore
import SyncProtocol
import System
import Testing
import WorldSimulation

@Suite("upkeep of a cluster's lake") struct ClusterUpkeepTests {
    private static let traffic = ClusterTraffic(seed: 31, partitions: 2, batches: 30, hasUnstorable: false)

    /// Archives everything in calls of so many messages.
    private func archive(_ fixture: ArchiveFixture, perCall count: Int, _ messages: [StreamedBatch]) throws -> Archiver
    {
        let archiver = try Archiver(
            ClusterThreadsTests.configuration(fixture, "scratch", 0..<2, of: 2), time: fixture.time)
        for start in stride(from: 0, to: messages.count, by: count) {
            _ = try archiver.archive(Array(messages[start..<min(start + count, messages.count)]))
        }
        return archiver
    }

    private func follower(_ fixture: ArchiveFixture) throws -> ArchiveFollower {
        try ArchiveFollower(
            .init(
                lake: fixture.lake, vault: fixture.vault,
                engine: DuckDBEngine(
                    executable: fixture.duckDB, scratchDirectory: "\(fixture.directory)/follower"),
                partitions: 2), log: Log(component: "test", sink: .none))
    }

    private func checkArchived(_ follower: ArchiveFollower) {
        for source in ClusterTraffic.sources {
            let archived = follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
            #expect(archived == Self.traffic.numbers(source))
        }
    }

    @Test("compaction keeps every partition's files apart, and copies are still found in them")
    func compaction() throws {
        let fixture = try ArchiveFixture()
        let half = Self.traffic.messages.count / 2
        _ = try archive(fixture, perCall: 2, Array(Self.traffic.messages[..<half]))
        let upkeep = fixture.upkeep()
        let report = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(report.failed.isEmpty && report.done.count >= 2)
        let files = try fixture.table(.reports).snapshot.files.values
        #expect(Set(files.map { $0.tags.partition?.index }) == [0, 1])
        _ = try archive(fixture, perCall: 7, Array(Self.traffic.messages[half...]))
        #expect(try ClusterThreadsTests.rows(fixture) == Self.traffic.expectedRows())
    }

    @Test("rows of a call that was cut short are not compacted with those that count")
    func cutShort() throws {
        let fixture = try ArchiveFixture()
        var settings = ClusterThreadsTests.configuration(fixture, "scratch", [0], of: 2)
        let plan = FaultPlan()
        settings.failurePoint = { try plan.pass($0) }
        let archiver = try Archiver(settings, time: fixture.time)
        for number in 1...3 as ClosedRange<Int64> {
            _ = try archiver.archive([copies(at: number, number)])
        }
        plan.arm(.commitReports) { throw ClusterCrash() }
        #expect(throws: ClusterCrash.self) { try archiver.archive([copies(at: 4, 4)]) }
        let upkeep = fixture.upkeep()
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        let positions = try fixture.table(.duplicates).snapshot.files.values.compactMap(\.position).sorted()
        #expect(positions == [3, 4])
        let again = try Archiver(ClusterThreadsTests.configuration(fixture, "scratch", [0], of: 2), time: fixture.time)
        _ = try again.archive([copies(at: 4, 4)])
        #expect(try fixture.count(.reports) == 1)
        #expect(try fixture.count(.duplicates) == 7)
    }

    /// Two copies of one report.
    private func copies(at position: Int64, _ number: Int64) -> StreamedBatch {
        PartitionedArchiverTests.part(
            0, of: 2, at: position, [number * 2 - 1, number * 2], cover: (number * 2 - 1)...(number * 2), seqs: [1, 1])
    }

    @Test("a follower and an archiver start from checkpoints and snapshots, and from the rows where those are gone")
    func cleanedLog() throws {
        let fixture = try ArchiveFixture()
        let early = try follower(fixture)
        _ = try archive(fixture, perCall: 3, Self.traffic.messages)
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        #expect(try upkeep.checkpoint(tables)["reports"] != nil)
        #expect(try upkeep.cleanLogs(tables) == 0, "one checkpoint is not enough")
        // Two checkpoints, all of them old: the log's beginning goes, as far as snapshots reach.
        let last = try #require(Self.traffic.messages.last?.position)
        let resent = Self.traffic.messages.prefix(30).map { message in
            var resent = message
            resent.position += last
            return resent
        }
        _ = try archive(fixture, perCall: 3, Array(resent))
        #expect(try upkeep.checkpoint(tables)["reports"] != nil)
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 10 * 3_600_000_000)
        #expect(try upkeep.cleanLogs(tables) > 0)
        #expect(try fixture.table(.reports).actions(ofVersion: 1) == nil)
        checkArchived(try follower(fixture))
        // One that was behind the cleaning starts again.
        #expect(try early.look())
        checkArchived(early)

        for object in try fixture.lake.list("_columba/dedup") { try fixture.lake.remove(object.key) }
        let rebuilt = try follower(fixture)
        for source in ClusterTraffic.sources {
            // What intake rejected has no row; it is in the vault, some of it in several files.
            let (relayID, epoch) = (source.relayID, source.epoch)
            #expect(rebuilt.archivedRanges(relayID: relayID, epoch: epoch) == Self.traffic.numbers(source))
            let counts = [rebuilt, early].map { $0.relayState(relayID: relayID, epoch: epoch)?.rejectedCount }
            #expect(counts[0] == counts[1])
        }
        let commit = try archive(
            fixture, perCall: 1_000,
            resent.map { message in
                var again = message
                again.position += 2 * last
                return again
            })
        #expect(commit.committedPosition > 2 * last)
        #expect(try ClusterThreadsTests.rows(fixture) == Self.traffic.expectedRows())
    }

    @Test("the log's notes stay until two snapshots of every partition hold what they said")
    func notesStay() throws {
        let cluster = ClusterDisk(seed: 32)
        _ = try cluster.archiver("a", owning: [0], of: 2)
        #expect(try DeduplicatorSnapshot.replacedNotes(in: cluster.lake) == nil)
        for partition in [0, 1] {
            let archiver = try cluster.archiver("a\(partition)", owning: [partition], of: 2)
            for message in Self.traffic.messages(of: partition).prefix(9 + 3 * partition) {
                _ = try archiver.archive([message])
            }
            guard partition == 0 else { break }
            #expect(try DeduplicatorSnapshot.replacedNotes(in: cluster.lake) == nil, "partition 1 has none")
        }
        let limit = try #require(try DeduplicatorSnapshot.replacedNotes(in: cluster.lake))
        let versions = try (0..<2).map { partition in
            try cluster.lake.list("_columba/dedup/p0\(partition)").compactMap {
                Int64($0.key.split(separator: "/").last?.dropLast(".snapshot".count) ?? "")
            }
        }
        #expect(versions.allSatisfy { $0.count == 2 } && limit == versions.map { $0[0] }.min())
    }
}
