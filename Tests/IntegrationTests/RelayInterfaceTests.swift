// The relay's promises to drones and operators, over HTTP, as contract §2 and §3 have them.

import Foundation
import HTTPClient
import System
import Testing

@Suite("a relay's interface", .serialized)
final class RelayInterfaceTests {
    let station: Station

    init() throws {
        station = try Station()
        try station.relay.start()
    }

    deinit { station.end() }

    private var relay: Server { station.relay }

    @Test("a report is stored, the same again is a duplicate, other bytes under its identity are a conflict")
    func identity() throws {
        let report = Requests.report(seq: 1)
        let first = try Requests.post(relay, report)
        #expect(first.status == 202)
        let answer = Requests.object(first)
        #expect(answer["relay_id"] as? String == "north-0")
        let result = try #require((answer["results"] as? [[String: Any]])?.first)
        #expect(
            result["drone_id"] as? String == "d-1" && result["boot"] as? String == "b" && result["seq"] as? Int == 1)
        #expect(result["status"] as? String == "stored")
        #expect(Requests.statuses(try Requests.post(relay, report)) == ["duplicate"])
        #expect(Requests.statuses(try Requests.post(relay, " \n" + report + "\n")) == ["duplicate"])
        let other = Requests.report(seq: 1, extra: #","words":["other"]"#)
        #expect(Requests.statuses(try Requests.post(relay, other)) == ["conflict"])
        // After a crash the relay still knows what it acknowledged.
        try relay.kill()
        try relay.start()
        #expect(Requests.statuses(try Requests.post(relay, report)) == ["duplicate"])
        #expect(Requests.statuses(try Requests.post(relay, other)) == ["conflict"])
    }

    @Test("a report without seq is numbered; the same bytes within 30 s are the same report, even across a crash")
    func unsequenced() throws {
        let body = #"{"drone_id":"old-1","location":{"lat":1,"lon":2},"words":["a"]}"#
        let first = try #require(
            (Requests.object(try Requests.post(relay, body))["results"] as? [[String: Any]])?.first)
        #expect((first["boot"] as? String)?.hasPrefix("relay.north-0.") == true)
        let again = try #require(
            (Requests.object(try Requests.post(relay, body))["results"] as? [[String: Any]])?.first)
        #expect(again["status"] as? String == "duplicate")
        #expect(again["seq"] as? Int == first["seq"] as? Int && again["boot"] as? String == first["boot"] as? String)
        try relay.kill()
        try relay.start()
        let later = try #require(
            (Requests.object(try Requests.post(relay, body))["results"] as? [[String: Any]])?.first)
        #expect(later["status"] as? String == "duplicate" && later["boot"] as? String == first["boot"] as? String)
    }

    @Test("many lines: 202 when all are stored, 207 with a result for each when some are rejected")
    func manyLines() throws {
        let lines = (1...3).map { Requests.report(drone: "many", seq: $0) }.joined(separator: "\n")
        let all = try Requests.post(relay, lines, type: "application/x-ndjson")
        #expect(all.status == 202 && Requests.statuses(all) == ["stored", "stored", "stored"])
        let some = try Requests.post(
            relay, Requests.report(drone: "many", seq: 4) + "\nnot json\n" + #"{"drone_id":"many"}"#,
            type: "application/x-ndjson")
        #expect(some.status == 207)
        #expect(Requests.statuses(some) == ["stored", "rejected", "rejected"])
        let results = try #require(Requests.object(some)["results"] as? [[String: Any]])
        #expect((results[1]["error"] as? [String: Any])?["code"] as? String == "invalid_json")
        #expect((results[2]["error"] as? [String: Any])?["field"] as? String == "location")
    }

    @Test(
        "a request that cannot be taken is refused with its status, a code and no name or word",
        arguments: [
            ("{", "application/json", 400, "invalid_json"),
            (#"{"a":1,"a":2}"#, "application/json", 400, "duplicate_key"),
            ("\u{FEFF}{}", "application/json", 400, "invalid_json"),
            ("", "application/json", 400, "invalid_json"),
            ("", "application/x-ndjson", 400, "empty_body"),
            ("[]", "application/json", 422, "not_an_object"),
            ("{}", "application/json", 422, "missing_field"),
            (#"{"drone_id":"x","location":{"lat":91,"lon":0}}"#, "application/json", 422, "invalid_field"),
            ("{}", "text/plain", 415, "unsupported_media_type"),
        ])
    func refused(_ body: String, _ type: String, _ status: Int, _ code: String) throws {
        let response = try Requests.post(relay, body, type: type)
        #expect(response.status == status)
        #expect(response.header("content-type") == "application/problem+json")
        let problem = Requests.object(response)
        #expect(problem["code"] as? String == code)
        #expect((problem["detail"] as? String)?.isEmpty == false)
    }

    @Test("a body is taken up to 256 KiB and refused with 413 from the next byte on")
    func bodyLimit() throws {
        func report(bytes: Int) -> String {
            let frame = Requests.report(drone: "big", seq: bytes, extra: #","note":"""#)
            return Requests.report(
                drone: "big", seq: bytes,
                extra: #","note":"\#(String(repeating: "x", count: bytes - frame.utf8.count))""#)
        }
        #expect(try Requests.post(relay, report(bytes: 262_143)).status == 202)
        #expect(try Requests.post(relay, report(bytes: 262_144)).status == 202)
        let refused = try Requests.post(relay, report(bytes: 262_145))
        #expect(refused.status == 413)
        #expect(Requests.object(refused)["code"] as? String == "too_large")
    }

    @Test("unknown addresses are 404, wrong methods 405 with Allow, unknown encodings 415")
    func routes() throws {
        let client = HTTPClient()
        #expect(try client.perform(HTTPClientRequest(url: relay.address + "/v2")).status == 404)
        let wrong = try client.perform(HTTPClientRequest(url: relay.address + "/v1/reports"))
        #expect(wrong.status == 405 && wrong.header("allow") == "POST")
        let encoded = try Requests.post(relay, "{}", headers: [("Content-Encoding", "br")])
        #expect(encoded.status == 415)
    }

    @Test("an alert is listed, streamed, decided on, and keeps its state through a crash")
    func alertLife() throws {
        let report = Requests.report(seq: 9, extra: #","citizens":[{"name":"Ada Martin","peacescore":12.5}]"#)
        #expect(try Requests.post(relay, report).status == 202)
        let alert = try #require((try station.json(relay, "/v1/alerts")["alerts"] as? [[String: Any]])?.first)
        #expect(alert["rule"] as? String == "low-peacescore" && alert["state"] as? String == "raised")
        #expect(alert["citizen"] as? String == "Ada Martin" && alert["value"] as? Double == 12.5)
        #expect(alert["limit"] as? Double == 20 && alert["rule_version"] as? Int == 3)
        let id = try #require(alert["alert_id"] as? String)
        #expect(id.count == 32)
        func decide(_ action: String, _ body: String) throws -> HTTPClientResponse {
            try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: "\(relay.address)/v1/alerts/\(id)/\(action)",
                    headers: [("Content-Type", "application/json")], body: Array(body.utf8)))
        }
        #expect(try decide("ack", #"{"by":"officer 7","note":"on my way"}"#).status == 200)
        #expect(try decide("close", #"{"by":"officer 7"}"#).status == 422)
        #expect(try decide("close", #"{"by":"officer 7","outcome":"nonsense"}"#).status == 422)
        #expect(try decide("close", #"{"by":"officer 7","outcome":"false_alarm"}"#).status == 200)
        #expect(try decide("ack", #"{"by":"officer 8"}"#).status == 409)
        try relay.kill()
        try relay.start()
        let after = try #require(
            (try station.json(relay, "/v1/alerts?state=closed")["alerts"] as? [[String: Any]])?.first)
        #expect(after["alert_id"] as? String == id && after["outcome"] as? String == "false_alarm")
        // The same report raises the same alert: nothing new in the list.
        #expect(try Requests.post(relay, report).status == 202)
        #expect((try station.json(relay, "/v1/alerts")["alerts"] as? [Any])?.count == 1)
    }

    @Test("the stream of alerts starts at once, and resumes after the event a follower names")
    func alertStream() throws {
        func follow(after: String?, until count: Int) throws -> [String] {
            var text = ""
            _ = try HTTPClient().stream(
                HTTPClientRequest(
                    url: relay.address + "/v1/alerts/stream", headers: after.map { [("Last-Event-ID", $0)] } ?? [],
                    timeoutSeconds: 20)
            ) { bytes in
                text += String(decoding: bytes, as: UTF8.self)
                return text.components(separatedBy: "\nevent: alert\n").count - 1 < count
            }
            return text.components(separatedBy: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
        }
        for seq in 1...3 {
            let low = Requests.report(seq: seq, extra: #","citizens":[{"name":"B","peacescore":1}]"#)
            #expect(try Requests.post(relay, low).status == 202)
        }
        let all = try follow(after: "0", until: 3)
        #expect(all.count == 3)
        #expect(try follow(after: all[0], until: 2) == Array(all[1...]))
    }

    @Test("status, drones, metrics and the description are there, and the figures add up")
    func figures() throws {
        for seq in 1...5 {
            _ = try Requests.post(relay, Requests.report(seq: seq, extra: #","readings":{"battery_pct":78}"#))
        }
        _ = try Requests.post(relay, Requests.report(seq: 5, extra: #","readings":{"battery_pct":78}"#))
        let status = try station.json(relay, "/v1/status")
        let counters = try #require(status["counters"] as? [String: Int])
        #expect(counters["received"] == 6 && counters["stored"] == 5 && counters["duplicates"] == 1)
        #expect(
            counters["records", default: -1] + counters["carried_over", default: -1]
                == counters["archived", default: -2] + counters["waiting", default: -2])
        let drone = try #require((try station.json(relay, "/v1/drones")["drones"] as? [[String: Any]])?.first)
        #expect((drone["readings"] as? [String: Double])?["battery_pct"] == 78)
        #expect(try station.json(relay, "/openapi.json")["openapi"] as? String == "3.1.0")
        let metrics = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/metrics"))
        #expect(
            String(decoding: metrics.body, as: UTF8.self).contains(#"columba_relay_reports_total{result="stored"} 5"#))
    }
}
