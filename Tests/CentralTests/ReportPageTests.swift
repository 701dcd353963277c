// `GET /v1/reports`: pages that neither miss nor repeat a report, filters, and the formats.

import Central
import Foundation
import Models
import Testing

@Suite("pages of reports") struct ReportPageTests {
    private static func items(_ items: [String: String]) -> [(name: String, value: String)] {
        items.map { ($0.key, $0.value) }
    }

    private static func keys(_ sample: SampleArchive, _ query: [String: String]) throws -> (keys: [String], pages: Int)
    {
        var keys: [String] = []
        var pages = 0
        var query = query
        while true {
            pages += 1
            let answer = try sample.service.run(ReportPage(items(query), now: SampleArchive.now).request)
            keys += try OrderedRow.all(answer.body).map { "\($0.text("drone_id"))~\($0.integer("seq"))" }
            guard let next = answer.nextCursor, pages < 200 else { return (keys, pages) }
            query["cursor"] = next
        }
    }

    private static func key(_ report: SampleReport) -> String { "\(report.drone)~\(report.seq)" }

    @Test("following the cursor gives every report once and in order, newest or oldest first")
    func cursor() throws {
        let sample = try SampleArchive(count: 60)
        let ascending = sample.reports.sorted {
            ($0.observedAt, $0.drone, $0.seq) < ($1.observedAt, $1.drone, $1.seq)
        }.map(Self.key)
        let oldest = try Self.keys(sample, ["limit": "25", "order": "oldest"])
        #expect(oldest.keys == ascending && oldest.pages == 3, "seed \(sample.seed)")
        let newest = try Self.keys(sample, ["limit": "30"])
        #expect(newest.keys == ascending.reversed() && newest.pages == 2, "seed \(sample.seed)")
    }

    @Test("a cursor stays where it is when newer reports are archived meanwhile")
    func stability() throws {
        let sample = try SampleArchive(count: 20)
        let first = try sample.service.run(ReportPage(Self.items(["limit": "12"]), now: SampleArchive.now).request)
        var maker = BatchMaker(relay: "relay-9")
        maker.add(
            1, BatchMaker.report(drone: "pw-new", seq: 1, observedAt: "2026-11-21T23:00:00Z"),
            receivedAt: SampleArchive.now.microseconds)
        _ = try sample.archive.archiver().archive([maker.batch(at: 99)])
        let second = try sample.service.run(
            ReportPage(
                Self.items(["limit": "12", "cursor": try #require(first.nextCursor)]), now: SampleArchive.now
            ).request)
        let rows = try OrderedRow.all(first.body) + OrderedRow.all(second.body)
        #expect(
            Set(rows.map { "\($0.text("drone_id"))~\($0.integer("seq"))" }) == Set(sample.reports.map(Self.key)),
            "seed \(sample.seed)")
        #expect(rows.count == 20 && second.nextCursor == nil, "seed \(sample.seed)")
    }

    @Test("each filter gives what a loop over the reports gives")
    func filters() throws {
        let sample = try SampleArchive(count: 120)
        let from = ArchiveFixture.start + 5 * 3_600_000_000
        let to = ArchiveFixture.start + 20 * 3_600_000_000
        let cell = String(sample.reports[0].cell.prefix(4))
        let cases: [([String: String], (SampleReport) -> Bool)] = [
            (
                ["from": Timestamp(microseconds: from).rfc3339, "to": Timestamp(microseconds: to).rfc3339],
                { (from..<to).contains($0.observedAt) }
            ),
            (["from": "2026-11-21"], { $0.date >= "2026-11-21" }),
            (
                ["from": "-40h", "to": "-1d"],
                { report in
                    let now = SampleArchive.now.microseconds
                    return (now - 40 * 3_600_000_000..<now - 24 * 3_600_000_000).contains(report.observedAt)
                }
            ),
            (["drone_id": "pw-000003"], { $0.drone == "pw-000003" }),
            (["relay_id": "relay-2", "word": "don't"], { $0.relay == "relay-2" && $0.words.contains("don't") }),
            (["word": "naïve"], { $0.words.contains("naïve") }),
            (
                ["bbox": "2.5,48.25,3.5,49.5"],
                { (2.5...3.5).contains($0.longitude) && (48.25...49.5).contains($0.latitude) }
            ),
            (["cell": cell], { $0.cell.hasPrefix(cell) }),
        ]
        for (query, wanted) in cases {
            let found = try Self.keys(sample, query.merging(["limit": "10000"]) { $1 })
            let expected = sample.reports.filter(wanted).map(Self.key)
            #expect(Set(found.keys) == Set(expected) && found.keys.count == expected.count, "\(query), \(sample.seed)")
            #expect(!expected.isEmpty && expected.count < sample.reports.count, "\(query) decides nothing")
        }
    }

    @Test("GeoJSON has a point a report and its other columns as properties; NDJSON has an object a line")
    func formats() throws {
        let sample = try SampleArchive(count: 30)
        func body(_ format: String) throws -> [UInt8] {
            try sample.service.run(
                ReportPage(Self.items(["format": format, "limit": "100"]), now: SampleArchive.now).request
            ).body
        }
        let map = try #require(
            try JSONSerialization.jsonObject(with: Data(try body("geojson"))) as? [String: Any])
        let features = try #require(map["features"] as? [[String: Any]])
        #expect(map["type"] as? String == "FeatureCollection" && features.count == 30)
        let lines = try body("ndjson").split(separator: 0x0a)
        #expect(lines.count == 30)
        for (feature, line) in zip(features, lines) {
            let properties = try #require(feature["properties"] as? [String: Any])
            let row = try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
            let report = try #require(
                sample.reports.first {
                    $0.drone == properties["drone_id"] as? String && $0.seq == properties["seq"] as? Int64
                })
            let geometry = try #require(feature["geometry"] as? [String: Any])
            let coordinates = try #require(geometry["coordinates"] as? [Double])
            #expect(coordinates.count == 3 && coordinates.last == 80)
            #expect(isNear(coordinates[0], report.longitude) && isNear(coordinates[1], report.latitude))
            #expect(properties["lat"] == nil && properties["words"] as? [String] == report.words)
            #expect(
                isNear(row["lat"] as? Double ?? 0, report.latitude)
                    && row["observed_at"] as? String
                        == properties["observed_at"] as? String
            )
        }
        let csv = String(decoding: try body("csv"), as: UTF8.self)
        #expect(csv.split(separator: "\n").count == 31 && csv.hasPrefix("date,drone_id,boot,seq,observed_at"))
    }

    @Test(
        "a filter that is wrong is named, and an unknown one is not passed over",
        arguments: [
            (["bbox": "1,2,3"], "bbox"), (["bbox": "1,50,3,40"], "bbox"), (["from": "yesterday"], "from"),
            (["from": "2026-11-21", "to": "2026-11-20"], "to"), (["limit": "0"], "limit"),
            (["cursor": "1~2"], "cursor"), (["cursor": "1~pw-1~b') or true --~1"], "cursor"),
            (["drone_id": "a' or 'a'='a"], "drone_id"), (["format": "xls"], "format"), (["drone": "pw-1"], "drone"),
        ])
    func wrong(query: [String: String], field: String) throws {
        do throws(Problem) {
            _ = try ReportPage(Self.items(query), now: SampleArchive.now)
            Issue.record("\(query) was accepted")
        } catch {
            #expect(error.status == 422 && error.field == field, "\(error)")
        }
    }
}

@Suite("CSV for spreadsheets") struct SpreadsheetTests {
    @Test("a text that a spreadsheet would take for a formula has a quote before it; numbers have not")
    func formulas() throws {
        let fixture = try QueryFixture(rows: 0)
        let csv = try fixture.service.run(
            sql: """
                select v as text, -1.5 as number, [v] as list from
                    (values ('=cmd|x'), ('+1'), ('-1'), ('@a'), (e'\\tb'), ('a=b'), (null)) t(v)
                """, format: .csv)
        #expect(
            String(decoding: csv.body, as: UTF8.self).split(separator: "\n").map(String.init) == [
                "text,number,list", #"'=cmd|x,-1.5,"[""=cmd|x""]""#, #"'+1,-1.5,"[""+1""]""#, #"'-1,-1.5,"[""-1""]""#,
                #"'@a,-1.5,"[""@a""]""#, #"'"# + "\tb,-1.5," + #""[""\tb""]""#, #"a=b,-1.5,"[""a=b""]""#,
                ",-1.5,[null]",
            ])
        let json = try fixture.json("select '=cmd' as text")
        #expect(json.contains(#"{"text":"=cmd"}"#))
    }
}
