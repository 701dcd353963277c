// Central and its relays as a fleet, with real processes: reports, completeness, incidents, restored and cloned relays.

import Foundation
import HTTPClient
import Models
import System
import TestSupport
import Testing

@Suite("the fleet", .serialized)
struct FleetTests {
    private func incidents(_ station: Station) throws -> [String: [String: Any]] {
        let list = try #require(try station.json(station.central, "/v1/incidents")["incidents"] as? [[String: Any]])
        return Dictionary(list.compactMap { incident in (incident["id"] as? String).map { ($0, incident) } }) { $1 }
    }

    private func opens(_ id: String, _ station: Station) -> Bool {
        eventually(within: 30, everyMilliseconds: 50) { (try? incidents(station)[id]?["state"] as? String) == "open" }
    }

    /// Empty where central does not know it yet.
    private func relay(_ station: Station, _ relayID: String) throws -> [String: Any] {
        let relays = try station.json(station.central, "/v1/completeness")["relays"] as? [[String: Any]]
        return relays?.first { $0["relay_id"] as? String == relayID } ?? [:]
    }

    private func post(_ server: Server, _ sequence: ClosedRange<Int>, extra: String = "") throws {
        for seq in sequence {
            #expect(try Requests.post(server, Requests.report(seq: seq, extra: extra)).status == 202)
        }
    }

    private func isComplete(_ station: Station, since: Timestamp) -> Bool {
        eventually(within: 30, everyMilliseconds: 50) {
            let text = try? self.relay(station, "north-0")["complete_through"] as? String
            return text.flatMap(Timestamp.init(rfc3339:)).map { $0 >= since } ?? false
        }
    }

    @Test(
        "everything archived: complete to a moment after the last report, in /v1/completeness, SQL and columba complete"
    )
    func complete() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        let before = Timestamp(microseconds: SystemTime().wallMicroseconds())
        try post(station.relay, 1...5)
        #expect(isComplete(station, since: before))
        let relay = try relay(station, "north-0")
        #expect(relay["waiting"] as? Int == 0 && relay["lost"] as? Int == 0 && relay["state"] as? String == "live")
        let answer = try station.columba(["complete", "--central", station.central.address, "--json"])
        #expect(answer.status.isSuccess && answer.output.contains(#""held_back_by":["north-0"]"#))
        let query = try HTTPClient().perform(
            HTTPClientRequest(
                method: "POST", url: station.central.address + "/v1/sql",
                headers: [("Content-Type", "application/json")], body: Array(#"{"sql":"SELECT 1"}"#.utf8)))
        let header = try #require(query.header("X-Complete-Through").flatMap(Timestamp.init(rfc3339:)))
        #expect(header >= before)
        #expect(String(decoding: query.body, as: UTF8.self).contains(#""complete_through":""#))
        let late = try station.columba(
            ["complete", "--central", station.central.address, "--to", "2100-01-01T00:00:00Z"])
        #expect(!late.status.isSuccess, "nobody can know that yet")
        let metrics = try HTTPClient().perform(HTTPClientRequest(url: station.central.address + "/metrics")).body
        let text = String(decoding: metrics, as: UTF8.self)
        for state in ["received", "archived"] {
            #expect(text.contains(#"columba_central_relay_records{relay="north-0",state="\#(state)"} 5"#), "\(text)")
        }
        #expect(text.contains(#"columba_incidents_open{code="rollback"} 0"#))
        #expect(try incidents(station).isEmpty)
    }

    @Test("a relay that is gone holds the fleet back, is named, and can be retired; one that returns counts again")
    func retire() throws {
        let station = try Station(relays: 2)
        defer { station.end() }
        try station.start()
        try post(station.relay, 1...2)
        #expect(station.waitUntilArchived())
        #expect(
            eventually(within: 30, everyMilliseconds: 50) {
                (try? self.relay(station, "north-1")["complete_through"] as? String) != nil
            })
        try station.relays[1].kill()
        let gone = try #require(try relay(station, "north-1")["complete_through"] as? String)
        try post(station.relay, 3...3)
        #expect(
            eventually(within: 40, everyMilliseconds: 50) {
                let held = try? station.json(station.central, "/v1/completeness")["held_back_by"] as? [String]
                return held == ["north-1"]
            })
        #expect(try station.json(station.central, "/v1/completeness")["complete_through"] as? String == gone)
        let retired = try station.columba(
            ["complete", "--central", station.central.address, "--retire", "north-1", "--by", "test"])
        #expect(retired.status.isSuccess, "\(retired.errors)")
        let answer = try station.json(station.central, "/v1/completeness")
        #expect(answer["held_back_by"] as? [String] == ["north-0"])
        #expect(try #require(answer["complete_through"] as? String) > gone)
        let unknown = try station.columba(
            ["complete", "--central", station.central.address, "--retire", "nobody", "--by", "test"])
        #expect(!unknown.status.isSuccess && unknown.errors.contains("unknown_relay"))
        try station.relays[1].start()
        #expect(eventually(within: 30) { (try? self.relay(station, "north-1")["state"] as? String) == "live" })
    }

    @Test("a report with another's identity and other bytes is kept, and an incident that a person closes")
    func conflict() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        try post(station.relay, 1...1)
        _ = try Requests.post(station.relay, Requests.report(seq: 1, extra: #","words":["other"]"#))
        #expect(opens("identity_conflict.north-0", station))
        #expect(try station.count("duplicates", where: "reason = 'conflict'") == 1)
        let relays = try station.json(station.central, "/v1/relays")["relays"] as? [[String: Any]]
        #expect(relays?.first?["open_incidents"] as? [String] == ["identity_conflict"])
        #expect(!station.central.log.contains("other"), "no word of a report reaches a log (I9)")
        let closed = try station.columba([
            "incidents", "close", "identity_conflict.north-0", "--central", station.central.address, "--by", "test",
        ])
        #expect(closed.status.isSuccess, "\(closed.errors)")
        try station.central.kill()
        try station.central.start()
        #expect(try incidents(station)["identity_conflict.north-0"]?["state"] as? String == "closed")
        #expect(try incidents(station)["identity_conflict.north-0"]?["closed_by"] as? String == "test")
    }

    @Test("a relay restored from a backup loses and doubles nothing, and is noticed (F72)")
    func restored() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        try post(station.relay, 1...10)
        #expect(station.waitUntilArchived())
        // Taken while the relay runs and nothing is written, as a nightly copy of the folder would be.
        let (data, backup) = ("\(station.folder)/relay-0", "\(station.folder)/backup")
        try FileManager.default.copyItem(atPath: data, toPath: backup)
        let before = Timestamp(microseconds: SystemTime().wallMicroseconds())
        try post(station.relay, 11...25)
        #expect(isComplete(station, since: before))
        try station.relay.kill()
        try FileSystem.removeTree(data)
        try FileManager.default.moveItem(atPath: backup, toPath: data)
        try station.relay.start()
        // Once more what the backup does not know of, as drones would, and something new.
        try post(station.relay, 20...30)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 30)
        #expect(opens("rollback.north-0", station))
        // What the relay no longer knows of was archived: nothing is lost, nothing waited for.
        #expect(eventually(within: 30) { (try? self.relay(station, "north-0")["waiting"] as? Int) == 0 })
        #expect(try relay(station, "north-0")["lost"] as? Int == 0)
    }

    @Test("two relays under one identity: data of both is archived, and an incident says so (F74)")
    func cloned() throws {
        let station = try Station(relays: 2)
        defer { station.end() }
        // The second relay's configuration claims the first one's name.
        let path = "\(station.folder)/relay-1.json5"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacingOccurrences(of: "north-1", with: "north-0").write(
            toFile: path, atomically: true, encoding: .utf8)
        try station.start()
        try post(station.relays[0], 1...5)
        try post(station.relays[1], 6...10)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 10)
        for round in 0..<3 {
            try post(station.relays[0], (11 + 2 * round)...(11 + 2 * round))
            try post(station.relays[1], (12 + 2 * round)...(12 + 2 * round))
            #expect(station.waitUntilArchived())
            let isSeen = eventually(within: 4, everyMilliseconds: 50) {
                (try? incidents(station)["cloned_relay.north-0"]) != nil
            }
            if isSeen { break }
        }
        #expect(opens("cloned_relay.north-0", station))
        #expect(station.central.log.contains("cloned_relay"))
    }
}
