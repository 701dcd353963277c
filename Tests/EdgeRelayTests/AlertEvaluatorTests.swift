// Which reports raise which alerts.

import AlertRules
import JSON
import Models
import Testing
import TestSupport

@Suite("rules at work")
struct AlertEvaluatorTests {
    private func rules(_ text: String) throws -> RuleSet { try RuleFile.parse(json5: Array("{rules: [\(text)]}".utf8)) }

    /// Evaluates reports in order, `everySeconds` apart; returns the subjects raised by each.
    private func raised(
        _ rules: RuleSet, _ bodies: [(seq: Int64, members: String)], everySeconds: Double = 60
    ) throws -> [[String]] {
        var evaluator = AlertEvaluator(rules: rules)
        let parser = ReportParser()
        var now: UInt64 = 1_000_000_000
        return try bodies.map { body in
            let text = Array(
                #"{"drone_id":"d","boot":"b","seq":\#(body.seq),"location":{"lat":48.85,"lon":2.35}\#(body.members)}"#
                    .utf8)
            return try text.withUnsafeBytes { bytes in
                let report = try parser.parse(bytes)
                let identity = try #require(report.identity)
                now += UInt64(everySeconds * 1e9)
                let all =
                    AlertEvaluator.statelessAlerts(report, rules)
                    + evaluator.statefulAlerts(report, identity: identity, at: now)
                return all.map(\.match.subject)
            }
        }
    }

    @Test("each citizen below the threshold raises one alert; the threshold itself raises none")
    func citizens() throws {
        let rules = try rules(#"{name: "low", severity: "critical", when: {citizen: {peacescore: {below: 20}}}}"#)
        let members = """
            ,"citizens":[{"name":"A","peacescore":19.99},{"name":"B","peacescore":20},{"name":"C","peacescore":-5},\
            {"name":"A","peacescore":3}]
            """
        #expect(try raised(rules, [(1, members)]) == [["A", "C"]])
    }

    @Test("of a citizen named twice the worse score is reported")
    func worseScore() throws {
        let rules = try rules(#"{name: "low", severity: "critical", when: {citizen: {peacescore: {below: 20}}}}"#)
        let citizens = #"[{"name":"A","peacescore":9},{"name":"A","peacescore":3}]"#
        let text = Array(#"{"drone_id":"d","location":{"lat":0,"lon":0},"citizens":\#(citizens)}"#.utf8)
        try text.withUnsafeBytes { bytes in
            let parser = ReportParser()
            let alerts = AlertEvaluator.statelessAlerts(try parser.parse(bytes), rules)
            #expect(alerts.map(\.match.value) == [3])
        }
    }

    @Test("for_reports counts consecutive reports: a good one between starts afresh, a resent one does not count")
    func consecutive() throws {
        let rules = try rules(
            #"{name: "battery", severity: "warning", when: {reading: {battery_pct: {below: 15}}}, for_reports: 2}"#)
        let low = #","readings":{"battery_pct":10}"#
        let good = #","readings":{"battery_pct":50}"#
        let sequence: [(Int64, String)] = [(1, low), (1, low), (2, low), (3, good), (4, low), (5, low), (6, low)]
        #expect(
            try raised(rules, sequence.map { (seq: $0.0, members: $0.1) })
                == [[], [], ["battery_pct"], [], [], ["battery_pct"], ["battery_pct"]])
    }

    @Test("after an alert its subject is quiet for the cooldown, another subject is not")
    func cooldown() throws {
        let rules = try rules(
            #"{name: "low", severity: "critical", when: {citizen: {peacescore: {below: 20}}}, cooldown_s: 100}"#)
        let a = #","citizens":[{"name":"A","peacescore":1}]"#
        let both = #","citizens":[{"name":"A","peacescore":1},{"name":"B","peacescore":1}]"#
        #expect(try raised(rules, [(1, a), (2, both), (3, a), (4, a)], everySeconds: 50) == [["A"], ["B"], ["A"], []])
    }

    @Test("all, any and not combine; words and places count")
    func combinations() throws {
        let rules = try rules(
            """
            {name: "fire-here", severity: "info", when: {all: [{words: {any_of: ["fire", "smoke"]}},
              {inside: {circle: {lat: 48.85, lon: 2.35, radius_m: 100}}},
              {not: {reading: {gps_fix_type: {below: 3}}}}]}},
            {name: "either", severity: "info", when: {any: [{reading: {a: {above: 1}}}, {reading: {b: {above: 1}}}]}}
            """)
        let fire = #","words":["market","fire"]"#
        #expect(try raised(rules, [(1, fire)]) == [["words"]])
        #expect(try raised(rules, [(1, fire + #","readings":{"gps_fix_type":1}"#)]) == [[]])
        #expect(try raised(rules, [(1, #","words":["market"]"#)]) == [[]])
        #expect(try raised(rules, [(1, #","readings":{"a":2,"b":2}"#)]) == [["a", "b"]])
    }

    @Test("circle and polygon agree with known places, also across the 180th meridian")
    func places() {
        let paris = GeographicPoint(latitude: 48.8566, longitude: 2.3522)
        let london = GeographicPoint(latitude: 51.5074, longitude: -0.1278)
        #expect(abs(paris.distanceMeters(to: london) - 343_556) < 1_000)
        let fiji = [(-19.0, 177.0), (-19.0, -178.0), (-15.0, -178.0), (-15.0, 177.0)]
            .map { GeographicPoint(latitude: $0.0, longitude: $0.1) }
        #expect(GeographicPoint(latitude: -17, longitude: 179.9).isInside(fiji))
        #expect(GeographicPoint(latitude: -17, longitude: -179.9).isInside(fiji))
        #expect(!GeographicPoint(latitude: -17, longitude: 170).isInside(fiji))
        #expect(!GeographicPoint(latitude: -17, longitude: -170).isInside(fiji))
    }

    @Test("late reports have a memory of their own, on the time of observation")
    func lateMemory() throws {
        let rules = try rules(
            #"{name: "b", severity: "warning", when: {reading: {v: {below: 1}}}, for_reports: 2, cooldown_s: 100}"#)
        var evaluator = AlertEvaluator(rules: rules)
        let parser = ReportParser()
        func raised(_ seq: Int64, at seconds: UInt64, isLate: Bool) throws -> Int {
            let text = Array(
                #"{"drone_id":"d","boot":"b","seq":\#(seq),"location":{"lat":0,"lon":0},"readings":{"v":0}}"#.utf8)
            return try text.withUnsafeBytes { bytes in
                let report = try parser.parse(bytes)
                let identity = try #require(report.identity)
                return evaluator.statefulAlerts(
                    report, identity: identity, at: seconds * 1_000_000_000, isLate: isLate
                ).count
            }
        }
        #expect(try raised(100, at: 5_000, isLate: false) == 0)
        // Replayed: fires on the second, is quiet for 100 s of its own time, and does not touch the live count.
        #expect(try raised(1, at: 1_000, isLate: true) == 0)
        #expect(try raised(2, at: 1_060, isLate: true) == 1)
        #expect(try raised(3, at: 1_120, isLate: true) == 0)
        #expect(try raised(4, at: 1_180, isLate: true) == 1)
        #expect(try raised(5, at: 900, isLate: true) == 0)
        #expect(try raised(101, at: 5_001, isLate: false) == 1)
    }

    @Test("one report raises a bounded number of alerts, those of the gravest rules first")
    func bounded() throws {
        let rules = try rules(
            """
            {name: "i", severity: "info", when: {citizen: {peacescore: {below: 20}}}},
            {name: "w", severity: "warning", when: {citizen: {peacescore: {below: 20}}}},
            {name: "c", severity: "critical", when: {citizen: {peacescore: {below: 20}}}}
            """)
        let citizens = (0..<1_000).map { #"{"name":"n\#($0)","peacescore":1}"# }.joined(separator: ",")
        let text = Array(#"{"drone_id":"d","location":{"lat":0,"lon":0},"citizens":[\#(citizens)]}"#.utf8)
        try text.withUnsafeBytes { bytes in
            let parser = ReportParser()
            try withExtendedLifetime(parser) {
                let alerts = AlertEvaluator.statelessAlerts(try parser.parse(bytes), rules)
                #expect(alerts.count == AlertEvaluator.maxAlertsPerReport)
                #expect(Set(alerts.map(\.rule.name)) == ["c", "w"])
            }
        }
    }

    @Test("a word is found as it stands or escaped, and nothing like it is")
    func wordSets() throws {
        let set = WordSet(["fire", "smoke", "Übung", "", String(repeating: "x", count: 70)])
        func contains(_ word: String) -> Bool { Array(word.utf8).withUnsafeBytes { set.contains($0) } }
        #expect(["fire", "smoke", "Übung", "", String(repeating: "x", count: 70)].allSatisfy(contains))
        #expect(
            !["Fire", "fir", "fires", "smokf", "übung", "x", String(repeating: "x", count: 71)].contains(
                where: contains))
        let rules = try rules(#"{name: "w", severity: "info", when: {words: {any_of: ["fire", "Übung"]}}}"#)
        #expect(try raised(rules, [(1, #","words":["\u0066ire"]"#)]) == [["words"]])
        #expect(try raised(rules, [(1, #","words":["\u00dcbung"]"#)]) == [["words"]])
        #expect(try raised(rules, [(1, #","words":["firE","\u0046ire"]"#)]) == [[]])
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        func word() -> String { String((0..<Int(random.next() % 4)).map { _ in Character("\(random.next() % 3)") }) }
        for _ in 0..<300 {
            let words = Set((0..<Int(random.next() % 20 + 1)).map { _ in word() })
            let set = WordSet(words)
            for _ in 0..<50 {
                let one = word()
                #expect(Array(one.utf8).withUnsafeBytes { set.contains($0) } == words.contains(one), "seed \(seed)")
            }
        }
    }

    @Test("a relay that was away does not take its own deafness for the drones' silence")
    func deafness() {
        var clock = SilenceClock()
        let second: UInt64 = 1_000_000_000
        for time in 100...300 { clock.looked(at: UInt64(time) * second) }
        #expect(clock.canTell(silentSeconds: 180, at: 300 * second))
        clock.looked(at: 400 * second)
        #expect(!clock.canTell(silentSeconds: 180, at: 400 * second))
        for time in 401...581 { clock.looked(at: UInt64(time) * second) }
        #expect(clock.canTell(silentSeconds: 180, at: 581 * second))
    }
}
