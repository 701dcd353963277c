// The explorer's questions against what Swift computes from the same reports.

import Central
import Foundation
import Models
import System
import Testing

extension SampleArchive {
    func ask(_ path: ExplorerPath, _ items: [String: String] = [:], format: QueryFormat = .json) throws -> QueryAnswer {
        try service.run(try question(path, items).request(format))
    }

    func question(_ path: ExplorerPath, _ items: [String: String] = [:]) throws -> ExplorerQuestion {
        let items = items.map { (name: $0.key, value: $0.value) }
        let (question, _) = try path.question(items, now: SampleArchive.now, within: service.lakeDays().period)
        return try #require(question)
    }

    func found(_ path: ExplorerPath, _ items: [String: String] = [:]) throws -> [OrderedRow] {
        try OrderedRow.all(ask(path, items).body)
    }
}

@Suite("the explorer's questions") struct ExplorerTests {
    private static func isLate(_ report: SampleReport) -> Bool { report.receivedAt - report.observedAt > 300_000_000 }

    @Test("the histogram counts each report once, in its interval, relay and lateness")
    func histogram() throws {
        let sample = try SampleArchive(count: 300)
        for (bins, width) in [("1000", 300), ("40", 3_600), ("4", 86_400)] {
            let rows = try sample.found(.histogram, ["bins": bins])
            var expected: [String: (Int, Int)] = [:]
            for report in sample.reports {
                let start = report.observedAt / 1_000_000 / Int64(width) * Int64(width)
                let key = Timestamp(microseconds: start * 1_000_000).rfc3339 + report.relay
                let (all, late) = expected[key] ?? (0, 0)
                expected[key] = (all + 1, late + (Self.isLate(report) ? 1 : 0))
            }
            #expect(rows.count == expected.count, "bins \(bins), seed \(sample.seed)")
            for row in rows {
                let time = try #require(Timestamp(rfc3339: row.text("time")))
                let wanted = expected[time.rfc3339 + row.text("relay_id")]
                #expect(
                    wanted?.0 == row.integer("reports") && wanted?.1 == row.integer("late"),
                    "\(row.values), bins \(bins), seed \(sample.seed)")
            }
            let whole = try sample.found(.histogram, ["bins": bins, "by": "none"])
            #expect(whole.map { $0.integer("reports") }.reduce(0, +) == sample.reports.count)
            #expect(whole.count <= (Int(bins) ?? 0))
        }
    }

    @Test("beyond the 24 largest relays the others are counted together, and none is lost")
    func manyRelays() throws {
        let archive = try ArchiveFixture()
        let archiver = try archive.archiver()
        let batches = (1...30).map { relay in
            var maker = BatchMaker(relay: "relay-\(relay)")
            for seq in 1...Int64(relay) { maker.add(seq, BatchMaker.report(drone: "pw-\(relay)", seq: seq)) }
            return maker.batch(at: Int64(relay))
        }
        _ = try archiver.archive(batches)
        let service = try QueryService(
            configuration: .init(duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries"),
            lake: archive.lake, time: SystemTime())
        let (question, _) = try ExplorerPath.histogram.question(
            [], now: SampleArchive.now, within: service.lakeDays().period)
        let rows = try OrderedRow.all(service.run(try #require(question).request(.json)).body)
        #expect(Set(rows.map { $0.text("relay_id") }) == Set((7...30).map { "relay-\($0)" } + ["(other)"]))
        let other = rows.filter { $0.text("relay_id") == "(other)" }.map { $0.integer("reports") }.reduce(0, +)
        #expect(other == (1...6).reduce(0, +), "1 + 2 + … + 6 of the six smallest")
        #expect(rows.map { $0.integer("reports") }.reduce(0, +) == (1...30).reduce(0, +))
    }

    @Test("bins are the geohash cells of the reports in them", arguments: [1, 2, 3, 4, 5, 6, 7])
    func bins(length: Int) throws {
        let sample = try SampleArchive(count: 150)
        let rows = try sample.found(.bins, ["length": "\(length)"])
        let expected = Dictionary(grouping: sample.reports) {
            Geohash.encode(latitude: $0.latitude, longitude: $0.longitude, length: length)
        }
        #expect(Set(rows.map { $0.text("cell") }) == Set(expected.keys), "seed \(sample.seed)")
        for row in rows {
            let reports = expected[row.text("cell")] ?? []
            #expect(row.integer("reports") == reports.count && row.integer("late") == reports.count(where: Self.isLate))
            #expect(
                reports.allSatisfy {
                    (row.number("south")...row.number("north")).contains($0.latitude)
                        && (row.number("west")...row.number("east")).contains($0.longitude)
                }, "seed \(sample.seed)")
        }
    }

    @Test("cells by peacescore leave out those about fewer than five persons, and say how many")
    func scoresByCell() throws {
        let sample = try SampleArchive(count: 200)
        let answer = try sample.ask(.bins, ["length": "5", "measure": "peacescore"])
        let cells = Dictionary(grouping: sample.reports) { String($0.cell.prefix(5)) }
            .mapValues { reports in Set(reports.flatMap { $0.citizens.map(\.name) }).count }.filter { $0.value > 0 }
        let shown = try OrderedRow.all(answer.body)
        #expect(Set(shown.map { $0.text("cell") }) == Set(cells.filter { $0.value >= 5 }.keys), "seed \(sample.seed)")
        #expect(answer.suppressed == cells.count { $0.value < 5 } && shown.allSatisfy { $0.integer("persons") >= 5 })
    }

    @Test("a place of 0/0 is counted and not drawn")
    func noFix() throws {
        let archive = try ArchiveFixture()
        var maker = BatchMaker()
        maker.add(1, #"{"drone_id":"a","boot":"b","seq":1,"location":{"lat":0,"lon":0}}"#)
        maker.add(2, #"{"drone_id":"a","boot":"b","seq":2,"location":{"lat":0,"lon":0.5}}"#)
        _ = try archive.archiver().archive([maker.batch(at: 1)])
        let service = try QueryService(
            configuration: .init(duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries"),
            lake: archive.lake, time: SystemTime())
        func rows(_ path: ExplorerPath) throws -> [OrderedRow] {
            let (question, _) = try path.question([], now: SampleArchive.now, within: service.lakeDays().period)
            return try OrderedRow.all(service.run(try #require(question).request(.json)).body)
        }
        #expect(try rows(.points).map { $0.integer("seq") } == [2])
        #expect(try rows(.bins).map { $0.integer("reports") } == [1])
        #expect(try rows(.histogram).map { $0.integer("reports") }.reduce(0, +) == 2)
    }

    @Test("fields say how often they are empty, how many different values and how far they reach")
    func fields() throws {
        let sample = try SampleArchive(count: 200)
        let rows = try sample.found(.fields)
        func row(_ name: String) throws -> OrderedRow {
            try #require(rows.first { $0.text("field") == name }, "\(name)")
        }
        let count = Double(sample.reports.count)
        let words = Double(sample.reports.count { $0.words.isEmpty }) / count
        let people = Double(sample.reports.count { $0.citizens.isEmpty }) / count
        #expect(isNear(try row("words").number("null_share"), words), "seed \(sample.seed)")
        #expect(isNear(try row("citizens").number("null_share"), people), "seed \(sample.seed)")
        #expect(try row("extra").number("null_share") == 1 && row("media").number("null_share") == 1)
        #expect(try row("readings").number("null_share") == 0)
        // An estimate, and called one.
        #expect(try (6...10).contains(row("drone_id").integer("different_about")))
        #expect(try row("lat").text("smallest") == "\(sample.reports.map(\.latitude).min() ?? 0)")
        let first = Timestamp(microseconds: try #require(sample.reports.map(\.observedAt).min()))
        #expect(try Timestamp(rfc3339: row("observed_at").text("smallest")) == first, "seed \(sample.seed)")
        // Without a report nothing is divided by nothing.
        let none = try sample.found(.fields, ["drone_id": "nobody"])
        #expect(none.count == rows.count && none.allSatisfy { $0.isNull("null_share") && $0.integer("reports") == 0 })
    }

    @Test("a field's values are counted by report")
    func values() throws {
        let sample = try SampleArchive(count: 200)
        func counts(_ field: String) throws -> [String: Int] {
            let rows = try sample.found(.values, ["field": field, "top": "1000"])
            #expect(rows.allSatisfy { isNear($0.number("share"), Double($0.integer("reports")) / 200) }, "\(field)")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0.text("value"), $0.integer("reports")) })
        }
        func expected(_ values: (SampleReport) -> [String]) -> [String: Int] {
            sample.reports.reduce(into: [:]) { found, report in
                for value in Set(values(report)) { found[value, default: 0] += 1 }
            }
        }
        #expect(try counts("drone_id") == expected { [$0.drone] }, "seed \(sample.seed)")
        #expect(try counts("words") == expected { $0.words }, "seed \(sample.seed)")
        #expect(try counts("cell") == expected { [String($0.cell.prefix(5))] }, "seed \(sample.seed)")
        #expect(try counts("late") == expected { ["\(Self.isLate($0))"] }, "seed \(sample.seed)")
        #expect(try counts("readings") == ["battery_pct": 200, "gps_satellites": 200])
        #expect(
            try counts("rule")
                == expected { report in
                    sample.alerts.filter { $0.alert.droneID == report.drone && $0.alert.seq == report.seq }.map(
                        \.alert.rule)
                }, "seed \(sample.seed)")
        let bands = try sample.found(.values, ["field": "readings.battery_pct", "top": "8"])
        #expect(bands.map { $0.integer("reports") }.reduce(0, +) == 200 && bands.count <= 8)
        let highest = try #require(sample.reports.map(\.battery).max())
        for band in bands {
            // Borders are as near as floating point is: what lies at one may be counted on either side of it.
            let (low, high) = (band.number("value_from"), band.number("value_to"))
            let last = isNear(high, highest)
            let most = sample.reports.count { $0.battery >= low - 1e-9 && $0.battery <= high + 1e-9 }
            let least = sample.reports.count {
                $0.battery > low + 1e-9 && ($0.battery < high - 1e-9 || (last && $0.battery <= high + 1e-9))
            }
            #expect((least...most).contains(band.integer("reports")), "\(band.values), seed \(sample.seed)")
        }
        #expect(bands.contains { isNear($0.number("value_to"), highest) }, "seed \(sample.seed)")
        let scores = try sample.ask(.values, ["field": "citizens"])
        #expect(try OrderedRow.all(scores.body).allSatisfy { $0.integer("persons") >= 5 } && scores.suppressed != nil)
    }

    @Test("a day's reports, files and bytes are known from the table's log alone")
    func days() throws {
        let sample = try SampleArchive(count: 120)
        let days = try sample.service.lakeDays()
        let expected = Dictionary(grouping: sample.reports, by: \.date).mapValues(\.count)
        #expect(Dictionary(uniqueKeysWithValues: days.days.map { ($0.date, $0.reports) }) == expected)
        #expect(days.days.allSatisfy { $0.files > 0 && $0.bytes > 0 } && days.lastCompaction == nil)
        let csv = String(decoding: days.csv, as: UTF8.self).split(separator: "\n")
        #expect(csv.count == days.days.count + 1 && csv.first == "date,reports,files,bytes")
        let json = try OrderedRow.all(days.json(now: SampleArchive.now))
        #expect(json.map { $0.integer("reports") }.reduce(0, +) == 120)
    }

    @Test("the schema names every view's columns and the macros, and nothing of DuckDB's own")
    func schema() throws {
        let sample = try SampleArchive(count: 5)
        let rows = try sample.found(.schema)
        let columns = Dictionary(grouping: rows) { $0.text("view") }.mapValues { Set($0.map { $0.text("column") }) }
        #expect(
            Set(columns.keys) == ["reports", "duplicates", "alerts", "relays", "sightings", "spoken", "macros"])
        #expect(columns["reports"]?.isSuperset(of: ["drone_id", "words", "late"]) == true)
        #expect(columns["macros"]?.isSuperset(of: ["bucket", "in_circle", "geohash"]) == true)
    }

    @Test("the archive's state names every relay once, with its newest report")
    func archive() throws {
        let sample = try SampleArchive(count: 80)
        let rows = try sample.found(.archive)
        #expect(rows.map { $0.text("relay_id") } == ["relay-1", "relay-2", "relay-3"])
        for row in rows {
            let mine = sample.reports.filter { $0.relay == row.text("relay_id") }
            #expect(row.integer("reports") == mine.count, "seed \(sample.seed)")
            #expect(Timestamp(rfc3339: row.text("newest_report"))?.microseconds == mine.map(\.observedAt).max())
        }
    }
}
