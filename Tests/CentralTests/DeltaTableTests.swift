// The Delta log: its exact bytes, who wins, and what is refused.

import Central
import FoundationEssentials
import Models
import ObjectStore
import System
import Testing

@Suite struct DeltaTableTests {
    private func lines(_ store: any ObjectStore, _ key: String) throws -> [String] {
        let bytes = try #require(try store.get(key))
        return bytes.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("a new table's first version has the protocol, the columns of the contract and its partition")
    func creation() throws {
        let fixture = try ArchiveFixture()
        _ = try fixture.archiver()
        let first = try lines(fixture.lake, "reports/_delta_log/00000000000000000000.json")
        #expect(first.count == 3)
        #expect(
            first[0]
                == #"{"commitInfo":{"engineInfo":"Columba","isBlindAppend":true,"operation":"CREATE TABLE","#
                + #""timestamp":1795150800000}}"#
        )
        #expect(first[1] == #"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#)
        #expect(first[2].contains(#""partitionColumns":["date"]"#))
        let metadata = try #require(try DeltaTable(.reports, in: fixture.lake, createdAt: nil).snapshot.metadata)
        let schema = metadata.schemaString
        #expect(
            schema.hasPrefix(
                #"{"type":"struct","fields":[{"name":"date","type":"date","nullable":true,"metadata":{}},"#))
        #expect(schema.contains(#"{"name":"seq","type":"long","nullable":true,"metadata":{}}"#))
        #expect(schema.contains(#"{"name":"observed_at","type":"timestamp","nullable":true,"metadata":{}}"#))
        #expect(
            schema.contains(
                #"{"name":"readings","type":{"type":"map","keyType":"string","valueType":"double","#
                    + #""valueContainsNull":true},"nullable":true,"metadata":{}}"#
            ))
        #expect(metadata.id.count == 36)
    }

    @Test("a commit carries its transaction, its note and statistics whose largest times are rounded up")
    func commit() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(drone: "pw-b", seq: 9))
        maker.add(2, BatchMaker.report(drone: "pw-a", seq: 7, observedAt: "2026-11-20T05:00:00.000001Z"))
        _ = try archiver.archive([maker.batch(at: 42)])
        let commit = try lines(fixture.lake, "reports/_delta_log/00000000000000000001.json")
        #expect(commit.count == 3)
        #expect(commit[0].contains(#""columba":{"position":42,"relays":[{"alerts":0,"conflicts":0,"duplicates":0,"#))
        #expect(
            commit[0].contains(#""ranges":[[1,2,1795150802000000]],"rejected":[],"relay_id":"north-3","reports":2}]}"#))
        #expect(commit[1] == #"{"txn":{"appId":"archiver-p00","lastUpdated":1795150800000,"version":42}}"#)
        let statistics =
            #"{\"numRecords\":2,\"minValues\":{\"cell\":\"u09tvw0\",\"drone_id\":\"pw-a\","#
            + #"\"epoch\":\"00000000000000000000000000000007\",\"lat\":48.8566,\"lon\":2.3522,"#
            + #"\"observed_at\":\"2026-11-20T05:00:00.000Z\",\"received_at\":\"2026-11-20T05:00:01.000Z\","#
            + #"\"relay_id\":\"north-3\",\"relay_seq\":1,\"seq\":7},"#
            + #"\"maxValues\":{\"cell\":\"u09tvw0\",\"drone_id\":\"pw-b\","#
            + #"\"epoch\":\"00000000000000000000000000000007\",\"lat\":48.8566,\"lon\":2.3522,"#
            + #"\"observed_at\":\"2026-11-20T05:00:00.124Z\",\"received_at\":\"2026-11-20T05:00:02.000Z\","#
        #expect(commit[2].contains(statistics), "\(commit[2])")
        #expect(commit[2].contains(#""partitionValues":{"date":"2026-11-20"}"#))
        #expect(commit[2].contains(#""path":"date=2026-11-20/part-00000000000000000042-"#))
    }

    @Test("of two writers of a version one wins, and the other commits after it unless its transaction has moved")
    func race() throws {
        let fixture = try ArchiveFixture()
        let first = try DeltaTable(.reports, in: fixture.lake, createdAt: Timestamp(microseconds: 0))
        let second = try DeltaTable(.reports, in: fixture.lake, createdAt: Timestamp(microseconds: 0))
        let txn = DeltaAction.txn("archiver-p00", 5, lastUpdated: 0)
        let other = DeltaAction.txn("optimizer", 1, lastUpdated: 0)
        #expect(try first.commit([other], expecting: ["optimizer": nil]) == 1)
        #expect(try second.commit([txn], expecting: ["archiver-p00": nil]) == 2)
        #expect(throws: ArchiveError.self) { try first.commit([txn], expecting: ["archiver-p00": nil]) }
        #expect(first.snapshot.version == 2 && first.snapshot.transactions["archiver-p00"] == 5)
    }

    @Test("what another engine wrote is understood: removed files, encoded paths, unknown actions")
    func foreignWriter() throws {
        let fixture = try ArchiveFixture()
        let table = try DeltaTable(.reports, in: fixture.lake, createdAt: Timestamp(microseconds: 0))
        let add =
            #"{"add":{"path":"date=2026-11-20/a%20b.parquet","partitionValues":{"date":"2026-11-20"},"#
            + #""size":10,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":3}","tags":null}}"#
        let log = [#"{"domainMetadata":{"domain":"x"}}"#, add, add.replacing("a%20b", with: "c")].joined(
            separator: "\n")
        #expect(try fixture.lake.putIfAbsent("reports/_delta_log/00000000000000000001.json", Array(log.utf8)))
        var snapshot = try table.refresh()
        #expect(snapshot.files.keys.sorted() == ["date=2026-11-20/a b.parquet", "date=2026-11-20/c.parquet"])
        #expect(snapshot.rows == 6 && snapshot.bytes == 20)
        let remove = #"{"remove":{"path":"date=2026-11-20/a%20b.parquet","deletionTimestamp":5,"dataChange":false}}"#
        #expect(try fixture.lake.putIfAbsent("reports/_delta_log/00000000000000000002.json", Array(remove.utf8)))
        snapshot = try table.refresh()
        #expect(snapshot.files.count == 1 && snapshot.rows == 3)
        let newer = #"{"protocol":{"minReaderVersion":3,"minWriterVersion":7}}"#
        #expect(try fixture.lake.putIfAbsent("reports/_delta_log/00000000000000000003.json", Array(newer.utf8)))
        #expect(throws: ArchiveError.self) { try table.refresh() }
    }

    private static let python =
        Environment.variable("COLUMBA_PYTHON") ?? "\(Environment.variable("PWD") ?? ".")/.tools/python/bin/python"

    @Test(
        "delta-rs opens every table, counts the same rows and reads the transactions",
        .enabled(
            if: FileSystem.isExecutable(python),
            "no Python with deltalake at .tools/python: make it with venv and make deps"
        ))
    func deltaRS() throws {
        let python = Self.python
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver(partitions: 2)
        var maker = BatchMaker()
        for seq in 1...20 as ClosedRange<Int64> {
            maker.add(seq, BatchMaker.report(seq: seq % 15 + 1, observedAt: "2026-11-\(10 + seq % 3)T00:00:00.5Z"))
        }
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let change = AlertStateChange(
            alertID: String(repeating: "ab", count: 16), state: .shelved, by: "op", at: at,
            relayID: ArchiveFixture.relay)
        maker.add(21, String(decoding: AlertText.json(change), as: UTF8.self), kind: .alertState)
        _ = try archiver.archive([maker.batch(at: 2000)])
        let script = """
            import sys, json, deltalake
            from deltalake import QueryBuilder
            def rows(path):
                table = deltalake.DeltaTable(path)
                answer = QueryBuilder().register("t", table).execute("select count(*) as c from t")
                count = answer.read_all() if hasattr(answer, "read_all") else answer[0]
                return [count["c"].to_pylist()[0], table.transaction_version("archiver-p01")]
            print(json.dumps([rows(p) for p in sys.argv[1:]]))
            """
        let tables = ["lake/reports", "lake/duplicates", "lake/alerts", "vault/identities"].map {
            "\(fixture.directory)/\($0)"
        }
        var configuration = ChildProcess.Configuration(executable: python, arguments: ["-c", script] + tables)
        configuration.standardOutput = .pipe
        configuration.standardError = .pipe
        let answer = try ChildProcess(configuration).converse(timeoutSeconds: 180, maxOutputBytes: 65_536)
        let output = String(decoding: answer.output, as: UTF8.self)
        #expect(answer.status.isSuccess, "\(String(decoding: answer.error, as: UTF8.self))")
        let found = try JSONDecoder().decode([[Int]].self, from: Data(output.utf8))
        #expect(found.map { $0[0] } == [15, 5, 1, 1])
        #expect(found.map { $0[1] } == [2000, 2000, 2000, 2000])
    }
}
