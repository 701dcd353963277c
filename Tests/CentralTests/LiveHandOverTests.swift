// What intake hands over to the live view is what the view would have read from the stream itself.

import Central
import Compression
import Foundation
import Log
import Models
import SyncProtocol
import System
import TestSupport
import Testing

@Suite("what intake hands over to the live view") struct LiveHandOverTests {
    private static func facts(_ batch: StreamedBatch, at time: Timestamp) throws -> LiveFacts {
        var facts = LiveFacts(relayID: batch.relayID, epoch: batch.epoch, receivedAt: time)
        let name = BatchName(relayID: batch.relayID, epoch: batch.epoch, first: 1, last: 1_000_000)
        _ = try BatchExamination.examine(batch.ndjson, name: name) { facts.add($0, $1) }
        return facts
    }

    private static func batch(_ call: Int64, now: Int64) -> BatchMaker {
        var maker = BatchMaker()
        for n in call * 10 + 1...call * 10 + 10 {
            // An hour old, a day off, now: late, suspect, in time.
            let observed = now - [0, 3_600, 90_000][Int(n % 3)] * 1_000_000
            maker.add(
                n,
                BatchMaker.report(
                    drone: "pw-\(n % 4)", seq: n, name: "Person \(n)",
                    observedAt: Timestamp(microseconds: observed).rfc3339),
                receivedAt: now)
        }
        return maker
    }

    /// The figures without what the moment decides.
    private static func figures(_ live: LiveView) throws -> String {
        let summary = try JSONSerialization.jsonObject(with: Data(live.json())) as? [String: Any] ?? [:]
        let names = ["reports", "drones", "relays", "lateness_s", "scores", "cells"]
        // A dictionary's own description has no order.
        let parts = summary.filter { names.contains($0.key) }
        #expect(parts.count == names.count)
        return String(
            decoding: try JSONSerialization.data(withJSONObject: parts, options: .sortedKeys), as: UTF8.self)
    }

    @Test("a view that was handed every second batch shows what one shows that read all from the stream")
    func same() throws {
        let archive = try ArchiveFixture()
        let time = SystemTime()
        let log = Log(component: "test", sink: .none)
        let stream = try EmbeddedStream(directory: "\(archive.directory)/stream", archivedThrough: 0, log: log)
        let writer = WorkerThread(name: "writer") { stream.run() }
        let queries = try QueryService(
            configuration: QueryConfiguration(
                duckDB: archive.duckDB, scratchDirectory: "\(archive.directory)/queries"),
            lake: archive.lake, time: time)
        let handOver = LiveHandOver()
        func view(_ handOver: LiveHandOver) -> LiveView {
            LiveView(
                stream: stream, queries: queries, pseudonymKey: Array("a key for tests, 32 bytes long..".utf8),
                time: time, log: log, handOver: handOver)
        }
        let handed = view(handOver)
        let reading = view(LiveHandOver())
        let threads = [handed.start(), reading.start()]
        for call in 0..<20 as Range<Int64> {
            let now = time.wallMicroseconds()
            let batch = Self.batch(call, now: now).batch(at: 0)
            let numbers = call * 10 + 1...call * 10 + 10
            let header = StreamHeader(
                relay: batch.relayID, epoch: batch.epoch, numbers: IntervalSet(numbers), rejected: [], records: 10)
            let facts = try Self.facts(batch, at: Timestamp(microseconds: now))
            let payload = try Zstd.compress(batch.ndjson, level: 1)
            #expect(
                stream.append(header, payload: payload, receivedAt: Timestamp(microseconds: now)) { result in
                    if call % 2 == 0, case .success(let position) = result { handOver.offer(facts, at: position) }
                })
        }
        func isDone(_ live: LiveView) -> Bool {
            String(decoding: live.json(), as: UTF8.self).contains(#""last_hour":200"#)
        }
        #expect(eventually { isDone(handed) && isDone(reading) })
        #expect(try Self.figures(handed) == Self.figures(reading))
        #expect(handOver.waiting == 0)
        handed.stop()
        reading.stop()
        stream.close()
        for thread in threads + [writer] { thread.join() }
        stream.closeLog()
    }

    @Test("what finds no room is not handed over, and is read from the stream")
    func bounded() throws {
        let handOver = LiveHandOver()
        let facts = try Self.facts(
            Self.batch(0, now: ArchiveFixture.start).batch(at: 0), at: Timestamp(microseconds: 1))
        let fitting = Int64(LiveHandOver.maxRecords / 10)
        for position in 1...fitting { handOver.offer(facts, at: position) }
        #expect(handOver.waiting == LiveHandOver.maxRecords)
        handOver.offer(facts, at: fitting + 1)
        #expect(handOver.waiting == LiveHandOver.maxRecords)
        // The same position twice counts once.
        handOver.offer(facts, at: 1)
        #expect(handOver.waiting == LiveHandOver.maxRecords)
    }
}
