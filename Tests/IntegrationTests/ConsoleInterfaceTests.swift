// The addresses behind the operator's console, over HTTP (docs/relay/console.md).

import Foundation
import HTTPClient
import System
import Testing

@Suite("the console's interface", .serialized)
final class ConsoleInterfaceTests {
    let station: Station

    init() throws {
        station = try Station()
        try station.relay.start()
    }

    deinit { station.end() }

    private var relay: Server { station.relay }

    private func text(_ path: String) throws -> (status: Int, text: String, type: String?) {
        let answer = try HTTPClient().perform(HTTPClientRequest(url: relay.address + path))
        return (answer.status, String(decoding: answer.body, as: UTF8.self), answer.header("content-type"))
    }

    private func raise(seq: Int, drone: String = "d-1") throws -> String {
        let report = Requests.report(
            drone: drone, seq: seq, extra: #","citizens":[{"name":"Ada Martin","peacescore":12.5}]"#)
        #expect(try Requests.post(relay, report).status == 202)
        let alerts = try #require(try station.json(relay, "/v1/alerts?limit=10000")["alerts"] as? [[String: Any]])
        return try #require(
            alerts.first { $0["seq"] as? Int == seq && $0["drone_id"] as? String == drone }?["alert_id"] as? String)
    }

    @Test("the report behind an alert is found in the buffer, byte for byte, also in an earlier life's")
    func report() throws {
        let first = try raise(seq: 1)
        // Others of other drones around it, and a later one of the same: the board no longer has it.
        for seq in 2...40 { _ = try Requests.post(relay, Requests.report(drone: "d-\(seq % 3)", seq: 100 + seq)) }
        let expected = Requests.report(seq: 1, extra: #","citizens":[{"name":"Ada Martin","peacescore":12.5}]"#)
        #expect(try text("/v1/alerts/\(first)/report").text == expected)
        try relay.kill()
        try relay.start()
        #expect(try text("/v1/alerts/\(first)/report").text == expected)
        let unknown = try text("/v1/alerts/\(String(repeating: "0", count: 32))/report")
        #expect(unknown.status == 404 && unknown.text.contains("no_such_alert"))
    }

    @Test("an alert in full has every decision, also after a crash")
    func inFull() throws {
        let id = try raise(seq: 5)
        for (action, body) in [
            ("ack", #"{"by":"officer 7","note":"on my way"}"#), ("shelve", #"{"by":"officer 3","for_s":600}"#),
            ("close", #"{"by":"officer 7","outcome":"confirmed"}"#),
        ] {
            let answer = try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: "\(relay.address)/v1/alerts/\(id)/\(action)",
                    headers: [("Content-Type", "application/json")], body: Array(body.utf8)))
            #expect(answer.status == 200)
        }
        func states() throws -> [String] {
            let changes = try station.json(relay, "/v1/alerts/\(id)")["changes"] as? [[String: Any]]
            return (changes ?? []).compactMap { $0["state"] as? String }
        }
        #expect(try states() == ["acknowledged", "shelved", "closed"])
        try relay.kill()
        try relay.start()
        #expect(try states() == ["acknowledged", "shelved", "closed"])
    }

    @Test("drones are a line each, with the 0/0 of a receiver without a fix flagged; tracks leave it out")
    func drones() throws {
        let fine =
            #"{"drone_id":"ok","boot":"b","seq":1,"location":{"lat":48.8,"lon":2.3},"readings":{"battery_pct":78}}"#
        let lost = #"{"drone_id":"lost","boot":"b","seq":1,"location":{"lat":0,"lon":0},"readings":{"gps_fix_type":1}}"#
        let real = #"{"drone_id":"gulf","boot":"b","seq":1,"location":{"lat":0,"lon":0},"readings":{"gps_fix_type":3}}"#
        for body in [fine, lost, real] { #expect(try Requests.post(relay, body).status == 202) }
        let drones = try #require(try station.json(relay, "/v1/drones/summary")["drones"] as? [[String: Any]])
        let located = Dictionary(
            uniqueKeysWithValues: drones.map { ($0["drone_id"] as? String, $0["located"] as? Bool) })
        #expect(located == ["ok": true, "lost": false, "gulf": true])
        #expect(drones.first { $0["drone_id"] as? String == "ok" }?["battery_pct"] as? Double == 78)
        let tracks = try #require(try station.json(relay, "/v1/drones/tracks")["tracks"] as? [[String: Any]])
        #expect(tracks.map { $0["drone_id"] as? String } == ["ok"])
        let csv = try text("/v1/drones/summary?format=csv")
        #expect(csv.type?.hasPrefix("text/csv") == true && csv.text.hasPrefix("drone_id,boot,seq,"))
        #expect(csv.text.components(separatedBy: "\r\n").count == 5)
        #expect(try text("/v1/alerts?format=csv").text.hasPrefix("alert_id,rule,"))
        #expect(try text("/v1/drones/tracks?format=csv&drone_id=ok").text.components(separatedBy: "\r\n").count == 3)
        #expect(try text("/v1/drones/summary?format=xml").status == 400)
    }

    @Test("a drone heard before a restart is on the board as silent since then, and counts as heard when it reports")
    func ghosts() throws {
        for seq in 1...3 { _ = try Requests.post(relay, Requests.report(drone: "ghost", seq: seq)) }
        let before = try #require(try station.json(relay, "/v1/drones/summary")["drones"] as? [[String: Any]]).first
        try relay.kill()
        try relay.start()
        func drone() throws -> [String: Any] {
            try #require((try station.json(relay, "/v1/drones/summary")["drones"] as? [[String: Any]])?.first)
        }
        func heard() throws -> Int? {
            (try station.json(relay, "/v1/status")["counters"] as? [String: Int])?["drones"]
        }
        #expect(try drone()["seq"] as? Int == 3 && drone()["reports"] as? Int == 0)
        #expect(try drone()["last_heard"] as? String == before?["last_heard"] as? String)
        #expect(try heard() == 0)
        _ = try Requests.post(relay, Requests.report(drone: "ghost", seq: 4))
        #expect(try drone()["seq"] as? Int == 4 && drone()["reports"] as? Int == 1)
        #expect(try heard() == 1)
    }

    @Test("the console's stream says hello, tells of alerts with their ids, and says something each second")
    func stream() throws {
        let id = try raise(seq: 1)
        let event = try #require(try station.json(relay, "/v1/alerts")["alerts"] as? [[String: Any]]).count
        #expect(event == 1)
        var text = ""
        _ = try HTTPClient().stream(
            HTTPClientRequest(url: relay.address + "/v1/console/stream?after=0", timeoutSeconds: 60)
        ) { bytes in
            text += String(decoding: bytes, as: UTF8.self)
            return text.components(separatedBy: "event: status\n").count < 4
        }
        let events = text.components(separatedBy: "\n").filter { $0.hasPrefix("event: ") }.map {
            String($0.dropFirst(7))
        }
        #expect(events.first == "hello")
        #expect(events.contains("alert") && text.contains(id))
        #expect(text.contains(#""silent_s":180"#))
    }

    @Test("a page of another site may not decide about an alert; reading needs no origin")
    func crossSite() throws {
        let id = try raise(seq: 9)
        func post(_ headers: [(String, String)]) throws -> Int {
            try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: "\(relay.address)/v1/alerts/\(id)/ack",
                    headers: [("Content-Type", "application/json")] + headers, body: Array(#"{"by":"x"}"#.utf8))
            ).status
        }
        #expect(try post([("Sec-Fetch-Site", "cross-site")]) == 403)
        #expect(try post([("Origin", "https://elsewhere.example")]) == 403)
        #expect(try station.json(relay, "/v1/alerts/\(id)")["state"] as? String == "raised")
        #expect(try post([("Origin", relay.address)]) == 200)
    }

    @Test("the page and its files come with a policy that lets nothing in from elsewhere")
    func page() throws {
        let answer = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/"))
        #expect(answer.status == 200)
        #expect(answer.header("content-security-policy")?.contains("default-src 'none'") == true)
        let body = String(decoding: answer.body, as: UTF8.self)
        guard !body.contains("The console is not installed") else {
            print("skipped in part: the pages' libraries are missing; run make deps")
            return
        }
        #expect(body.contains("/pages/relay/main.js"))
        let script = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/pages/relay/main.js"))
        #expect(script.status == 200 && script.header("content-type")?.hasPrefix("text/javascript") == true)
        let mark = try #require(script.header("etag"))
        let again = try HTTPClient().perform(
            HTTPClientRequest(url: relay.address + "/pages/relay/main.js", headers: [("If-None-Match", mark)]))
        #expect(again.status == 304 && again.body.isEmpty)
        #expect(try text("/pages/relay/nothing.js").status == 404)
    }
}
