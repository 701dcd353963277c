// Alerts of all relays in one place: states, filters, resends, changes that come first, what lies beyond memory, and
// that no name is among them.

import Central
import Foundation
import Models
import Testing

@Suite("live alerts") struct LiveAlertsTests {
    private static func alert(
        _ number: Int, relay: String = "north-1", severity: AlertSeverity = .critical, foldedInto: String? = nil
    ) -> Alert {
        Alert(
            alertID: id(number), rule: "low-peacescore", ruleVersion: 1, severity: severity, droneID: "pw-1",
            boot: "b", seq: Int64(number), citizen: "Ada Martin", value: 1, limit: 20, observedAt: time(number),
            receivedAt: time(number), raisedAt: time(number), relayID: relay, foldedInto: foldedInto)
    }

    private static func id(_ number: Int) -> String { String(repeating: "0", count: 27) + String(10_000 + number) }
    private static func time(_ seconds: Int) -> Timestamp {
        Timestamp(microseconds: ArchiveFixture.start + Int64(seconds) * 1_000_000)
    }
    private static func change(_ number: Int, _ state: AlertState, at seconds: Int) -> AlertStateChange {
        AlertStateChange(
            alertID: id(number), state: state, by: "op", note: "seen", outcome: state == .closed ? .confirmed : nil,
            at: time(seconds), relayID: "north-1")
    }

    private static func list(_ alerts: LiveAlerts, _ change: (inout LiveAlertFilter) -> Void = { _ in }) -> [String] {
        var filter = LiveAlertFilter()
        change(&filter)
        return alerts.list(filter).alerts.map { "\(Int($0.alert.seq ?? 0)) \($0.alert.state.rawValue)" }
    }

    @Test("newest first, each once, with its latest state whatever the order of arrival")
    func states() {
        let alerts = LiveAlerts()
        #expect(alerts.raise(LiveAlert(alert: Self.alert(1)), at: Self.time(1)))
        #expect(alerts.raise(LiveAlert(alert: Self.alert(2, relay: "south-1", severity: .info)), at: Self.time(2)))
        #expect(!alerts.raise(LiveAlert(alert: Self.alert(1)), at: Self.time(3)))
        alerts.apply(Self.change(1, .closed, at: 20), at: Self.time(20))
        alerts.apply(Self.change(1, .acknowledged, at: 10), at: Self.time(21))
        // Its alert comes later: the relay sends what is new first.
        alerts.apply(Self.change(3, .acknowledged, at: 30), at: Self.time(30))
        #expect(Self.list(alerts) == ["2 raised", "1 closed"])
        alerts.raise(LiveAlert(alert: Self.alert(3)), at: Self.time(31))
        alerts.raise(LiveAlert(alert: Self.alert(4, foldedInto: Self.id(3))), at: Self.time(32))
        #expect(Self.list(alerts) == ["4 acknowledged", "3 acknowledged", "2 raised", "1 closed"])
        #expect(Self.list(alerts) { $0.state = .raised } == ["2 raised"])
        #expect(Self.list(alerts) { $0.since = Self.time(3) } == ["4 acknowledged", "3 acknowledged"])
        #expect(Self.list(alerts) { $0.relayID = "south-1" } == ["2 raised"])
        #expect(Self.list(alerts) { $0.severity = .info } == ["2 raised"])
        #expect(Self.list(alerts) { $0.limit = 1 } == ["4 acknowledged"])
        #expect(alerts.openBySeverity() == [.critical: 2, .info: 1])
        alerts.apply(Self.change(3, .closed, at: 40), at: Self.time(40))
        #expect(alerts.openBySeverity() == [.info: 1])
    }

    @Test("an alert has its person's id and never the name")
    func names() throws {
        let alert = LiveAlert(alert: Self.alert(1), personID: "ab12", lastChange: Self.change(1, .closed, at: 5))
        let json = String(decoding: alert.json(), as: UTF8.self)
        #expect(!json.contains("Ada") && !json.contains("citizen") && json.contains(#""person_id":"ab12""#), "\(json)")
        #expect(json.contains(#""state":"closed""#) && json.contains(#""outcome":"confirmed""#))
        #expect(try JSONSerialization.jsonObject(with: Data(json.utf8)) is [String: Any])
    }

    @Test("beyond the limit closed alerts go first, and older questions are known to be the archive's")
    func forgetting() {
        let alerts = LiveAlerts(limit: 80)
        alerts.restore([], isAll: true)
        for number in 1...100 {
            alerts.raise(LiveAlert(alert: Self.alert(number)), at: Self.time(number))
            if number % 2 == 0 { alerts.apply(Self.change(number, .closed, at: number), at: Self.time(number)) }
        }
        #expect((80...90).contains(alerts.count))
        var filter = LiveAlertFilter()
        filter.limit = 1_000
        let (found, isComplete) = alerts.list(filter)
        #expect(!isComplete && found.count { $0.alert.state != .closed } == 50)
        filter.since = Self.time(99)
        #expect(alerts.list(filter).isComplete)
        filter.since = Self.time(1)
        #expect(!alerts.list(filter).isComplete)
        filter.limit = 2
        #expect(alerts.list(filter).isComplete, "the newest two are certain")
        let fresh = LiveAlerts()
        #expect(fresh.list(LiveAlertFilter()).isComplete)
        fresh.restore([], isAll: false)
        #expect(!fresh.list(LiveAlertFilter()).isComplete)
    }
}
