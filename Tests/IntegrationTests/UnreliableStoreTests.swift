// A whole central whose object store does what it is asked and then says otherwise, or says it late: every report is
// archived once all the same.

import Foundation
import Synchronization
import System
import TestSupport
import Testing

@Suite("central on an unreliable object store", .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct UnreliableStoreTests {
    @Test("commits that are carried out and answered 500, 503 or not at all, and slow answers: each report once (F47)")
    func commits() throws {
        let weed = try WeedServer.shared()
        let counted = Mutex((commits: 0, lied: 0))
        let proxy = try S3Proxy(to: weed.port) { request, _ in
            // A put-if-absent of a log's version: one of three is told the truth.
            guard request.header("if-none-match") != nil, request.target.contains("_delta_log") else { return .pass }
            let number = counted.withLock { counted in
                defer { counted.commits += 1 }
                return counted.commits
            }
            let reaction: Reaction =
                switch number % 6 {
                case 0: .instead(status: 500)
                case 2: .loseAnswer
                case 3: .instead(status: 503)
                case 5: .late(seconds: 0.5)
                default: .pass
                }
            if number % 6 != 1, number % 6 != 4, number % 6 != 5 { counted.withLock { $0.lied += 1 } }
            return reaction
        }
        defer { proxy.end() }
        let place = "s3://\(WeedServer.bucket)/u-\(UInt64.random(in: 0 ... .max))"
        let station = try Station(
            relays: 1, maxWaitSeconds: 0.2,
            centralExtra: """
                lake: "\(place)/lake", vault: "\(place)/vault",
                s3: {endpoint: "\(proxy.endpoint)", access_key_file: "access", secret_key_file: "secret"}
                """)
        defer { station.end() }
        for (name, text) in [("access", WeedServer.accessKey), ("secret", WeedServer.secretKey)] {
            try text.write(toFile: "\(station.folder)/\(name)", atomically: true, encoding: .utf8)
        }
        try station.start()
        for round in 0..<6 {
            let sent = try station.post("d-1", from: 1 + 20 * round, count: 20)
            #expect(sent.count == 20)
            // A copy of what is archived already is no second row.
            _ = try station.post("d-1", from: 1, count: 5)
            #expect(station.waitUntilArchived(), "\(station.statusText)")
        }
        #expect(try station.count("reports") == 120)
        #expect(try station.rows("SELECT DISTINCT drone_id, boot, seq FROM reports").count == 120)
        let (commits, lied) = counted.withLock { $0 }
        #expect(commits > 10 && lied > 4, "\(commits) commits, \(lied) of them answered wrongly")
        #expect(!station.central.log.contains("archive_stopped"))
    }
}
