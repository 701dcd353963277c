// Each built-in statistic against the same figures computed in Swift from the sample's values.

import Central
import Foundation
import Models
import Testing

@Suite("built-in statistics") struct BuiltInStatisticsTests {
    private typealias Group = (persons: Set<String>, scores: [Double])

    private static func groups(_ reports: [SampleReport], _ key: (SampleReport, Double) -> String) -> [String: Group] {
        var groups: [String: Group] = [:]
        for report in reports {
            for citizen in report.citizens {
                groups[key(report, citizen.peacescore), default: ([], [])].persons.insert(citizen.name)
                groups[key(report, citizen.peacescore), default: ([], [])].scores.append(citizen.peacescore)
            }
        }
        return groups
    }

    @Test("reports per hour, relay and cell add up to a loop's counts")
    func reportsPerHour() throws {
        let fixture = try StatisticsFixture()
        let rows = try fixture.rows("reports-per-hour", ["cell_length": "4"])
        let expected = Dictionary(grouping: fixture.sample.reports) { report in
            "\(Timestamp(microseconds: report.hour * 3_600_000_000).rfc3339.prefix(19)) \(report.relay) "
                + report.cell.prefix(4)
        }
        #expect(rows.count == expected.count, "seed \(fixture.sample.seed)")
        for row in rows {
            let reports = expected["\(row.text("time").prefix(19)) \(row.text("relay_id")) \(row.text("cell"))"] ?? []
            #expect(row.integer("reports") == reports.count, "seed \(fixture.sample.seed)")
            #expect(row.integer("drones") == Set(reports.map(\.drone)).count)
            #expect(
                row.integer("late") == reports.count { $0.receivedAt - $0.observedAt > 300_000_000 },
                "seed \(fixture.sample.seed)")
        }
        let one = try fixture.rows("reports-per-hour", ["relay": "relay-2", "bucket": "1 year"])
        #expect(
            one.reduce(0) { $0 + $1.integer("reports") } == fixture.sample.reports.count { $0.relay == "relay-2" },
            "seed \(fixture.sample.seed)")
    }

    @Test("the distribution of scores counts sightings and persons, and leaves out bands of too few persons")
    func scoreDistribution() throws {
        let fixture = try StatisticsFixture()
        let answer = try fixture.answer("score-distribution", ["width": "2.5"])
        let rows = try OrderedRow.all(answer.body)
        let expected = Self.groups(fixture.sample.reports) { String(Int($1 / 2.5)) }
        let shown = expected.filter { $0.value.persons.count >= 5 }
        let all = fixture.sample.reports.reduce(0) { $0 + $1.citizens.count }
        #expect(rows.count == shown.count && shown.count > 10, "seed \(fixture.sample.seed)")
        #expect(answer.suppressed == expected.count - shown.count, "seed \(fixture.sample.seed)")
        for row in rows {
            let group = try #require(shown[String(Int((row.number("score_from") / 2.5).rounded()))])
            #expect(row.integer("sightings") == group.scores.count && row.integer("persons") == group.persons.count)
            #expect(isNear(row.number("share"), Double(group.scores.count) / Double(all)))
            #expect(row.number("score_to") == row.number("score_from") + 2.5)
        }
    }

    @Test("score drift gives means, quantiles and the change, and no change that would tell of a group left out")
    func scoreDrift() throws {
        let fixture = try StatisticsFixture()
        let answer = try fixture.answer("score-drift", ["bucket": "6 hours", "cell_length": "3"])
        let rows = try OrderedRow.all(answer.body)
        let expected = Self.groups(fixture.sample.reports) { report, _ in
            "\(report.cell.prefix(3)) \(report.hour / 6)"
        }
        let shown = expected.filter { $0.value.persons.count >= 5 }
        #expect(
            rows.count == shown.count && answer.suppressed == expected.count - shown.count && !rows.isEmpty,
            "seed \(fixture.sample.seed)")
        var cells: [String: [Int64]] = [:]
        for key in expected.keys {
            let parts = key.split(separator: " ")
            cells[String(parts[0]), default: []].append(Int64(parts[1]) ?? 0)
        }
        for row in rows {
            let time = try #require(Timestamp(rfc3339: row.text("time")))
            let interval = time.microseconds / 21_600_000_000
            let scores = try #require(shown["\(row.text("cell")) \(interval)"]).scores
            let mean = scores.reduce(0, +) / Double(scores.count)
            #expect(abs(row.number("mean") - mean) < 1e-9)
            for (name, share) in [("p05", 0.05), ("median", 0.5), ("p95", 0.95)] {
                #expect(abs(row.number(name) - quantile(scores, share)) < 1e-9, "\(name)")
            }
            let before = (cells[row.text("cell")] ?? []).filter { $0 < interval }.max()
            if let before, let group = shown["\(row.text("cell")) \(before)"] {
                let earlier = group.scores.reduce(0, +) / Double(group.scores.count)
                #expect(abs(row.number("change") - (mean - earlier)) < 1e-9)
            } else {
                #expect(row.isNull("change"), "seed \(fixture.sample.seed)")
            }
        }
    }

    @Test("scores by cell give the mean and the share of low ones, of cells with enough persons")
    func scoreByCell() throws {
        let fixture = try StatisticsFixture()
        let answer = try fixture.answer("score-by-cell", ["cell_length": "4", "below": "30"])
        let expected = Self.groups(fixture.sample.reports) { report, _ in String(report.cell.prefix(4)) }
        let shown = expected.filter { $0.value.persons.count >= 5 }
        let rows = try OrderedRow.all(answer.body)
        #expect(rows.count == shown.count && answer.suppressed == expected.count - shown.count)
        for row in rows {
            let scores = try #require(shown[row.text("cell")]).scores
            #expect(abs(row.number("mean") - scores.reduce(0, +) / Double(scores.count)) < 1e-9)
            #expect(isNear(row.number("low_share"), Double(scores.count { $0 < 30 }) / Double(scores.count)))
            #expect(
                Geohash.encode(latitude: row.number("lat"), longitude: row.number("lon"), length: 4)
                    == row.text("cell"))
        }
    }

    @Test("alerts by rule count the last outcome of each alert, and the false-alarm rate is of those with one")
    func alertsByRule() throws {
        let fixture = try StatisticsFixture()
        let rows = try fixture.rows("alerts-by-rule")
        let rules = Dictionary(grouping: fixture.sample.alerts) { $0.alert.rule }
        #expect(rows.count == rules.count)
        for row in rows {
            let alerts = try #require(rules[row.text("rule")])
            func count(_ outcome: AlertOutcome) -> Int { alerts.count { $0.change?.outcome == outcome } }
            #expect(row.integer("raised") == alerts.count, "seed \(fixture.sample.seed)")
            #expect(row.integer("open") == alerts.count { $0.change == nil })
            #expect(row.integer("confirmed") == count(.confirmed))
            #expect(row.integer("false_alarm") == count(.falseAlarm))
            #expect(row.integer("unknown") == count(.unknown))
            let judged = count(.confirmed) + count(.falseAlarm)
            #expect(
                judged == 0
                    ? row.isNull("false_alarm_rate")
                    : isNear(row.number("false_alarm_rate"), Double(count(.falseAlarm)) / Double(judged)))
            let seconds = alerts.compactMap { alert in alert.change.map { $0.at.seconds(since: alert.alert.raisedAt) } }
            #expect(seconds.isEmpty || abs(row.number("close_s") - quantile(seconds, 0.5)) < 1e-6)
        }
    }

    @Test("delays are from observation to the commit's time, by day and relay")
    func archiveDelay() throws {
        let fixture = try StatisticsFixture()
        let rows = try fixture.rows("archive-delay")
        let expected = Dictionary(grouping: fixture.sample.reports) { "\($0.date) \($0.relay)" }
        #expect(rows.count == expected.count)
        for row in rows {
            let reports = try #require(expected["\(row.text("time").prefix(10)) \(row.text("relay_id"))"])
            let delays = reports.map { Double($0.archivedAt - $0.observedAt) / 1e6 }
            #expect(row.integer("reports") == reports.count)
            for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("longest", 1.0)] {
                #expect(abs(row.number(name) - quantile(delays, share)) < 1e-3, "\(name), \(fixture.sample.seed)")
            }
            let relay = reports.map { Double($0.receivedAt - $0.observedAt) / 1e6 }
            #expect(abs(row.number("relay_p95") - quantile(relay, 0.95)) < 1e-3)
        }
    }

    @Test("words are counted as spoken, by reports and by drones, and compared with the period before")
    func words() throws {
        let fixture = try StatisticsFixture()
        let reports = fixture.sample.reports
        let spoken = reports.flatMap(\.words)
        let rows = try fixture.rows("top-words", ["top": "5"])
        #expect(rows.count == 5)
        #expect(rows.map { $0.integer("spoken") } == rows.map { $0.integer("spoken") }.sorted(by: >))
        for row in rows {
            let word = row.text("word")
            #expect(row.integer("spoken") == spoken.count { $0 == word }, "\(word), \(fixture.sample.seed)")
            #expect(row.integer("reports") == reports.count { $0.words.contains(word) })
            #expect(row.integer("drones") == Set(reports.filter { $0.words.contains(word) }.map(\.drone)).count)
            #expect(isNear(row.number("share"), Double(row.integer("spoken")) / Double(spoken.count)))
        }
        let middle = ArchiveFixture.start + 15 * 3_600_000_000
        let trends = try fixture.rows(
            "word-trends",
            ["from": Timestamp(microseconds: middle).rfc3339, "to": "2026-11-21T11:00:00Z", "least": "1"])
        let now = reports.filter { $0.observedAt >= middle }.flatMap(\.words)
        let before = reports.filter { $0.observedAt < middle }.flatMap(\.words)
        #expect(Set(trends.map { $0.text("word") }) == Set(spoken))
        for row in trends {
            let word = row.text("word")
            let share = Double(now.count { $0 == word }) / Double(now.count)
            let earlier = Double(before.count { $0 == word }) / Double(before.count)
            #expect(row.integer("spoken") == now.count { $0 == word })
            #expect(row.integer("spoken_before") == before.count { $0 == word }, "\(fixture.sample.seed)")
            #expect(isNear(row.number("change"), share - earlier))
        }
    }

    @Test("drone health has the last and lowest battery, satellites and silences")
    func droneHealth() throws {
        let fixture = try StatisticsFixture()
        let drones = Dictionary(grouping: fixture.sample.reports) { $0.drone }
        let rows = try fixture.rows("drone-health")
        #expect(rows.count == drones.count)
        let end = try #require(Timestamp(rfc3339: StatisticsFixture.period["to"] ?? ""))
        for row in rows {
            let reports = try #require(drones[row.text("drone_id")]).sorted { $0.observedAt < $1.observedAt }
            let last = try #require(reports.last)
            #expect(row.integer("reports") == reports.count && row.integer("suspect_clock") == 0)
            #expect(row.number("silent_s") == Double(end.microseconds - last.observedAt) / 1e6)
            let newest = reports.filter { $0.observedAt == last.observedAt }.map(\.battery)
            #expect(newest.contains(row.number("battery")), "seed \(fixture.sample.seed)")
            #expect(row.number("battery_lowest") == reports.map(\.battery).min())
            #expect(row.number("satellites_lowest") == reports.map(\.satellites).min())
            let gaps = zip(reports.dropFirst(), reports).map { Double($0.observedAt - $1.observedAt) / 1e6 }
            #expect(gaps.isEmpty || row.number("longest_gap_s") == gaps.max())
        }
    }

    @Test("coverage and the busiest cells count reports by cell")
    func cells() throws {
        let fixture = try StatisticsFixture()
        let reports = fixture.sample.reports
        let expected = Dictionary(grouping: reports) { $0.cell.prefix(5) }
        let coverage = try fixture.rows("coverage")
        #expect(coverage.count == expected.count)
        for row in coverage {
            let found = try #require(expected[row.text("cell").prefix(5)])
            #expect(row.integer("reports") == found.count)
            #expect(row.integer("drones") == Set(found.map(\.drone)).count)
            let first = try #require(Timestamp(rfc3339: row.text("first_seen")))
            #expect(first.microseconds == found.map(\.observedAt).min())
            #expect(
                found.allSatisfy {
                    (row.number("south")...row.number("north")).contains($0.latitude)
                        && (row.number("west")...row.number("east")).contains($0.longitude)
                })
        }
        let busiest = try fixture.rows("busiest-cells", ["cell_length": "5", "top": "3"])
        #expect(
            busiest.map { $0.integer("reports") } == expected.values.map(\.count).sorted(by: >).prefix(3).map { $0 })
        #expect(isNear(busiest[0].number("share"), Double(busiest[0].integer("reports")) / Double(reports.count)))
    }

    @Test("the duplicate rate counts copies at the relay they came through")
    func duplicates() throws {
        let fixture = try StatisticsFixture()
        let rows = try fixture.rows("duplicate-rate")
        let copies = rows.filter { $0.text("relay_id") == "relay-4" }
        #expect(copies.reduce(0) { $0 + $1.integer("duplicates") } == 12, "seed \(fixture.sample.seed)")
        #expect(copies.allSatisfy { $0.number("rate") == 1 && $0.integer("conflicts") == 0 })
        for row in rows where row.text("relay_id") != "relay-4" {
            let found = fixture.sample.reports.count {
                $0.relay == row.text("relay_id") && $0.date == row.text("time").prefix(10)
            }
            #expect(row.integer("reports") == found && row.number("rate") == 0, "seed \(fixture.sample.seed)")
        }
    }
}
