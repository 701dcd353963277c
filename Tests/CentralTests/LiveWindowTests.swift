// The live window: what a loop over the last hour's arrivals counts, and bounded whatever arrives.

import Central
import Foundation
import Models
import Testing
import TestSupport

@Suite("the live window") struct LiveWindowTests {
    private static let start = ArchiveFixture.start

    private static func time(_ seconds: Double) -> Timestamp {
        Timestamp(microseconds: start + Int64(seconds * 1e6))
    }

    private static func summary(
        _ window: inout LiveWindow, at now: Timestamp, smallestGroup: Int = 5
    ) throws -> [String: Any] {
        window.advance(to: now)
        let status = LiveStatus(completeSince: time(0), smallestGroup: smallestGroup)
        return try #require(
            try JSONSerialization.jsonObject(with: Data(window.json(now: now, status: status))) as? [String: Any])
    }

    private static func integer(_ object: [String: Any], _ path: String...) -> Int? {
        var value: Any? = object
        for name in path { value = (value as? [String: Any])?[name] }
        return value as? Int
    }

    @Test("counts by relay, drone, cell and minute are those of a loop over the hour's arrivals")
    func counts() throws {
        let seed = UInt64.random(in: 1...999_999)
        var random = SeededGenerator(seed: seed)
        var window = LiveWindow()
        var arrivals: [(minute: Int, relay: String, drone: String, cell: String, lateness: Double)] = []
        for second in stride(from: 0.0, to: 9_000, by: 3) {
            let relay = "relay-\(Int.random(in: 1...3, using: &random))"
            let drone = "pw-\(Int.random(in: 1...40, using: &random))"
            let cell = "u09tv\(Int.random(in: 0...9, using: &random))"
            let lateness = exp(Double.random(in: -3...8, using: &random))
            window.add(
                LiveReport(relayID: relay, droneID: drone, cell: cell, latenessSeconds: lateness, scores: []),
                at: Self.time(second))
            arrivals.append((Int(second) / 60, relay, drone, cell, lateness))
        }
        let now = Self.time(9_010)
        let answer = try Self.summary(&window, at: now)
        let running = 9_010 / 60
        func within(_ minutes: Int) -> [(minute: Int, relay: String, drone: String, cell: String, lateness: Double)] {
            arrivals.filter { $0.minute > running - minutes && $0.minute <= running }
        }
        #expect(Self.integer(answer, "reports", "last_minute") == within(1).count, "seed \(seed)")
        #expect(Self.integer(answer, "reports", "last_5_minutes") == within(5).count, "seed \(seed)")
        #expect(Self.integer(answer, "reports", "last_hour") == within(60).count && within(60).count > 1_000)
        #expect(Self.integer(answer, "drones", "last_5_minutes") == Set(within(5).map(\.drone)).count)
        #expect(Self.integer(answer, "drones", "last_hour") == Set(within(60).map(\.drone)).count)
        for relay in try #require(answer["relays"] as? [[String: Any]]) {
            let name = relay["relay_id"] as? String
            #expect(relay["reports_last_hour"] as? Int == within(60).count { $0.relay == name }, "seed \(seed)")
            #expect(relay["reports_last_minute"] as? Int == within(1).count { $0.relay == name })
            #expect(
                relay["reports_per_minute"] as? Double == Double(within(5).count { $0.relay == name }) / 5)
        }
        let cells = try #require(answer["cells"] as? [[String: Any]])
        let expected = Dictionary(grouping: within(60)) { $0.cell }.mapValues(\.count)
        #expect(cells.count == 10 && cells.compactMap { $0["reports"] as? Int } == expected.values.sorted(by: >))
        for cell in cells { #expect(cell["reports"] as? Int == expected[cell["cell"] as? String ?? ""]) }
        let minutes = try #require(answer["minutes"] as? [[String: Any]])
        #expect(minutes.count == 60 || minutes.count == 59)
        let late = minutes.reduce(0) { $0 + (($1["late"] as? Int) ?? 0) }
        #expect(late == within(60).count { $0.lateness > 300 }, "seed \(seed)")
        let lateness = try #require((answer["lateness_s"] as? [String: Any])?["last_hour"] as? [String: Any])
        let sorted = within(60).map(\.lateness).sorted()
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            let exact = sorted[Int((share * Double(sorted.count)).rounded(.up)) - 1]
            let shown = try #require(lateness[name] as? Double)
            #expect(shown >= exact * 0.999 && shown <= exact * 1.11, "\(name) \(shown) \(exact), seed \(seed)")
        }
        #expect(abs((lateness["longest"] as? Double ?? 0) - (sorted.last ?? 0)) < 0.001)
        let later = try Self.summary(&window, at: Self.time(9_010 + 3_700))
        #expect(Self.integer(later, "reports", "last_hour") == 0 && Self.integer(later, "drones", "last_hour") == 0)
        #expect((later["cells"] as? [Any])?.isEmpty == true && (later["relays"] as? [Any])?.isEmpty == true)
    }

    @Test("bands of scores about fewer persons than the smallest group are left out and counted")
    func scores() throws {
        var window = LiveWindow()
        func sight(_ person: UInt64, _ score: Double, _ second: Double) {
            window.add(
                LiveReport(
                    relayID: "r", droneID: "d", cell: "u09tvw", latenessSeconds: nil, scores: [(person, score)]),
                at: Self.time(second))
        }
        // Five persons over several minutes, one of them often; four persons; the open ends.
        for person in 1...5 { sight(UInt64(person), 12.5, Double(person) * 70) }
        for second in 0..<20 { sight(1, 14.9, Double(second)) }
        for person in 1...4 { sight(UInt64(person), 55, Double(person)) }
        for person in 1...6 { sight(UInt64(person), -3, Double(person)) }
        for person in 1...6 { sight(UInt64(person), 100, Double(person)) }
        let answer = try Self.summary(&window, at: Self.time(600))
        let bands = try #require(answer["scores"] as? [[String: Any]])
        #expect(bands.map { $0["sightings"] as? Int } == [6, 25, 6])
        #expect(bands[0]["from"] is NSNull && bands[0]["to"] as? Double == 0)
        #expect(bands[1]["from"] as? Double == 10 && bands[1]["to"] as? Double == 15)
        #expect(bands[2]["from"] as? Double == 100 && bands[2]["to"] is NSNull)
        #expect(answer["suppressed_score_bands"] as? Int == 1)
        let open = try Self.summary(&window, at: Self.time(600), smallestGroup: 1)
        #expect((open["scores"] as? [Any])?.count == 4)
    }

    @Test("relays, rules, cells and drones beyond the limits are counted together, and nothing is lost from the sums")
    func bounds() throws {
        var window = LiveWindow()
        for index in 0..<(LiveWindow.maxCells + 500) {
            window.add(
                LiveReport(
                    relayID: "relay-\(index)", droneID: "pw-\(index)", cell: "c\(index)", latenessSeconds: 1, scores: []
                ),
                at: Self.time(Double(index % 600)))
        }
        for index in 0..<(LiveWindow.maxRules + 10) {
            window.addAlert(rule: "rule-\(index)", severity: .info, relayID: "relay-1", at: Self.time(599))
        }
        let answer = try Self.summary(&window, at: Self.time(600))
        #expect(Self.integer(answer, "reports", "last_hour") == LiveWindow.maxCells + 500)
        let relays = try #require(answer["relays"] as? [[String: Any]])
        #expect(relays.count == LiveWindow.maxRelays + 1)
        #expect(
            relays.reduce(0) { $0 + (($1["reports_last_hour"] as? Int) ?? 0) } == LiveWindow.maxCells + 500)
        #expect(Self.integer(answer, "alerts", "last_hour") == LiveWindow.maxRules + 10)
        let rules = try #require((answer["alerts"] as? [String: Any])?["by_rule"] as? [[String: Any]])
        #expect(rules.first?["rule"] as? String == LiveWindow.other && rules.first?["raised"] as? Int == 10)
    }

    @Test("a clock set back by minutes still counts; what is over an hour old does not")
    func clockSetBack() throws {
        var window = LiveWindow()
        for second in [0.0, 3_000, 1_000, 3_100, -4_000] {
            window.add(
                LiveReport(relayID: "r", droneID: "d", cell: "c", latenessSeconds: 1, scores: []), at: Self.time(second)
            )
        }
        let answer = try Self.summary(&window, at: Self.time(3_110))
        #expect(Self.integer(answer, "reports", "last_hour") == 4)
    }
}
