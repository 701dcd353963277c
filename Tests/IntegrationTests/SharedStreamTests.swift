// Central on a stream of NATS servers, as programs: a node of another lake is turned away, and a stream that is lost
// with everything in it costs no acknowledged report.

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite(
    "central on a shared stream", .serialized,
    .enabled(if: NATSServers.isAvailable, "nats-server is missing: make deps"))
struct SharedStreamTests {
    private static func stream(_ servers: NATSServers) -> String {
        """
        stream: {nats: ["nats://127.0.0.1:\(servers.port(0))"], replicas: 1, max_bytes: 67108864,
                 user: "\(NATSServers.user)", password_file: "nats-password"}
        """
    }

    private static func prepare(_ folder: String) throws {
        try FileSystem.writeAtomically("\(folder)/nats-password", Array(NATSServers.password.utf8))
    }

    @Test("a node with another lake, or another vault, does not start, says why, and the others do not feel it")
    func anotherLake() throws {
        let servers = try NATSServers()
        let places = #"lake: "lake", vault: "vault", node_id: "first","#
        let station = try Station(relays: 1, centralExtra: places + Self.stream(servers))
        defer { station.end() }
        try Self.prepare(station.folder)
        try station.start()
        #expect(try Requests.post(station.relay, Requests.report(seq: 1)).status == 202)
        #expect(station.waitUntilArchived())
        let cases = [
            (lake: "other-lake", vault: "vault", words: "`lake`"),
            (lake: "lake", vault: "other-vault", words: "`vault`"),
            (lake: "other-lake", vault: "other-vault", words: "`lake`"),
        ]
        for (number, wrong) in cases.enumerated() {
            let port = try FreePorts.find(1)[0]
            let path = "\(station.folder)/wrong-\(number).json5"
            try """
            {listen: "127.0.0.1:\(port)", data_dir: "wrong-\(number)", node_id: "wrong-\(number)",
             lake: "\(wrong.lake)", vault: "\(wrong.vault)", \(Self.stream(servers))}
            """.write(toFile: path, atomically: true, encoding: .utf8)
            let result = try Programs.run(
                "columba-central", ["run", "--config", path], folder: station.folder, timeoutSeconds: 60)
            #expect(result.status == .exited(1) && result.errors.contains(wrong.words), "\(wrong): \(result.errors)")
        }
        #expect(!FileSystem.exists("\(station.folder)/other-vault/identities/_delta_log/00000000000000000001.json"))
        #expect(try Requests.post(station.relay, Requests.report(seq: 2)).status == 202)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 2)
        withExtendedLifetime(servers) {}
    }

    @Test("the stream's servers lose everything, central is killed too: relays send what is not archived again (F52)")
    func lostStream() throws {
        let servers = try NATSServers()
        let places = #"lake: "lake", vault: "vault", node_id: "only","#
        let station = try Station(relays: 1, centralExtra: places + Self.stream(servers))
        defer { station.end() }
        try Self.prepare(station.folder)
        let flag = "\(station.folder)/out"
        station.central.environment = ["COLUMBA_DUCKDB": try Self.duckDB(failingWhile: flag, station.folder)]
        try station.start()
        for seq in 1...10 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(station.waitUntilArchived())
        // From here on everything is received and nothing archived.
        try FileSystem.writeAtomically(flag, [])
        for seq in 11...40 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(eventually(within: 20) { Self.received(station) == 40 }, "\(station.statusText)")
        #expect(try station.buffer()["waiting"] as? Int == 30)
        try station.central.kill()
        try servers.kill(0)
        try servers.wipe(0)
        try FileSystem.remove(flag)
        try servers.start(0)
        #expect(servers.isReady(within: 30))
        try station.central.start()
        #expect(station.waitUntilArchived(), "\(station.statusText)")
        #expect(try station.count("reports") == 40)
        #expect(try station.rows("SELECT DISTINCT drone_id, boot, seq FROM reports").count == 40)
        withExtendedLifetime(servers) {}
    }

    /// What central says to have received of the relay's records.
    private static func received(_ station: Station) -> Int {
        guard let epoch = (try? station.status())?["epoch"] as? String,
            let answer = try? station.json(station.central, "/v1/relays/north-0/epochs/\(epoch)/acks")
        else { return 0 }
        return (answer["received"] as? [[Int]] ?? []).reduce(0) { $0 + $1[1] - $1[0] + 1 }
    }

    /// A program that is DuckDB as long as no such file is there.
    private static func duckDB(failingWhile flag: String, _ folder: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let real = Environment.variable("COLUMBA_DUCKDB") ?? "/\(root)/.tools/duckdb/duckdb"
        let path = "\(folder)/duckdb"
        let script = """
            #!/bin/sh
            if [ -e '\(flag)' ]; then echo 'IO Error: No space left on device' >&2; exit 1; fi
            exec '\(real)' "$@"

            """
        try FileSystem.writeAtomically(path, Array(script.utf8), mode: 0o755)
        return path
    }
}
