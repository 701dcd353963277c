// Kill it, for drones that speak MQTT (I1, I5): the relay gets SIGKILL at random moments while a client that no one
// here wrote publishes with QoS 1; afterwards every report that was PUBACKed is in the archive exactly once.

import Foundation
import Glibc
import System
import Testing
import TestSupport

@Suite("what a kill -9 cannot take from an MQTT drone", .serialized)
struct MQTTKillTests {
    static let rounds = 24
    static let drones = 10

    @Test("every PUBACKed report is archived exactly once, whenever the relay is killed", .timeLimit(.minutes(5)))
    func killRounds() throws {
        let python = try MQTTClients.python
        var random = SystemRandomNumberGenerator()
        let port = try FreePorts.find(1)[0]
        let station = try Station(
            relayExtra: "mqtt_listen: \"127.0.0.1:\(port)\", buffer: {segment_bytes: 1048576, hold_hours: 0}")
        defer { station.end() }
        try station.start()
        let (ledgerPath, stopPath) = ("\(station.folder)/ledger", "\(station.folder)/stop")
        var configuration = ChildProcess.Configuration(
            executable: python,
            arguments: [MQTTClients.script, "\(port)", "\(Self.drones)", "100", ledgerPath, stopPath])
        configuration.standardOutput = .file("\(station.folder)/drones.out")
        configuration.standardError = .file("\(station.folder)/drones.err")
        let client = try ChildProcess(configuration)
        defer { client.kill() }

        for round in 1...Self.rounds {
            // Between two kills reports must get through, or the round proves nothing.
            let before = FileSystem.fileSize(ledgerPath) ?? 0
            try #require(
                eventually(within: 30) { (FileSystem.fileSize(ledgerPath) ?? 0) > before + 3_000 },
                "nothing was acknowledged in round \(round)\n\(state(station))")
            poll(nil, 0, Int32.random(in: 0...150, using: &random))
            try station.relay.kill()
            try station.relay.start()
        }
        try "".write(toFile: stopPath, atomically: true, encoding: .utf8)
        let status = try #require(try client.wait(timeoutSeconds: 90), "the drones did not finish")
        let errors = (try? String(contentsOfFile: "\(station.folder)/drones.err", encoding: .utf8)) ?? ""
        #expect(status == .exited(0), "\(errors)")
        #expect(station.waitUntilArchived(), "\(station.central.log.suffix(2_000))")
        try compare(station, ledgerPath)
    }

    private func state(_ station: Station) -> String {
        let errors = (try? String(contentsOfFile: "\(station.folder)/drones.err", encoding: .utf8)) ?? ""
        let status = (try? station.json(station.relay, "/v1/status")["mqtt"]).map { "\($0)" } ?? "no status"
        return "\(status)\n\(station.relay.log.suffix(2_000))\n\(errors.suffix(2_000))"
    }

    private func compare(_ station: Station, _ ledgerPath: String) throws {
        let figures = try String(contentsOfFile: "\(station.folder)/drones.out", encoding: .utf8)
            .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        try #require(figures.count == 4)
        #expect(figures[2] >= Self.rounds * Self.drones / 2, "the drones lost their connections: \(figures)")
        #expect(figures[3] > figures[2] / 2, "a relay knows its clients' sessions after a crash: \(figures)")
        let ledger = try Ledger(path: ledgerPath)
        let archive = try Ledger.archived(station)
        #expect(ledger.digests.count == figures[0] && figures[0] == figures[1], "\(figures)")
        #expect(ledger.digests.count > Self.rounds * 30)
        #expect(archive.duplicateKeys == 0, "a report is there twice")
        let lost = ledger.digests.filter { archive.digests[$0.key] == nil }
        #expect(lost.isEmpty, "PUBACKed and not archived: \(lost.keys.sorted().prefix(5))")
        let changed = ledger.digests.filter { archive.digests[$0.key] != $0.value }
        #expect(changed.isEmpty, "other bytes were archived: \(changed.keys.sorted().prefix(5))")
        #expect(archive.digests.count == ledger.digests.count, "archived and never sent")
        #expect(try station.count("duplicates", where: "reason = 'conflict'") == 0)
    }
}

/// Clients from outside that the tests run.
enum MQTTClients {
    static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Clients/mqtt_drones.py").path

    /// The Python of `make deps` with the package paho-mqtt.
    static var python: String {
        get throws {
            let folder = Programs.python.map { "\(($0 as NSString).deletingLastPathComponent)/../lib" }
            let packages = folder.flatMap { try? FileManager.default.subpathsOfDirectory(atPath: $0) } ?? []
            if let python = Programs.python, packages.contains(where: { $0.hasSuffix("paho/mqtt/client.py") }) {
                return python
            }
            try Test.cancel(".tools/python with the package paho-mqtt is missing; run make deps")
        }
    }

    /// Mosquitto's publisher.
    static var publisher: String {
        get throws {
            if let path = ["/usr/bin/mosquitto_pub", "/usr/local/bin/mosquitto_pub"].first(
                where: FileSystem.isExecutable)
            {
                return path
            }
            try Test.cancel("mosquitto_pub is missing; run make deps")
        }
    }
}
