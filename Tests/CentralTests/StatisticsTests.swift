// Statistics as files: headers, parameters that stay values, the library of folders, suppression.

import Central
import DuckDB
import Foundation
import Models
import System
import Testing
import TestSupport

@Suite("statistics as files") struct StatisticsTests {
    private static let now = SampleArchive.now

    @Test("every built-in file is sound: it has a title, a plot, and notes for exactly the columns it gives")
    func builtIn() throws {
        let fixture = try StatisticsFixture(count: 5)
        let described = try fixture.library.described()
        #expect(described.count >= 12)
        for (entry, columns) in described {
            let statistic = try #require(try? entry.result.get(), "\(entry.name): \(entry.result)")
            #expect(entry.folder == nil && !statistic.description.isEmpty && statistic.plot != nil)
            #expect(statistic.columns.map(\.name) == columns.map(\.name), "\(entry.name)")
            #expect(statistic.parameters.prefix(2).map(\.name) == ["from", "to"], "\(entry.name)")
            let text = statistic.sql
            #expect(!text.contains("person_id") || statistic.people != nil, "\(entry.name) is about people")
        }
    }

    @Test("a file added to the folder is a statistic at once; a broken one says why and harms no other")
    func folder() throws {
        let fixture = try StatisticsFixture(count: 10)
        try fixture.write("mine.sql", "-- title: Mine\n-- param least integer = 1: At least\nselect $least as n")
        try fixture.write("broken.sql", "-- title: Broken\nselect nope from reports")
        try fixture.write("headless.sql", "select 1")
        try fixture.write("Bad Name.sql", "-- title: x\nselect 1")
        try fixture.write("undeclared.sql", "-- title: x\nselect 1,\n  $missing")
        try fixture.write("latin.txt", "not a statistic")
        try FileSystem.writeAtomically("\(fixture.folder)/bytes.sql", [0x2d, 0xff, 0xfe])
        var byName: [String: StatisticEntry] = [:]
        for (entry, _) in try fixture.library.described() { byName[entry.name] = entry }
        func fault(_ name: String) -> String {
            guard case .failure(let fault) = byName[name]?.result else { return "" }
            return fault.description
        }
        #expect((try? byName["mine"]?.result.get())?.parameters.first?.defaultText == "1")
        #expect(
            fault("broken").contains("\"nope\"") && fault("broken").contains("(line 2, column 8)"), "\(fault("broken"))"
        )
        #expect(fault("headless").contains("title"))
        #expect(fault("Bad Name").contains("name"))
        #expect(fault("undeclared").contains("line 3") && fault("undeclared").contains("$missing"))
        #expect(fault("bytes").contains("UTF-8") && byName["latin"] == nil)
        #expect(byName.values.count { (try? $0.result.get()) != nil } >= 13)
        #expect(try fixture.sample.service.run(sql: "select 1 as a", format: .json).rowCount == 1)
        try fixture.write("broken.sql", "-- title: Mended\nselect count(*) as n from reports")
        let mended = try fixture.library.described().first { $0.entry.name == "broken" }
        #expect(mended?.columns.map(\.name) == ["n"])
        try fixture.write("top-words.sql", "-- title: My words\nselect 1 as n")
        #expect(try fixture.library.statistic("top-words").title == "My words")
    }

    @Test(
        "a header that is wrong is refused with its line",
        arguments: [
            "-- titel: x", "-- title: a\n-- param x: y", "-- title: a\n-- param x strange = 1: y",
            "-- title: a\n-- param X text = a: y", "-- title: a\n-- param format text = a: y",
            "-- title: a\n-- param n integer = many: y", "-- title: a\n-- param t timestamp = soon: y",
            "-- title: a\n-- column a b: c", "-- title: a\n-- people:",
            "-- title: a\n-- param a text = 1: x\n"
                + "-- param a text = 2: x",
        ])
    func headers(sql: String) {
        do throws(StatisticFault) {
            _ = try Statistic(name: "x", sql: sql + "\nselect 1")
            Issue.record("accepted: \(sql)")
        } catch {
            #expect(error.line == sql.split(separator: "\n").count, "\(error)")
        }
    }

    private static func value(_ type: String, _ text: String, fallback: String = "null") throws -> String? {
        let statistic = try Statistic(name: "x", sql: "-- title: x\n-- param p \(type) = \(fallback): x\nselect $p")
        return try? statistic.resolved(["p": text], now: now, smallestGroup: 5).sql.split(separator: "\n").last.map {
            String($0)
        }
    }

    @Test("a value becomes a literal of its type or is refused")
    func literals() throws {
        let cases: [(String, String, String?)] = [
            ("timestamp", "2026-11-20T05:00:00Z", "select (timestamptz '2026-11-20T05:00:00.000Z')"),
            ("timestamp", "2026-11-20T06:00:00 01:00", "select (timestamptz '2026-11-20T05:00:00.000Z')"),
            ("timestamp", "-24h", "select (timestamptz '2026-11-21T05:00:00.000Z')"),
            ("timestamp", "2026-11-20' or true --", nil), ("timestamp", "-99999999999d", nil),
            ("date", "-2d", "select (date '2026-11-20')"),
            ("interval", "15 minutes", "select (interval '15 minutes')"), ("interval", "1 day'", nil),
            ("interval", "-1 day", nil), ("interval", "1 day 2 hours", nil),
            ("integer", "7", "select (7::BIGINT)"), ("integer", "7; drop", nil), ("integer", "1e3", nil),
            ("number", "2.5", "select (2.5::DOUBLE)"), ("number", "nan", nil), ("number", "1)--", nil),
            ("boolean", "true", "select (true)"), ("boolean", "1=1", nil),
            ("text", "a'); drop table x; --", "select ('a''); drop table x; --'::VARCHAR)"),
            ("text", "$p \\ \" $$", "select ('$p \\ \" $$'::VARCHAR)"), ("text", "a\u{0}b", nil),
            ("text", "null", "select (null::VARCHAR)"),
        ]
        for (type, text, expected) in cases {
            #expect(try Self.value(type, text) == expected, "\(type) \(text)")
        }
        #expect(try Self.value("integer", "null", fallback: "3") == nil)
        #expect(try Self.value("text", String(repeating: "x", count: 1_001)) == nil)
    }

    @Test("any text reaches the statement as exactly that text")
    func hostileTexts() throws {
        let fixture = try StatisticsFixture(count: 5)
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        let pieces = [
            "'", "''", "\"", "$", "$$", "$q$", "--", "/*", "*/", ";", "\\", "\n", ")", "é", "select", "\u{1}", " ",
        ]
        let statistic = try Statistic(
            name: "x", sql: "-- title: x\n-- param p text = '': x\nselect $p as p, '$p' as kept -- $p\n, 1 as \"$p\"")
        for _ in 0..<25 {
            let text = (0..<Int.random(in: 1...12, using: &random))
                .map { _ in pieces[Int.random(in: 0..<pieces.count, using: &random)] }.joined()
            let resolved = try statistic.resolved(["p": text], now: Self.now, smallestGroup: 5)
            let rows = try OrderedRow.all(fixture.sample.service.run(sql: resolved.sql, format: .json).body)
            #expect(rows.first?.text("p") == text && rows.first?.text("kept") == "$p", "seed \(seed): \(text)")
            #expect(rows.first?.integer("$p") == 1, "seed \(seed)")
        }
    }

    @Test("unknown and missing parameters are named")
    func parameters() throws {
        let statistic = try Statistic(name: "x", sql: "-- title: x\n-- param day date: Which\nselect $day")
        func problem(_ given: [String: String]) -> Problem? {
            do throws(Problem) {
                _ = try statistic.resolved(given, now: Self.now, smallestGroup: 5)
                return nil
            } catch {
                return error
            }
        }
        #expect(problem([:])?.code == "missing_field" && problem([:])?.field == "day")
        #expect(problem(["day": "x"])?.code == "invalid_field")
        #expect(problem(["day": "2026-11-20", "dya": "1"])?.code == "unknown_parameter")
        #expect(problem(["day": "2026-11-20"]) == nil)
    }

    @Test("groups of fewer people than allowed are left out, in every format, and their number is said")
    func suppression() throws {
        let fixture = try StatisticsFixture(count: 5)
        try fixture.write(
            "groups.sql",
            """
            -- title: Groups
            -- people: persons
            select * from (values ('a', 4), ('b', 5), ('c', null), ('d', 900)) t("group", persons)
            """)
        func ask(_ format: QueryFormat) throws -> QueryAnswer {
            let statistic = try fixture.library.statistic("groups")
            var request = QueryRequest(
                sql: try statistic.resolved([:], now: Self.now, smallestGroup: 5).sql, format: format)
            request.people = statistic.people
            return try fixture.sample.service.run(request)
        }
        let json = try ask(.json)
        #expect(try OrderedRow.all(json.body).map { $0.text("group") } == ["b", "d"] && json.suppressed == 2)
        let text = String(decoding: json.body, as: UTF8.self)
        #expect(text.contains(#""suppressed_groups":2,"smallest_group":5"#), "\(text)")
        let csv = try ask(.csv)
        #expect(String(decoding: csv.body, as: UTF8.self) == "group,persons\nb,5\nd,900\n" && csv.suppressed == 2)
        #expect(try ask(.parquet).suppressed == 2)
    }
}
