// The loop of a single central: what it takes from the stream into one version.

import Central
import Compression
import Log
import Models
import SyncProtocol
import Synchronization
import System
import TestSupport
import Testing

@Suite("the archive's loop") struct ArchiveLoopTests {
    private struct Crash: Error {}

    /// Ten reports, ten copies of them by way of another relay, an alert, and a record that a clone of the second relay
    /// forged: under a number that only `duplicates` knows.
    private static func batches() -> [StreamedBatch] {
        let south = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
        var (first, second, third, fourth) = (BatchMaker(), south, south, south)
        for seq in 1...10 as ClosedRange<Int64> {
            first.add(seq, BatchMaker.report(seq: seq))
            second.add(seq, BatchMaker.report(seq: seq))
        }
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let alert = Alert(
            alertID: String(repeating: "cd", count: 16), rule: "r", ruleVersion: 1, severity: .info, droneID: "pw-1",
            citizen: nil, observedAt: at, receivedAt: at, raisedAt: at, relayID: "south-1")
        third.add(11, String(decoding: AlertText.json(alert), as: UTF8.self), kind: .alert)
        fourth.add(5, BatchMaker.report(drone: "pw-9", seq: 1))
        return [first.batch(at: 1), second.batch(at: 2), third.batch(at: 3), fourth.batch(at: 4)]
    }

    private static func contents(_ fixture: ArchiveFixture) throws -> [[String]] {
        try [
            fixture.rows(.reports, "select relay_id, relay_seq, drone_id, seq, digest from t order by all"),
            fixture.rows(.duplicates, "select relay_id, relay_seq, drone_id, seq, digest, reason from t order by all"),
            fixture.rows(.alerts, "select relay_id, relay_seq, alert_id from t order by all"),
        ]
    }

    /// One version by a loop with small versions, or nothing where all is archived.
    private static func archiveOnce(_ fixture: ArchiveFixture, _ stream: EmbeddedStream) throws -> Int64 {
        let archiver = try fixture.archiver()
        let isCommitted = Monitor(false)
        var archive = CentralConfiguration.Archive()
        (archive.maxRows, archive.maxWaitSeconds) = (2, 0)
        let loop = ArchiveLoop(
            archiver: archiver, stream: stream, configuration: archive, time: fixture.time,
            log: Log(component: "test", sink: .none), onFatal: { Issue.record("the loop has ended: \($0)") },
            onCommit: { _, _ in
                isCommitted.update { $0 = true }
                // One version only.
                _ = isCommitted.wait(timeoutSeconds: 60) { $0 ? nil : () }
            })
        let thread = WorkerThread(name: "archiver", stackBytes: 8 << 20) { loop.run() }
        _ = isCommitted.wait(timeoutSeconds: 60) { $0 ? () : nil }
        loop.stop()
        isCommitted.update { $0 = false }
        thread.join()
        return archiver.committedPosition
    }

    @Test("after a crash the first version reaches as far as the one cut short, and nothing is lost")
    func interrupted() throws {
        let batches = Self.batches()
        let whole = try ArchiveFixture()
        let expected = try whole.archiver()
        _ = try expected.archive(batches)
        #expect(expected.statistics.conflicts == 1)

        let fixture = try ArchiveFixture()
        let log = Log(component: "test", sink: .none)
        let stream = try EmbeddedStream(directory: "\(fixture.directory)/stream", archivedThrough: 0, log: log)
        let writer = WorkerThread(name: "writer") { stream.run() }
        for batch in batches {
            let lines = batch.ndjson.split(separator: 0x0a).count
            let numbers = lines == 10 ? IntervalSet(1...10) : IntervalSet(batch.position == 3 ? 11...11 : 5...5)
            let header = StreamHeader(
                relay: batch.relayID, epoch: batch.epoch, numbers: numbers, rejected: [], records: lines)
            let payload = try Zstd.compress(batch.ndjson, level: 1)
            let isQueued = stream.append(header, payload: payload, receivedAt: batch.centralReceivedAt) { result in
                #expect((try? result.get()) == batch.position)
            }
            #expect(isQueued)
        }
        #expect(eventually { stream.lastPosition == 4 })
        do {
            let crashing = try fixture.archiver { if $0 == .commitReports { throw Crash() } }
            #expect(throws: Crash.self) { try crashing.archive(Array(batches.prefix(3))) }
        }
        #expect(try fixture.archiver().interrupted == [nil: 3])
        #expect(try Self.archiveOnce(fixture, stream) == 3)
        #expect(try fixture.archiver().interrupted.isEmpty)
        #expect(try Self.archiveOnce(fixture, stream) == 4)

        #expect(try Self.contents(fixture) == Self.contents(whole))
        let statistics = try fixture.archiver().statistics
        #expect(statistics.conflicts == 1)
        #expect(try fixture.count(.duplicates) == statistics.duplicates)
        stream.close()
        writer.join()
        stream.closeLog()
    }
}
