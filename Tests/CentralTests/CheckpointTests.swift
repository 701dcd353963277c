// Checkpoints of the Delta log: opening a table reads the newest one instead of every version, and old versions go.

import Central
import Crypto
import Models
import ObjectStore
import SyncProtocol
import System
import Testing

/// Counts how often objects are read, so that a start's cost is a number and not a time.
private final class CountingStore: ObjectStore {
    let inner: LocalObjectStore
    let reads = Monitor(0)

    init(_ inner: LocalObjectStore) { self.inner = inner }

    func put(_ key: String, _ bytes: [UInt8]) throws { try inner.put(key, bytes) }
    func putFile(_ key: String, fromPath path: String) throws { try inner.putFile(key, fromPath: path) }
    func putIfAbsent(_ key: String, _ bytes: [UInt8]) throws -> Bool { try inner.putIfAbsent(key, bytes) }
    func get(_ key: String) throws -> [UInt8]? {
        reads.update { $0 += 1 }
        return try inner.get(key)
    }
    func list(_ prefix: String) throws -> [ObjectInfo] { try inner.list(prefix) }
    func remove(_ key: String) throws { try inner.remove(key) }
    func localPath(_ key: String) -> String? { inner.localPath(key) }
}

@Suite struct CheckpointTests {
    private static let retention = DeltaLogRetention(logSeconds: 3600, tombstoneSeconds: 7200)
    private let now = Timestamp(microseconds: ArchiveFixture.start)

    /// Versions of other writers' making: `count` files of three rows, with names that need encoding.
    private func commit(_ table: DeltaTable, _ range: ClosedRange<Int64>) throws {
        for version in range {
            let stats = #"{"numRecords":3,"minValues":{"drone_id":"a","seq":\#(version)},"maxValues":{"drone_id":"b"}}"#
            let add = DeltaAdd(
                path: "date=2026-11-20/f%20\(version).parquet", partitionValues: ["date": "2026-11-20"], size: 10,
                modificationTime: 5, dataChange: true, stats: stats, tags: ["other": "x"])
            let txn = DeltaAction.txn("archiver-p00", version, lastUpdated: 0)
            _ = try table.commit(
                [txn, .add(add)],
                expecting: ["archiver-p00": table.snapshot.transactions["archiver-p00"]])
        }
    }

    private func table(_ fixture: ArchiveFixture, in store: any ObjectStore) throws -> DeltaTable {
        try DeltaTable(
            .reports, in: store, createdAt: now,
            checkpoints: DuckDBCheckpoints(duckDB: fixture.runner, directory: "\(fixture.directory)/tmp"))
    }

    private func same(_ left: DeltaSnapshot, _ right: DeltaSnapshot) -> Bool {
        left.version == right.version && left.files == right.files && left.removed == right.removed
            && left.transactions == right.transactions && left.rows == right.rows && left.bytes == right.bytes
            && left.metadata == right.metadata && left.protocolVersions == right.protocolVersions
    }

    @Test("opening a table reads the newest checkpoint and what came after it, and finds the same table")
    func openFromCheckpoint() throws {
        let fixture = try ArchiveFixture()
        let writer = try table(fixture, in: fixture.lake)
        try commit(writer, 1...120)
        let remove = DeltaRemove(
            path: "date=2026-11-20/f%207.parquet", deletionTimestamp: now.microseconds / 1000, dataChange: true)
        _ = try writer.commit([.remove(remove)], expecting: [:])
        let whole = try table(fixture, in: fixture.lake).snapshot
        #expect(try writer.writeCheckpoint(every: 100, now: now, retention: Self.retention) == 121)
        #expect(try writer.writeCheckpoint(every: 100, now: now, retention: Self.retention) == nil)
        try commit(writer, 122...125)
        let store = CountingStore(fixture.lake)
        let opened = try table(fixture, in: store)
        #expect(store.reads.withLock { $0 } <= 8, "\(store.reads.withLock { $0 }) objects were read")
        #expect(same(opened.snapshot, writer.snapshot))
        #expect(opened.snapshot.version == 125 && opened.snapshot.files.count == 123 && whole.files.count == 119)
        #expect(opened.snapshot.removed == ["date=2026-11-20/f 7.parquet": now.microseconds / 1000])
        let file = try #require(opened.snapshot.files["date=2026-11-20/f 3.parquet"])
        #expect(file.position == 3 && file.rows == 3)
    }

    @Test("log clean-up keeps what the two newest checkpoints need, and everything younger than the retention")
    func cleanUp() throws {
        let fixture = try ArchiveFixture()
        let writer = try table(fixture, in: fixture.lake)
        func versions() throws -> [String] {
            try fixture.lake.list("reports/_delta_log").map { String($0.key.dropFirst("reports/_delta_log/".count)) }
        }
        // Files are as old as the test: the clock of the clean-up is ahead.
        let later = Timestamp(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        let soon = Timestamp(microseconds: SystemTime().wallMicroseconds())
        try commit(writer, 1...10)
        _ = try writer.writeCheckpoint(every: 1, now: now, retention: Self.retention)
        #expect(try writer.cleanLog(now: later, retention: Self.retention) == 0)
        try commit(writer, 11...20)
        _ = try writer.writeCheckpoint(every: 1, now: now, retention: Self.retention)
        try commit(writer, 21...30)
        #expect(try writer.cleanLog(now: soon, retention: Self.retention) == 0)
        #expect(try writer.cleanLog(now: later, retention: Self.retention, through: 3) == 4)
        #expect(try writer.cleanLog(now: later, retention: Self.retention) == 6)
        let left = try versions()
        #expect(left.contains("00000000000000000010.checkpoint.parquet"))
        #expect(left.contains("00000000000000000010.json") && !left.contains("00000000000000000009.json"))
        #expect(same(try table(fixture, in: fixture.lake).snapshot, writer.snapshot))
    }

    @Test("a damaged newest checkpoint costs time only, without _last_checkpoint too")
    func damagedCheckpoint() throws {
        let fixture = try ArchiveFixture()
        let writer = try table(fixture, in: fixture.lake)
        let later = Timestamp(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        for last in [10, 20, 30] as [Int64] {
            try commit(writer, (last - 9)...last)
            _ = try writer.writeCheckpoint(every: 1, now: now, retention: Self.retention)
            _ = try writer.cleanLog(now: later, retention: Self.retention)
        }
        try fixture.lake.put(DeltaLogFile.checkpointKey(table: "reports", version: 30), Array("PAR1".utf8))
        #expect(same(try table(fixture, in: fixture.lake).snapshot, writer.snapshot))
        try fixture.lake.remove(DeltaLogFile.lastCheckpointKey(table: "reports"))
        #expect(same(try table(fixture, in: fixture.lake).snapshot, writer.snapshot))
        try fixture.lake.put(DeltaLogFile.checkpointKey(table: "reports", version: 20), Array("PAR1".utf8))
        #expect(throws: ArchiveError.self) { try table(fixture, in: fixture.lake) }
    }

    @Test("a table object that has slept past a log clean-up catches up instead of writing a version that was")
    func sleeper() throws {
        let fixture = try ArchiveFixture()
        let writer = try table(fixture, in: fixture.lake)
        try commit(writer, 1...3)
        let sleeper = try table(fixture, in: fixture.lake)
        let reader = try table(fixture, in: fixture.lake)
        let later = Timestamp(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        for last in [10, 20] as [Int64] {
            try commit(writer, max(4, last - 9)...last)
            _ = try writer.writeCheckpoint(every: 1, now: now, retention: Self.retention)
        }
        #expect(try writer.cleanLog(now: later, retention: Self.retention) == 10)
        #expect(same(try reader.refresh(), writer.snapshot))
        let other = DeltaAction.txn("optimizer", 1, lastUpdated: 0)
        #expect(try sleeper.commit([other], expecting: ["optimizer": nil]) == 21)
        #expect(throws: ArchiveError.self) {
            try sleeper.commit([DeltaAction.txn("archiver-p00", 4, lastUpdated: 0)], expecting: ["archiver-p00": 3])
        }
        #expect(try writer.refresh().files.count == 20)
    }

    /// Three drones, two relays, copies, alerts and rejected lines in six calls.
    private static func batches() -> [StreamedBatch] {
        (1...6 as ClosedRange<Int64>).map { call in
            var maker = BatchMaker(
                relay: call % 2 == 0 ? "south-1" : ArchiveFixture.relay,
                epoch: call % 2 == 0 ? ArchiveFixture.otherEpoch : ArchiveFixture.epoch)
            let first = (call - 1) / 2 * 12
            for index in 1...10 as ClosedRange<Int64> {
                // Every second relay repeats a third of what the other has sent.
                let seq = first + index + (call % 2 == 0 && index > 3 ? 1000 : 0)
                maker.add(first + index, BatchMaker.report(drone: "pw-\(index % 3)", seq: seq, name: "P \(seq)"))
            }
            maker.add(first + 11, #"{"no":"report"}"#)
            let at = Timestamp(microseconds: ArchiveFixture.start)
            let change = AlertStateChange(
                alertID: String(repeating: "a\(call)", count: 16), state: .shelved, by: "op", at: at,
                relayID: ArchiveFixture.relay)
            maker.add(first + 12, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState)
            return maker.batch(at: call)
        }
    }

    private func states(_ archiver: Archiver) -> [String] {
        archiver.statistics.relays.map {
            "\($0.relayID) \($0.archived.ranges) \($0.reports) \($0.duplicates) \($0.conflicts) \($0.alerts) "
                + "\($0.rejectedCount) \($0.rejected.map(\.n)) \($0.completeThrough?.microseconds ?? 0)"
        }
    }

    @Test(
        "an archiver starts from a checkpoint, a compacted lake and a cleaned log as from the whole history",
        arguments: [true, false])
    func archiverStart(snapshotsAreReadable: Bool) throws {
        let fixture = try ArchiveFixture()
        let batches = Self.batches()
        let expected = try {
            let other = try ArchiveFixture()
            let archiver = try other.archiver()
            for batch in batches { _ = try archiver.archive([batch]) }
            return (states(archiver), try other.count(.duplicates))
        }()
        do {
            let archiver = try fixture.archiver(commitsPerSnapshot: 1)
            let upkeep = fixture.upkeep(filesPerStep: 2)
            for batch in batches.prefix(5) {
                _ = try archiver.archive([batch])
                let tables = try upkeep.openTables()
                switch batch.position {
                case 3: _ = try upkeep.compact(.everything, tables)
                case 2, 4: _ = try tables.reports.writeCheckpoint(every: 1, now: now, retention: Self.retention)
                default: _ = try tables.alerts.writeCheckpoint(every: 1, now: now, retention: Self.retention)
                }
            }
            fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
            let tables = try upkeep.openTables()
            #expect(try upkeep.cleanLogs(tables) > 1)
            _ = try upkeep.vacuum(tables)
            #expect(try fixture.lake.get(DeltaLogFile.key(table: "reports", version: 1)) == nil)
            fixture.time.setWall(microseconds: ArchiveFixture.start)
        }
        if !snapshotsAreReadable {
            for object in try fixture.lake.list("_columba/dedup") { try fixture.lake.put(object.key, [1, 2, 3]) }
        }
        let archiver = try fixture.archiver()
        #expect(archiver.committedPosition == 5)
        _ = try archiver.archive([batches[5]])
        #expect(states(archiver) == expected.0)
        #expect(try fixture.count(.duplicates) == expected.1)
        // What was archived before is still known: a resend is no row, another copy is a duplicate.
        let resent = StreamedBatch(
            position: 7, relayID: batches[0].relayID, epoch: batches[0].epoch,
            centralReceivedAt: batches[0].centralReceivedAt, ndjson: batches[0].ndjson)
        #expect(try archiver.archive([resent]).relays.allSatisfy { $0.reports + $0.duplicates + $0.conflicts == 0 })
        let copied = StreamedBatch(
            position: 8, relayID: "east-9", epoch: batches[0].epoch, centralReceivedAt: batches[0].centralReceivedAt,
            ndjson: batches[0].ndjson)
        let copies = try archiver.archive([copied])
        #expect(copies.reports == 0 && copies.duplicates == 10)
    }
}
