// A real relay and a real central with a bad link between them.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("forwarding over a bad link", .serialized)
struct ForwardingTests {
    /// Central, the link to it, and relays behind that link.
    private final class Uplink {
        let station: Station
        let link: BadLink
        let relays: [Server]

        init(
            relays count: Int = 1, extra: String = "",
            addresses: (BadLink, Station) -> [String] = { link, _ in [link.address] }
        ) throws {
            let station = try Station(relays: 0)
            let link = try BadLink(to: station.central.port)
            let list = addresses(link, station).map { "\"\($0)\"" }.joined(separator: ", ")
            relays = try FreePorts.find(count).enumerated().map { index, port in
                let path = "\(station.folder)/far-\(index).json5"
                try """
                {relay_id: "far-\(index)", listen: "127.0.0.1:\(port)", data_dir: "far-\(index)",
                 rules: "rules.json5", central: [\(list)], \(extra)}
                """.write(toFile: path, atomically: true, encoding: .utf8)
                return Server("columba-relay", configuration: path, port: port, folder: station.folder)
            }
            self.station = station
            self.link = link
            try station.central.start()
            for relay in relays { try relay.start() }
        }

        func end() {
            for relay in relays { try? relay.kill() }
            station.end()
            link.end()
        }

        func uplink(_ index: Int = 0) throws -> [String: Any] {
            try #require(try station.json(relays[index], "/v1/status")["uplink"] as? [String: Any])
        }

        func waiting(_ index: Int = 0) throws -> Int {
            let buffer = try #require(try station.json(relays[index], "/v1/status")["buffer"] as? [String: Any])
            return try #require(buffer["waiting"] as? Int)
        }

        func areArchived(within seconds: Double = 30) -> Bool {
            eventually(within: seconds, everyMilliseconds: 50) {
                relays.indices.allSatisfy { (try? waiting($0)) == 0 }
            }
        }

        private var seq = 0
        /// - Parameter noise: words in each report that do not compress.
        func post(_ count: Int = 1, to index: Int = 0, noise: Int = 0) throws {
            let lines = (0..<count).map { _ in
                seq += 1
                let words = (0..<noise).map { _ in "\"\(UInt64.random(in: 0 ... .max))\"" }
                return Requests.report(
                    drone: "d-\(seq % 50)", seq: seq, extra: ",\"words\":[\(words.joined(separator: ","))]")
            }
            let answer = try Requests.post(
                relays[index], lines.joined(separator: "\n"), type: "application/x-ndjson")
            #expect(answer.status == 202)
        }

        var posted: Int { seq }
    }

    @Test("a connection that died without a word is noticed within 15 s, and a new one takes over (F64)")
    func halfOpen() throws {
        let uplink = try Uplink(extra: "forward: {max_in_flight: 1}")
        defer { uplink.end() }
        try uplink.post(10)
        #expect(uplink.areArchived())
        uplink.link.weather = .halfOpen
        let start = SystemTime().monotonicNanoseconds()
        try uplink.post(10)
        #expect(uplink.areArchived(within: 20))
        #expect(Waiting.isWithin(16, since: start))
        #expect(uplink.relays[0].log.contains("uplink_down") && uplink.relays[0].log.contains("timedOut"))
        #expect(try uplink.station.count("reports") == 20)
    }

    @Test("a captive portal's 200 acknowledges nothing (F68), and 503 with Retry-After is left alone that long (F70)")
    func portalAndOverload() throws {
        let uplink = try Uplink()
        defer { uplink.end() }
        let page = "<html>Welcome! Accept the terms.</html>"
        uplink.link.weather = .answering(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: \(page.utf8.count)\r\n"
                + "Connection: close\r\n\r\n\(page)")
        try uplink.post(20)
        #expect(
            eventually {
                (try? uplink.uplink()["last_error"] as? String) == "not_an_acknowledgement"
                    && uplink.link.counters.answered >= 3
            })
        #expect(try uplink.waiting() == 20)
        // JSON that looks like an acknowledgement, of other bytes.
        let forged =
            #"{"received":[[1,20]],"archived":[[1,20]],"rejected":[],"digest":"sha-256=:"#
            + #"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}"#
        uplink.link.weather = .answering(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(forged.utf8.count)\r\n\r\n\(forged)"
        )
        let before = uplink.link.counters.answered
        #expect(eventually(within: 20) { uplink.link.counters.answered >= before + 2 })
        #expect(try uplink.waiting() == 20)
        uplink.link.weather = .answering(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        #expect(
            eventually(within: 20) {
                (try? uplink.uplink()["last_error"] as? String) == "central_503"
                    && ((try? uplink.uplink()["next_try_in_s"] as? Double) ?? nil ?? 0) > 1.5
            })
        uplink.link.weather = .passing
        #expect(uplink.areArchived())
        #expect(try uplink.station.count("reports") == 20)
    }

    @Test("two relays behind a slow link that comes and goes get a batch through each time it is there (F63)")
    func flapping() throws {
        let uplink = try Uplink(relays: 2)
        defer { uplink.end() }
        uplink.link.limit(bytesPerSecond: 8_000)
        uplink.link.weather = .refusing
        for index in uplink.relays.indices { try uplink.post(150, to: index, noise: 40) }
        var batches = [0, 0]
        for window in 0..<4 {
            uplink.link.weather = .passing
            let start = SystemTime().monotonicNanoseconds()
            let grew = eventually(within: 5) {
                let now = uplink.relays.indices.map { (try? uplink.uplink($0)["batches"] as? Int) ?? nil ?? 0 }
                guard now[0] > batches[0], now[1] > batches[1] else { return false }
                batches = now
                return true
            }
            #expect(grew, "window \(window): \(batches)")
            // The rest of the window, then as long without a link.
            for weather in [BadLink.Weather.passing, window % 2 == 0 ? .blackhole : .refusing] {
                uplink.link.weather = weather
                _ = eventually(within: 0.25) { false }
            }
            #expect(Waiting.isWithin(30, since: start))
        }
        uplink.link.limit(bytesPerSecond: nil)
        uplink.link.weather = .passing
        #expect(uplink.areArchived(within: 60))
        #expect(try uplink.station.count("reports") == uplink.posted)
        #expect(try uplink.station.count("duplicates") == 0, "what was resent was recognised")
    }

    @Test("where the first address is dead the second is used, and acknowledgements lost on the way repeat nothing")
    func addresses() throws {
        let dead = try FreePorts.find(1)[0]
        let uplink = try Uplink { link, _ in ["http://127.0.0.1:\(dead)", link.address] }
        defer { uplink.end() }
        try uplink.post(50)
        #expect(uplink.areArchived())
        #expect(try uplink.uplink()["central"] as? String == uplink.link.address)
        uplink.link.weather = .answersLost
        try uplink.post(50)
        #expect(eventually { ((try? uplink.station.count("reports")) ?? 0) == 100 })
        #expect(try uplink.waiting() == 50, "central has them, and the relay cannot know")
        uplink.link.weather = .refusing
        _ = eventually(within: 0.2) { false }
        uplink.link.weather = .passing
        #expect(uplink.areArchived())
        #expect(try uplink.station.count("duplicates") == 0)
        let lanes = try #require(try uplink.uplink()["lanes"] as? [String: [String: Any]])
        #expect(Set(lanes.keys) == ["alerts", "live", "backlog"])
        #expect(lanes.values.allSatisfy { $0["unsent"] as? Int == 0 && $0["lag_s"] as? Double == 0 })
    }

    @Test("after a kill and a restart the alerts of the earlier life go before its reports")
    func alertsOfAnEarlierLife() throws {
        let uplink = try Uplink()
        defer { uplink.end() }
        uplink.link.weather = .refusing
        try uplink.post(150, noise: 60)
        let low = #","citizens":[{"name":"N","peacescore":1}]"#
        for seq in 1...4 {
            #expect(
                try Requests.post(uplink.relays[0], Requests.report(drone: "low", seq: seq, extra: low)).status == 202)
        }
        try uplink.post(150, noise: 60)
        try uplink.relays[0].kill()
        try uplink.relays[0].start()
        uplink.link.limit(bytesPerSecond: 8_000)
        uplink.link.weather = .passing
        #expect(eventually(within: 20, everyMilliseconds: 50) { (try? uplink.station.count("alerts")) == 4 })
        #expect(try uplink.waiting() > 200, "the reports still wait")
        uplink.link.limit(bytesPerSecond: nil)
        #expect(uplink.areArchived(within: 60))
        #expect(try uplink.station.count("reports") == uplink.posted + 4)
    }
}
