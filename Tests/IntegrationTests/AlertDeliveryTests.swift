// A relay's alerts on their way out, with real processes: crashes, replays, the shelf, what operators see.

import Foundation
import HTTPClient
import HTTPServer
import Synchronization
import System
import Testing
import TestSupport

/// A webhook's receiver: remembers the bodies it was sent.
private final class AlertReceiver: HTTPHandler {
    private let received = Mutex<[[UInt8]]>([])
    private let server = Mutex<HTTPServer?>(nil)

    init(port: UInt16) throws {
        let started = try HTTPServer(HTTPServerConfiguration(port: port, stopTimeoutSeconds: 1), handler: self)
        server.withLock { $0 = started }
    }

    func admit(_ head: HTTPRequestHead) -> HTTPAdmission { .body(limitBytes: 1 << 20) }

    func handle(_ exchange: HTTPExchange) {
        received.withLock { $0.append(Array(exchange.body)) }
        exchange.respond(HTTPResponse(status: 204))
    }

    func stop() { server.withLock { $0 }?.stop() }

    var alerts: [[String: Any]] {
        received.withLock { $0 }.compactMap { try? JSONSerialization.jsonObject(with: Data($0)) as? [String: Any] }
    }
    var ids: [String] { alerts.compactMap { $0["alert_id"] as? String } }
}

@Suite("alerts on their way out", .serialized)
final class AlertDeliveryTests {
    let station: Station
    let port: UInt16

    init() throws {
        port = try FreePorts.find(1)[0]
        station = try Station(
            relayExtra: #"alerts: {webhooks: [{name: "desk", url: "http://127.0.0.1:\#(port)/hook"}]}"#)
        try station.relay.start()
    }

    deinit { station.end() }

    private var relay: Server { station.relay }

    private func report(_ seq: Int, name: String = "Ada Martin", observedSecondsAgo: Double? = nil) -> String {
        let observed = observedSecondsAgo.map { seconds -> String in
            let date = Date(timeIntervalSince1970: Double(SystemTime().wallMicroseconds()) / 1e6 - seconds)
            return #","observed_at":"\#(ISO8601DateFormatter().string(from: date))""#
        }
        return Requests.report(
            seq: seq, extra: #","citizens":[{"name":"\#(name)","peacescore":1}]\#(observed ?? "")"#)
    }

    private func alerts(_ query: String = "") throws -> [[String: Any]] {
        try #require(try station.json(relay, "/v1/alerts" + query)["alerts"] as? [[String: Any]])
    }

    private func decide(_ id: String, _ action: String, _ body: String) throws -> HTTPClientResponse {
        try HTTPClient().perform(
            HTTPClientRequest(
                method: "POST", url: "\(relay.address)/v1/alerts/\(id)/\(action)",
                headers: [("Content-Type", "application/json")], body: Array(body.utf8)))
    }

    private func state(of id: String) throws -> String? {
        try alerts().first { $0["alert_id"] as? String == id }?["state"] as? String
    }

    @Test("killed before its alerts were delivered, a relay delivers them within 10 s of its start, with their ids")
    func killed() throws {
        for seq in 1...20 { #expect(try Requests.post(relay, report(seq, name: "P\(seq)")).status == 202) }
        try relay.kill()
        let receiver = try AlertReceiver(port: port)
        defer { receiver.stop() }
        try relay.start()
        let ids = Set(try alerts().compactMap { $0["alert_id"] as? String })
        #expect(ids.count == 20)
        #expect(eventually(within: 10) { Set(receiver.ids) == ids }, "\(receiver.ids.count) of 20 came")
        // Killed again right after: what was delivered may come again with its id, nothing else may.
        try relay.kill()
        try relay.start()
        #expect(try Requests.post(relay, report(21, name: "P21")).status == 202)
        #expect(eventually(within: 10) { Set(receiver.ids).count == 21 })
        #expect(Set(receiver.ids).isSuperset(of: ids))
        let listed = try #require(try alerts().first { $0["citizen"] as? String == "P1" })
        let delivery = try #require((listed["deliveries"] as? [[String: Any]])?.first)
        #expect(delivery["target"] as? String == "desk" && delivery["state"] as? String == "delivered")
        let metrics = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/metrics"))
        let text = String(decoding: metrics.body, as: UTF8.self)
        #expect(text.contains(#"columba_relay_deliveries_total{kind="webhook",target="desk",result="delivered"}"#))
        #expect(!text.contains("P1") && !text.contains("/hook"))
    }

    @Test("a replayed report's alert is stored, listed and streamed as late, and wakes nobody")
    func late() throws {
        let receiver = try AlertReceiver(port: port)
        defer { receiver.stop() }
        // The first report shows that the drone's clock is right.
        #expect(try Requests.post(relay, report(2, name: "Present")).status == 202)
        #expect(try Requests.post(relay, report(1, name: "Past", observedSecondsAgo: 1_800)).status == 202)
        #expect(eventually(within: 10) { receiver.alerts.count == 1 })
        #expect(receiver.alerts.first?["citizen"] as? String == "Present")
        let past = try #require(try alerts().first { $0["citizen"] as? String == "Past" })
        #expect(past["late"] as? Bool == true && (past["deliveries"] as? [Any])?.isEmpty == true)
        #expect(try alerts().first { $0["citizen"] as? String == "Present" }?["late"] == nil)
        var stream = ""
        _ = try HTTPClient().stream(
            HTTPClientRequest(
                url: relay.address + "/v1/alerts/stream", headers: [("Last-Event-ID", "0")], timeoutSeconds: 60)
        ) { bytes in
            stream += String(decoding: bytes, as: UTF8.self)
            return !stream.contains("Past")
        }
        #expect(stream.contains("event: late_alert\n") && stream.contains("event: alert\n"))
        // In the buffer it is like any other: a restart knows it, and still wakes nobody.
        try relay.kill()
        try relay.start()
        #expect(try alerts().first { $0["citizen"] as? String == "Past" }?["late"] as? Bool == true)
        #expect(try Requests.post(relay, report(3, name: "Later")).status == 202)
        #expect(eventually(within: 10) { receiver.alerts.contains { $0["citizen"] as? String == "Later" } })
        #expect(!receiver.alerts.contains { $0["citizen"] as? String == "Past" })
    }

    @Test("repeats are folded for who asks so, each keeps its id, and the decision about the first holds for all")
    func folded() throws {
        for seq in 1...4 { #expect(try Requests.post(relay, report(seq)).status == 202) }
        #expect(try alerts().count == 4)
        let situation = try #require(try alerts("?folded=true").first)
        #expect(try alerts("?folded=true").count == 1)
        #expect(situation["count"] as? Int == 4 && situation["last_raised_at"] != nil)
        let id = try #require(situation["alert_id"] as? String)
        #expect(try alerts().filter { $0["folded_into"] as? String == id }.count == 3)
        #expect(try decide(id, "close", #"{"by":"officer 7","outcome":"confirmed"}"#).status == 200)
        #expect(try alerts("?state=closed").count == 4)
        try relay.kill()
        try relay.start()
        #expect(try alerts("?state=closed").count == 4)
        #expect(try alerts("?folded=true").first?["count"] as? Int == 4)
        #expect(try Requests.post(relay, report(5)).status == 202)
        #expect(try alerts("?folded=true").count == 2)
    }

    @Test("a shelved alert comes back by itself when its time is over, also through a crash")
    func shelved() throws {
        #expect(try Requests.post(relay, report(1)).status == 202)
        let id = try #require(try alerts().first?["alert_id"] as? String)
        for body in [#"{"by":"o","for_s":0}"#, #"{"by":"o","until":"soon"}"#, #"{"by":"o","for_s":1,"until":"x"}"#] {
            #expect(try decide(id, "shelve", body).status == 422)
        }
        #expect(try decide(id, "ack", #"{"by":"o","for_s":5}"#).status == 422)
        #expect(try decide(id, "shelve", #"{"by":"officer 7","note":"known","for_s":2}"#).status == 200)
        #expect(try state(of: id) == "shelved")
        try relay.kill()
        try relay.start()
        #expect(eventually(within: 10) { (try? state(of: id)) == "raised" })
        #expect(try alerts().first?["by"] as? String == "columba")
        // Its return is on disk as well.
        try relay.kill()
        try relay.start()
        #expect(try state(of: id) == "raised")
    }

    @Test("rules that name an unknown target, or hold a slip of the pen, are refused with their line")
    func badRules() throws {
        func check(_ rules: String) throws -> (System.ExitStatus, String) {
            try rules.write(toFile: "\(station.folder)/rules.json5", atomically: true, encoding: .utf8)
            let result = try Programs.run(
                "columba-relay", ["check", "--config", "\(station.folder)/relay-0.json5"], folder: station.folder)
            return (result.status, result.errors)
        }
        let rule = "{name: 'a', severity: 'info', when: {silent_for_s: 60}, channels: ['CHANNEL']}"
        let good = try check("{rules: [\(rule.replacingOccurrences(of: "CHANNEL", with: "desk"))]}")
        #expect(good.0 == .exited(0), "\(good.1)")
        let unknown = try check("{rules: [\n\(rule)]}")
        #expect(unknown.0 == .exited(1) && unknown.1.contains("rules.json5:2:") && unknown.1.contains("desk"))
        let slip = try check("{rules: [\n  {name: 'a' severity: 'info'}]}")
        #expect(slip.0 == .exited(1) && slip.1.contains("rules.json5:2:14"), "\(slip.1)")
    }
}
