// Scheduled SQL in a real central: results that SQL and delta-rs see, files that are noticed without a restart, and
// kill -9 where it hurts most.

import Foundation
import HTTPClient
import System
import Testing
import TestSupport

@Suite("scheduled jobs", .serialized)
struct JobTests {
    private final class Desk {
        let station: Station

        init() throws {
            station = try Station()
            try FileSystem.makeDirectories("\(station.folder)/jobs")
        }

        var lake: String { "\(station.folder)/central/lake" }
        var exports: String { "\(station.folder)/central/exports" }

        func write(_ job: String, _ text: String) throws {
            try FileSystem.writeAtomically("\(station.folder)/jobs/\(job).sql", Array(text.utf8))
        }

        func jobs(_ arguments: [String]) throws -> (status: System.ExitStatus, output: String, errors: String) {
            try station.columba(["jobs"] + arguments + ["--central", station.central.address])
        }

        func job(_ name: String) throws -> [String: Any]? {
            let listed = try station.json(station.central, "/v1/jobs")["jobs"] as? [[String: Any]]
            return listed?.first { $0["name"] as? String == name }
        }

        func runs(_ name: String) throws -> [[String: Any]] {
            try station.json(station.central, "/v1/jobs/\(name)/runs")["runs"] as? [[String: Any]] ?? []
        }

        /// Rows of a derived table; 0 while it is not there.
        func rows(_ table: String, where condition: String = "true") -> Int {
            let sql = "SELECT count(*) AS n FROM derived.\(table) WHERE \(condition)"
            let answer = try? station.columba(["sql", "--central", station.central.address, "--format", "json", sql])
            guard let output = answer?.output, answer?.status.isSuccess == true else { return 0 }
            let parsed = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
            return (parsed?["rows"] as? [[String: Any]])?.first?["n"] as? Int ?? 0
        }

        /// Data files in a derived table's folder, whether or not a version names them.
        func files(_ table: String) -> [String] {
            ((try? FileSystem.list("\(lake)/derived/\(table)")) ?? []).filter { $0.hasSuffix(".parquet") }
        }

        func log(_ table: String) -> String {
            let folder = "\(lake)/derived/\(table)/_delta_log"
            let names = ((try? FileSystem.list(folder)) ?? []).filter { $0.hasSuffix(".json") }.sorted()
            return names.map { (try? String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)) ?? "" }.joined()
        }
    }

    private static func ticks(_ more: String = "") -> String {
        """
        -- Appends one row each second
        -- schedule: every 1s
        -- table: ticks
        -- mode: append
        -- catch_up: all
        \(more)
        SELECT scheduled_at() AS scheduled, period_start() AS since, count(*) AS reports FROM reports
        """
    }

    @Test(
        "a job's rows are a table of SQL and of delta-rs, a folder gets a CSV, a broken file is listed with its error")
    func results() throws {
        let desk = try Desk()
        let station = desk.station
        defer { station.end() }
        try station.start()
        for seq in 1...3 {
            let report = Requests.report(seq: seq, extra: #","words":["=1+1"]"#)
            #expect(try Requests.post(station.relay, report).status == 202)
        }
        try #require(station.waitUntilArchived())
        // The files come while central runs.
        try desk.write("ticks", Self.ticks("-- inputs: reports"))
        try desk.write(
            "words", "-- schedule: every 1s\n-- csv: per/word\nSELECT unnest(words) AS word, drone_id FROM reports")
        try desk.write("broken", "-- schedule: every 7m\n-- table: x\nSELECT 1 AS x")
        try #require(eventually { desk.rows("ticks") >= 2 })
        #expect(try station.count("ticks", where: "reports = 3 AND scheduled = since + INTERVAL 1 SECOND") >= 2)
        #expect(
            try station.rows("SELECT count(*) - count(DISTINCT scheduled) AS n FROM ticks").first?["n"] as? Int == 0)
        // A folder's files appear whole.
        let folder = "\(desk.exports)/per/word"
        try #require(eventually { !((try? FileSystem.list(folder)) ?? []).filter { $0.hasSuffix(".csv") }.isEmpty })
        let name = try #require(try FileSystem.list(folder).first { $0.hasSuffix(".csv") })
        let text = String(decoding: try FileSystem.read("\(folder)/\(name)"), as: UTF8.self)
        #expect(text == "word,drone_id\n" + String(repeating: "'=1+1,d-1\n", count: 3), "no spreadsheet formula")
        // What is broken says so, and nothing else notices.
        #expect((try desk.job("broken")?["error"] as? String)?.contains("line 1: a period divides a day") == true)
        let list = try desk.jobs(["list"])
        #expect(list.status.isSuccess && list.output.contains("broken") && list.output.contains("derived.ticks"))
        // A correction is noticed without a restart.
        try desk.write("broken", "-- schedule: @yearly\n-- table: mended\nSELECT 42 AS answer, now() AS made_at")
        try #require(eventually { (try? desk.job("broken")?["state"] as? String) == "scheduled" })
        let run = try desk.jobs(["run", "broken", "--wait"])
        #expect(run.status.isSuccess && run.errors.contains("succeeded, 1 rows"), "\(run.errors)")
        #expect(try station.rows("SELECT answer FROM derived.mended").first?["answer"] as? Int == 42)
        let history = try desk.jobs(["history", "broken", "--json"])
        #expect(history.output.contains(#""manual":true"#) && history.output.contains(#""outcome":"succeeded""#))
        let metrics = try HTTPClient().perform(HTTPClientRequest(url: station.central.address + "/metrics"))
        let figures = String(decoding: metrics.body, as: UTF8.self)
        #expect(figures.contains(#"columba_job_runs_total{job="broken",outcome="succeeded"} 1"#))
        #expect(figures.contains(#"columba_job_last_success_age_seconds{job="ticks"} "#))
        try deltaReads("\(desk.lake)/derived/mended", in: station.folder)
    }

    @Test("rows are appended once for an instant, however often it is asked for; the example jobs run")
    func appendedOnce() throws {
        let desk = try Desk()
        let station = desk.station
        defer { station.end() }
        let examples = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("jobs").path
        let names = try FileSystem.list(examples).filter { $0.hasSuffix(".sql") }.map { String($0.dropLast(4)) }
        #expect(names.count >= 3)
        for name in names {
            try desk.write(name, String(contentsOfFile: "\(examples)/\(name).sql", encoding: .utf8))
        }
        try desk.write("daily", "-- schedule: @daily\n-- table: daily\n-- mode: append\nSELECT scheduled_at() AS at_")
        try station.start()
        #expect(try Requests.post(station.relay, Requests.report(seq: 1)).status == 202)
        try #require(station.waitUntilArchived())
        try #require(eventually { (try? desk.job("daily")) != nil })
        #expect(try desk.jobs(["run", "daily", "--wait"]).errors.contains("daily: succeeded"))
        // The history is only a memory; the table itself knows.
        try station.central.kill()
        try FileSystem.removeTree("\(station.folder)/central/jobs")
        try station.central.start()
        try #require(eventually { (try? desk.job("daily")) != nil })
        #expect(try desk.jobs(["run", "daily", "--wait"]).errors.contains("daily: already_done"))
        #expect(desk.rows("daily") == 1)
        for name in names {
            let run = try desk.jobs(["run", name, "--wait"])
            #expect(run.errors.contains("succeeded"), "\(name): \(run.errors)")
        }
    }

    private func deltaReads(_ path: String, in folder: String) throws {
        guard let python = Programs.python else {
            print("skipped: .tools/python has no delta-rs; run make deps")
            return
        }
        var configuration = ChildProcess.Configuration(
            executable: python,
            arguments: [
                "-c",
                """
                import sys
                from deltalake import DeltaTable, QueryBuilder
                t = DeltaTable(sys.argv[1])
                r = QueryBuilder().register('t', t).execute('select * from t').read_all()
                print(r['answer'].to_pylist(), r['made_at'].to_pylist()[0].utcoffset(), t.schema().to_json())
                """, path,
            ])
        configuration.standardOutput = .file("\(folder)/delta.out")
        configuration.environment = Environment.variables
        let status = try ChildProcess(configuration).wait(timeoutSeconds: 120)
        let output = try String(contentsOfFile: "\(folder)/delta.out", encoding: .utf8)
        #expect(status?.isSuccess == true && output.hasPrefix("[42] 0:00:00"), "\(output)")
        #expect(output.contains(#""timestamp""#) && !output.contains("ntz"))
    }

    @Test("a job that fails says why, is tried again, and hurts nobody")
    func failures() throws {
        let desk = try Desk()
        let station = desk.station
        defer { station.end() }
        try desk.write("wrong", "-- schedule: @yearly\n-- table: wrong\nSELECT nothing FROM nowhere")
        try desk.write(
            "endless",
            "-- schedule: @yearly\n-- table: e\n-- timeout: 1s\n"
                + "SELECT count(*) AS n FROM range(10000000000) a, range(1000000) b"
        )
        try desk.write("greedy", "-- schedule: @yearly\n-- table: g\nSELECT repeat('x', 4000000000) AS x")
        try desk.write("writes", "-- schedule: @yearly\n-- table: w\nCOPY (SELECT 1) TO '/tmp/columba-job-escape'")
        try desk.write("reads", "-- schedule: @yearly\n-- table: r\nSELECT * FROM read_text('/etc/passwd')")
        try desk.write("unnamed", "-- schedule: @yearly\n-- table: u\nSELECT count(*) FROM reports")
        try desk.write(
            "early", "-- schedule: @yearly\n-- table: x\n-- inputs: derived.later\nSELECT * FROM derived.later")
        try station.central.start()
        try #require(eventually { (try? desk.job("wrong")) != nil })
        for (name, code) in [
            ("wrong", "sql_error"), ("endless", "sql_timeout"), ("writes", "sql_error"), ("reads", "sql_error"),
            ("unnamed", "job_column_name"), ("early", "job_input_missing"),
        ] {
            let result = try desk.jobs(["run", name, "--wait"])
            #expect(result.status == .exited(1), "\(name): \(result.errors)")
            let run = try desk.runs(name).first ?? [:]
            #expect(run["code"] as? String == code, "\(name): \(run)")
            #expect(desk.files(name).isEmpty)
        }
        let greedy = try desk.jobs(["run", "greedy", "--wait"])
        #expect(greedy.status == .exited(1))
        #expect(!FileSystem.exists("/tmp/columba-job-escape"))
        #expect(try desk.jobs(["run", "nobody"]).errors.contains("no such job"))
        #expect(station.central.isReady)
        #expect(!station.central.log.contains("nowhere"), "the text of a statement is not for the log")
    }

    @Test("kill -9 between file and commit, and at any other time: every instant is in the table exactly once")
    func kill() throws {
        let desk = try Desk()
        let station = desk.station
        defer { station.end() }
        // Central's own tables are made first: under strace every commit takes long.
        try station.central.start()
        try desk.write("ticks", Self.ticks())
        try #require(eventually { desk.rows("ticks") >= 1 })
        try station.central.kill()
        try killBeforeCommit(desk)
        for round in 1...2 {
            try station.central.start()
            let rows = try station.count("ticks")
            try #require(eventually { desk.rows("ticks") >= rows + round })
            try station.central.kill()
        }
        try station.central.start()
        // The last instant that had passed before this start is made up for.
        try #require(
            eventually(within: 20) { desk.rows("ticks", where: "scheduled > now() - INTERVAL 3 SECOND") > 0 })
        let found = try #require(
            try station.rows(
                """
                SELECT count(*) AS n, count(DISTINCT scheduled) AS instants,
                  date_diff('second', min(scheduled), max(scheduled)) + 1 AS seconds FROM ticks
                """
            ).first)
        #expect(found["n"] as? Int == found["instants"] as? Int, "no instant twice")
        #expect(found["n"] as? Int == found["seconds"] as? Int, "with catch_up: all, no instant is left out")
        #expect(try desk.runs("ticks").contains { $0["outcome"] as? String == "interrupted" })
    }

    /// Ends central when a result's file is in the table's folder and no version names it.
    private func killBeforeCommit(_ desk: Desk) throws {
        guard let strace = ["/usr/bin/strace", "/bin/strace"].first(where: FileSystem.isExecutable) else {
            print("skipped: strace is missing; run make deps")
            return
        }
        let central = desk.station.central
        // A commit is a link(2): the file that it gives its name waits half a minute before it.
        try central.start(under: [
            strace, "-f", "-o", "/dev/null", "-e", "trace=link,linkat", "-e",
            "inject=link,linkat:delay_enter=30000000",
        ])
        func orphan() -> String? {
            let log = desk.log("ticks")
            return desk.files("ticks").first { !log.contains($0) }
        }
        try #require(eventually(within: 20) { orphan() != nil })
        try central.kill()
        let left = try #require(orphan(), "the commit came before the kill")
        // The tracer is gone; the program it held ends a moment later.
        try #require(eventually { (try? DirectoryLock("\(desk.station.folder)/central")) != nil })
        try central.start()
        let instant = left.dropFirst("run-ticks-".count).prefix(15)
        try #require(eventually { desk.log("ticks").contains("run-ticks-\(instant)-") })
        #expect(!desk.log("ticks").contains(left), "the next attempt wrote its own file")
        try central.kill()
    }
}
