// Which files are asked for the digest of a copy: few, however many there are; and none too few.

import Central
import Crypto
import DuckDB
import Models
import SyncProtocol
import Synchronization
import System
import Testing

/// Notes how many files each question was about.
private final class CountingEngine: ArchiveEngine {
    private let inner: DuckDBEngine
    let asked = Mutex<[Int]>([])

    init(_ inner: DuckDBEngine) { self.inner = inner }

    var checkpoints: (any DeltaCheckpointFormat)? { inner.checkpoints }
    func reset() throws { try inner.reset() }
    func beginCall() throws { try inner.beginCall() }
    func endCall() throws { try inner.endCall() }
    func makeSink(_ name: String) throws -> any RowSink { try inner.makeSink(name) }
    func convert(_ buffers: [RowBuffer], archivedAt: Timestamp) throws -> [ConvertedFile] {
        try inner.convert(buffers, archivedAt: archivedAt)
    }
    func badRows(_ buffer: RowBuffer, archivedAt: Timestamp) throws -> Set<Int> {
        try inner.badRows(buffer, archivedAt: archivedAt)
    }
    func identityRanges(in files: [String]) throws -> [IdentityRange] { try inner.identityRanges(in: files) }
    func persons(in files: [String]) throws -> Set<PersonID> { try inner.persons(in: files) }
    func digests(of identities: Set<ReportIdentity>, in files: [String]) throws -> [ReportIdentity: SHA256Digest] {
        asked.withLock { $0.append(files.count) }
        return try inner.digests(of: identities, in: files)
    }
    func digests(of records: Set<RecordNumber>, in files: [String]) throws -> [RecordNumber: [SHA256Digest]] {
        asked.withLock { $0.append(files.count) }
        return try inner.digests(of: records, in: files)
    }
}

@Suite struct DigestLookupTests {
    private func archiver(_ fixture: ArchiveFixture, _ engine: CountingEngine) throws -> Archiver {
        var configuration = ArchiverConfiguration(
            lake: fixture.lake, vault: fixture.vault, engine: engine,
            hmacKey: Array("a key for tests, 32 bytes long..".utf8))
        configuration.partitions = 2
        configuration.bytesPerPartition = 100
        return try Archiver(configuration, time: fixture.time)
    }

    /// One hour of eight drones: the same numbers every hour, as of drones that start anew.
    private static func hour(_ hour: Int64, relay: String = ArchiveFixture.relay, change: String = "") -> StreamedBatch
    {
        var maker = BatchMaker(relay: relay)
        for index in 0..<8 as Range<Int64> {
            maker.add(
                hour * 8 + index + 1,
                BatchMaker.report(
                    drone: "pw-\(index)", boot: "b\(hour)", seq: 1, name: "P \(index)\(change)",
                    observedAt: "2026-11-20T0\(hour):1\(index):00Z"),
                receivedAt: ArchiveFixture.start + hour * 3_600_000_000 + index)
        }
        return maker.batch(at: relay == ArchiveFixture.relay ? hour + 1 : hour + 100)
    }

    @Test(
        "a copy's digest is asked of the files of its own time and partition, another report's of all that may have it")
    func fewFiles() throws {
        let fixture = try ArchiveFixture()
        let engine = CountingEngine(
            DuckDBEngine(executable: fixture.duckDB, scratchDirectory: "\(fixture.directory)/scratch"))
        do {
            let archiver = try archiver(fixture, engine)
            for hour in 0..<5 as Range<Int64> { _ = try archiver.archive([Self.hour(hour)]) }
        }
        #expect(engine.asked.withLock { $0 }.isEmpty)
        #expect(try fixture.table(.reports).snapshot.files.count == 10)
        // A new archiver remembers no digests.
        var cold = try archiver(fixture, engine)
        let copies = try cold.archive([Self.hour(3, relay: "south-1")])
        #expect(copies.duplicates == 8)
        #expect(engine.asked.withLock { $0 } == [2])
        // The relay sends an hour again, whose numbers are settled.
        engine.asked.withLock { $0 = [] }
        cold = try archiver(fixture, engine)
        var again = Self.hour(2)
        again.position = 200
        #expect(try cold.archive([again]).relays.allSatisfy { $0.duplicates + $0.conflicts + $0.reports == 0 })
        #expect(engine.asked.withLock { $0 } == [2])
        // Other bytes at the same time, and the same identity at another time.
        engine.asked.withLock { $0 = [] }
        cold = try archiver(fixture, engine)
        var changed = BatchMaker(relay: "east-9")
        changed.add(1, BatchMaker.report(drone: "pw-1", boot: "b1", seq: 1, observedAt: "2026-11-20T04:00:00Z"))
        #expect(try cold.archive([changed.batch(at: 201)]).conflicts == 1)
        // First the file of that time, if any, then the others of the drone's partition.
        #expect(engine.asked.withLock { $0.reduce(0, +) } == 5)
    }

    @Test("a clone that repeats a relay's numbers with other bytes is a conflict, wherever the first rows are")
    func clone() throws {
        let fixture = try ArchiveFixture()
        let engine = CountingEngine(
            DuckDBEngine(executable: fixture.duckDB, scratchDirectory: "\(fixture.directory)/scratch"))
        do {
            let archiver = try archiver(fixture, engine)
            for hour in 0..<3 as Range<Int64> { _ = try archiver.archive([Self.hour(hour)]) }
        }
        let cold = try archiver(fixture, engine)
        var clone = Self.hour(1, change: " of the clone")
        clone.position = 50
        let commit = try cold.archive([clone])
        #expect(commit.conflicts == 8 && commit.reports == 0)
        var late = BatchMaker()
        late.add(
            9, BatchMaker.report(drone: "pw-0", boot: "b1", seq: 1), receivedAt: ArchiveFixture.start + 90_000_000_000)
        #expect(try cold.archive([late.batch(at: 51)]).conflicts == 1)
    }

    @Test("the same bytes of a drone without a clock are a duplicate, although each relay gives them another time")
    func withoutClock() throws {
        let fixture = try ArchiveFixture()
        let engine = CountingEngine(
            DuckDBEngine(executable: fixture.duckDB, scratchDirectory: "\(fixture.directory)/scratch"))
        let body = #"{"drone_id":"pw-1","boot":"b","seq":1,"location":{"lat":1,"lon":2}}"#
        do {
            var first = BatchMaker()
            first.add(1, body)
            _ = try archiver(fixture, engine).archive([first.batch(at: 1), Self.hour(1), Self.hour(2)])
        }
        var copy = BatchMaker(relay: "south-1")
        copy.add(1, body, receivedAt: ArchiveFixture.start + 2 * 3_600_000_000)
        let commit = try archiver(fixture, engine).archive([copy.batch(at: 9)])
        #expect(commit.duplicates == 1 && commit.conflicts == 0)
    }
}
