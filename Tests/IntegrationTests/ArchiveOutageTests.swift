// The archive cannot be written for a while (F49): central goes on taking batches, and archives them afterwards without
// anybody's help (I11).

import Foundation
import HTTPClient
import System
import TestSupport
import Testing

@Suite("the archive is out for a while", .serialized)
struct ArchiveOutageTests {
    private static var duckDB: String? {
        if let path = Environment.variable("COLUMBA_DUCKDB") { return path }
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let path = "\(root)/.tools/duckdb/duckdb"
        return FileSystem.isExecutable(path) ? path : nil
    }

    @Test("while DuckDB fails central keeps what it takes and stays up; afterwards every report is archived once")
    func outage() throws {
        let station = try Station()
        defer { station.end() }
        let flag = "\(station.folder)/out"
        let real = try #require(Self.duckDB, "run make deps")
        let wrapper = "\(station.folder)/duckdb"
        try Data(
            """
            #!/bin/sh
            if [ -e '\(flag)' ]; then echo 'IO Error: No space left on device' >&2; exit 1; fi
            exec '\(real)' "$@"
            """.utf8
        ).write(to: URL(fileURLWithPath: wrapper))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: wrapper)
        station.central.environment = ["COLUMBA_DUCKDB": wrapper]
        try station.start()
        for seq in 1...5 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(station.waitUntilArchived())

        try FileSystem.writeAtomically(flag, [])
        for seq in 6...30 { #expect(try Requests.post(station.relay, Requests.report(seq: seq)).status == 202) }
        #expect(eventually(within: 30) { station.central.log.contains("archive_failed") })
        #expect(station.central.isRunning && !station.central.log.contains("archive_stopped"))
        let waiting = try station.json(station.relay, "/v1/status")["buffer"] as? [String: Any]
        #expect(waiting?["waiting"] as? Int == 25)

        try FileSystem.remove(flag)
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 30)
        #expect(try station.count("duplicates") == 0)
    }
}
