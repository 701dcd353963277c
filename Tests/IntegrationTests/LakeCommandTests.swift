// `columba-central compact|verify|vacuum` as programs, beside a central that archives, and killed at any moment.

import Foundation
import Glibc
import HTTPClient
import System
import TestSupport
import Testing
import TestSupport

@Suite("the archive's commands", .serialized)
struct LakeCommandTests {
    private func run(_ station: Station, _ command: String, _ more: [String] = []) throws -> (
        status: System.ExitStatus, output: String, errors: String
    ) {
        try Programs.run(
            "columba-central", [command, "--config", "\(station.folder)/central.json5"] + more, folder: station.folder)
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    @Test("compact is killed again and again beside a central that archives: no report is lost, none is there twice")
    func killedBesideCentral() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        srandom(UInt32(truncatingIfNeeded: seed))
        let station = try Station()
        defer { station.end() }
        try station.start()
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", station.relay.address, "--drones", "20", "--reports", "6000", "--rate", "1000",
                "--seed", "7",
            ])
        fly.standardOutput = .null
        fly.standardError = .null
        let client = try ChildProcess(fly)
        defer { client.kill() }
        #expect(eventually(within: 30) { ((try? station.count("reports")) ?? 0) > 0 })
        var kills = 0
        var last = 0
        while client.isRunning || kills < 5 {
            var configuration = ChildProcess.Configuration(
                executable: try Programs.path("columba-central"),
                arguments: ["compact", "--config", "\(station.folder)/central.json5", "--json"])
            configuration.standardOutput = .null
            configuration.standardError = .null
            let compact = try ChildProcess(configuration)
            if try compact.wait(timeoutSeconds: Double(random() % 900) / 1000) == nil {
                compact.kill()
                _ = try compact.wait(timeoutSeconds: 10)
                kills += 1
            }
            // Old files or new ones, never both and never neither.
            let answer = try #require(
                try station.rows("SELECT count(*) AS n, count(DISTINCT (drone_id, boot, seq)) AS d FROM reports").first)
            let (rows, distinct) = (try #require(answer["n"] as? Int), try #require(answer["d"] as? Int))
            #expect(rows == distinct && rows >= last)
            last = rows
        }
        #expect(kills > 0)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 6000)

        // What the killed ones left is no obstacle, and nothing is wrong.
        let compacted = try run(station, "compact", ["--json"])
        #expect(compacted.status == .exited(0), "\(compacted.errors)")
        let jobs = try #require(try object(compacted.output)["jobs"] as? [[String: Any]])
        #expect(jobs.allSatisfy { $0["version"] is Int && $0["error"] == nil })
        #expect(try station.count("reports") == 6000)
        let verified = try run(station, "verify", ["--json"])
        #expect(verified.status == .exited(0), "\(verified.output)\(verified.errors)")
        let tables = try #require(try object(verified.output)["tables"] as? [[String: Any]])
        #expect(tables.map { $0["table"] as? String } == ["reports", "duplicates", "alerts", "identities"])
        #expect(tables[0]["rows"] as? Int == 6000 && tables[0]["files"] as? Int ?? 99 <= 2)
        #expect(station.central.isRunning)
        #expect(!station.central.log.contains("archive_stopped") && !station.central.log.contains("archive_failed"))
        try restart(station)
    }

    /// A central that starts on what compaction and vacuum have left knows all it archived.
    private func restart(_ station: Station) throws {
        let vacuumed = try run(station, "vacuum", ["--dry-run", "--json"])
        #expect(vacuumed.status == .exited(0), "\(vacuumed.errors)")
        let tables = try #require(try object(vacuumed.output)["tables"] as? [[String: Any]])
        // Replaced a moment ago: kept for readers, and nothing is old enough to go.
        #expect(tables[0]["replaced"] as? Int == 0 && tables[0]["kept"] as? Int ?? 0 > 0)
        try station.central.kill()
        try station.central.start()
        #expect(try station.count("reports") == 6000)
    }

    @Test("verify names what is wrong and exits with 1; wrong usage exits with 2; no archive is said in words")
    func exitStatuses() throws {
        let station = try Station()
        defer { station.end() }
        let none = try run(station, "verify")
        #expect(none.status == .exited(1) && none.errors.contains("no archive"), "\(none.errors)")
        try station.start()
        for seq in 1...20 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(station.waitUntilArchived())
        let whole = try run(station, "verify")
        #expect(whole.status == .exited(0) && whole.output.hasSuffix("\nok\n"), "\(whole.output)\(whole.errors)")
        #expect(!FileSystem.exists("\(station.folder)/central/lake/_columba/upkeep/verify-0"))
        let reports = "\(station.folder)/central/lake/reports"
        let day = try #require(try FileSystem.list(reports).first { $0.hasPrefix("date=") })
        let file = try #require(try FileSystem.list("\(reports)/\(day)").first)
        try FileSystem.remove("\(reports)/\(day)/\(file)")
        let broken = try run(station, "verify")
        #expect(broken.status == .exited(1))
        #expect(broken.output.contains("MISSING reports/\(day)/\(file)"), "\(broken.output)")
        let wrong = [["verify", "--dry-run"], ["vacuum", "--older-than", "0"], ["compact", "--fast"], ["lake"]]
        for arguments in wrong {
            let answer = try run(station, arguments[0], Array(arguments.dropFirst()))
            #expect(answer.status == .exited(2) && answer.errors.hasPrefix("usage:"), "\(arguments)")
        }
        let help = try Programs.run("columba-central", ["compact", "--help"], folder: station.folder)
        #expect(help.status == .exited(0) && help.output.contains("--older-than HOURS"))
    }
}
