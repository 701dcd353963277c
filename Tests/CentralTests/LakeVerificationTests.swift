// What verify finds and what it does not call a fault; what vacuum removes and what it leaves.

import Central
import DuckDB
import Models
import ObjectStore
import SyncProtocol
import System
import Testing

@Suite struct LakeVerificationTests {
    private static func fill(_ fixture: ArchiveFixture, calls: Int64 = 2) throws {
        let archiver = try fixture.archiver()
        for call in 1...calls {
            var maker = BatchMaker()
            for index in 1...10 as ClosedRange<Int64> {
                let n = (call - 1) * 11 + index
                maker.add(n, BatchMaker.report(drone: "pw-\(index % 3)", seq: n, name: "P \(n)"))
            }
            maker.add(call * 11, BatchMaker.report(drone: "pw-1", seq: 1, name: "P 1"))
            _ = try archiver.archive([maker.batch(at: call)])
        }
    }

    private func verify(_ fixture: ArchiveFixture) throws -> LakeVerificationResult {
        let upkeep = fixture.upkeep()
        return try upkeep.verify(try upkeep.openTables())
    }

    private func findings(_ fixture: ArchiveFixture) throws -> [String] {
        try verify(fixture).findings.map { "\($0.kind.rawValue) \($0.table)/\($0.path)" }
    }

    private func files(_ fixture: ArchiveFixture, _ schema: TableSchema = .reports) throws -> [DeltaFile] {
        try fixture.table(schema).snapshot.files.values.sorted { $0.path < $1.path }
    }

    @Test("a lake as it was written has no finding, before and after compaction, checkpoint and clean-up")
    func whole() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture)
        var result = try verify(fixture)
        #expect(result.findings.isEmpty, "\(result.findings)")
        #expect(result.tables.map(\.table) == ["reports", "duplicates", "alerts", "identities"])
        #expect(result.tables.map(\.rows) == [20, 2, 0, 20])
        #expect(result.tables.allSatisfy { $0.withoutDigest == 0 && $0.removed == 0 && $0.pending == 0 })
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        _ = try upkeep.compact(.everything, tables)
        for table in tables.all {
            let retention = DeltaLogRetention(logSeconds: 0, tombstoneSeconds: 3600)
            _ = try table.writeCheckpoint(
                every: 1, now: Timestamp(microseconds: ArchiveFixture.start), retention: retention)
        }
        result = try verify(fixture)
        #expect(result.findings.isEmpty, "\(result.findings)")
        #expect(result.tables.map(\.files) == [1, 1, 0, 1] && result.tables[0].removed == 2)
    }

    @Test("a missing, a shortened and a changed file are each found and named")
    func damagedFiles() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture, calls: 4)
        let reports = try files(fixture)
        func path(_ index: Int) -> String { "\(fixture.directory)/lake/reports/\(reports[index].path)" }
        try FileSystem.remove(path(0))
        try FileSystem.writeAtomically(path(1), Array(try FileSystem.read(path(1)).dropLast(10)))
        // One bit in the data, which Parquet itself does not notice everywhere.
        var bytes = try FileSystem.read(path(2))
        bytes[100] ^= 1
        try FileSystem.writeAtomically(path(2), bytes)
        #expect(
            try findings(fixture) == [
                "missing reports/\(reports[0].path)", "altered reports/\(reports[1].path)",
                "altered reports/\(reports[2].path)",
            ])
    }

    @Test("a file that no version names is found once it is old enough, and files of other kinds never")
    func leftOver() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture)
        let file = try #require(try files(fixture).first)
        let bytes = try #require(try fixture.lake.get("reports/\(file.path)"))
        try fixture.lake.put("reports/date=2026-11-20/part-left.parquet", bytes)
        try fixture.lake.put("reports/notes.txt", [1])
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds())
        var result = try verify(fixture)
        #expect(result.findings.isEmpty && result.tables[0].pending == 1)
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        result = try verify(fixture)
        #expect(result.findings.map(\.kind) == [.extra])
        #expect(result.findings.map(\.path) == ["date=2026-11-20/part-left.parquet"])
    }

    @Test("row counts and ranges that the log has wrong, and a report that is there twice, are found")
    func wrongLog() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture, calls: 1)
        let file = try #require(try files(fixture).first)
        let table = try fixture.table(.reports)
        func add(_ name: String, _ old: String, _ new: String) throws {
            let path = "date=2026-11-20/\(name).parquet"
            try fixture.lake.put("reports/\(path)", try #require(try fixture.lake.get("reports/\(file.path)")))
            let stats = try #require(file.stats)
            #expect(stats.contains(old), "\(stats)")
            let add = DeltaAdd(
                path: path, partitionValues: ["date": "2026-11-20"], size: file.bytes, modificationTime: 0,
                dataChange: true, stats: stats.replacing(old, with: new))
            _ = try table.commit([.add(add)], expecting: [:])
        }
        try add("rows", #""numRecords":10"#, #""numRecords":11"#)
        try add("number", #""seq":1}"#, #""seq":2}"#)
        try add("text", #""drone_id":"pw-0""#, #""drone_id":"pw-1""#)
        try add("time", #""observed_at":"2026-11-20T05:00:00.124Z""#, #""observed_at":"2026-11-20T05:00:00.123Z""#)
        let result = try verify(fixture)
        #expect(result.findings.map(\.kind) == [.altered, .altered, .altered, .altered, .repeated])
        #expect(result.findings.prefix(4).map(\.path).allSatisfy { !$0.contains("part-") })
        #expect(result.findings[4].detail.hasPrefix("10 identities"))
        #expect(result.tables[0].withoutDigest == 4)
        // In passes as in one.
        let passes = try LakeVerification(
            duckDB: fixture.runner, now: Timestamp(microseconds: 0), graceSeconds: 1e9, identitiesPerPass: 7
        ).run([table])
        #expect(passes.findings == result.findings)
    }

    @Test("a checkpoint that cannot be read or leads elsewhere is a finding")
    func wrongCheckpoint() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture, calls: 3)
        let table = try fixture.table(.reports)
        let retention = DeltaLogRetention(logSeconds: 3600, tombstoneSeconds: 3600)
        let now = Timestamp(microseconds: ArchiveFixture.start)
        let version = try #require(try table.writeCheckpoint(every: 1, now: now, retention: retention))
        let key = DeltaLogFile.checkpointKey(table: "reports", version: version)
        let bytes = try #require(try fixture.lake.get(key))
        try fixture.lake.put(key, Array(bytes.dropLast(9)))
        #expect(try findings(fixture) == ["log reports/_delta_log"])
        // Version 3's state under version 1's name: its files would be added once more by versions 2 and 3.
        try fixture.lake.remove(key)
        try fixture.lake.remove(DeltaLogFile.lastCheckpointKey(table: "reports"))
        try fixture.lake.put(DeltaLogFile.checkpointKey(table: "duplicates", version: 1), bytes)
        #expect(try findings(fixture) == ["log duplicates/_delta_log"])
    }

    @Test("vacuum removes what was replaced and what a crash left after the grace, and nothing else, dry runs nothing")
    func vacuum() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture, calls: 3)
        let before = try fixture.contents()
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds())
        _ = try upkeep.compact(.everything, tables)
        try fixture.lake.put("reports/date=2026-11-20/part-left.parquet", [1])
        func removable(dryRun: Bool = false) throws -> [Int] {
            try upkeep.vacuum(tables, dryRun: dryRun).map { $0.left.removable.count }
        }
        func stored() throws -> Int {
            try fixture.lake.list("reports").filter { $0.key.hasSuffix(".parquet") && !$0.key.contains("_delta") }.count
        }
        #expect(try removable() == [0, 0, 0, 0])
        let all = try stored()
        fixture.time.advance(seconds: 3700)
        #expect(try removable(dryRun: true) == [4, 3, 0, 3])
        #expect(try stored() == all)
        #expect(try removable() == [4, 3, 0, 3])
        #expect(try stored() == all - 4)
        #expect(try fixture.contents() == before)
        #expect(try findings(fixture).isEmpty)
    }

    @Test("a query that began before a compaction ends on the files it began with")
    func queryDuringCompaction() throws {
        let fixture = try ArchiveFixture()
        try Self.fill(fixture, calls: 3)
        let old = try fixture.table(.reports)
        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        _ = try upkeep.compact(.everything, tables)
        // Committed a moment ago: the grace has only begun.
        _ = try upkeep.vacuum(tables)
        let paths = old.snapshot.files.keys.sorted().map { "\(fixture.directory)/lake/reports/\($0)" }
        let answer = try fixture.runner.run("select count(*) as c from read_parquet(\(SQLText.list(paths)));")
        #expect(String(decoding: answer, as: UTF8.self) == "{\"c\":30}\n")
        let configuration = QueryConfiguration(
            duckDB: fixture.duckDB, scratchDirectory: "\(fixture.directory)/queries")
        let service = try QueryService(configuration: configuration, lake: fixture.lake, time: SystemTime())
        #expect(try service.run(sql: "select * from reports", format: .json).rowCount == 30)
    }
}
