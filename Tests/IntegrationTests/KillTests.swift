// Kill it (I1–I5): relay and central get SIGKILL at random moments while drones send; afterwards every acknowledged
// report is in the archive exactly once, with the bytes that were sent, and nothing is there that nobody sent.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite("what a kill -9 cannot take", .serialized)
struct KillTests {
    static let rounds = 24
    static let drones = 40
    /// Enough for all rounds at the rate below; the faster they come, the more are in hand at each kill.
    static let reports = 50_000
    static let reportsPerSecond = 2_500

    @Test("every acknowledged report is archived exactly once, whoever is killed and when", .timeLimit(.minutes(8)))
    func killRounds() throws {
        let seed = Int.random(in: 0 ... .max)
        var random = SystemRandomNumberGenerator()
        let station = try Station(relays: 2, relayExtra: "buffer: {segment_bytes: 1048576, hold_hours: 0}")
        defer { station.end() }
        try station.start()
        let ledgerPath = "\(station.folder)/ledger"
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", station.relays.map(\.address).joined(separator: ","), "--drones", "\(Self.drones)",
                "--reports", "\(Self.reports)", "--rate", "\(Self.reportsPerSecond)", "--seed", "\(seed)", "--ledger",
                ledgerPath,
                "--resend-share", "0.02",
            ])
        fly.standardError = .file("\(station.folder)/fly.log")
        let client = try ChildProcess(fly)

        var kills = 0
        while kills < Self.rounds, client.isRunning {
            // Between two kills some reports must get through, or the round proves nothing.
            let before = Ledger.lineCount(ledgerPath)
            #expect(
                eventually(within: 60) { Ledger.lineCount(ledgerPath) > before + 200 || !client.isRunning },
                "no report was acknowledged for a minute; seed \(seed)")
            poll(nil, 0, Int32.random(in: 0...150, using: &random))
            let victim = kills % 3 == 2 ? station.central : station.relays[kills % 2]
            try victim.kill()
            try victim.start()
            kills += 1
        }
        #expect(kills >= 20, "the drones were done after \(kills) kills; seed \(seed)")
        let status = try #require(try client.wait(timeoutSeconds: 180), "the drones did not finish; seed \(seed)")
        #expect(status.isSuccess, "seed \(seed)")
        #expect(
            station.waitUntilArchived(),
            "not everything was archived; seed \(seed)\n\(station.central.log.suffix(2_000))")

        // Whoever was killed: nothing was lost, restored, cloned or miscounted, and nobody is told so. What counts
        // twice is from a client that repeats itself on purpose.
        let incidents = try station.json(station.central, "/v1/incidents")["incidents"] as? [[String: Any]]
        let complete = try HTTPClient().perform(HTTPClientRequest(url: station.central.address + "/v1/completeness"))
            .body
        #expect(
            incidents?.isEmpty == true,
            "seed \(seed): \(incidents ?? [])\n\(String(decoding: complete, as: UTF8.self))")
        let ledger = try Ledger(path: ledgerPath)
        let archive = try Ledger.archived(station)
        #expect(ledger.digests.count == Self.reports, "seed \(seed)")
        #expect(archive.duplicateKeys == 0, "a report is there twice; seed \(seed)")
        let lost = ledger.digests.filter { archive.digests[$0.key] == nil }
        #expect(lost.isEmpty, "acknowledged and not archived: \(lost.keys.sorted().prefix(5)); seed \(seed)")
        let changed = ledger.digests.filter {
            archive.digests[$0.key].map { [expected = $0.value] in $0 != expected } ?? false
        }
        #expect(changed.isEmpty, "other bytes were archived: \(changed.keys.sorted().prefix(5)); seed \(seed)")
        let ghosts = archive.digests.keys.filter { ledger.digests[$0] == nil }
        #expect(ghosts.isEmpty, "archived and never sent: \(ghosts.sorted().prefix(5)); seed \(seed)")
        #expect(try station.count("duplicates", where: "reason = 'conflict'") == 0, "seed \(seed)")
    }

    @Test("SIGTERM under load stops a relay and central within 5 s, with status 0")
    func terminateUnderLoad() throws {
        let station = try Station()
        defer { station.end() }
        try station.start()
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", station.relay.address, "--drones", "20", "--reports", "100000", "--seed", "7",
            ])
        fly.standardError = .null
        let client = try ChildProcess(fly)
        defer { client.kill() }
        #expect(
            eventually(within: 30) {
                let counters = try? station.json(station.relay, "/v1/status")["counters"] as? [String: Any]
                return (counters?["received"] as? Int ?? 0) > 500
            })
        for server in [station.relay, station.central] {
            let started = SystemTime().monotonicNanoseconds()
            #expect(try server.terminate() == .exited(0), "\(server.log.suffix(2_000))")
            #expect(Waiting.isWithin(5, since: started), "\(server.name) took too long")
        }
    }
}

/// Reports by identity, with the SHA-256 of their bytes.
struct Ledger {
    var digests: [String: String] = [:]
    var duplicateKeys = 0

    init() {}

    /// Lines «drone boot seq sha256 status», one an acknowledgement; a last line that is not complete is no
    /// acknowledgement.
    init(path: String) throws {
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count == 5 else { continue }
            digests["\(fields[0]) \(fields[1]) \(fields[2])"] = fields[3]
        }
    }

    static func lineCount(_ path: String) -> Int {
        // A line is at least 80 bytes long: the size is a cheap and safe lower bound for the count.
        (FileSystem.fileSize(path) ?? 0) / 120
    }

    static func archived(_ station: Station) throws -> Ledger {
        let result = try station.columba([
            "sql", "--central", station.central.address, "--format", "csv", "--limit", "100000",
            "SELECT drone_id, boot, seq, digest FROM reports",
        ])
        try #require(result.status.isSuccess, "\(result.errors)")
        var ledger = Ledger()
        for line in result.output.split(whereSeparator: \.isNewline).dropFirst() {
            let fields = line.split(separator: ",").map(String.init)
            try #require(fields.count == 4, "\(line)")
            if ledger.digests.updateValue(fields[3], forKey: "\(fields[0]) \(fields[1]) \(fields[2])") != nil {
                ledger.duplicateKeys += 1
            }
        }
        return ledger
    }
}
