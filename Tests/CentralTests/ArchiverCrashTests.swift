// A crash between any two steps of an archive call: the next archiver finds what is there, decides again, and every
// table has every row exactly once.

import Central
import Models
import ObjectStore
import SyncProtocol
import Synchronization
import System
import Testing

private struct Crash: Error {}

@Suite struct ArchiverCrashTests {
    private static func batches() -> [StreamedBatch] {
        var first = BatchMaker()
        for seq in 1...30 as ClosedRange<Int64> {
            first.add(seq, BatchMaker.report(drone: "pw-\(seq % 3)", seq: seq, name: "Person \(seq)"))
        }
        var second = BatchMaker(relay: "south-1", epoch: ArchiveFixture.otherEpoch)
        for seq in 1...30 as ClosedRange<Int64> {
            // Copies, conflicts and new reports in turn.
            let name = seq % 5 == 0 ? "Somebody Else" : "Person \(seq)"
            second.add(seq, BatchMaker.report(drone: "pw-\(seq % 3)", seq: seq + seq % 2 * 100, name: name))
        }
        second.add(31, #"{"no":"report"}"#)
        let at = Timestamp(microseconds: ArchiveFixture.start)
        let alert = Alert(
            alertID: String(repeating: "cd", count: 16), rule: "r", ruleVersion: 1, severity: .info, droneID: "pw-1",
            citizen: "Only In An Alert", observedAt: at, receivedAt: at, raisedAt: at, relayID: "south-1")
        second.add(32, String(decoding: AlertText.json(alert), as: UTF8.self), kind: .alert)
        var third = BatchMaker()
        for n in 31...40 as ClosedRange<Int64> { third.add(n, BatchMaker.report(drone: "pw-9", seq: n)) }
        third.add(41, BatchMaker.report(drone: "pw-9", seq: 40))
        return [first.batch(at: 3), second.batch(at: 5), third.batch(at: 6)]
    }

    private func contents(_ fixture: ArchiveFixture) throws -> [[String]] {
        try [
            fixture.rows(.reports, "select relay_id, relay_seq, drone_id, seq, digest, citizens from t order by all"),
            fixture.rows(.duplicates, "select relay_id, relay_seq, drone_id, seq, digest, reason from t order by all"),
            fixture.rows(.alerts, "select relay_id, relay_seq, alert_id, person_id from t order by all"),
            fixture.rows(.identities, "select person_id, name from t order by all"),
        ]
    }

    /// The calls after the crash may cut the stream elsewhere.
    @Test(
        "killed before any step, then restarted, every row is there exactly once", arguments: ArchiveStep.allCases,
        [1, 2, 3])
    func crash(step: ArchiveStep, batchesBeforeCrash: Int) throws {
        let batches = Self.batches()
        let expected = try {
            let fixture = try ArchiveFixture()
            _ = try fixture.archiver().archive(batches)
            return try contents(fixture)
        }()
        let fixture = try ArchiveFixture()
        do {
            let archiver = try fixture.archiver(commitsPerSnapshot: 1) { if $0 == step { throw Crash() } }
            if step == .snapshot {
                _ = try archiver.archive(Array(batches.prefix(batchesBeforeCrash)))
            } else {
                #expect(throws: Crash.self) { try archiver.archive(Array(batches.prefix(batchesBeforeCrash))) }
            }
        }
        let archiver = try fixture.archiver(commitsPerSnapshot: 1)
        while let batch = batches.first(where: { $0.position > archiver.committedPosition }) {
            _ = try archiver.archive([batch])
        }
        let found = try contents(fixture)
        for index in expected.indices { #expect(found[index] == expected[index]) }
    }

    @Test("an archiver goes on after a failed call without being made again")
    func failedCall() throws {
        let fixture = try ArchiveFixture()
        let shouldFail = Mutex(true)
        let archiver = try fixture.archiver { step in
            let fails = shouldFail.withLock { flag in
                defer { if step == .commitReports { flag = false } }
                return flag && step == .commitReports
            }
            if fails { throw Crash() }
        }
        let batches = Self.batches()
        #expect(throws: Crash.self) { try archiver.archive(batches) }
        #expect(archiver.committedPosition == 0)
        #expect(archiver.archivedRanges(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch).isEmpty)
        _ = try archiver.archive(batches)
        #expect(archiver.committedPosition == 6)
        #expect(try fixture.count(.reports) == archiver.statistics.reports)
        #expect(try fixture.count(.duplicates) == archiver.statistics.duplicates)
    }

    @Test("files that no version names are removed at start once they are old, and committed ones never")
    func orphans() throws {
        let fixture = try ArchiveFixture()
        do {
            let archiver = try fixture.archiver { if $0 == .commitReports { throw Crash() } }
            #expect(throws: Crash.self) { try archiver.archive(Self.batches()) }
        }
        func files() throws -> Int { try fixture.lake.list("reports").filter { $0.key.hasSuffix(".parquet") }.count }
        let orphans = try files()
        #expect(orphans > 0)
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds())
        _ = try fixture.archiver().archive(Self.batches())
        let both = try files()
        fixture.time.setWall(microseconds: SystemTime().wallMicroseconds() + 7_200_000_000)
        let archiver = try fixture.archiver()
        #expect(try files() == both - orphans)
        #expect(try fixture.count(.reports) == archiver.statistics.reports)
    }
}
