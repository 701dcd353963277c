// How long opening a table takes after many versions, from version 0 and from a checkpoint. Runs only when asked:
//
//   COLUMBA_MEASURE_VERSIONS=5000 swift test -c release --filter StartAfterManyVersions

import Central
import Models
import ObjectStore
import System
import Testing

@Suite struct StartAfterManyVersions {
    static let versions = Environment.variable("COLUMBA_MEASURE_VERSIONS").flatMap { Int64($0) }

    @Test("opening a table after many versions", .enabled(if: versions != nil))
    func open() throws {
        let fixture = try ArchiveFixture()
        let now = Timestamp(microseconds: ArchiveFixture.start)
        let format = DuckDBCheckpoints(duckDB: fixture.runner, directory: "\(fixture.directory)/tmp")
        let table = try DeltaTable(.reports, in: fixture.lake, createdAt: now, checkpoints: format)
        let stats =
            #"{"numRecords":3,"minValues":{"cell":"u09tvw0","drone_id":"pw-0","#
            + #""epoch":"00000000000000000000000000000007","lat":48.8,"lon":2.3,"#
            + #""observed_at":"2026-11-20T05:00:00.123Z","relay_id":"north-3","relay_seq":1,"seq":1},"#
            + #""maxValues":{"cell":"u09tvw0","drone_id":"pw-9","lat":48.8,"lon":2.3,"relay_id":"north-3","seq":9}}"#
        for version in 1...(Self.versions ?? 1) {
            // A compaction every 100 versions: few files live, as in a lake that is kept in shape.
            var actions = [DeltaAction.txn("archiver-p00", version, lastUpdated: 0)]
            if version % 100 == 0 {
                actions += table.snapshot.files.keys.filter { $0.contains("/f") }.map {
                    .remove(DeltaRemove(path: $0, deletionTimestamp: now.microseconds / 1000, dataChange: false))
                }
            }
            let kind = version % 100 == 0 ? "compact" : "f"
            actions.append(
                .add(
                    DeltaAdd(
                        path: "date=2026-11-20/\(kind)\(version).parquet", partitionValues: ["date": "2026-11-20"],
                        size: 10, modificationTime: 5, dataChange: true, stats: stats)))
            _ = try table.commit(actions, expecting: [:])
        }
        func milliseconds(_ format: (any DeltaCheckpointFormat)?) throws -> Double {
            let start = SystemTime().monotonicNanoseconds()
            let opened = try DeltaTable(.reports, in: fixture.lake, createdAt: nil, checkpoints: format)
            #expect(opened.snapshot.version == Self.versions)
            return Double((SystemTime().monotonicNanoseconds() - start) / 10_000) / 100
        }
        let before = try milliseconds(nil)
        let retention = DeltaLogRetention(logSeconds: 1, tombstoneSeconds: 3600)
        let start = SystemTime().monotonicNanoseconds()
        _ = try table.writeCheckpoint(every: 1, now: now, retention: retention)
        let writing = (SystemTime().monotonicNanoseconds() - start) / 1_000_000
        print(
            "\(Self.versions ?? 0) versions, \(table.snapshot.files.count) files: from version 0 \(before) ms, "
                + "from the checkpoint \(try milliseconds(format)) ms; writing it took \(writing) ms")
    }
}
