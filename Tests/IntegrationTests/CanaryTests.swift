// No name and no word of a report leaves the report (I9, F126): hostile requests that carry a marked text in every
// place a client can write to, then a look into everything the relay says about itself.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite("what a relay says about people", .serialized)
struct CanaryTests {
    static let canary = "Zq7Canary"

    /// Requests with the canary in names, words, unknown keys, headers, paths and broken syntax. (The key of a reading
    /// at fault is named to its sender: it is a field's name, not a person's.)
    private static var requests: [String] {
        let name = "\(canary) \"\\u0000\u{1F54A}"
        let good = Requests.report(
            seq: 1,
            extra:
                #","citizens":[{"name":"\#(canary)","peacescore":1}],"words":["\#(canary)"],"\#(canary)":"\#(canary)""#)
        var bodies = [
            good, good + canary, String(good.dropLast()), "\"\(canary)\"", "{\"\(canary)\":", "[\"\(canary)\"]",
            good.replacing("\"peacescore\":1", with: "\"peacescore\":\"\(canary)\""),
            good.replacing("\"peacescore\":1", with: "\"peacescore\":1e999"),
            good.replacing("\"lat\":48.85", with: "\"lat\":\"\(canary)\""),
            good.replacing("\"d-1\"", with: "\"\(canary) \(canary)\""),
            good.replacing("\"boot\":\"b\"", with: "\"boot\":\"\(canary)!\""),
            good.replacing("\"seq\":1", with: "\"seq\":\"\(canary)\""),
            good.replacing("\"citizens\"", with: "\"citizens\":[{\"name\":\"\(canary)\"}],\"citizens\""),
            #"{"drone_id":"d","location":{"lat":1,"lon":2},"observed_at":"\#(canary)"}"#,
            #"{"drone_id":"d","location":{"lat":1,"lon":2},"readings":{"battery_pct":"\#(canary)"}}"#,
            #"{"drone_id":"d","location":{"lat":1,"lon":2},"media":[{"uri":1,"type":"\#(canary)"}]}"#,
            #"{"drone_id":"d","location":{"lat":1,"lon":2},"words":["\#(canary)",1]}"#,
            #"{"drone_id":"d","location":{"lat":1,"lon":2},"citizens":[{"name":"\#(name)","peacescore":1}]}"#,
            "\u{FEFF}" + good, good.replacing(canary, with: canary + "\u{0}"),
        ]
        bodies += bodies.map { body in String(body.utf8.prefix(body.utf8.count * 2 / 3)) ?? body }
        var requests: [String] = []
        for body in bodies {
            for type in ["application/json", "application/x-ndjson", "text/\(canary)"] {
                requests.append(request("POST", "/v1/reports", body, "Content-Type: \(type)\r\n"))
            }
            requests.append(
                request("POST", "/v1/reports", body, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"))
            requests.append(
                request(
                    "POST", "/v1/reports", body, "Content-Type: application/json\r\nContent-Encoding: \(canary)\r\n"))
            requests.append(request("POST", "/v1/alerts/\(String(repeating: "0", count: 32))/ack", body, ""))
        }
        requests += [
            request("GET", "/\(canary)", "", ""), request("GET", "/v1/alerts?state=\(canary)", "", ""),
            request("GET", "/v1/alerts?since=\(canary)&\(canary)=1", "", ""), request(canary, "/v1/status", "", ""),
            request("POST", "/v1/alerts/\(canary)/ack", good, ""),
            request("GET", "/livez", "", "\(canary): \(canary)\r\n"),
            request("GET", "/livez", "", "A: b\n\(canary)\r\n"), request("GET", "/v1/reports?\(canary)", "", ""),
            "\(canary)\r\n\r\n", "GET /\(canary) HTTP/1.1\r\n\(canary)",
        ]
        return requests
    }

    private static func request(_ method: String, _ path: String, _ body: String, _ headers: String) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test("logs, metrics, status, page and errors hold no name and no word", arguments: ["text", "json"])
    func canary(format: String) throws {
        let station = try Station()
        defer { station.end() }
        let relay = station.relay
        relay.environment = ["COLUMBA_LOG_FORMAT": format, "COLUMBA_LOG_LEVEL": "debug"]
        try relay.start()
        var answered = 0
        for request in Self.requests {
            let answer = try RawSocket(port: relay.port).exchange(request)
            if !answer.isEmpty { answered += 1 }
            #expect(!answer.contains(Self.canary), "\(request.prefix(200)) → \(answer.prefix(600))")
        }
        #expect(answered > Self.requests.count / 2)
        for path in ["/metrics", "/v1/status", "/", "/openapi.json", "/readyz"] {
            let response = try HTTPClient().perform(HTTPClientRequest(url: relay.address + path))
            #expect(!String(decoding: response.body, as: UTF8.self).contains(Self.canary), "\(path)")
        }
        relay.signal(SIGHUP)
        #expect(eventually(within: 10) { relay.log.contains("reloaded") })
        // A restart reads the reports back.
        try relay.kill()
        try relay.start()
        #expect(try relay.terminate() == .exited(0))
        #expect(!relay.log.contains(Self.canary))
        let lines = relay.log.split(separator: "\n")
        #expect(lines.count >= 4)
        if format == "json" {
            for line in lines {
                #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) is [String: Any], "\(line)")
            }
        }
    }
}

extension RawSocket {
    /// Sends a request that asks for its connection to be closed, and returns all that comes back.
    func exchange(_ request: String) -> String {
        send(request)
        return receiveAll()
    }
}
