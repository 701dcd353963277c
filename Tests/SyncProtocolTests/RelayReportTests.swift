// What relays and central tell each other beside batches: reports, rule sets, wanted numbers.

import FoundationEssentials
import Models
import SyncProtocol
import Testing

struct RelayReportTests {
    private func report() throws -> RelayReport {
        let time = try #require(Timestamp(rfc3339: "2026-11-20T05:00:00.123456Z"))
        var report = RelayReport(
            relayID: "north-3", epoch: String(repeating: "a", count: 32), version: "0.1.0", sentAt: time,
            rules: .init(version: 3, state: .refused, reason: "rules[0].name: is missing"))
        report.oldestWaiting = time.adding(seconds: -60)
        report.counters.received = 5
        report.counters.waiting = 2
        report.counters.carriedOver = 7
        report.epochs = [
            .init(epoch: report.epoch, through: 9, waiting: 2, missing: IntervalSet([3...4]), missingCount: 12)
        ]
        report.incidents = [.init(code: "segment_damaged", count: 2, since: time)]
        return report
    }

    @Test("a report reads back as it was written")
    func roundTrip() throws {
        let report = try report()
        let text = try JSONEncoder().encode(report)
        #expect(try JSONDecoder().decode(RelayReport.self, from: text) == report)
        let plain = String(decoding: text, as: UTF8.self)
        for member in [#""carried_over":7"#, #""missing":[[3,4]]"#, #""missing_count":12"#, #""state":"refused""#] {
            #expect(plain.contains(member), "\(member) in \(plain)")
        }
    }

    @Test("members that an older relay does not send have a meaning")
    func olderRelay() throws {
        let text = #"""
            {"relay_id":"r","epoch":"e","sent_at":"2026-11-20T05:00:00Z","counters":{"received":4},
             "epochs":[{"epoch":"e","through":4,"waiting":1,"missing":[[2,3]]}],"more":1}
            """#
        let report = try JSONDecoder().decode(RelayReport.self, from: Data(text.utf8))
        #expect(report.settledBefore == report.sentAt)
        #expect(report.counters.received == 4 && report.counters.lost == 0)
        #expect(report.epochs.first?.missingCount == 2)
        #expect(report.rules == .init(version: 0, state: .local))
    }

    @Test("a time that is none makes no report")
    func badTime() {
        let text = #"{"relay_id":"r","epoch":"e","sent_at":"yesterday","counters":{},"epochs":[]}"#
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(RelayReport.self, from: Data(text.utf8)) }
    }

    @Test("an acknowledgement carries the numbers that central wants again, and none is no member")
    func wanted() throws {
        var answer = Acknowledgement(received: IntervalSet(1...9), archived: IntervalSet(1...4), rulesVersion: 7)
        #expect(!String(decoding: answer.json(), as: UTF8.self).contains("wanted"))
        answer.wanted = IntervalSet([5...6, 8...8])
        let json = answer.json()
        #expect(String(decoding: json, as: UTF8.self).contains(#""wanted":[[5,6],[8,8]]"#))
        #expect(try JSONDecoder().decode(Acknowledgement.self, from: Data(json)) == answer)
        #expect(try JSONDecoder().decode(Acknowledgement.self, from: JSONEncoder().encode(answer)) == answer)
    }

    @Test("a rule set travels with and without settings")
    func rules() throws {
        var message = RulesMessage(version: 4, rules: "{version: 4, rules: []}")
        let plain = try JSONEncoder().encode(message)
        #expect(!String(decoding: plain, as: UTF8.self).contains("settings"))
        #expect(try JSONDecoder().decode(RulesMessage.self, from: plain) == message)
        message.settings = RelaySettings(limits: ["max_connections": 64])
        #expect(try JSONDecoder().decode(RulesMessage.self, from: JSONEncoder().encode(message)) == message)
    }
}
