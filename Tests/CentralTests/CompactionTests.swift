// Compaction with a real DuckDB: the rows stay, whatever happens in between (F19, I10).

import Central
import DuckDB
import Models
import ObjectStore
import SyncProtocol
import Synchronization
import System
import Testing

private struct Crash: Error {}

@Suite struct CompactionTests {
    /// Three calls over two days: reports, copies, alerts, names.
    private static func fill(_ fixture: ArchiveFixture, partitions: Int = 1) throws -> Archiver {
        let archiver = try fixture.archiver(partitions: partitions, bytesPerPartition: 100)
        for call in 0..<3 as Range<Int64> { _ = try archiver.archive([batch(call)]) }
        return archiver
    }

    private static func batch(_ call: Int64) -> StreamedBatch {
        var maker = BatchMaker()
        for index in 1...20 as ClosedRange<Int64> {
            let n = call * 22 + index
            maker.add(
                n,
                BatchMaker.report(
                    drone: "pw-\(n % 7)", seq: n, name: "Person \(n)",
                    observedAt: "2026-11-\(19 + n % 2)T12:00:0\(n % 10).5Z"))
        }
        maker.add(call * 22 + 21, BatchMaker.report(drone: "pw-0", seq: 7, name: "Copy \(call)"))
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let alert = Alert(
            alertID: String(repeating: "c\(call)", count: 16), rule: "r", ruleVersion: 1, severity: .info,
            droneID: "pw-1", citizen: "Alert \(call)", observedAt: at, receivedAt: at, raisedAt: at,
            relayID: ArchiveFixture.relay)
        maker.add(call * 22 + 22, String(decoding: AlertText.json(alert), as: UTF8.self), kind: .alert)
        return maker.batch(at: call + 1)
    }

    @Test("compaction gives no dictionary to what never repeats: digests would be stored twice as large")
    func dictionaries() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        for call in 0..<2 as Range<Int64> {
            var maker = BatchMaker()
            for n in call * 6_000 + 1...call * 6_000 + 6_000 { maker.add(n, BatchMaker.report(seq: n)) }
            _ = try archiver.archive([maker.batch(at: call + 1)])
        }
        let upkeep = fixture.upkeep()
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        let paths = try fixture.table(.reports).snapshot.files.keys.compactMap {
            fixture.lake.localPath("reports/\($0)")
        }
        #expect(paths.count == 1)
        let encodings = try fixture.runner.run(
            "select distinct encodings as e from parquet_metadata(['\(paths.joined(separator: "','"))']) "
                + "where path_in_schema = 'digest';")
        #expect(String(decoding: encodings, as: UTF8.self) == "{\"e\":\"PLAIN\"}\n")
    }

    private func files(_ fixture: ArchiveFixture) throws -> [Int] {
        try [TableSchema.reports, .duplicates, .alerts, .identities].map {
            try fixture.table($0).snapshot.files.count
        }
    }

    @Test("compaction leaves every row as it was in fewer files, sorted by place, drone and time")
    func compaction() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        let before = try fixture.contents()
        #expect(try files(fixture) == [6, 3, 3, 3])
        let upkeep = fixture.upkeep()
        let report = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(report.failed.isEmpty && !report.wasCancelled)
        #expect(try files(fixture) == [2, 1, 1, 1])
        #expect(try fixture.contents() == before)
        let unsorted = try fixture.rows(
            .reports,
            """
            select count(*) as c from (select file_row_number as r, cell, drone_id, observed_at,
              lag((cell, drone_id, observed_at)) over (partition by date order by file_row_number) as l
              from read_parquet([\(localPaths(fixture))], hive_partitioning=true, file_row_number=true))
            where l > (cell, drone_id, observed_at)
            """)
        #expect(unsorted == [#"{"c":0}"#])
        // Nothing is left to do, and doing it again changes nothing.
        #expect(try upkeep.compact(.everything, try upkeep.openTables()).done.isEmpty)
    }

    private func localPaths(_ fixture: ArchiveFixture) throws -> String {
        try fixture.table(.reports).snapshot.files.keys.sorted()
            .map { "'\(fixture.directory)/lake/reports/\($0)'" }.joined(separator: ", ")
    }

    @Test("a compacted file's statistics cover its rows, and its tags say where they came from")
    func statistics() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        func ranges() throws -> [String] {
            try fixture.table(.reports).snapshot.files.values.filter { $0.day == "2026-11-20" }.compactMap(\.stats)
        }
        let before = try ranges()
        #expect(before.count == 3)
        let upkeep = fixture.upkeep()
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        let after = try #require(try ranges().first)
        #expect(after.contains(#""numRecords":30"#), "\(after)")
        #expect(after.contains(#""drone_id":"pw-0""#) && after.contains(#""drone_id":"pw-6""#))
        #expect(after.contains(#""seq":1,"#) || after.contains(#""seq":1}"#), "\(after)")
        #expect(after.contains(#""observed_at":"2026-11-20T12:00:09.500Z""#), "\(after)")
        let file = try #require(try fixture.table(.reports).snapshot.files.values.first)
        #expect(file.tags.firstPosition == 1 && file.tags.lastPosition == 3)
        #expect(file.tags.sha256?.utf8.count == 64)
    }

    @Test(
        "killed before any step, the table is the old one or the new one, and the next compaction ends the work",
        arguments: CompactionStep.allCases)
    func killed(step: CompactionStep) throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        let before = try fixture.contents()
        let upkeep = fixture.upkeep()
        #expect(throws: Crash.self) {
            try upkeep.compact(.everything, try upkeep.openTables(), failurePoint: { if $0 == step { throw Crash() } })
        }
        #expect(try fixture.contents() == before)
        let after = try files(fixture)
        #expect(after == (step == .cleanUp ? [4, 3, 3, 3] : [6, 3, 3, 3]))
        let report = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(report.failed.isEmpty)
        #expect(try files(fixture) == [2, 1, 1, 1])
        #expect(try fixture.contents() == before)
    }

    @Test("beside a running archiver neither loses anything: it goes on, knows its copies, and starts again")
    func besideArchiver() throws {
        let fixture = try ArchiveFixture()
        let archiver = try Self.fill(fixture, partitions: 3)
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        // The archiver commits between the compactor's reading and its commit, and knows nothing of it.
        let hasCommitted = Mutex(false)
        let report = try upkeep.compact(
            .everything, tables,
            failurePoint: { step in
                guard step == .commit,
                    !hasCommitted.withLock({ flag in
                        defer { flag = true }
                        return flag
                    })
                else { return }
                _ = try archiver.archive([Self.batch(3)])
            })
        #expect(report.failed.isEmpty)
        #expect(try fixture.count(.reports) == 80)
        // What it replaced is gone for good: an archiver that had kept the old file list would fail here.
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        let removed = try upkeep.vacuum(tables).flatMap { $0.left.removable }
        #expect(removed.count > 15, "\(removed.count) files were removed")
        fixture.time.setWall(microseconds: ArchiveFixture.start)
        var copies = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
        for n in 1...20 as ClosedRange<Int64> {
            let other = n == 9 ? "Somebody Else" : "Person \(n)"
            copies.add(
                n,
                BatchMaker.report(
                    drone: "pw-\(n % 7)", seq: n, name: other, observedAt: "2026-11-\(19 + n % 2)T12:00:0\(n % 10).5Z"))
        }
        let restarted = try fixture.archiver(partitions: 3)
        let commit = try restarted.archive([copies.batch(at: 5)])
        #expect(commit.reports == 0 && commit.duplicates == 19 && commit.conflicts == 1)
        #expect(throws: ArchiveError.self) { try archiver.archive([copies.batch(at: 5)]) }
        #expect(try fixture.count(.reports) == 80)
    }

    @Test("an archiver that has been running all along finds its copies in compacted files")
    func lookupAfterCompaction() throws {
        let fixture = try ArchiveFixture()
        do { _ = try Self.fill(fixture) }
        // A new archiver has no digests in memory.
        let archiver = try fixture.archiver()
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        _ = try upkeep.compact(.everything, tables)
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        _ = try upkeep.vacuum(tables)
        let again = try archiver.archive([
            StreamedBatch(
                position: 4, relayID: "south-1", epoch: ArchiveFixture.otherEpoch,
                centralReceivedAt: Timestamp(microseconds: 0), ndjson: Self.batch(0).ndjson)
        ])
        #expect(again.reports == 0 && again.duplicates == 20 && again.conflicts == 1)
    }

    @Test("of two compactors the second finds its files gone and changes nothing")
    func twoCompactors() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        let before = try fixture.contents()
        let upkeep = fixture.upkeep()
        let late = try upkeep.openTables()
        let job = try #require(try upkeep.plan(.everything, late).first)
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        let compactor = Compactor(duckDB: fixture.runner, directory: "\(fixture.directory)/second")
        #expect(throws: ArchiveError.self) {
            try compactor.run(job, in: late.reports, now: Timestamp(microseconds: ArchiveFixture.start))
        }
        #expect(try fixture.contents() == before)
        #expect(try files(fixture) == [2, 1, 1, 1])
    }

    @Test("a damaged input stops the compaction of its files and of no others")
    func damagedInput() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        let victim = try #require(
            try fixture.table(.reports).snapshot.files.keys.sorted().first { $0.hasPrefix("date=2026-11-19") })
        try FileSystem.writeAtomically("\(fixture.directory)/lake/reports/\(victim)", Array("PAR1 no more".utf8))
        let upkeep = fixture.upkeep()
        let report = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(report.failed.count == 1 && report.failed[0].job.day == "2026-11-19")
        #expect(try files(fixture) == [4, 1, 1, 1])
    }

    @Test("a cancelled compaction leaves the tables as they were")
    func cancelled() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        let before = try fixture.contents()
        let isCancelled = Mutex(false)
        let upkeep = fixture.upkeep { isCancelled.withLock { $0 } }
        let report = try upkeep.compact(
            .everything, try upkeep.openTables(),
            failurePoint: { if $0 == .sort { isCancelled.withLock { $0 = true } } })
        #expect(report.wasCancelled && report.done.isEmpty && report.failed.isEmpty)
        #expect(try files(fixture) == [6, 3, 3, 3])
        #expect(try fixture.contents() == before)
    }

    @Test("a compaction that could fill the disk is not begun, and says how much it wants")
    func noRoom() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture)
        var configuration = fixture.upkeepConfiguration()
        configuration.freeBytes = { _ in 1 << 30 }
        let upkeep = LakeUpkeep(configuration, time: fixture.time)
        let report = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(report.done.isEmpty && report.failed.count == 5)
        #expect(report.failed.allSatisfy { $0.reason.contains("1024 MiB free") }, "\(report.failed.map(\.reason))")
        #expect(try files(fixture) == [6, 3, 3, 3])
    }

    @Test("reports of a large call lie in a file for each partition of drones, and compaction keeps them apart")
    func partitions() throws {
        let fixture = try ArchiveFixture()
        _ = try Self.fill(fixture, partitions: 3)
        func check() throws {
            for file in try fixture.table(.reports).snapshot.files.values {
                let partition = try #require(file.tags.partition)
                let path = "\(fixture.directory)/lake/reports/\(file.path)"
                let drones = try fixture.rows(.reports, "select distinct drone_id as d from read_parquet('\(path)')")
                #expect(!drones.isEmpty)
                for line in drones {
                    let drone = String(line.dropFirst(6).dropLast(2))
                    #expect(partition.mayHold(drone: drone), "\(drone) in \(partition.index) of \(partition.count)")
                }
            }
        }
        try check()
        let before = try fixture.contents()
        let upkeep = fixture.upkeep()
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        try check()
        #expect(try fixture.contents() == before)
        // A small call of the same archive is one file a day.
        let small = try fixture.archiver(partitions: 3)
        _ = try small.archive([Self.batch(3)])
        let newest = try fixture.table(.reports).snapshot.files.values.filter { $0.position == 4 }
        #expect(newest.count == 2 && newest.allSatisfy { $0.tags.partition == nil })
    }
}
