// What programs refuse at their start, and what encodings drones may use.

import Compression
import Foundation
import HTTPClient
import System
import Testing

@Suite("starting", .serialized)
struct StartTests {
    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test("a relay and central asked to listen elsewhere without TLS refuse to start and say why")
    func elsewhere() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test")
        defer { try? FileSystem.removeTree(folder) }
        try write(#"{relay_id: "r", listen: "0.0.0.0:0", data_dir: "d"}"#, "\(folder)/relay.json5")
        try write(#"{listen: "0.0.0.0:0", data_dir: "d"}"#, "\(folder)/central.json5")
        for name in ["relay", "central"] {
            let result = try Programs.run(
                "columba-\(name)", ["run", "--config", "\(folder)/\(name).json5"], folder: folder)
            #expect(result.status == .exited(1))
            #expect(result.errors.contains("listen") && result.errors.contains("TLS"), "\(result.errors)")
        }
    }

    @Test("a misspelt key, a missing file and a wrong command line are told apart")
    func mistakes() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test")
        defer { try? FileSystem.removeTree(folder) }
        try write(#"{relay_id: "r", listen: "127.0.0.1:0", data_dir: "d", buffr: {}}"#, "\(folder)/relay.json5")
        let misspelt = try Programs.run(
            "columba-relay", ["check", "--config", "\(folder)/relay.json5"], folder: folder)
        #expect(misspelt.status == .exited(1) && misspelt.errors.contains("buffr"))
        let missing = try Programs.run("columba-relay", ["run", "--config", "\(folder)/none"], folder: folder)
        #expect(missing.status == .exited(1) && missing.errors.contains("none"))
        #expect(try Programs.run("columba-relay", ["fly"], folder: folder).status == .exited(2))
    }

    @Test("a second relay on the same data directory refuses to start and names the first")
    func second() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        let result = try Programs.run(
            "columba-relay", ["run", "--config", "\(station.folder)/relay-0.json5"], folder: station.folder)
        #expect(result.status == .exited(1))
        #expect(result.errors.contains("\(try #require(station.relay.processID))"), "\(result.errors)")
    }

    @Test("reports may come compressed; a bomb is refused")
    func encodings() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        func post(_ body: [UInt8], _ encoding: String) throws -> Int {
            try HTTPClient().perform(
                HTTPClientRequest(
                    method: "POST", url: station.relay.address + "/v1/reports",
                    headers: [("Content-Type", "application/x-ndjson"), ("Content-Encoding", encoding)], body: body)
            ).status
        }
        let lines = (1...20).map { Requests.report(seq: $0) }.joined(separator: "\n")
        #expect(try post(try Zstd.compress(Array(lines.utf8)), "zstd") == 202)
        #expect(try post(Array(lines.utf8), "zstd") == 400)
        #expect(try post(Array(lines.utf8), "gzip") == 400)
        #expect(try post(try Zstd.compress([UInt8](repeating: 32, count: 15 << 20)), "zstd") == 413)
    }
}
