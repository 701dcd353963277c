// `columba-relay buffer …` beside a running relay and without one.

import Foundation
import HTTPClient
import System
import Testing

@Suite("the buffer's commands", .serialized)
struct BufferCommandTests {
    private func run(_ station: Station, _ arguments: [String]) throws -> (
        status: System.ExitStatus, output: String, errors: String
    ) {
        try Programs.run(
            "columba-relay", ["buffer", arguments[0], "--config", "\(station.folder)/relay-0.json5"] + arguments.dropFirst(),
            folder: station.folder)
    }

    private func object(_ text: some StringProtocol) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    @Test("status, verify and export tell the same story beside a relay under load and after it")
    func story() throws {
        let station = try Station(relayExtra: "buffer: {max_bytes: 67108864, segment_bytes: 262144}")
        defer { station.end() }
        try station.relay.start()
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: ["fly", "--relay", station.relay.address, "--drones", "10", "--reports", "6000", "--seed", "3"])
        fly.standardError = .null
        let client = try ChildProcess(fly)
        defer { client.kill() }
        var looks = 0
        // Segments are being written, sealed and checkpointed under its eyes.
        while client.isRunning {
            let verified = try run(station, ["verify", "--json"])
            #expect(verified.status == .exited(0), "\(verified.output)\(verified.errors)")
            let report = try object(verified.output)
            #expect(report["running_process"] as? Int == station.relay.processID.map { Int($0) })
            #expect(report["verified_records"] as? Int == report["records"] as? Int)
            looks += 1
        }
        #expect(looks > 0)
        let records = try #require(try station.counters()["records"])
        #expect(try object(run(station, ["status", "--json"]).output)["records"] as? Int == records)
        #expect(try run(station, ["status"]).output.contains("records"))
        _ = try station.relay.terminate()
        let after = try object(run(station, ["verify", "--json"]).output)
        #expect(after["records"] as? Int == records && after["running_process"] is NSNull)
        #expect(after["waiting"] as? Int == records)

        let exported = try run(station, ["export"])
        #expect(exported.status == .exited(0))
        let lines = exported.output.split(separator: "\n")
        #expect(lines.count == records)
        let first = try object(lines[0])
        #expect(first["n"] as? Int == 1 && first["kind"] as? String == "report" && first["body"] is [String: Any])
        let epoch = try #require(first["epoch"] as? String)
        let tail = try run(station, ["export", "--epoch", epoch, "--from", "\(records - 4)"])
        #expect(tail.output.split(separator: "\n") == lines.suffix(5))
        let folder = "\(station.folder)/exported"
        #expect(try run(station, ["export", "--kind", "report", "--output", folder, "--json"]).status == .exited(0))
        let file = try String(contentsOfFile: "\(folder)/\(epoch).ndjson", encoding: .utf8)
        #expect(file.split(separator: "\n").count == lines.count { $0.contains(#""kind":"report""#) })
    }

    @Test("exported bodies are what `columba send` takes: another relay stores them as the same reports")
    func restore() throws {
        let station = try Station(relays: 2)
        defer { station.end() }
        try station.relay.start()
        #expect(try station.post("d", from: 1, count: 100).count == 100)
        let bodies = try run(station, ["export", "--kind", "report", "--bodies"])
        try station.relays[1].start()
        let sent = try station.columba(["send", "--relay", station.relays[1].address, "-"], input: bodies.output)
        #expect(sent.status.isSuccess, "\(sent.errors)")
        try station.central.start()
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 100)
        #expect(try station.count("duplicates") == 100)
    }

    @Test("a wrong call is answered with the usage and 2, a missing epoch with 1")
    func wrongCalls() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        #expect(try run(station, ["status", "--from", "1"]).status == .exited(2))
        #expect(try run(station, ["export", "--from", "5"]).status == .exited(2))
        #expect(try run(station, ["export", "--kind", "words"]).status == .exited(2))
        let missing = try run(station, ["export", "--epoch", String(repeating: "a", count: 32)])
        #expect(missing.status == .exited(1) && missing.errors.contains("no epoch"))
    }
}
