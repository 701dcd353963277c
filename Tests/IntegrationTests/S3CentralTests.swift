// A whole central whose lake and vault are in S3, with real programs and a real server: what is acknowledged is
// archived once and answered in SQL, whatever is killed.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("central on S3", .serialized, .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct S3CentralTests {
    private func configuration(_ weed: WeedServer, secret: String = "secret") -> String {
        let place = "s3://\(WeedServer.bucket)/i-\(UInt64.random(in: 0 ... .max))"
        return """
            lake: "\(place)/lake", vault: "\(place)/vault",
            s3: {endpoint: "\(weed.endpoint)", access_key_file: "access", secret_key_file: "\(secret)",
                 cache_bytes: 200000000}
            """
    }

    private func station(_ weed: WeedServer, secret: String = "secret") throws -> Station {
        let station = try Station(relays: 1, centralExtra: configuration(weed, secret: secret))
        for (name, text) in [
            ("access", WeedServer.accessKey), ("secret", WeedServer.secretKey + "\n"), ("wrong", "not-the-key"),
        ] {
            try text.write(toFile: "\(station.folder)/\(name)", atomically: true, encoding: .utf8)
        }
        return station
    }

    private func fly(_ station: Station, _ reports: Int, seed: Int) throws -> ChildProcess {
        var configuration = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", station.relay.address, "--drones", "20", "--reports", "\(reports)", "--rate", "1000",
                "--seed", "\(seed)",
            ])
        configuration.standardOutput = .null
        configuration.standardError = .null
        return try ChildProcess(configuration)
    }

    private func command(_ station: Station, _ arguments: [String]) throws -> (
        status: System.ExitStatus, output: String, errors: String
    ) {
        try Programs.run(
            "columba-central", [arguments[0], "--config", "\(station.folder)/central.json5"] + arguments.dropFirst(),
            folder: station.folder)
    }

    private func distinct(_ station: Station) throws -> Int {
        let rows = try station.rows("SELECT count(DISTINCT (drone_id, boot, seq)) AS n FROM reports")
        return try #require(rows.first?["n"] as? Int)
    }

    @Test("the object store and central are killed while reports come: each is archived once and answered in SQL")
    func killed() throws {
        let weed = try WeedServer()
        defer { weed.end() }
        try weed.start()
        let station = try self.station(weed)
        defer { station.end() }
        try station.start()
        try FileSystem.makeDirectories("\(station.folder)/jobs")
        let job = "-- schedule: every 1s\n-- table: ticks\n-- mode: append\nSELECT count(*) AS reports FROM reports\n"
        try FileSystem.writeAtomically("\(station.folder)/jobs/ticks.sql", Array(job.utf8))
        let client = try fly(station, 4_000, seed: 7)
        defer { client.kill() }
        #expect(eventually(within: 30, everyMilliseconds: 50) { ((try? station.count("reports")) ?? 0) > 0 })
        weed.kill()
        // Intake goes on without it: what comes waits in the stream (F49).
        #expect(
            eventually(within: 20, everyMilliseconds: 50) {
                let stream = (try? station.json(station.central, "/v1/status"))?["stream"] as? [String: Any]
                return stream?["waiting_batches"] as? Int ?? 0 > 0
            })
        try weed.start()
        #expect(eventually(within: 60, everyMilliseconds: 50) { ((try? station.count("reports")) ?? 0) > 1_000 })
        try station.central.kill()
        try station.central.start()
        #expect(try client.wait(timeoutSeconds: 240) == .exited(0))
        #expect(station.waitUntilArchived(within: 60))
        #expect(try station.count("reports") == 4_000)
        #expect(try distinct(station) == 4_000)
        #expect(station.central.isRunning)

        // Nothing of the archive is on this machine but copies: a central without its folder finds all of it again.
        _ = try station.central.terminate()
        try FileSystem.removeTree("\(station.folder)/central/cache")
        try FileSystem.removeTree("\(station.folder)/central/queries")
        try station.central.start()
        #expect(try station.count("reports") == 4_000)
        // A job's table is in S3 too, and an answer in a file comes of it.
        #expect(eventually(within: 30, everyMilliseconds: 50) { (try? station.count("derived.ticks")) ?? 0 > 1 })
        let csv = try station.columba([
            "sql", "--central", station.central.address, "--format", "csv", "SELECT count(*) AS n FROM reports",
        ])
        #expect(csv.output == "n\n4000\n", "\(csv.errors)")

        let compacted = try command(station, ["compact", "--json"])
        #expect(compacted.status == .exited(0), "\(compacted.errors)")
        #expect(try station.count("reports") == 4_000)
        let verified = try command(station, ["verify", "--json"])
        #expect(verified.status == .exited(0), "\(verified.output)\(verified.errors)")
        let vacuumed = try command(station, ["vacuum", "--dry-run"])
        #expect(vacuumed.status == .exited(0), "\(vacuumed.errors)")
        let metrics = String(
            decoding: try HTTPClient().perform(HTTPClientRequest(url: station.central.address + "/metrics")).body,
            as: UTF8.self)
        #expect(metrics.contains("columba_central_object_store_requests_total"))
        // Neither key is anywhere but in its file.
        let log = station.central.log
        #expect(!log.contains(WeedServer.secretKey) && !metrics.contains(WeedServer.secretKey))
    }

    @Test("check and run say in one line what is wrong with the object store, and check writes nothing there")
    func refusals() throws {
        let weed = try WeedServer.shared()
        let station = try self.station(weed, secret: "wrong")
        defer { station.end() }
        for name in ["check", "run"] {
            let result = try command(station, [name])
            #expect(result.status == .exited(1))
            #expect(
                result.errors.contains("forbidden") && result.errors.contains("s3.secret_key_file"), "\(result.errors)")
            #expect(!result.errors.contains("not-the-key"))
        }
        let missing = try self.station(weed, secret: "nowhere")
        defer { missing.end() }
        let result = try command(missing, ["check"])
        #expect(result.status == .exited(1) && result.errors.contains("s3.secret_key_file"), "\(result.errors)")
        let good = try self.station(weed)
        defer { good.end() }
        #expect(try command(good, ["check"]).status == .exited(0))
        let nothing = try command(good, ["verify"])
        #expect(nothing.status == .exited(1) && nothing.errors.contains("there is no archive"), "\(nothing.errors)")
    }
}
