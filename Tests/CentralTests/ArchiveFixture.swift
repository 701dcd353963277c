// A lake and a vault in a fresh directory, batches to archive, and DuckDB to look into the tables.

import Central
import Crypto
import DuckDB
import FoundationEssentials
import Models
import ObjectStore
import SyncProtocol
import System

final class ArchiveFixture {
    let directory: String
    let lake: LocalObjectStore
    let vault: LocalObjectStore
    let duckDB: DuckDBExecutable
    let time = ManualTime()
    static let relay = "north-3"
    static let epoch = String(repeating: "0", count: 31) + "7"
    static let otherEpoch = String(repeating: "0", count: 31) + "8"
    /// 2026-11-20T05:00:00Z
    static let start: Int64 = 1_795_150_800_000_000

    init() throws {
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-archive")
        lake = try LocalObjectStore(directory: "\(directory)/lake")
        vault = try LocalObjectStore(directory: "\(directory)/vault")
        duckDB = try DuckDBExecutable.locate()
    }

    deinit { try? FileSystem.removeTree(directory) }

    var runner: DuckDBRunner {
        DuckDBRunner(.init(executable: duckDB, temporaryDirectory: "\(directory)/tmp"))
    }

    /// As a process of its own would open it.
    func table(_ schema: TableSchema) throws -> DeltaTable {
        try DeltaTable(
            schema, in: schema.name == "identities" ? vault : lake, createdAt: nil,
            checkpoints: DuckDBCheckpoints(duckDB: runner, directory: "\(directory)/tmp"))
    }

    /// What the tables hold, whichever files it lies in: rows and the sum of their hashes.
    func contents() throws -> [String] {
        let sums = try [TableSchema.reports, .duplicates, .alerts, .identities].compactMap { schema -> String? in
            let names = schema.columns.map { SQLText.identifier($0.name) }.joined(separator: ", ")
            guard let source = try source(schema) else { return nil }
            return "select '\(schema.name)' as t, count(*) as n, sum(hash(t)::hugeint)::varchar as h "
                + "from (select \(names) from \(source)) as t;\n"
        }
        return try runner.run(sums.joined()).split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The files of the committed version as a table function; nil if there are none.
    private func source(_ schema: TableSchema) throws -> String? {
        let delta = try table(schema)
        let paths = delta.snapshot.files.keys.sorted().compactMap { delta.store.localPath("\(schema.name)/\($0)") }
        let options = schema.partitionColumns.isEmpty ? "" : ", hive_partitioning=true, hive_types={'date': DATE}"
        return paths.isEmpty ? nil : "read_parquet(\(SQLText.list(paths))\(options))"
    }

    /// Time is the fixture's.
    func upkeep(
        filesPerStep: Int = 4, isCancelled: @escaping @Sendable () -> Bool = { false }
    ) -> LakeUpkeep {
        LakeUpkeep(upkeepConfiguration(filesPerStep: filesPerStep), time: time, isCancelled: isCancelled)
    }

    func upkeepConfiguration(filesPerStep: Int = 4) -> UpkeepConfiguration {
        var configuration = UpkeepConfiguration(
            lake: lake, vault: vault, directory: "\(directory)/lake/_columba/upkeep", duckDB: duckDB)
        configuration.compaction.targetBytes = 1 << 20
        configuration.compaction.filesPerStep = filesPerStep
        configuration.versionsPerCheckpoint = 5
        configuration.logSeconds = 3600
        configuration.keepRemovedSeconds = 3600
        return configuration
    }

    func archiver(
        partitions: Int = 1, bytesPerPartition: Int = 16 << 20, commitsPerSnapshot: Int = 3,
        failurePoint: @escaping @Sendable (ArchiveStep) throws -> Void = { _ in }
    ) throws -> Archiver {
        var configuration = ArchiverConfiguration(
            lake: lake, vault: vault, scratchDirectory: "\(directory)/scratch", duckDB: duckDB,
            hmacKey: Array("a key for tests, 32 bytes long..".utf8))
        configuration.partitions = partitions
        configuration.bytesPerPartition = bytesPerPartition
        configuration.commitsPerSnapshot = commitsPerSnapshot
        configuration.failurePoint = failurePoint
        return try Archiver(configuration, time: time)
    }

    /// What one SELECT over the tables of `root` prints, one JSON object a line; only files of the committed version.
    func rows(_ table: TableSchema, _ select: String) throws -> [String] {
        guard let source = try source(table) else { return [] }
        let view = "create view t as select * from \(source);\n"
        let output = try runner.run(view + select + ";")
        return output.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
    }

    func count(_ table: TableSchema, _ condition: String = "true") throws -> Int {
        let answer = try rows(table, "select count(*) as c from t where \(condition)")
        guard let line = answer.first else { return 0 }
        return Int(line.filter(\.isNumber)) ?? -1
    }
}

/// Builds batches line by line.
struct BatchMaker {
    private var encoder = BatchEncoder()
    var relay = ArchiveFixture.relay
    var epoch = ArchiveFixture.epoch

    init(relay: String = ArchiveFixture.relay, epoch: String = ArchiveFixture.epoch) {
        self.relay = relay
        self.epoch = epoch
    }

    mutating func add(
        _ n: Int64, _ body: String, kind: RecordKind = .report, receivedAt: Int64? = nil
    ) {
        let received = receivedAt ?? ArchiveFixture.start + n * 1_000_000
        encoder.append(n: n, receivedAt: Timestamp(microseconds: received), kind: kind, body: Array(body.utf8))
    }

    func batch(at position: Int64, skip: IntervalSet = IntervalSet()) -> StreamedBatch {
        StreamedBatch(
            position: position, relayID: relay, epoch: epoch,
            centralReceivedAt: Timestamp(microseconds: ArchiveFixture.start + 900_000_000), ndjson: encoder.bytes,
            skip: skip)
    }

    static func report(
        drone: String = "pw-000001", boot: String = "b1", seq: Int64, name: String = "Ada Martin",
        extra: String = "", observedAt: String = "2026-11-20T05:00:00.123456Z"
    ) -> String {
        #"{"drone_id":"\#(drone)","boot":"\#(boot)","seq":\#(seq),"observed_at":"\#(observedAt)","#
            + #""location":{"lat":48.8566,"lon":2.3522,"alt_m":80.5},"#
            + #""citizens":[{"name":"\#(name)","peacescore":12.5,"confidence":0.93}],"#
            + #""words":["market","ra\u00efn"],"readings":{"battery_pct":78},"#
            + #""media":[{"uri":"s3://m/a.jpg","sha256":"ab","bytes":5,"type":"image/jpeg"}]\#(extra)}"#
    }
}
