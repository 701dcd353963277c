// Alerts leave to webhooks that answer, fail, hang, redirect, or were not there when the alert was raised.

import AlertRules
import EdgeRelay
import Foundation
import HTTPServer
import Log
import Models
import System
import Testing
import TestSupport

@Suite("webhooks", .serialized)
struct WebhookDeliveryTests {
    private let fixture: DeliveryFixture

    init() throws { fixture = try DeliveryFixture() }

    private func states(_ delivery: AlertDelivery, _ number: Int) -> [String] {
        delivery.deliveries(of: DeliveryFixture.alert(number).alertID).map { "\($0.target) \($0.state.rawValue)" }
    }

    @Test("an alert is posted as contract §3 has it, signed; the documentation's own Python verifies it")
    func signed() throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        let secret = "0123456789abcdef0123456789abcdef"
        try fixture.write(secret + "\n", to: "hook.secret")
        let delivery = try fixture.start(#"{webhooks: [{url: "\#(receiver.url)", secret_file: "hook.secret"}]}"#)
        delivery.offer(DeliveryFixture.alert(1), rule: DeliveryFixture.rule())
        #expect(eventually { states(delivery, 1) == ["webhook-0 delivered"] })
        let received = try #require(receiver.received.first)
        #expect(received.path == "/hook" && received.headers["content-type"] == "application/json")
        #expect(received.object["citizen"] as? String == "Ada <Martin> & \"Co\"")
        #expect(received.object["alert_id"] as? String == received.headers["columba-alert-id"])
        #expect(received.headers["columba-try"] == "1")
        guard TestPython.path != nil else {
            withKnownIssue("the tests' Python is missing (make deps): the signature is not verified by Python") {
                Issue.record("skipped")
            }
            return
        }
        let page = try TestPython.file("docs/relay/alerts.md")
        let start = try #require(page.range(of: "```python\n"))
        let end = try #require(page.range(of: "```", range: start.upperBound..<page.endIndex))
        let script =
            page[start.upperBound..<end.lowerBound] + """

                import sys
                secret, timestamp, signature, body = sys.argv[1:]
                body = bytes.fromhex(body)
                good = is_genuine(secret.encode(), timestamp, signature, body)
                forged = is_genuine(secret.encode(), timestamp, signature, body + b" ")
                old = is_genuine(secret.encode(), str(int(timestamp) - 3600), signature, body)
                print(good, forged, old)
                """
        let body = received.body.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let answer = try TestPython.run(
            String(script),
            [
                secret, received.headers["columba-timestamp"] ?? "", received.headers["columba-signature"] ?? "", body,
            ], folder: fixture.folder)
        #expect(answer == "True False False\n")
    }

    @Test("a target that never answers delays neither another target nor whoever raises the alert")
    func slowTarget() throws {
        let (slow, fast) = (try Receiver { _ in nil }, try Receiver())
        defer {
            slow.stop()
            fast.stop()
        }
        let delivery = try fixture.start(#"{webhooks: [{url: "\#(slow.url)"}, {url: "\#(fast.url)"}]}"#)
        let time = SystemTime()
        let started = time.monotonicNanoseconds()
        for number in 1...200 { delivery.offer(DeliveryFixture.alert(number), rule: DeliveryFixture.rule()) }
        #expect(Waiting.isWithin(1, since: started), "offering must not wait")
        #expect(eventually(within: 4) { fast.received.count == 200 }, "\(fast.received.count) of 200")
        #expect(slow.received.count == 1)
        #expect(states(delivery, 200) == ["webhook-0 pending", "webhook-1 delivered"])
        // Stopping cuts the hanging try off.
        let stopping = time.monotonicNanoseconds()
        delivery.stop()
        #expect(Waiting.isWithin(4, since: stopping))
    }

    @Test("a failing target is tried again until it takes the alert, and the tries are shown")
    func retries() throws {
        let receiver = try Receiver { $0 < 3 ? HTTPResponse(status: 500) : HTTPResponse(status: 200) }
        defer { receiver.stop() }
        let delivery = try fixture.start(#"{webhooks: [{url: "\#(receiver.url)"}]}"#)
        delivery.offer(DeliveryFixture.alert(1), rule: DeliveryFixture.rule())
        #expect(eventually { receiver.received.count >= 1 })
        #expect(
            eventually {
                delivery.deliveries(of: DeliveryFixture.alert(1).alertID).first?.lastError == "answered 500"
                    || receiver.received.count >= 3
            })
        #expect(eventually(within: 15) { states(delivery, 1) == ["webhook-0 delivered"] })
        #expect(delivery.deliveries(of: DeliveryFixture.alert(1).alertID).first?.tries == 3)
        #expect(receiver.received.map { $0.headers["columba-try"] } == ["1", "2", "3"])
        #expect(fixture.log.lines.contains { $0.contains("delivery_failing") && $0.contains("answered 500") })
        #expect(eventually { fixture.log.lines.contains { $0.contains("delivery_recovered") } })
        #expect(!fixture.log.lines.contains { $0.contains("Ada") || $0.contains("127.0.0.1") })
    }

    @Test("a redirect is not followed, and a name that resolves to a private address is refused after resolution")
    func forgedRequests() throws {
        let inner = try Receiver()
        let target = inner.url
        let outer = try Receiver { _ in HTTPResponse(status: 307, headers: [("Location", target)], body: []) }
        defer {
            inner.stop()
            outer.stop()
        }
        // A numeric name that the resolver takes for loopback, and that no one would call a loopback address.
        let disguised = "http://2130706433:\(inner.port)/"
        let delivery = try fixture.start(
            #"{webhooks: [{url: "\#(outer.url)"}, {url: "\#(disguised)", allow_plaintext: true}]}"#)
        delivery.offer(DeliveryFixture.alert(1), rule: DeliveryFixture.rule())
        func errors() -> [String] {
            delivery.deliveries(of: DeliveryFixture.alert(1).alertID).compactMap(\.lastError)
        }
        #expect(eventually { errors().count == 2 }, "\(errors())")
        #expect(errors().first == "answered 307: redirects are not followed")
        #expect(errors().last?.contains("private or reserved") == true, "\(errors())")
        #expect(inner.received.isEmpty)
        // The same name with allow_private is meant.
        let allowed = try DeliveryFixture()
        let second = try allowed.start(
            #"{webhooks: [{url: "\#(disguised)", allow_plaintext: true, allow_private: true}]}"#)
        second.offer(DeliveryFixture.alert(2), rule: DeliveryFixture.rule())
        #expect(eventually { inner.received.count == 1 })
    }

    @Test("severity, the rule's channels and include_names decide who gets what")
    func choice() throws {
        let (all, grave) = (try Receiver(), try Receiver())
        defer {
            all.stop()
            grave.stop()
        }
        let delivery = try fixture.start(
            """
            {webhooks: [{name: "all", url: "\(all.url)", include_names: false},
                        {name: "grave", url: "\(grave.url)", min_severity: "critical"}]}
            """)
        delivery.offer(DeliveryFixture.alert(1, severity: .warning), rule: DeliveryFixture.rule())
        delivery.offer(DeliveryFixture.alert(2), rule: DeliveryFixture.rule(channels: ["grave"]))
        delivery.offer(DeliveryFixture.alert(3), rule: DeliveryFixture.rule(channels: []))
        delivery.offer(DeliveryFixture.alert(4), rule: DeliveryFixture.rule())
        #expect(eventually { all.received.count == 2 && grave.received.count == 2 })
        #expect(all.received.compactMap { $0.object["seq"] as? Int }.sorted() == [1, 4])
        #expect(grave.received.compactMap { $0.object["seq"] as? Int }.sorted() == [2, 4])
        #expect(all.received.allSatisfy { $0.object["citizen"] == nil })
        #expect(grave.received.allSatisfy { $0.object["citizen"] != nil })
        #expect(states(delivery, 3).isEmpty)
    }

    @Test("what was not delivered when the relay stopped is delivered when it starts again; what was is not sent again")
    func restart() throws {
        let ports = try FreePorts.find(2)
        let first = try Receiver(port: ports[0])
        let settings =
            #"{webhooks: [{url: "\#(first.url)"}, {url: "http://127.0.0.1:\#(ports[1])/hook"}]}"#
        let delivery = try fixture.start(settings)
        let alert = DeliveryFixture.alert(1)
        delivery.offer(alert, rule: DeliveryFixture.rule())
        #expect(eventually { states(delivery, 1) == ["webhook-0 delivered", "webhook-1 pending"] })
        delivery.stop()
        let second = try Receiver(port: ports[1])
        defer {
            first.stop()
            second.stop()
        }
        let again = try fixture.start(settings, recovered: [AlertEntry(alert: alert, eventID: 1)])
        #expect(
            eventually { states(again, 1) == ["webhook-0 delivered", "webhook-1 delivered"] },
            "\(again.deliveries(of: alert.alertID)) \(fixture.log.lines)")
        #expect(first.alertIDs == [alert.alertID] && second.alertIDs == [alert.alertID])
    }

    @Test("an alert that only the buffer knows (F07) is delivered at the start, with its id, if its target is not new")
    func crash() throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        let settings = #"{webhooks: [{name: "a", url: "\#(receiver.url)"}]}"#
        try fixture.start(settings).stop()
        let entries = [(1, 0.0), (2, 3_600), (3, 25 * 3_600)].map {
            AlertEntry(alert: DeliveryFixture.alert($0.0, raisedSecondsAgo: $0.1), eventID: Int64($0.0))
        }
        var late = AlertEntry(alert: DeliveryFixture.alert(4), eventID: 4)
        late.alert.isLate = true
        // Alert 1 was raised after the target became known, 2 before, 3 is over, 4 was late.
        let delivery = try fixture.start(settings, recovered: entries + [late])
        #expect(eventually { !receiver.received.isEmpty })
        delivery.offer(DeliveryFixture.alert(5), rule: DeliveryFixture.rule())
        #expect(eventually { receiver.received.count >= 2 })
        #expect(receiver.received.compactMap { $0.object["seq"] as? Int } == [1, 5])
    }

    @Test("a damaged outbox is replaced, and the alerts of the last 24 h are sent again rather than not at all")
    func damaged() throws {
        let receiver = try Receiver()
        defer { receiver.stop() }
        try fixture.write(String(repeating: "this is no database. ", count: 400), to: "outbox.db")
        let old = AlertEntry(alert: DeliveryFixture.alert(2, raisedSecondsAgo: 3_600), eventID: 1)
        _ = try fixture.start(#"{webhooks: [{url: "\#(receiver.url)"}]}"#, recovered: [old])
        #expect(eventually { receiver.alertIDs == [old.alert.alertID] })
        #expect(fixture.log.lines.contains { $0.contains("outbox_replaced") })
    }

    @Test("a secret that is missing or too short is an error before anything starts")
    func secrets() throws {
        try fixture.write("short", to: "s")
        for file in ["s", "none"] {
            #expect(throws: (any Error).self) {
                try fixture.start(#"{webhooks: [{url: "https://example.org/", secret_file: "\#(file)"}]}"#)
            }
        }
    }
}
