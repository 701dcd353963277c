// Archivers at the same time, on threads of their own: in memory, to see that nobody starves, and with a real DuckDB
// and files, to see that the tables any reader opens are right.

import Central
import DuckDB
import FoundationEssentials
import Models
import SyncProtocol
import Synchronization
import System
import TestSupport
import Testing
import WorldSimulation

@Suite("archivers at the same time") struct ClusterThreadsTests {
    /// Archives a thread's partitions until nothing is left, taking what the other one has committed as done.
    private static func drain(
        _ archiver: Archiver, _ traffic: ClusterTraffic, _ owned: Set<Int>, perPartition count: Int
    ) throws -> (commits: Int, contested: Int) {
        var commits = 0
        var contested = 0
        while true {
            let batches = owned.flatMap { partition in
                traffic.messages(of: partition).filter { $0.position > archiver.positions[partition] ?? 0 }
                    .prefix(count)
            }
            guard !batches.isEmpty else { return (commits, contested) }
            do {
                let commit = try archiver.archive(batches.sorted { $0.position < $1.position })
                if !commit.relays.isEmpty { commits += 1 }
            } catch ArchiveError.anotherWriter {
                contested += 1
            }
        }
    }

    private struct Result: Sendable {
        var commits = 0
        var contested = 0
        var error: String?
    }

    private static func run(_ bodies: [@Sendable () throws -> (commits: Int, contested: Int)]) -> [Result] {
        let results = bodies.map { _ in Monitor(Result()) }
        let threads = zip(bodies, results).map { body, result in
            WorkerThread(name: "archiver", stackBytes: 8 << 20) {
                do {
                    let (commits, contested) = try body()
                    result.update { $0 = Result(commits: commits, contested: contested) }
                } catch {
                    result.update { $0.error = "\(error)" }
                }
            }
        }
        for thread in threads { thread.join() }
        return results.map { $0.withLock { $0 } }
    }

    @Test("three archivers of partitions of their own all get their commits through, one for every turn of theirs")
    func fairness() throws {
        let traffic = ClusterTraffic(seed: 21, partitions: 3, batches: 60)
        let cluster = ClusterDisk(seed: 21)
        let bodies = (0..<3).map { partition -> @Sendable () throws -> (commits: Int, contested: Int) in
            {
                let archiver = try cluster.archiver("a\(partition)", owning: [partition], of: 3)
                return try Self.drain(archiver, traffic, [partition], perPartition: 1)
            }
        }
        let results = Self.run(bodies)
        for result in results {
            #expect(result.error == nil && result.contested == 0, "disjoint partitions are in nobody's way")
            #expect(result.commits > 30)
        }
        #expect(try cluster.archivedRows() == traffic.expectedRows())
        let persons = try cluster.rows(.identities).map(\.personID)
        #expect(persons.count > 20 && Set(persons).count == persons.count, "a name is registered once")
    }

    @Test("two archivers of the same partitions with DuckDB and files: every row once, and readable")
    func sharedPartitions() throws {
        let fixture = try ArchiveFixture()
        let traffic = ClusterTraffic(seed: 22, partitions: 3, batches: 24, hasUnstorable: false)
        let scopes: [Set<Int>] = [[0, 1], [1, 2]]
        // The first one's first commit waits until the other one has made one.
        let hasCommitted = Monitor(false)
        let bodies = scopes.enumerated().map { number, owned -> @Sendable () throws -> (commits: Int, contested: Int) in
            var configuration = Self.configuration(fixture, "scratch-\(number)", owned, of: 3)
            configuration.failurePoint = { step in
                if number == 1, step == .publish { hasCommitted.update { $0 = true } }
                guard number == 0, step == .commitReports else { return }
                _ = hasCommitted.wait(timeoutSeconds: 60) { $0 ? true : nil }
            }
            let settings = configuration
            let time = fixture.time
            return {
                let archiver = try Archiver(settings, time: time)
                return try Self.drain(archiver, traffic, owned, perPartition: 4)
            }
        }
        let results = Self.run(bodies)
        for result in results { #expect(result.error == nil) }
        #expect(results[0].contested > 0, "nobody was in anybody's way: nothing is proved")
        let found = try Self.rows(fixture)
        #expect(found == traffic.expectedRows())
        let persons = try fixture.count(.identities)
        let distinct = try fixture.rows(.identities, "select count(distinct person_id) as c from t")
        #expect(distinct == [#"{"c":\#(persons)}"#])
        let verified = try fixture.upkeep().verify(try fixture.upkeep().openTables())
        #expect(verified.findings.isEmpty, "\(verified.findings)")
    }

    static func configuration(
        _ fixture: ArchiveFixture, _ scratch: String, _ owned: some Sequence<Int>, of partitions: Int
    ) -> ArchiverConfiguration {
        var configuration = ArchiverConfiguration(
            lake: fixture.lake, vault: fixture.vault, scratchDirectory: "\(fixture.directory)/\(scratch)",
            duckDB: fixture.duckDB, hmacKey: Array("a key for tests, 32 bytes long..".utf8))
        configuration.scope = ArchiverScope(owned: owned, of: partitions)
        configuration.commitsPerSnapshot = 2
        return configuration
    }

    static func rows(_ fixture: ArchiveFixture) throws -> [ExpectedRow] {
        struct Row: Decodable {
            var relay_id: String
            var relay_seq: Int64
            var identity: String
            var digest: String
            var reason: String
        }
        let decoder = JSONDecoder()
        return try [TableSchema.reports, .duplicates, .alerts].flatMap { schema in
            let identity = schema.name == "alerts" ? "''" : "drone_id || ' ' || boot || ' ' || seq"
            let reason = schema.name == "duplicates" ? "reason" : "''"
            return try fixture.rows(
                schema,
                "select relay_id, relay_seq, \(identity) as identity, digest, \(reason) as reason from t"
            ).map { line in
                let row = try decoder.decode(Row.self, from: Data(line.utf8))
                return ExpectedRow(
                    table: schema.name, relayID: row.relay_id, n: row.relay_seq, identity: row.identity,
                    digest: row.digest, reason: row.reason)
            }
        }
        .sorted()
    }
}
