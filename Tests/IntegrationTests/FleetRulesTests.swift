// Rules and settings from central to relays, with real processes.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("rules from central", .serialized)
struct FleetRulesTests {
    private func rules(_ version: Int, battery: Int, channels: String = "") -> String {
        """
        // central's set
        {version: \(version), rules: [
          {name: "battery", severity: "warning", when: {reading: {battery_pct: {below: \(battery)}}}\(channels)},
        ]}
        """
    }

    private func put(
        _ station: Station, _ text: String, _ more: [String] = []
    ) throws -> (status: System.ExitStatus, output: String, errors: String) {
        let path = "\(station.folder)/central-\(UUID().uuidString).json5"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let result = try station.columba(["rules", "put", path, "--central", station.central.address] + more)
        // Something to acknowledge: otherwise a quiet relay hears of it with its next report.
        for relay in station.relays where relay.isRunning {
            _ = try? Requests.post(
                relay, Requests.report(drone: "nudge", boot: String(path.suffix(20).prefix(12)), seq: 1))
        }
        return result
    }

    private func state(_ station: Station, _ relayID: String) -> (state: String, version: Int, reason: String)? {
        let relays = try? station.json(station.central, "/v1/rules")["relays"] as? [[String: Any]]
        guard let relay = relays?.first(where: { $0["relay_id"] as? String == relayID }) else { return nil }
        return (
            relay["state"] as? String ?? "", relay["version"] as? Int ?? 0, relay["reason"] as? String ?? ""
        )
    }

    private func reaches(_ station: Station, _ relayID: String, _ wanted: String, _ version: Int) -> Bool {
        eventually(within: 30, everyMilliseconds: 50) {
            guard let state = state(station, relayID) else { return false }
            return state.state == wanted && state.version == version
        }
    }

    /// Alerts that a report with this charge raises there.
    private func alerts(_ relay: Server, seq: Int, battery: Int) throws -> Int {
        let report = Requests.report(seq: seq, extra: #","readings":{"battery_pct":\#(battery)}"#)
        #expect(try Requests.post(relay, report).status == 202)
        let answer = try HTTPClient().perform(HTTPClientRequest(url: relay.address + "/v1/alerts"))
        let alerts = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        return (alerts?["alerts"] as? [[String: Any]])?.filter { $0["seq"] as? Int == seq }.count ?? 0
    }

    @Test("a set put at central is in force on every relay, survives its restart, and reaches one that was away")
    func reachesAll() throws {
        let station = try Station(relays: 2)
        defer { station.end() }
        try station.start()
        #expect(try alerts(station.relay, seq: 1, battery: 40) == 0)
        #expect(reaches(station, "north-0", "local", 3) && reaches(station, "north-1", "local", 3))
        try station.relays[1].kill()
        let result = try put(station, rules(4, battery: 50))
        #expect(result.status.isSuccess && result.output.contains("version 4"), "\(result.errors)")
        // A record on the way hurries it: its acknowledgement, or the report after it, names the version.
        #expect(reaches(station, "north-0", "applied", 4))
        #expect(try alerts(station.relay, seq: 2, battery: 40) == 1)
        #expect(try #require(state(station, "north-1")).state == "pending")
        try station.relays[1].start()
        #expect(reaches(station, "north-1", "applied", 4))
        #expect(try alerts(station.relays[1], seq: 3, battery: 40) == 1)
        // Without central it keeps the last good one over a restart.
        try station.central.kill()
        try station.relay.kill()
        try station.relay.start()
        #expect(try alerts(station.relay, seq: 4, battery: 40) == 1)
        try station.central.start()
        #expect(try station.json(station.central, "/v1/rules")["version"] as? Int == 4)
        let old = try put(station, rules(4, battery: 10))
        #expect(!old.status.isSuccess && old.errors.contains("version_not_higher"))
        let broken = try put(station, #"{version: 5, rules: [{name: "x"}]}"#)
        #expect(!broken.status.isSuccess && broken.errors.contains("rules[0].severity"), "\(broken.errors)")
        #expect(try station.json(station.central, "/v1/rules")["version"] as? Int == 4)
    }

    @Test("a set that a relay cannot use is refused with the reason, the old one stays, an incident says so")
    func refused() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        // Central cannot know the relay's delivery targets.
        let result = try put(station, rules(4, battery: 50, channels: #", channels: ["pager"]"#))
        #expect(result.status.isSuccess, "\(result.errors)")
        #expect(reaches(station, "north-0", "refused", 4))
        #expect(try #require(state(station, "north-0")).reason.contains("pager"))
        #expect(try alerts(station.relay, seq: 1, battery: 40) == 0)
        let status = try station.columba(["rules", "status", "--central", station.central.address])
        #expect(!status.status.isSuccess && status.output.contains("refused"))
        #expect(
            eventually(within: 20, everyMilliseconds: 50) {
                let open = try? station.json(station.central, "/v1/status")["incidents"] as? [String: Int]
                return open?["rules_refused"] == 1
            })
        // The next one is good, with a setting: it is in force, and the incident is over.
        let settings = "\(station.folder)/settings.json"
        try #"{"limits": {"reports_per_drone_per_s": 0.001, "report_burst_per_drone": 2}}"#.write(
            toFile: settings, atomically: true, encoding: .utf8)
        #expect(try put(station, rules(5, battery: 50), ["--settings", settings]).status.isSuccess)
        #expect(reaches(station, "north-0", "applied", 5))
        #expect(
            eventually(within: 20, everyMilliseconds: 50) {
                let open = try? station.json(station.central, "/v1/status")["incidents"] as? [String: Int]
                return open?["rules_refused"] == 0
            })
        func throttled() -> Bool {
            (2...6).contains { seq in
                (try? Requests.post(station.relay, Requests.report(drone: "pw-9", seq: seq)).status) == 429
            }
        }
        #expect(throttled(), "the setting is in force")
        try station.relay.kill()
        try station.relay.start()
        #expect(throttled(), "also after a restart")
        let needsRestart = "\(station.folder)/bad.json"
        try #"{"limits": {"threads": 4}}"#.write(toFile: needsRestart, atomically: true, encoding: .utf8)
        #expect(try put(station, rules(6, battery: 50), ["--settings", needsRestart]).status.isSuccess)
        #expect(reaches(station, "north-0", "refused", 6))
        #expect(try #require(state(station, "north-0")).reason.contains("limits.threads"))
    }
}
