// The archive in S3: the same archiver, log, compaction and queries as on a directory, with a real server.

import Crypto
import DuckDB
import FoundationEssentials
import Models
import ObjectStore
import Synchronization
import SyncProtocol
import System
import TestSupport
import Testing

import Central

/// A lake and a vault in folders of their own in the bucket.
private final class RemoteLake: Sendable {
    let directory: String
    let prefix = "c-\(UInt64.random(in: 0 ... .max))"
    let cache: ObjectCache
    let lake: S3ObjectStore
    let vault: S3ObjectStore
    let duckDB: DuckDBExecutable
    let time = ManualTime()

    init(cacheBytes: Int = 1 << 30) throws {
        directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-s3")
        cache = try ObjectCache.open(in: "\(directory)/cache", maxBytes: cacheBytes, time: time)
        let client = try Self.client()
        lake = Self.store(prefix, "lake", client, cache)
        vault = Self.store(prefix, "vault", client, cache)
        duckDB = try DuckDBExecutable.locate()
    }

    deinit { try? FileSystem.removeTree(directory) }

    static func client() throws -> S3Client {
        let server = try WeedServer.shared()
        let endpoint = try #require(S3Endpoint(server.endpoint))
        let keys = S3Credentials(accessKey: WeedServer.accessKey, secretKey: WeedServer.secretKey)
        return try S3Client(S3Settings(endpoint: endpoint, region: "us-east-1", credentials: { keys }))
    }

    static func store(_ prefix: String, _ name: String, _ client: S3Client, _ cache: ObjectCache) -> S3ObjectStore {
        S3ObjectStore(
            S3Location(bucket: WeedServer.bucket, prefix: "\(prefix)/\(name)"), client: client, cache: cache,
            cacheName: name)
    }

    /// As another node sees it: connections and cache of its own.
    func asAnotherNode() throws -> (lake: S3ObjectStore, vault: S3ObjectStore) {
        let client = try Self.client()
        let cache = try ObjectCache.open(in: "\(directory)/cache", maxBytes: 1 << 30)
        return (Self.store(prefix, "lake", client, cache), Self.store(prefix, "vault", client, cache))
    }

    var runner: DuckDBRunner { DuckDBRunner(.init(executable: duckDB, temporaryDirectory: "\(directory)/tmp")) }

    func archiver(_ name: String = "a", partitions: Int = 1) throws -> Archiver {
        var configuration = ArchiverConfiguration(
            lake: lake, vault: vault, scratchDirectory: "\(directory)/scratch-\(name)", duckDB: duckDB,
            hmacKey: Array("a key for tests, 32 bytes long..".utf8))
        configuration.commitsPerSnapshot = 2
        configuration.partitions = partitions
        return try Archiver(configuration, time: time)
    }

    func queries() throws -> QueryService {
        try QueryService(
            configuration: QueryConfiguration(duckDB: duckDB, scratchDirectory: "\(directory)/queries"), lake: lake,
            time: SystemTime())
    }

    func upkeep() -> LakeUpkeep {
        var configuration = UpkeepConfiguration(
            lake: lake, vault: vault, directory: "\(directory)/upkeep", duckDB: duckDB)
        configuration.compaction.targetBytes = 1 << 20
        configuration.compaction.filesPerStep = 4
        configuration.versionsPerCheckpoint = 3
        configuration.logSeconds = 3600
        configuration.keepRemovedSeconds = 3600
        return LakeUpkeep(configuration, time: time)
    }
}

@Suite("the archive in S3", .enabled(if: WeedServer.isInstalled, "\(WeedServer.missing)"))
struct S3ArchiveTests {
    /// Thirty reports, one of them a copy, and a line that is no report; a third belongs to 19 November, the rest, of
    /// which half has a time that cannot be right, to the 20th.
    private static func batch(_ position: Int64) -> StreamedBatch {
        var maker = BatchMaker()
        let first = (position - 1) * 31
        for n in (first + 1)...(first + 29) {
            let day = 18 + n % 3
            maker.add(n, BatchMaker.report(seq: n, name: "P \(n)", observedAt: "2026-11-\(day)T12:00:00Z"))
        }
        maker.add(first + 30, BatchMaker.report(seq: 1, name: "P 1", observedAt: "2026-11-19T12:00:00Z"))
        maker.add(first + 31, #"{"no":"report"}"#)
        return maker.batch(at: position)
    }

    private func number(_ answer: QueryAnswer) throws -> Int {
        guard case .bytes(let bytes) = answer.content else { return -1 }
        struct Answer: Decodable { var rows: [[String: Int]] }
        return try #require(try JSONDecoder().decode(Answer.self, from: Data(bytes)).rows.first?.values.first)
    }

    private func count(_ queries: QueryService, _ condition: String = "true") throws -> Int {
        try number(try queries.run(sql: "select count(*) as n from reports where \(condition)", format: .json))
    }

    @Test("a life of the archive: commits, a start on another node, compaction, checkpoints, verify, vacuum, queries")
    func life() throws {
        let remote = try RemoteLake()
        var archiver = try remote.archiver()
        for position in 1...3 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        let before = archiver.statistics
        #expect(before.reports == 87 && before.duplicates == 3 && before.rejected == 3)

        // Nothing on this machine is needed: another start recovers all of it.
        archiver = try remote.archiver("b")
        let after = archiver.statistics
        #expect(after.reports == before.reports && after.duplicates == before.duplicates && after.position == 3)
        #expect(after.relays.map(\.archived) == before.relays.map(\.archived))
        for position in 4...6 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }

        let queries = try remote.queries()
        #expect(try count(queries) == 174)
        #expect(try count(queries, "date = '2026-11-19'") == 58)

        let upkeep = remote.upkeep()
        let tables = try upkeep.openTables()
        #expect(try upkeep.checkpoint(tables)["reports"] != nil)
        let report = try upkeep.compact(.everything, tables)
        #expect(report.failed.isEmpty && report.done.count >= 3)
        #expect(try count(queries) == 174)
        let verified = try upkeep.verify(tables)
        #expect(verified.findings.isEmpty, "\(verified.findings)")
        remote.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        let vacuumed = try upkeep.vacuum(tables)
        #expect(vacuumed.first { $0.table == "reports" }?.left.replaced.count ?? 0 >= 12)
        #expect(try count(queries) == 174)
        #expect(try upkeep.verify(tables).findings.isEmpty)
        #expect(try remote.archiver("c").statistics.reports == 174)
    }

    @Test("verify finds an object that was lost, and one whose bytes are others, whatever the cache has of them")
    func verify() throws {
        let remote = try RemoteLake()
        let archiver = try remote.archiver()
        for position in 1...2 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        let upkeep = remote.upkeep()
        let tables = try upkeep.openTables()
        let files = tables.reports.snapshot.files.keys.sorted().map { "reports/\($0)" }
        _ = try remote.lake.localFiles(files)
        let other = try remote.asAnotherNode().lake
        try other.remove(files[0])
        let size = try #require(tables.reports.snapshot.files[String(files[1].dropFirst(8))]?.bytes)
        try other.put(files[1], [UInt8](repeating: 1, count: size))
        let found = try upkeep.verify(tables).findings
        #expect(found.map(\.kind) == [.missing, .altered], "\(found)")
        #expect(found.map { "reports/\($0.path)" } == Array(files.prefix(2)))
    }

    @Test("two archivers on one lake: each version has one writer, the other one notices, and nothing is there twice")
    func race() throws {
        let remote = try RemoteLake()
        _ = try remote.archiver("first")
        let outcomes = Monitor([String]())
        let threads = (0..<2).map { writer in
            let archiver = try? remote.archiver("w\(writer)")
            return WorkerThread(name: "writer-\(writer)", stackBytes: 8 << 20) {
                var archiver = archiver
                var position: Int64 = 1
                while position <= 6 {
                    do {
                        guard let current = archiver else { throw ArchiveError.conversion(type: "no archiver") }
                        position = current.committedPosition + 1
                        if position > 6 { break }
                        _ = try current.archive([Self.batch(position)])
                        outcomes.update { $0.append("\(position)") }
                    } catch ArchiveError.anotherWriter {
                        outcomes.update { $0.append("lost") }
                        archiver = try? remote.archiver("w\(writer)-\(UInt32.random(in: 0 ... .max))")
                    } catch {
                        outcomes.update { $0.append("\(error)") }
                        return
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        let all = outcomes.withLock { $0 }
        #expect(all.filter { $0 != "lost" }.sorted() == ["1", "2", "3", "4", "5", "6"], "\(all)")
        let queries = try remote.queries()
        #expect(try count(queries) == 174)
        let distinct = "select count(distinct (drone_id, boot, seq)) as n from reports"
        #expect(try number(try queries.run(sql: distinct, format: .json)) == 174)
        let upkeep = remote.upkeep()
        let findings = try upkeep.verify(try upkeep.openTables()).findings.filter { $0.kind != .extra }
        #expect(findings.isEmpty, "\(findings)")
    }

    @Test("versions raced by two writers of the log: no version twice, no commit lost, each told what came of its own")
    func versions() throws {
        let remote = try RemoteLake()
        let now = Timestamp(microseconds: ArchiveFixture.start)
        _ = try DeltaTable(.reports, in: remote.lake, createdAt: now)
        let nodes = [remote.lake, try remote.asAnotherNode().lake]
        let versions = Monitor([Int64]())
        let threads = nodes.enumerated().map { index, store in
            WorkerThread(name: "log-\(index)") {
                guard let table = try? DeltaTable(.reports, in: store, createdAt: now) else { return }
                for number in 1...15 as ClosedRange<Int64> {
                    let application = "writer-\(index)"
                    let expected = table.snapshot.transactions[application]
                    let version = try? table.commit(
                        [.txn(application, number, lastUpdated: 0)], expecting: [application: expected])
                    if let version { versions.update { $0.append(version) } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(versions.withLock { $0 }.sorted() == Array(1...30))
        let table = try DeltaTable(.reports, in: remote.lake, createdAt: nil)
        #expect(table.snapshot.version == 30)
        #expect(table.snapshot.transactions == ["writer-0": 15, "writer-1": 15])
    }

    @Test("a query fetches the days it opens and no others, and the second one fetches nothing")
    func onDemand() throws {
        let remote = try RemoteLake()
        let archiver = try remote.archiver()
        for position in 1...2 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        let node = try remote.asAnotherNode()
        let queries = try QueryService(
            configuration: QueryConfiguration(duckDB: remote.duckDB, scratchDirectory: "\(remote.directory)/other"),
            lake: node.lake, time: SystemTime())
        func fetched() -> Int { node.lake.cacheCounts.fetches }
        #expect(try count(queries, "date = '2026-11-19'") > 0)
        let oneDay = fetched()
        #expect(oneDay >= 1 && oneDay <= 2, "\(oneDay)")
        #expect(try count(queries, "date = '2026-11-19' and drone_id = 'pw-000001'") > 0)
        #expect(fetched() == oneDay)
        #expect(try count(queries) == 58)
        let all = fetched()
        #expect(all == 4)
        #expect(try count(queries) == 58 && fetched() == all)
        // A statement that is wrong by itself is told so.
        #expect(throws: Problem.self) { try queries.run(sql: "select nothing from reports", format: .json) }
    }

    @Test("a cache that is too small for a question is said so; questions about a day go on")
    func smallCache() throws {
        let remote = try RemoteLake()
        let archiver = try remote.archiver()
        for position in 1...3 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        let larger = try remote.lake.list("reports/date=2026-11-20").map(\.bytes).reduce(0, +)
        let time = ManualTime(wallMicroseconds: SystemTime().wallMicroseconds())
        let cache = try ObjectCache.open(in: "\(remote.directory)/small", maxBytes: larger + 1_000, time: time)
        let lake = RemoteLake.store(remote.prefix, "lake", try RemoteLake.client(), cache)
        let queries = try QueryService(
            configuration: QueryConfiguration(duckDB: remote.duckDB, scratchDirectory: "\(remote.directory)/small-q"),
            lake: lake, time: SystemTime())
        #expect(try count(queries, "date = '2026-11-19'") > 0)
        let problem = #expect(throws: Problem.self) { try count(queries) }
        #expect(problem?.code == "cache_full")
        #expect(try count(queries, "date = '2026-11-19'") > 0)
        #expect(cache.counts.bytes <= cache.maxBytes)
        time.advance(seconds: 2_000)
        #expect(try count(queries, "date = '2026-11-20'") > 0)
    }

    private static let root = Environment.variable("PWD") ?? "."
    private static let python = Environment.variable("COLUMBA_PYTHON") ?? "\(root)/.tools/python/bin/python"

    @Test(
        "delta-rs reads the table where it lies, fresh and compacted: the same rows as SQL, the archiver's transaction",
        .enabled(if: FileSystem.isExecutable(python), "no .tools/python: make deps"))
    func openReader() throws {
        let remote = try RemoteLake()
        let archiver = try remote.archiver()
        func read() throws -> [String: Int] {
            var configuration = ChildProcess.Configuration(
                executable: Self.python,
                arguments: [
                    "\(Self.root)/Tests/Clients/s3_table.py", try WeedServer.shared().endpoint,
                    "s3://\(WeedServer.bucket)/\(remote.prefix)/lake/reports",
                ])
            configuration.environment = Environment.variables.merging([
                "AWS_ACCESS_KEY_ID": WeedServer.accessKey, "AWS_SECRET_ACCESS_KEY": WeedServer.secretKey,
            ]) { $1 }
            configuration.standardOutput = .pipe
            configuration.standardError = .pipe
            let answer = try ChildProcess(configuration).converse(timeoutSeconds: 120, maxOutputBytes: 1 << 20)
            try #require(answer.status.isSuccess, "\(String(decoding: answer.error, as: UTF8.self))")
            return try JSONDecoder().decode([String: Int].self, from: Data(answer.output))
        }
        for position in 1...4 as ClosedRange<Int64> { _ = try archiver.archive([Self.batch(position)]) }
        let sum = (1...124).filter { ![30, 61, 92, 123, 31, 62, 93, 124].contains($0) }.reduce(0, +)
        let fresh = try read()
        #expect(fresh["rows"] == 116 && fresh["seq"] == sum && fresh["txn"] == 4)
        let upkeep = remote.upkeep()
        let tables = try upkeep.openTables()
        _ = try upkeep.compact(.everything, tables)
        _ = try upkeep.checkpoint(tables)
        let compacted = try read()
        #expect(compacted["rows"] == 116 && compacted["seq"] == sum && compacted["txn"] == 4)
        #expect(compacted["files"] ?? 99 < fresh["files"] ?? 0)
    }
}
