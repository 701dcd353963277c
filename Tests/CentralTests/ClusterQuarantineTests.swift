// What a cluster's intake could not read: through the stream into the vault, by the archiver of partition 0, before any
// of it counts as archived; and back again when somebody tries it once more.

import Central
import Compression
import FoundationEssentials
import Log
import Models
import ObjectStore
import SyncProtocol
import System
import Testing
import WorldSimulation

@Suite("what a cluster's intake could not read") struct ClusterQuarantineTests {
    private static let partitions = 4
    private let source = RecordSource(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch)

    /// As intake and the stream make them of lines; positions from `position` on, partition 0 last.
    private static func messages(
        _ records: [UInt8], at position: Int64, retry: String? = nil
    ) throws -> [StreamedBatch] {
        let lines = records + [0x0a]
        let name = BatchName(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch, first: 1, last: 1_000_000)
        let examined = try BatchExamination.examine(lines, name: name)
        let header = StreamHeader(
            relay: name.relayID, epoch: name.epoch, numbers: examined.numbers,
            rejected: examined.rejected.map { RejectedRecord(n: $0.n, code: $0.code) }, records: examined.records,
            retry: retry)
        let batch = NewBatch(
            header: header, payload: [], lines: lines, receivedAt: Timestamp(microseconds: ArchiveFixture.start))
        let parts = try BatchSplitter(partitions: partitions, messageBytes: 1 << 20).split(batch).flatMap { $0 }
        return try (parts.dropFirst() + parts.prefix(1)).enumerated().map { index, part in
            var message = StreamedBatch(
                position: position + Int64(index), relayID: name.relayID, epoch: name.epoch,
                centralReceivedAt: part.receivedAt,
                ndjson: try Zstd.decompress(part.payload, maxBytes: 16 << 20, maxRatio: 10_000),
                skip: IntervalSet(part.header.rejected.map { $0.n...$0.n }), partition: part.partition,
                cover: part.header.numbers)
            message.skipCodes = Dictionary(part.header.rejected.map { ($0.n, $0.code) }) { $1 }
            message.isRetry = part.header.retry != nil
            return message
        }
    }

    private static func line(_ n: Int64, _ body: String) -> [UInt8] {
        Array(#"{"n":\#(n),"received_at":"2026-11-20T05:00:00Z","kind":"report","body":\#(body)}"#.utf8)
    }

    private static func report(_ partition: Int, seq: Int64, extra: String = "") -> String {
        BatchMaker.report(drone: PartitionedArchiverTests.drone(partition), seq: seq, extra: extra)
    }

    private func quarantine(_ cluster: ClusterDisk, in directory: String) throws -> SharedQuarantine {
        let quarantine = try SharedQuarantine(
            vault: cluster.vault, indexPath: "\(directory)/\(Int.random(in: 0 ... .max)).db", time: cluster.time,
            log: Log(component: "test", sink: .none))
        try quarantine.look()
        return quarantine
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = try FileSystem.makeTemporaryDirectory(prefix: "columba-quarantine")
        defer { try? FileSystem.removeTree(directory) }
        try body(directory)
    }

    @Test("a rejected line is in the vault once its number is archived, whichever step its archiver dies at")
    func crashes() throws {
        let poison = Self.line(2, #"{"drone_id":"d-7","citizens":[{"name":"Ada Secret"}]}"#)
        let lines = [Self.line(1, Self.report(1, seq: 1)), poison, Self.line(3, Self.report(0, seq: 1))]
        let messages = try Self.messages(Array(lines.joined(separator: [0x0a])), at: 10)
        for step in ArchiveStep.allCases {
            try withDirectory { directory in
                let cluster = ClusterDisk(seed: 1)
                let plan = FaultPlan()
                plan.arm(step) { throw ClusterCrash() }
                let first = try cluster.archiver("a", owning: [0, 1], of: Self.partitions, plan: plan)
                let follower = try cluster.follower(of: Self.partitions)
                let own = messages.filter { [0, 1].contains($0.partition) }
                // Snapshots come with every third commit only.
                if step == .snapshot {
                    _ = try first.archive(own)
                } else {
                    #expect(throws: ClusterCrash.self) { try first.archive(own) }
                }
                // Another node has these partitions now, and takes one batch less or more at a time.
                let second = try cluster.archiver("b", owning: [0, 2, 3], of: Self.partitions)
                _ = try second.archive(messages.filter { [0, 2, 3].contains($0.partition) })
                let third = try cluster.archiver("c", owning: [1], of: Self.partitions)
                _ = try third.archive(messages.filter { $0.partition == 1 })
                _ = try follower.look()
                let state = follower.relayState(relayID: source.relayID, epoch: source.epoch)
                #expect(state?.archived == IntervalSet(1...3) && state?.rejectedCount == 1, "\(step)")
                let quarantine = try quarantine(cluster, in: directory)
                #expect(try quarantine.all().map(\.n) == [2], "\(step)")
                let id = try #require(try quarantine.all().first?.id)
                #expect(try quarantine.record(id, withLine: true)?.line == poison, "\(step)")
                #expect(try cluster.rows(.reports).map(\.n).sorted() == [1, 3], "\(step)")
            }
        }
    }

    @Test("a line sent again is the same record, another one under its number is one more")
    func again() throws {
        try withDirectory { directory in
            let cluster = ClusterDisk(seed: 2)
            let archiver = try cluster.archiver("a", owning: 0..<4, of: Self.partitions)
            for (turn, body) in ["[]", "[]", "[1]"].enumerated() {
                _ = try archiver.archive(try Self.messages(Self.line(5, body), at: Int64(10 + turn * 10)))
            }
            let records = try quarantine(cluster, in: directory).all()
            #expect(records.count == 2 && records.allSatisfy { $0.n == 5 })
            let state = archiver.relayState(relayID: source.relayID, epoch: source.epoch)
            #expect(state?.rejectedCount == 1 && state?.archived == IntervalSet(5...5))
        }
    }

    @Test("of a line that the stream could not hold the number is there, for whoever has to read it without a log")
    func leftOut() throws {
        try withDirectory { directory in
            let cluster = ClusterDisk(seed: 3)
            let archiver = try cluster.archiver("a", owning: [0], of: Self.partitions)
            var message = BatchMaker().batch(at: 3, skip: IntervalSet(4...4))
            (message.partition, message.cover, message.skipCodes) = (0, IntervalSet(4...4), [4: "too_large"])
            _ = try archiver.archive([message])
            let keys = try cluster.vault.list(QuarantineFiles.folder).map(\.key)
            #expect(keys == ["\(QuarantineFiles.folder)/p00-3-3.ndjson"])
            let text = String(decoding: try #require(try cluster.vault.get(keys.first ?? "")), as: UTF8.self)
            #expect(text.contains(#""n":4,"position":3,"code":"too_large""#) && !text.contains("line_base64"))
            #expect(try quarantine(cluster, in: directory).all().isEmpty, "whoever kept its bytes lists it")
        }
    }

    @Test("a record tried again is archived once under its number, however often it comes, and is no reject any more")
    func retried() throws {
        let cluster = ClusterDisk(seed: 4)
        let archiver = try cluster.archiver("a", owning: 0..<4, of: Self.partitions)
        _ = try archiver.archive(try Self.messages(Self.line(5, "[]"), at: 10))
        for position in [20, 30] as [Int64] {
            let messages = try Self.messages(Self.line(5, Self.report(3, seq: 9)), at: position, retry: "id")
            for message in messages {
                let commit = try archiver.archive([message])
                #expect(commit.retry == (message.partition == 3 ? .archived : nil))
            }
        }
        #expect(try cluster.rows(.reports).map(\.n) == [5] && cluster.rows(.duplicates).isEmpty)
        let state = archiver.relayState(relayID: source.relayID, epoch: source.epoch)
        #expect(state?.rejectedCount == 0 && state?.reports == 1 && state?.rejected == [])
        // What another archiver has committed says nothing here.
        let late = try cluster.archiver("b", owning: 0..<4, of: Self.partitions)
        let again = try Self.messages(Self.line(5, Self.report(3, seq: 9)), at: 30, retry: "id")
        #expect(try late.archive(again.filter { $0.partition == 3 }).retry == nil)
    }

    @Test("a record that is refused again is in the vault again, is counted once, and may be tried once more")
    func refused() throws {
        try withDirectory { directory in
            let cluster = ClusterDisk(seed: 5)
            let archiver = try cluster.archiver("a", owning: 0..<4, of: Self.partitions)
            let line = Self.line(5, Self.report(3, seq: 9, extra: #","x-unstorable":1"#))
            let first = try archiver.archive(try Self.messages(line, at: 10))
            #expect(first.rejected == 1 && first.retry == nil)
            let quarantine = try quarantine(cluster, in: directory)
            let record = try #require(try quarantine.all().first)
            #expect(record.code == "not_storable")
            for attempt in 1...2 as ClosedRange<Int64> {
                let now = Timestamp(microseconds: ArchiveFixture.start + attempt)
                #expect(try quarantine.startRetry(record.id, by: "ada", note: "", at: now))
                let messages = try Self.messages(line, at: 10 + 10 * attempt, retry: record.id)
                let commits = try messages.map { try archiver.archive([$0]) }
                let outcome = try #require(commits.compactMap(\.retry).first)
                #expect(outcome == .refused(code: "not_storable"))
                _ = try quarantine.committed(retryCommit(outcome), retried: [record.id], at: now)
                try quarantine.step(.init(isOnDuty: { true }, publish: { _, _ in }))
                #expect(try quarantine.all().map(\.state) == [.waiting])
                #expect(try quarantine.record(record.id, withLine: true)?.line == line)
            }
            let state = archiver.relayState(relayID: source.relayID, epoch: source.epoch)
            #expect(state?.rejectedCount == 1 && state?.rejected.map(\.n) == [5] && state?.reports == 0)
            #expect(state?.archived == IntervalSet(5...5))
        }
    }

    @Test("what a newer intake lets pass and an older archiver cannot read is refused, not called archived")
    func olderArchiver() throws {
        let cluster = ClusterDisk(seed: 6)
        let archiver = try cluster.archiver("a", owning: [0], of: Self.partitions)
        var message = BatchMaker().batch(at: 10, skip: IntervalSet(5...5))
        (message.partition, message.cover) = (0, IntervalSet(5...5))
        _ = try archiver.archive([message])
        var retry = message
        (retry.position, retry.skip, retry.isRetry) = (20, IntervalSet(), true)
        retry.ndjson = Self.line(5, "[]") + [0x0a]
        #expect(try archiver.archive([retry]).retry == .refused(code: "not_an_object"))
        #expect(cluster.quarantined() == [RecordNumber(source: source, n: 5)])
    }
}
