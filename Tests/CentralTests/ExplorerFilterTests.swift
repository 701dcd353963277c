// What the explorer takes and what it refuses: filters, charts, limits.

import Central
import Models
import System
import Testing

@Suite("the explorer's filters and limits") struct ExplorerFilterTests {
    @Test("each filter of the explorer gives what a loop over the reports gives")
    func filters() throws {
        let sample = try SampleArchive(count: 200)
        let broken = Set(
            sample.alerts.filter { $0.alert.rule == "battery" }.map { "\($0.alert.droneID)~\($0.alert.seq ?? 0)" })
        let cases: [([String: String], (SampleReport) -> Bool)] = [
            (["words": "market"], { $0.words.contains("market") }),
            (["words": "market rain"], { $0.words.contains("market") && $0.words.contains("rain") }),
            (["words": "-market"], { !$0.words.contains("market") }),
            (["words": "m*"], { $0.words.contains { $0.hasPrefix("m") } }),
            (["words": "-m* fire"], { $0.words.contains("fire") && !$0.words.contains { $0.hasPrefix("m") } }),
            (["words": #""don't""#], { $0.words.contains("don't") }),
            (["words": "=SUM(A1)"], { $0.words.contains("=SUM(A1)") }),
            (["rule": "battery"], { broken.contains("\($0.drone)~\($0.seq)") }),
            (["late": "true"], { $0.receivedAt - $0.observedAt > 300_000_000 }),
            (
                ["late": "false", "relay_id": "relay-1"],
                { $0.receivedAt - $0.observedAt <= 300_000_000 && $0.relay == "relay-1" }
            ),
            (["time_suspect": "false", "from": "2026-11-21"], { $0.date >= "2026-11-21" }),
        ]
        for (query, wanted) in cases {
            let expected = sample.reports.filter(wanted).count
            let found = try sample.found(.histogram, query.merging(["by": "none"]) { $1 })
            #expect(found.map { $0.integer("reports") }.reduce(0, +) == expected, "\(query), seed \(sample.seed)")
            #expect(expected > 0 && expected < sample.reports.count, "\(query) decides nothing")
        }
    }

    @Test(
        "text that looks like SQL stays a value",
        arguments: [
            "') or true --", "'; drop table reports; --", "\\' or 1=1", "$q$", "\u{1}", "a' || (select 1) || '", "%",
            "*",
        ])
    func hostile(text: String) throws {
        let sample = try SampleArchive(count: 20)
        for items in [["words": text], ["rule": text], ["words": "\"\(text)\""]] {
            let rows = try sample.found(.histogram, items)
            #expect(rows.isEmpty, "\(items)")
        }
        let reading = try sample.found(.values, ["field": "readings.\(text)"])
        #expect(reading.isEmpty)
        #expect(try sample.found(.chart, ["y": "reading_mean", "reading": text]).allSatisfy { $0.isNull("y") })
    }

    @Test(
        "every dimension and measure of a chart is answered, and reports add up",
        arguments: ["time", "hour", "weekday", "relay_id", "drone_id", "cell", "late"])
    func charts(dimension: String) throws {
        let sample = try SampleArchive(count: 150)
        let isSeries = dimension == "late"
        let items = isSeries ? ["by": "late"] : ["x": dimension, "top": "200"]
        let rows = try sample.found(.chart, items)
        #expect(rows.map { $0.integer("y") }.reduce(0, +) == 150, "\(dimension), seed \(sample.seed)")
        for measure in ["drones", "late_share", "delay_p50", "delay_p95", "reading_mean", "reading_min", "reading_max"]
        {
            let answer = try sample.found(.chart, items.merging(["y": measure, "reading": "battery_pct"]) { $1 })
            #expect(
                answer.count == rows.count && answer.allSatisfy { $0.number("y").isFinite }, "\(dimension) \(measure)")
        }
        let scores = try sample.ask(.chart, items.merging(["y": "peacescore"]) { $1 })
        #expect(try OrderedRow.all(scores.body).allSatisfy { $0.integer("persons") >= 5 } && scores.suppressed != nil)
    }

    @Test("hours and weekdays are UTC's, weekdays from Monday")
    func clock() throws {
        let sample = try SampleArchive(count: 100)
        let hours = try sample.found(.chart, ["x": "hour"])
        let days = try sample.found(.chart, ["x": "weekday"])
        let expectedHours = Dictionary(grouping: sample.reports) { Int($0.hour % 24) }.mapValues(\.count)
        #expect(
            Dictionary(uniqueKeysWithValues: hours.map { ($0.integer("x"), $0.integer("y")) }) == expectedHours,
            "seed \(sample.seed)")
        // 2026-11-20 is a Friday.
        let expectedDays = Dictionary(grouping: sample.reports) { $0.date == "2026-11-20" ? 5 : 6 }.mapValues(\.count)
        #expect(
            Dictionary(uniqueKeysWithValues: days.map { ($0.integer("x"), $0.integer("y")) }) == expectedDays,
            "seed \(sample.seed)")
    }

    @Test("words, rules and readings are dimensions of their own")
    func lists() throws {
        let sample = try SampleArchive(count: 150)
        let words = try sample.found(.chart, ["x": "word", "top": "2"])
        let counts = SampleArchive.vocabulary.map { word in sample.reports.count { $0.words.contains(word) } }.sorted()
        #expect(words.map { $0.integer("y") }.sorted() == counts.suffix(2), "seed \(sample.seed)")
        let rules = try sample.found(.chart, ["x": "rule", "by": "relay_id"])
        #expect(Set(rules.map { $0.text("x") }).isSubset(of: ["low-peacescore", "battery", "words"]) && !rules.isEmpty)
        let bands = try sample.found(.chart, ["x": "reading", "reading": "battery_pct", "top": "10"])
        #expect(bands.map { $0.integer("y") }.reduce(0, +) == 150 && bands.count <= 12, "seed \(sample.seed)")
    }

    @Test("an answer has at most 50,000 rows, and says when there were more")
    func points() throws {
        let sample = try SampleArchive(count: 5)
        var question = try sample.question(.histogram)
        for (rows, isMore) in [(ExplorerLimits.points, false), (ExplorerLimits.points + 1, true)] {
            question.sql = "select range as n from range(\(rows))"
            let answer = try sample.service.run(question.request(.json))
            #expect(answer.rowCount == 50_000 && answer.truncated == isMore, "\(rows)")
        }
        for path in ExplorerPath.allCases where path != .days {
            #expect(try sample.question(path, path == .values ? ["field": "words"] : [:]).limit <= 50_000, "\(path)")
        }
    }

    @Test(
        "a question beyond a limit is refused by the name of what is wrong",
        arguments: [
            (ExplorerPath.histogram, ["bins": "2001"], "bins"), (.histogram, ["by": "drone_id"], "by"),
            (.histogram, ["words": #""open"#], "words"), (.histogram, ["words": " "], "words"),
            (.histogram, ["late": "yes"], "late"), (.histogram, ["person_id": "Ada"], "person_id"),
            (.histogram, ["rule": "a\0b"], "rule"), (.bins, ["length": "10"], "length"),
            (.points, ["limit": "50001"], "limit"),
            (.values, [:], "field"), (.values, ["field": "digest"], "field"),
            (.values, ["field": "observed_at"], "field"),
            (.chart, ["x": "reading"], "reading"), (.chart, ["y": "citizen"], "y"), (.chart, ["top": "0"], "top"),
            (.schema, ["from": "-1h"], "from"), (.days, ["format": "sql"], "format"),
            (.fields, ["format": "geojson"], "format"),
        ])
    func refused(path: ExplorerPath, items: [String: String], field: String) throws {
        do throws(Problem) {
            _ = try path.question(items.map { (name: $0.key, value: $0.value) }, now: SampleArchive.now, within: nil)
            Issue.record("\(path) \(items) was accepted")
        } catch {
            #expect(error.status == 422 && error.field == field, "\(error)")
        }
    }

    @Test("the largest question that is allowed is accepted")
    func edges() throws {
        let sample = try SampleArchive(count: 20)
        #expect(try sample.found(.histogram, ["bins": "2000"]).count > 0)
        #expect(try sample.found(.points, ["limit": "50000"]).count == 20)
        #expect(try sample.found(.bins, ["length": "9"]).count > 0)
        let many = (1...20).map { "-w\($0)" }.joined(separator: " ")
        #expect(try sample.found(.histogram, ["words": many]).count > 0)
        #expect(throws: Problem.self) { try sample.question(.histogram, ["words": many + " -w21"]) }
    }

    @Test("an interval is one that people count in, and there are never more than asked for")
    func widths() throws {
        let sample = try SampleArchive(count: 5)
        for (from, bins) in [
            ("-15m", 60), ("-24h", 240), ("-7d", 100), ("-30d", 2_000), ("-9000d", 100), ("-30000d", 3),
        ] {
            let question = try sample.question(
                .histogram, ["from": from, "to": "now", "bins": "\(bins)", "by": "none"])
            let seconds = try #require(question.sql.firstMatch(of: /'(\d+) seconds'/)?.output.1)
            let width = try #require(Double(seconds))
            let amount = try #require(Double(from.dropFirst().dropLast()))
            let unit: Double = from.hasSuffix("d") ? 86_400 : from.hasSuffix("h") ? 3_600 : 60
            #expect(amount * unit / width + 2 <= Double(bins) + 1, "\(from) in \(bins): \(width) s")
        }
    }

    @Test("the shown SQL, asked by hand, gives the same rows")
    func shownSQL() throws {
        let sample = try SampleArchive(count: 40)
        let paths: [ExplorerPath] = [.histogram, .points, .fields, .values, .chart, .archive]
        for path in paths {
            let question = try sample.question(
                path, path == .values ? ["field": "words", "from": "-40h"] : ["from": "-40h"])
            let asked = try OrderedRow.all(sample.service.run(question.request(.json)).body)
            let byHand = try sample.rows(question.sql)
            #expect(
                "\(asked.map(\.values.keys.count))" == "\(byHand.map(\.values.keys.count))" && !asked.isEmpty, "\(path)"
            )
        }
    }

    @Test("an empty archive has an empty histogram, not an error")
    func empty() throws {
        let archive = try ArchiveFixture()
        let service = try QueryService(
            configuration: .init(duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries"),
            lake: archive.lake, time: SystemTime())
        let days = try service.lakeDays()
        #expect(days.period == nil)
        for path in ExplorerPath.allCases where path != .days {
            let items = path == .values ? [(name: "field", value: "words")] : []
            let (question, _) = try path.question(items, now: SampleArchive.now, within: days.period)
            let answer = try service.run(try #require(question).request(.json))
            #expect(answer.rowCount == 0 || [.fields, .schema].contains(path), "\(path)")
        }
    }
}
