// The macros and the unfolded views, each against a computation of its own.

import Central
import Foundation
import Models
import Testing
import TestSupport

@Suite("helpers for SQL") struct QueryHelperTests {
    private struct Point {
        var latitude: Double
        var longitude: Double
    }

    private static func points(_ count: Int, _ random: inout SeededGenerator) -> [Point] {
        (0..<count).map { _ in
            Point(
                latitude: Double.random(in: -90...90, using: &random),
                longitude: Double.random(in: -180...180, using: &random))
        } + [
            Point(latitude: 90, longitude: 180), Point(latitude: -90, longitude: -180),
            Point(latitude: 0, longitude: 0),
        ]
    }

    private static func values(_ points: [Point]) -> String {
        points.enumerated().map { "(\($0), \($1.latitude)::DOUBLE, \($1.longitude)::DOUBLE)" }.joined(separator: ", ")
    }

    @Test("geohash gives what the archive's own cells are made with, at every length")
    func geohash() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        let points = Self.points(150, &random)
        let fixture = try QueryFixture(rows: 0)
        let rows = try OrderedRow.all(
            fixture.service.run(
                sql: "select i, n, geohash(lat, lon, n) as hash, geohash(lat, lon) as cell from "
                    + "(values \(Self.values(points))) p(i, lat, lon), range(1, 13) r(n)", format: .json
            ).body)
        #expect(rows.count == points.count * 12)
        for row in rows {
            let point = points[row.integer("i")]
            let (latitude, longitude) = (point.latitude, point.longitude)
            #expect(
                row.text("hash")
                    == Geohash.encode(latitude: latitude, longitude: longitude, length: row.integer("n")),
                "seed \(seed), \(point)")
            #expect(row.text("cell") == Geohash.encode(latitude: latitude, longitude: longitude), "seed \(seed)")
        }
        let none = try fixture.json(
            "select geohash(null, 2.0) as a, geohash(1.0, 2.0, 40) as b, geohash(1.0, 2.0, 0) as c")
        #expect(none.contains(#"{"a":null,"b":"s01mtw037ms0","c":"s"}"#), "\(none)")
    }

    @Test("date_trunc answers what DuckDB's own does, for every part and type, only sooner")
    func dateTrunc() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        // Years 1600 to 2500, and the moments at which days, months and years turn.
        let times =
            (0..<200).map { _ in Int64.random(in: -11_676_096_000_000_000...16_725_225_600_000_000, using: &random) }
            + [0, -1, 951_782_400_000_000, 1_767_225_599_999_999, 1_767_225_600_000_000]
        let list = times.map { "(make_timestamptz(\($0)))" }.joined(separator: ", ")
        let fixture = try QueryFixture(rows: 0)
        for part in ["microsecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "HOURS"] {
            let answer = try fixture.json(
                "select count(*) as n from (values \(list), ('infinity'::timestamptz), (null::timestamptz)) t(ts) "
                    + "where date_trunc('\(part)', ts) is not distinct from system.main.date_trunc('\(part)', ts)")
            #expect(answer.contains(#"{"n":\#(times.count + 2)}"#), "\(part), seed \(seed): \(answer)")
        }
        let types = try fixture.json(
            "select typeof(date_trunc('day', date '2026-11-20')) as a, typeof(date_trunc('day', now())) as b, "
                + "typeof(date_trunc('day', timestamp '2026-11-20')) as c, date_trunc('hour', interval '90 min') as d")
        #expect(
            types.contains(#"{"a":"TIMESTAMP","b":"TIMESTAMP WITH TIME ZONE","c":"TIMESTAMP","d":"01:00:00"}"#),
            "\(types)")
    }

    @Test("cell_bounds is the box that a cell's points are in, halved as often as its characters say")
    func bounds() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        let points = Self.points(100, &random).dropLast(3)
        let hashes = points.enumerated().map {
            Geohash.encode(latitude: $1.latitude, longitude: $1.longitude, length: 1 + $0 % 12)
        }
        let fixture = try QueryFixture(rows: 0)
        let list = hashes.enumerated().map { "(\($0), '\($1)')" }.joined(separator: ", ")
        let rows = try OrderedRow.all(
            fixture.service.run(
                sql: "select i, b.south, b.west, b.north, b.east, cell_lat(h) as y, cell_lon(h) as x from "
                    + "(select i, h, cell_bounds(h) as b from (values \(list)) t(i, h))", format: .json
            ).body)
        #expect(rows.count == hashes.count)
        for row in rows {
            let point = points[row.integer("i")]
            let bits = 5 * hashes[row.integer("i")].utf8.count
            #expect(row.number("south") <= point.latitude && point.latitude <= row.number("north"), "seed \(seed)")
            #expect(row.number("west") <= point.longitude && point.longitude <= row.number("east"), "seed \(seed)")
            #expect(
                isNear(row.number("east") - row.number("west"), 360 / pow(2, Double((bits + 1) / 2))), "seed \(seed)")
            #expect(isNear(row.number("north") - row.number("south"), 180 / pow(2, Double(bits / 2))), "seed \(seed)")
            #expect(isNear(row.number("y"), (row.number("south") + row.number("north")) / 2))
            #expect(isNear(row.number("x"), (row.number("west") + row.number("east")) / 2))
        }
        let wrong = try fixture.json("select cell_bounds('u0a') as a, cell_bounds('') as b, cell_bounds(null) as c")
        #expect(wrong.contains(#"{"a":null,"b":null,"c":null}"#), "\(wrong)")
    }

    /// By vectors, not by the haversine formula.
    private static func distance(_ from: Point, _ to: Point) -> Double {
        func vector(_ point: Point) -> SIMD3<Double> {
            let (latitude, longitude) = (point.latitude * .pi / 180, point.longitude * .pi / 180)
            return [cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)]
        }
        let (a, b) = (vector(from), vector(to))
        let cross: SIMD3<Double> = [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
        return 6_371_008.8 * atan2((cross * cross).sum().squareRoot(), (a * b).sum())
    }

    @Test("distances, circles and boxes agree with vectors on a sphere, across the 180th meridian too")
    func distances() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        let points = Self.points(120, &random)
        let fixture = try QueryFixture(rows: 0)
        let rows = try OrderedRow.all(
            fixture.service.run(
                sql: "select i, distance_m(lat, lon, 48.8566, 2.3522) as d, "
                    + "in_circle(lat, lon, 48.8566, 2.3522, 4000000) as inside, "
                    + "in_box(lat, lon, 170, -40, -100, 60) as boxed "
                    + "from (values \(Self.values(points))) p(i, lat, lon)",
                format: .json
            ).body)
        for row in rows {
            let point = points[row.integer("i")]
            let expected = Self.distance(point, Point(latitude: 48.8566, longitude: 2.3522))
            #expect(abs(row.number("d") - expected) < 0.01 + expected * 1e-9, "seed \(seed), \(point)")
            #expect(row.values["inside"] as? Bool == (expected <= 4_000_000), "seed \(seed), \(point)")
            let isBoxed =
                (-40...60).contains(point.latitude) && (point.longitude >= 170 || point.longitude <= -100)
            #expect(row.values["boxed"] as? Bool == isBoxed, "seed \(seed), \(point)")
        }
        // Paris to London, as everybody gives it: 344 km.
        let known = try fixture.json("select round(distance_m(48.8566, 2.3522, 51.5074, -0.1278) / 1000) as km")
        #expect(known.contains(#"{"km":344"#), "\(known)")
    }

    @Test("buckets begin where the clock says, weeks on Monday; a suspect clock's time is not used")
    func times() throws {
        let fixture = try QueryFixture(rows: 0)
        let answer = try fixture.json(
            """
            select bucket('15 minutes', t) as quarter, bucket('1 day', t) as day, bucket('1 week', t) as week,
                bucket('1 month', t) as month, delay_s(t, t + interval '1500 milliseconds') as delay,
                report_time(t, t + interval '2 hours', true) as suspect,
                report_time(t, t + interval '2 hours', false) as fine
            from (select timestamptz '2026-11-20 05:22:33+00' as t)
            """)
        #expect(
            answer.contains(
                #"{"quarter":"2026-11-20T05:15:00.000000Z","day":"2026-11-20T00:00:00.000000Z","#
                    + #""week":"2026-11-16T00:00:00.000000Z","month":"2026-11-01T00:00:00.000000Z","delay":1.5,"#
                    + #""suspect":"2026-11-20T07:22:33.000000Z","fine":"2026-11-20T05:22:33.000000Z"}"#), "\(answer)")
    }

    @Test("sightings has a row a citizen and spoken a row a word, each with its report's columns")
    func unfolded() throws {
        let sample = try SampleArchive(count: 80)
        let sightings = try sample.rows("select drone_id, seq, peacescore, person_id, cell, date from sightings")
        let expected = sample.reports.flatMap { report in
            report.citizens.map { "\(report.drone) \(report.seq) \($0.peacescore) \(report.cell) \(report.date)" }
        }
        #expect(
            sightings.map {
                "\($0.text("drone_id")) \($0.integer("seq")) \($0.number("peacescore")) \($0.text("cell")) "
                    + $0.text("date")
            }.sorted() == expected.sorted(), "seed \(sample.seed)")
        #expect(
            Set(sightings.map { $0.text("person_id") }).count
                == Set(sample.reports.flatMap { $0.citizens.map(\.name) }).count)
        let spoken = try sample.rows("select drone_id, seq, word from spoken")
        #expect(
            spoken.map { "\($0.text("drone_id")) \($0.integer("seq")) \($0.text("word"))" }.sorted()
                == sample.reports.flatMap { report in report.words.map { "\(report.drone) \(report.seq) \($0)" } }
                .sorted(), "seed \(sample.seed)")
        let first = try #require(sightings.first)
        let person = first.text("person_id")
        let seen = try sample.rows("select count(*) as n from reports where sees_person(citizens, '\(person)')")
        let named = try #require(
            sample.reports.first { $0.drone == first.text("drone_id") && $0.seq == Int64(first.integer("seq")) })
        let name = try #require(named.citizens.first { $0.peacescore == first.number("peacescore") }?.name)
        #expect(
            seen.first?.integer("n") == sample.reports.count { $0.citizens.contains { $0.name == name } },
            "seed \(sample.seed)")
        let lowest = try sample.rows("select min(lowest_peacescore(citizens)) as n from reports")
        #expect(lowest.first?.number("n") == sample.reports.flatMap { $0.citizens.map(\.peacescore) }.min())
    }
}

@Suite("where a statement is wrong") struct QueryPlaceTests {
    @Test(
        "the message points at the piece of the statement that it is about",
        arguments: [
            ("select drone_id, -- nope\n  nope from reports", "(line 2, column 3)"),
            ("select r.nope from reports r", "(line 1, column 8)"),
            ("select count(*)\nfrom reportz", "(line 2, column 6)"),
            ("select 1,\n  selec from reports where", "(line 2,"),
            ("select 'nothing(' as a,\n nothing(lat) from reports", "(line 2, column 2)"),
            ("select lower(words)\nfrom reports", "(line 1, column 8)"),
            ("select drone_id,\n  count(*) from reports", "(line 1, column 8)"),
            ("select seq\nfrom reports where drone_id + 1 > 2 and 'x'::int = 3", "(line 2,"),
            ("select \"ö\", \"näme\" as \"é\",\n 1", "(line 1, column 8)"),
        ])
    func places(sql: String, place: String) throws {
        let fixture = try QueryFixture(rows: 1)
        let problem = try #require(fixture.problem(sql))
        #expect(problem.code == "sql_error" && problem.detail.contains(place), "\(sql): \(problem.detail)")
        #expect(!problem.detail.contains("Candidate functions"), "\(problem.detail)")
    }
}
