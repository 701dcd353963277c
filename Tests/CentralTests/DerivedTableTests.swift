// Tables that jobs and others make: what SQL sees of them, and that a broken one costs nothing but itself.

import Central
import DuckDB
import Models
import ObjectStore
import System
import Testing

@Suite("derived tables") struct DerivedTableTests {
    /// A table as somebody else's writer would leave it: one Parquet file, one version.
    private func make(
        _ name: String, in fixture: QueryFixture, select: String, schema: String, path: String = "part-0.parquet"
    ) throws {
        let folder = "\(fixture.archive.lake.directory)/derived/\(name)"
        try FileSystem.makeDirectories("\(folder)/_delta_log")
        let encoded = path.replacing(" ", with: "%20")
        if !select.isEmpty {
            _ = try fixture.archive.runner.run("copy (\(select)) to '\(folder)/\(path)' (format parquet);")
        }
        let file =
            #"{"add":{"path":"\#(encoded)","partitionValues":{},"size":1,"modificationTime":0,"dataChange":true}}"#
        let text = """
            {"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
            {"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":\(schema),\
            "partitionColumns":[],"configuration":{}}}
            \(path.isEmpty ? "" : file)

            """
        try FileSystem.writeAtomically("\(folder)/_delta_log/00000000000000000000.json", Array(text.utf8))
    }

    private static let schema =
        #""{\"type\":\"struct\",\"fields\":[{\"name\":\"n\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},"#
        + #"{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"elementType\":\"string\",\"containsNull\":true},"#
        + #"\"nullable\":true,\"metadata\":{}}]}""#

    @Test("a table of somebody else's is a view by both its names, one made later too")
    func views() throws {
        let fixture = try QueryFixture()
        #expect(fixture.problem("select * from derived.counts")?.code == "sql_error")
        try make(
            "counts", in: fixture, select: "select 7::bigint as n, ['a'] as tags", schema: Self.schema,
            path: "a b.parquet")
        #expect(try fixture.json("select * from derived.counts").contains(#""rows":[{"n":7,"tags":["a"]}]"#))
        #expect(try fixture.json("select n from counts").contains(#""rows":[{"n":7}]"#))
        #expect(
            try fixture.json("select table_name as t from information_schema.tables where table_schema = 'derived'")
                .contains(#""rows":[{"t":"counts"}]"#))
    }

    @Test("an empty table has its columns and no rows")
    func empty() throws {
        let fixture = try QueryFixture(rows: 0)
        try make("nothing", in: fixture, select: "", schema: Self.schema, path: "")
        let answer = try fixture.json("select * from derived.nothing")
        #expect(answer.contains(#"{"name":"n","type":"BIGINT"},{"name":"tags","type":"VARCHAR[]"}"#))
        #expect(answer.contains(#""rows":[]"#))
    }

    @Test("a derived table never takes the place of the archive's own")
    func names() throws {
        let fixture = try QueryFixture()
        try make("reports", in: fixture, select: "select 7::bigint as n, ['a'] as tags", schema: Self.schema)
        #expect(try fixture.json("select count(*) as c from reports").contains(#""c":3"#))
        #expect(try fixture.json("select n from derived.reports").contains(#""n":7"#))
    }

    @Test("a broken table says so where it is asked for, and nothing else notices")
    func broken() throws {
        let fixture = try QueryFixture()
        let folder = "\(fixture.archive.lake.directory)/derived"
        try make("gone", in: fixture, select: "", schema: Self.schema)
        try make("odd", in: fixture, select: "select 1 as n", schema: #""no schema""#)
        try FileSystem.makeDirectories("\(folder)/torn/_delta_log")
        try FileSystem.writeAtomically("\(folder)/torn/_delta_log/00000000000000000000.json", Array("{half".utf8))
        try make("damaged", in: fixture, select: "", schema: Self.schema)
        try FileSystem.writeAtomically("\(folder)/damaged/part-0.parquet", Array("PAR1 no more".utf8))
        for name in ["gone", "odd", "torn"] {
            let problem = fixture.problem("select * from derived.\(name)")
            #expect(problem?.detail.contains("derived.\(name) cannot be read") == true, "\(name): \(problem as Any)")
        }
        #expect(fixture.problem("select * from derived.damaged") != nil)
        #expect(try fixture.json("select count(*) as c from reports").contains(#""c":3"#))
        // Mended, it is there at the next question.
        try make("gone", in: fixture, select: "select 5::bigint as n, ['b'] as tags", schema: Self.schema)
        #expect(try fixture.json("select n from derived.gone").contains(#""n":5"#))
    }

    @Test("a file outside the lake stays out of reach, whatever a log says")
    func outside() throws {
        let fixture = try QueryFixture(rows: 0)
        let secret = "\(fixture.archive.directory)/secret.parquet"
        _ = try fixture.archive.runner.run(
            "copy (select 1::bigint as n, ['x'] as tags) to '\(secret)' (format parquet);")
        try make("spy", in: fixture, select: "", schema: Self.schema, path: "../../../secret.parquet")
        let problem = fixture.problem("select * from derived.spy")
        #expect(problem?.detail.contains("cannot be read") == true, "\(problem as Any)")
    }
}
