// The whole path with real input: files in, rows out, each once; what the archive is to readers who know nothing of
// Columba.

import Foundation
import HTTPClient
import System
import Testing

@Suite("reports come home", .serialized)
struct EndToEndTests {
    @Test("real telemetry goes in, comes out by SQL, and adds nothing to reports when sent again")
    func realInput() throws {
        guard let flights = SharedData.path("flights.ndjson"), let minimal = SharedData.path("minimal.ndjson") else {
            try Test.cancel("../shared/data is not beside this checkout")
        }
        let station = try Station()
        defer { station.end() }
        try station.start()
        let send = { (file: String) in try station.columba(["send", "--relay", station.relay.address, "--json", file]) }
        #expect(try send(flights).status.isSuccess)
        #expect(station.waitUntilArchived())
        let rows = try station.rows(
            """
            SELECT drone_id, count(*) AS n, min(observed_at) AS first, avg(readings['battery_pct']) AS battery
            FROM reports GROUP BY 1 ORDER BY 1
            """)
        #expect(rows.map { $0["drone_id"] as? String } == ["px4-0002", "px4-0003", "px4-0004"])
        #expect(rows.map { $0["n"] as? Int } == [32, 190, 583])
        #expect(rows[0]["first"] as? String == "2021-04-21T06:30:58.600000Z")
        #expect(rows[0]["battery"] as? Double == 74)

        #expect(try send(minimal).status.isSuccess)
        #expect(try send(flights).status.isSuccess)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 905)
        #expect(try station.count("duplicates") == 805)
        #expect(try station.count("duplicates", where: "reason = 'duplicate'") == 805)
        // Reports without a number got one that is theirs alone.
        #expect(try station.count("reports", where: "boot LIKE 'relay.north-0.%' AND digest IS NOT NULL") == 100)
        // Telemetry of years ago is kept as claimed, marked, and filed under the day it came.
        #expect(try station.count("reports", where: "drone_id LIKE 'px4%' AND NOT time_suspect") == 0)
        #expect(try station.count("reports", where: "date <> CAST(received_at AS DATE)") == 0)
        try compareWithDeltaLake(station)
    }

    /// delta-rs opens the tables by their log alone and must count what SQL counts.
    private func compareWithDeltaLake(_ station: Station) throws {
        let python = Programs.python
        guard let python else {
            print("skipped: .tools/python with the package deltalake is missing; run make deps")
            return
        }
        let script = """
            import sys
            from deltalake import DeltaTable
            for name in ["reports", "duplicates", "alerts"]:
                print(name, DeltaTable(sys.argv[1] + "/" + name).count())
            """
        var configuration = ChildProcess.Configuration(
            executable: python, arguments: ["-c", script, "\(station.folder)/central/lake"])
        configuration.standardOutput = .file("\(station.folder)/delta.out")
        configuration.standardError = .file("\(station.folder)/delta.err")
        let status = try ChildProcess(configuration).wait(timeoutSeconds: 180)
        let errors = (try? String(contentsOfFile: "\(station.folder)/delta.err", encoding: .utf8)) ?? ""
        #expect(status == .exited(0), "\(errors)")
        let counted = try String(contentsOfFile: "\(station.folder)/delta.out", encoding: .utf8)
        for table in ["reports", "duplicates", "alerts"] {
            let expected = try "\(table) \(station.count(table))\n"
            #expect(counted.contains(expected), "delta-rs: \(counted)")
        }
    }

    @Test("a name is in the vault and nowhere else in the archive")
    func namesApart() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        let name = "Zyxwvut Canary-\(UInt32.random(in: 0 ... .max))"
        let report =
            #"{"drone_id":"c-1","seq":1,"location":{"lat":1,"lon":2},"citizens":[{"name":"\#(name)","peacescore":3}]}"#
        #expect(try Requests.post(station.relay, report).status == 202)
        #expect(station.waitUntilArchived())
        let person = try station.rows("SELECT citizens[1].person_id AS p FROM reports")[0]["p"] as? String
        #expect(person?.count == 32)
        #expect(try station.rows("SELECT person_id AS p FROM alerts")[0]["p"] as? String == person)
        let lake = try Files.containing(name, below: "\(station.folder)/central/lake")
        #expect(lake.isEmpty, "\(lake)")
        for server in [station.relay, station.central] { #expect(!server.log.contains(name)) }
        let refused = try station.columba(["sql", "--central", station.central.address, "SELECT * FROM identities"])
        #expect(!refused.status.isSuccess)
    }

    @Test("a relay without central takes reports, and a later central gets them all")
    func centralComesLater() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        for seq in 1...50 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        let status = try station.json(station.relay, "/v1/status")
        #expect((status["buffer"] as? [String: Any])?["waiting"] as? Int == 50)
        try station.relay.kill()
        try station.relay.start()
        let counters = try station.json(station.relay, "/v1/status")["counters"] as? [String: Any]
        #expect(counters?["carried_over"] as? Int == 50)
        try station.central.start()
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 50)
    }

    @Test("the demo's figures add up")
    func demo() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test")
        defer { try? FileSystem.removeTree(folder) }
        let result = try Programs.run(
            "columba", ["demo", "--drones", "50", "--reports", "20000", "--exit", "--json"], folder: folder)
        #expect(result.status.isSuccess, "\(result.errors)")
        let figures = try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result.output)")
        let sent = figures["sent"] as? Int
        #expect(sent == 20_000)
        #expect(figures["acknowledged"] as? Int == sent)
        #expect((figures["archived"] as? Int ?? 0) + (figures["duplicates"] as? Int ?? 0) == sent)
        #expect(figures["alerts"] as? Int ?? 0 > 0)
        let latency = figures["alert_latency_ms"] as? [String: Any]
        #expect(latency?["p50"] is Double && latency?["p99"] is Double)
        #expect(figures["elapsed_s"] as? Double ?? 1_000 < 60)
    }
}
