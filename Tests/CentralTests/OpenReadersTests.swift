// The archive without Columba: delta-rs, Polars and PyArrow read the same rows as SQL, at every stage of a table's life
// (Contract §5).

import Central
import DuckDB
import FoundationEssentials
import Models
import ObjectStore
import SyncProtocol
import System
import Testing

@Suite struct OpenReadersTests {
    private static let root = Environment.variable("PWD") ?? "."
    private static let python = Environment.variable("COLUMBA_PYTHON") ?? "\(root)/.tools/python/bin/python"
    private static let script = "\(root)/Tests/Clients/open_readers.py"

    private struct Answer: Decodable {
        struct Reader: Decodable {
            var rows: Int
            var same: Bool
            var difference: [String]?
        }
        var readers: [String: Reader]
        var types: [String]
        var version: Int64
        var txn: Int64?
    }

    /// Rows of every kind: NULs and other odd characters, nulls, empty lists, the ends of the number range.
    private static func batch(_ position: Int64) -> StreamedBatch {
        var maker = BatchMaker()
        let first = (position - 1) * 20
        let bodies = [
            BatchMaker.report(
                drone: "pw-1", seq: first + 1, name: #"A\u0000B \"quoted\" 'x' \ud83d\ude00 \\n"#,
                extra: #","colour":{"a":["\u0000",1e300]}"#),
            #"{"drone_id":"pw-2","seq":\#(first + 2),"location":{"lat":-90,"lon":180},"#
                + #""words":["","\u0000","a\u0000b","\u2028","zażółć"],"readings":{"z":1e-300,"k\u0000":-0.5}}"#,
            #"{"drone_id":"pw-3","boot":"b","seq":\#(first + 3),"location":{"lat":0.1,"lon":-0.1,"alt_m":1e9},"#
                + #""citizens":[{"name":"x","peacescore":-1e308},{"name":"y","peacescore":0,"confidence":1}],"#
                + #""media":[{"uri":"u"},{"uri":"s3://m/ä","sha256":"00","bytes":9007199254740993,"type":"t"}]}"#,
        ]
        for (index, body) in bodies.enumerated() { maker.add(first + Int64(index) + 1, body) }
        for n in (first + 4)...(first + 18) {
            maker.add(
                n, BatchMaker.report(seq: n, name: "P \(n)", observedAt: "2026-11-\(19 + n % 2)T23:59:59.999999Z"))
        }
        maker.add(first + 19, BatchMaker.report(seq: 7, name: "Copy"))
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let change = AlertStateChange(
            alertID: String(repeating: "ab", count: 16), state: .shelved, by: "o\u{0}p", at: at,
            relayID: ArchiveFixture.relay)
        maker.add(first + 20, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState)
        return maker.batch(at: position)
    }

    /// What SQL says, timestamps as microseconds.
    private func rows(_ fixture: ArchiveFixture, _ schema: TableSchema) throws -> [String] {
        let columns = schema.columns.map { column in
            let name = SQLText.identifier(column.name)
            return column.type == .timestamp ? "epoch_us(\(name)) as \(name)" : name
        }
        return try fixture.rows(schema, "select \(columns.joined(separator: ", ")) from t")
    }

    private func compare(_ fixture: ArchiveFixture, stage: String) throws {
        for schema in [TableSchema.reports, .duplicates, .alerts, .identities] {
            let expected = try rows(fixture, schema)
            let file = "\(fixture.directory)/expected.ndjson"
            try FileSystem.writeAtomically(file, Array((expected.joined(separator: "\n") + "\n").utf8))
            let store = schema.name == "identities" ? "vault" : "lake"
            var configuration = ChildProcess.Configuration(
                executable: Self.python, arguments: [Self.script, "\(fixture.directory)/\(store)/\(schema.name)", file])
            configuration.standardOutput = .pipe
            configuration.standardError = .pipe
            let answer = try ChildProcess(configuration).converse(timeoutSeconds: 120, maxOutputBytes: 1 << 20)
            try #require(
                answer.status.isSuccess,
                "\(stage), \(schema.name): \(String(decoding: answer.error, as: UTF8.self)); run `make deps`")
            let found = try JSONDecoder().decode(Answer.self, from: Data(answer.output))
            #expect(found.readers.count == 3)
            for (name, reader) in found.readers {
                #expect(reader.rows == expected.count, "\(stage), \(schema.name), \(name)")
                #expect(reader.same, "\(stage), \(schema.name), \(name): \(reader.difference ?? [])")
            }
            #expect(found.types.isEmpty, "\(stage), \(schema.name): \(found.types)")
            let snapshot = try fixture.table(schema).snapshot
            #expect(found.version == snapshot.version, "\(stage), \(schema.name)")
            #expect(found.txn == snapshot.transactions["archiver-p00"], "\(stage), \(schema.name)")
        }
    }

    @Test(
        "delta-rs, Polars and PyArrow read what SQL reads: fresh, compacted, from a checkpoint, cleaned and vacuumed",
        .enabled(if: FileSystem.isExecutable(python), "no .tools/python: make deps"))
    func stages() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver(partitions: 2, bytesPerPartition: 100, commitsPerSnapshot: 1)
        for position in 1...3 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        #expect(try fixture.count(.reports) == 54 && fixture.count(.duplicates) == 3)
        #expect(try fixture.count(.alerts) == 3)
        try compare(fixture, stage: "fresh")
        let before = try fixture.contents()

        let upkeep = fixture.upkeep()
        let tables = try upkeep.openTables()
        let now = Timestamp(microseconds: ArchiveFixture.start)
        let retention = DeltaLogRetention(logSeconds: 3600, tombstoneSeconds: 7200)
        for table in tables.all { _ = try table.writeCheckpoint(every: 1, now: now, retention: retention) }
        _ = try upkeep.compact(.everything, tables)
        for table in tables.all { _ = try table.writeCheckpoint(every: 1, now: now, retention: retention) }
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        #expect(try upkeep.cleanLogs(tables) > 4)
        _ = try upkeep.vacuum(tables)
        for key in ["reports", "duplicates"].map({ DeltaLogFile.key(table: $0, version: 0) }) {
            #expect(try fixture.lake.get(key) == nil)
        }
        #expect(try fixture.contents() == before)
        fixture.time.setWall(microseconds: ArchiveFixture.start)
        _ = try archiver.archive([Self.batch(4)])
        try compare(fixture, stage: "compacted, cleaned and gone on")
    }

    @Test("times in the Parquet files are microseconds in UTC, never nanoseconds, before and after compaction")
    func microseconds() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        for position in 1...2 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        func types() throws -> Set<String> {
            var found: Set<String> = []
            for schema in [TableSchema.reports, .duplicates, .alerts] {
                let paths = try fixture.table(schema).snapshot.files.keys.map {
                    "\(fixture.directory)/lake/\(schema.name)/\($0)"
                }
                let answer = try fixture.runner.run(
                    "select distinct logical_type as t from parquet_schema(\(SQLText.list(paths))) "
                        + "where logical_type like 'Timestamp%' or type = 'INT96';")
                found.formUnion(answer.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) })
            }
            return found
        }
        let fresh = try types()
        #expect(fresh.count == 1)
        #expect(
            fresh.allSatisfy {
                $0.contains("isAdjustedToUTC=1") && $0.contains("MICROS=MicroSeconds()") && $0.contains("NANOS=<null>")
            })
        let upkeep = fixture.upkeep()
        _ = try upkeep.compact(.everything, try upkeep.openTables())
        #expect(try types() == fresh)
    }

    @Test("NUL characters in names, words, readings and unknown members are kept as they came")
    func nulCharacters() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        let commit = try archiver.archive([Self.batch(1)])
        #expect(commit.relays.flatMap(\.rejected).isEmpty, "\(commit.relays)")
        let words = try fixture.rows(.reports, "select words[2] = chr(0) as a, words[3] as b from t where seq = 2")
        #expect(words == [#"{"a":true,"b":"a\u0000b"}"#])
        let readings = try fixture.rows(.reports, "select map_keys(readings) as k from t where seq = 2")
        #expect(readings.first?.contains(#"k\u0000"#) == true, "\(readings)")
        #expect(try fixture.count(.identities, "name like 'A' || chr(0) || 'B%'") == 1)
        // The same person with a NUL and without is two persons.
        var maker = BatchMaker()
        maker.add(21, BatchMaker.report(drone: "pw-8", seq: 1, name: #"A\u0000"#))
        maker.add(22, BatchMaker.report(drone: "pw-8", seq: 2, name: "A"))
        _ = try archiver.archive([maker.batch(at: 2)])
        let persons = try fixture.rows(
            .reports, "select count(distinct citizens[1].person_id) as c from t where drone_id = 'pw-8'")
        #expect(persons == [#"{"c":2}"#])
    }
}
