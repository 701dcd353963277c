// Analysts' SQL: right answers, and nothing but a clear error for whatever is wrong, greedy, endless or hostile.

import Central
import FoundationEssentials
import Models
import ObjectStore
import SyncProtocol
import Synchronization
import System
import Testing
import TestSupport

final class QueryFixture {
    let archive: ArchiveFixture
    let service: QueryService

    init(rows: Int64 = 3, _ change: (inout QueryConfiguration) -> Void = { _ in }) throws {
        archive = try ArchiveFixture()
        if rows > 0 {
            var maker = BatchMaker()
            for seq in 1...rows { maker.add(seq, BatchMaker.report(seq: seq, name: "Person \(seq)")) }
            maker.add(rows + 1, BatchMaker.report(seq: 1, name: "Person 1"))
            _ = try archive.archiver().archive([maker.batch(at: 1)])
        }
        var configuration = QueryConfiguration(
            duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries")
        configuration.timeoutSeconds = 20
        change(&configuration)
        let relay = RelayRow(
            relayID: "north-3", lastContact: Timestamp(microseconds: ArchiveFixture.start), received: 4, archived: 4)
        service = try QueryService(
            configuration: configuration, lake: archive.lake, time: SystemTime(), relays: { [relay] },
            completeThrough: { Timestamp(microseconds: ArchiveFixture.start) })
    }

    func json(_ sql: String, limit: Int? = nil) throws(Problem) -> String {
        String(decoding: try service.run(sql: sql, format: .json, limit: limit).body, as: UTF8.self)
    }

    func problem(_ sql: String, _ format: QueryFormat = .json) -> Problem? {
        do throws(Problem) {
            _ = try service.run(sql: sql, format: format)
            return nil
        } catch {
            return error
        }
    }
}

@Suite struct QueryAnswerTests {
    @Test("the answer has columns, rows, their number, whether there were more, and how complete it is")
    func shape() throws {
        let fixture = try QueryFixture()
        let answer = try fixture.json("select drone_id, seq from reports order by seq", limit: 2)
        #expect(
            answer == #"{"columns":[{"name":"drone_id","type":"VARCHAR"},{"name":"seq","type":"BIGINT"}],"#
                + #""rows":[{"drone_id":"pw-000001","seq":1},{"drone_id":"pw-000001","seq":2}],"#
                + #""row_count":2,"truncated":true,"complete_through":"2026-11-20T05:00:00.000Z"}"#)
    }

    @Test("sums are numbers, NaN and infinity are null, times are RFC 3339 in UTC at any depth")
    func values() throws {
        let fixture = try QueryFixture(rows: 0)
        let cases: [(String, String)] = [
            ("select sum(x) as v from (values (1), (2)) t(x)", #"{"v":3}"#),
            (
                "select 'NaN'::double as v, [1.5, 'inf'::double, '-inf'::double] as w",
                #"{"v":null,"w":[1.5,null,null]}"#
            ),
            ("select 'NaN Infinity \\\" I' as v, 12.50::decimal(9,2) as d", #"{"v":"NaN Infinity \\\" I","d":12.5}"#),
            (
                "select timestamptz '2026-11-20 06:00:00.5+01' as t, date '2026-11-20' as d",
                #"{"t":"2026-11-20T05:00:00.500000Z","d":"2026-11-20"}"#
            ),
            (
                "select [{'at': timestamptz '2026-11-20 05:00:00+00', 'n': 'NaN'::double}] as v, "
                    + "map{'k': timestamp '2020-01-01'} as m",
                #"{"v":[{"at":"2026-11-20T05:00:00.000000Z","n":null}],"m":{"k":"2020-01-01T00:00:00.000000Z"}}"#
            ),
            ("select 1 as a, 2 as a, 3 as \"A\", null as \"x\"\"y\\\"", #"{"a":1,"a_1":2,"A_2":3,"x\"y\\":null}"#),
            (
                "select null::timestamptz as t, null::struct(t timestamptz) as s, chr(10) as c",
                #"{"t":null,"s":null,"c":"\n"}"#
            ),
            (
                "select true as b, 1e300 as e, 18446744073709551615::ubigint as u",
                #"{"b":true,"e":1e300,"u":18446744073709551615}"#
            ),
        ]
        for (sql, row) in cases {
            let answer = try fixture.json(sql)
            #expect(answer.contains(#""rows":[\#(row)],"row_count":1,"truncated":false"#), "\(sql): \(answer)")
            _ = try JSONDecoder().decode(AnyJSON.self, from: Data(answer.utf8))
        }
    }

    /// Any JSON value: whether it can be read at all.
    private struct AnyJSON: Decodable {
        init(from decoder: any Decoder) throws { _ = try decoder.container(keyedBy: Key.self) }
        private enum Key: CodingKey { case rows }
    }

    @Test("all columns of every view come out, also of an empty lake")
    func views() throws {
        for rows in [0, 2] as [Int64] {
            let fixture = try QueryFixture(rows: rows)
            for (view, schema) in [("reports", TableSchema.reports), ("duplicates", .duplicates), ("alerts", .alerts)] {
                let answer = try fixture.service.run(sql: "select * from \(view)", format: .json)
                #expect(answer.columns.map(\.name) == schema.columns.map(\.name))
                #expect(
                    answer.rowCount == (view == "reports" ? Int(rows) : view == "duplicates" ? Int(min(rows, 1)) : 0))
            }
            let relays = try fixture.json("select relay_id, last_contact, received, complete_through from relays")
            #expect(
                relays.contains(
                    #"{"relay_id":"north-3","last_contact":"2026-11-20T05:00:00.000000Z","received":4,"#
                        + #""complete_through":null}"#
                ))
        }
    }

    @Test("a view has the rows of the committed version, not what lies in the folder")
    func committedFilesOnly() throws {
        let fixture = try QueryFixture(rows: 2)
        let file = try #require(try fixture.archive.lake.list("reports").first { $0.key.hasSuffix(".parquet") })
        let bytes = try #require(try fixture.archive.lake.get(file.key))
        try fixture.archive.lake.put(file.key.replacing("part-", with: "orphan-"), bytes)
        #expect(try fixture.json("select count(*) as c from reports").contains(#"[{"c":2}]"#))
        var maker = BatchMaker(relay: "south-1")
        maker.add(1, BatchMaker.report(drone: "pw-new", seq: 1))
        _ = try fixture.archive.archiver().archive([maker.batch(at: 2)])
        #expect(try fixture.json("select count(*) as c from reports where date = '2026-11-20'").contains(#"[{"c":3}]"#))
    }

    @Test("CSV has a header and RFC 4180 quotes, Parquet is Parquet, and both know when there is more")
    func formats() throws {
        let fixture = try QueryFixture(rows: 0)
        let sql =
            "select range as n, 'a,\"b' as t, timestamptz '2026-11-20 05:00:00+00' as at, [1, 2] as l from range(5)"
        let csv = try fixture.service.run(sql: sql, format: .csv, limit: 2)
        #expect(
            String(decoding: csv.body, as: UTF8.self)
                == "n,t,at,l\n0,\"a,\"\"b\",2026-11-20T05:00:00.000000Z,\"[1,2]\"\n"
                + "1,\"a,\"\"b\",2026-11-20T05:00:00.000000Z,\"[1,2]\"\n"
        )
        #expect(csv.rowCount == 2 && csv.truncated)
        let parquet = try fixture.service.run(sql: sql, format: .parquet)
        #expect(parquet.body.prefix(4).elementsEqual("PAR1".utf8) && parquet.rowCount == 5 && !parquet.truncated)
    }

    @Test("comments, quotes, dollar signs and semicolons in a statement are its own business")
    func framing() throws {
        let fixture = try QueryFixture(rows: 0)
        for sql in [
            "select 1 as a -- the end", "select 1 as a /* … */", "select 1 as a;", "from (values (1)) t(a)",
            "with x as (select 1 as a) select * from x\n\n", "select 1 as a, '$tag$ ; .shell ls' as b",
            "select 1 as a, $$two\n.print dollars$$ as b",
        ] { #expect(try fixture.json(sql).contains(#""a":1"#), "\(sql)") }
    }
}

@Suite struct QuerySandboxTests {
    @Test("a wrong statement is told what is wrong and where, without our wrapper or paths")
    func errors() throws {
        let fixture = try QueryFixture()
        let syntax = try #require(fixture.problem("select 1,\n  selec from reports where"))
        #expect(syntax.status == 400 && syntax.code == "sql_error" && syntax.detail.contains("line 2"), "\(syntax)")
        let column = try #require(fixture.problem("select\n  nope from reports"))
        #expect(
            column.code == "sql_error" && column.detail.contains("\"nope\"")
                && column.detail.contains("(line 2, column 3)"))
        let table = try #require(fixture.problem("select * from reportz"))
        #expect(table.detail.contains("reportz") && table.detail.contains("(line 1, column 15)"))
        let cast = try #require(fixture.problem("select 'x'::int from reports"))
        #expect(cast.code == "sql_error")
        for problem in [syntax, column, table, cast] {
            #expect(!problem.detail.contains("query(") && !problem.detail.contains("/"), "\(problem)")
        }
    }

    @Test("names are refused with a code of their own, and a table of that name within the statement is not")
    func identities() throws {
        let fixture = try QueryFixture()
        #expect(fixture.problem("select * from identities")?.code == "identities_forbidden")
        #expect(try fixture.json("with identities as (select 7 as a) select * from identities").contains(#"[{"a":7}]"#))
    }

    @Test(
        "files, the network, settings, the environment and writing are out of reach",
        arguments: [
            "select * from read_text('/etc/passwd')", "select * from '/etc/passwd'",
            "select * from read_csv('/etc/passwd')",
            "select * from glob('/**')", "select getenv('HOME')", "copy (select 1) to '/tmp/columba-test'",
            "copy reports to '/tmp/columba-test' (format parquet)", "install httpfs", "load httpfs",
            "attach '/tmp/columba.db'", "set memory_limit='10GB'", "pragma database_list", "create table t (a int)",
            "select 1; select 2", "select * from read_parquet('https://example.com/a.parquet')",
            "export database '/tmp/x'",
            "call pragma_version()", "explain analyze select 1", "drop view reports",
        ])
    func forbidden(sql: String) throws {
        let fixture = try QueryFixture(rows: 1)
        for format in [QueryFormat.json, .csv] {
            let problem = try #require(fixture.problem(sql, format))
            #expect(problem.status == 403 && problem.code == "sql_forbidden", "\(sql): \(problem)")
        }
        #expect(!FileSystem.exists("/tmp/columba-test"))
    }

    @Test(
        "dot commands and statements that try to leave their quotes run nothing",
        arguments: [
            "select 1\n.shell touch /tmp/columba-shell", ".shell touch /tmp/columba-shell",
            "select 1 $q$) ; .shell touch /tmp/columba-shell",
            "select ') limit 1;\n.shell touch /tmp/columba-shell\n--", "/*", "'", "\"", "$$", "--", "select 1 /*",
            "(((",
        ])
    func escapes(sql: String) throws {
        let fixture = try QueryFixture(rows: 0)
        let problem = try #require(fixture.problem(sql))
        #expect(problem.status == 400 || problem.status == 403, "\(problem)")
        #expect(!FileSystem.exists("/tmp/columba-shell"))
        #expect(try fixture.json("select 1 as a").contains(#"[{"a":1}]"#))
    }

    @Test(
        "a greedy query gets an error and harms nobody",
        arguments: [
            "select length(repeat('x', 2000000000)) + length(repeat('y', 2000000000)) as v",
            "select list_sum(range(3000000000)) as v",
            "select a.range, string_agg(repeat('x', 1000)) from range(1000000) a, range(99) b group by 1 order by 2",
            "select array_agg(x) from (select repeat('ab', 100000) as x from range(100000))",
        ])
    func memory(sql: String) throws {
        let fixture = try QueryFixture(rows: 0) { $0.memoryBytes = 256 << 20 }
        let problem = try #require(fixture.problem(sql))
        #expect(["sql_memory", "sql_timeout"].contains(problem.code), "\(problem)")
        #expect(fixture.service.runningQueries == 0)
    }

    @Test("an endless query ends at its time limit, a cancelled one at once")
    func time() throws {
        let fixture = try QueryFixture(rows: 0) { $0.timeoutSeconds = 1 }
        let endless = "select count(*) from range(10000000000) a, range(10000000) b where a.range + b.range = -1"
        let clock = SystemTime()
        let start = clock.monotonicNanoseconds()
        let timeout = try #require(fixture.problem(endless))
        #expect(timeout.status == 504 && timeout.code == "sql_timeout", "\(timeout)")
        #expect(Waiting.isWithin(5, since: start))
        let patient = try QueryFixture(rows: 0)
        let asked = Mutex(0)
        let cancelledAt = clock.monotonicNanoseconds()
        #expect(throws: Problem.self) {
            try patient.service.run(sql: endless, format: .json) {
                asked.withLock { count in
                    count += 1
                    return count > 3
                }
            }
        }
        #expect(Waiting.isWithin(5, since: cancelledAt))
    }

    @Test("too long, empty and too large have their codes")
    func limits() throws {
        let fixture = try QueryFixture(rows: 0) { $0.maxResultBytes = 1 << 20 }
        #expect(fixture.problem("select '" + String(repeating: "x", count: 200_000) + "'")?.code == "sql_too_long")
        #expect(fixture.problem(" \n")?.code == "sql_error")
        for format in QueryFormat.ofStatements {
            let problem = fixture.problem("select sha256(range::varchar) as a from range(90000)", format)
            #expect(
                problem?.code == "sql_result_too_large" && problem?.status == 413,
                "\(format): \(String(describing: problem))")
        }
        #expect(throws: Problem.self) { try fixture.json("select 1", limit: 0) }
    }

    @Test("more queries at once than allowed are sent away with a time to come back")
    func concurrency() throws {
        let fixture = try QueryFixture(rows: 0) { $0.maxConcurrent = 1 }
        let inner = Mutex<Problem?>(nil)
        #expect(throws: Problem.self) {
            try fixture.service.run(sql: "select count(*) from range(10000000000) a, range(1000) b", format: .json) {
                // While the first one runs, on its own thread.
                let problem = fixture.problem("select 1")
                inner.withLock { $0 = problem }
                return true
            }
        }
        let problem = inner.withLock { $0 }
        #expect(problem?.status == 503 && problem?.code == "queries_busy" && problem?.retryAfterSeconds != nil)
        #expect(fixture.service.runningQueries == 0)
    }
}
