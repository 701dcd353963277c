// The thread that keeps the archive in shape while central runs.

import Central
import Log
import Models
import SyncProtocol
import System
import TestSupport
import Testing

@Suite struct UpkeepLoopTests {
    private func archive(_ archiver: Archiver, _ positions: ClosedRange<Int64>) throws {
        for position in positions {
            var maker = BatchMaker()
            maker.add(position, BatchMaker.report(seq: position, name: "P"))
            _ = try archiver.archive([maker.batch(at: position)])
        }
    }

    private func start(_ fixture: ArchiveFixture, compacts: Bool) -> (loop: UpkeepLoop, thread: WorkerThread) {
        let loop = UpkeepLoop(
            fixture.upkeepConfiguration(), compacts: compacts, time: fixture.time,
            log: Log(component: "test", sink: .none),
            secondsBetweenRounds: 0.02)
        return (loop, WorkerThread(name: "upkeep") { loop.run() })
    }

    @Test("while reports come it writes checkpoints and puts files together; a day that is over becomes one file")
    func running() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        let (loop, thread) = start(fixture, compacts: true)
        defer {
            loop.stop()
            thread.join()
        }
        func files() -> Int { (try? fixture.table(.reports).snapshot.files.count) ?? -1 }
        try archive(archiver, 1...10)
        #expect(eventually(within: 30) { files() < 6 && loop.snapshot.checkpoints > 0 })
        try archive(archiver, 11...13)
        fixture.time.advance(seconds: 2 * 86_400)
        #expect(eventually(within: 30) { (1...3).contains(files()) })
        #expect(loop.snapshot.compactions > 0 && loop.snapshot.failures == 0, "\(loop.snapshot)")
        #expect(try fixture.count(.reports) == 13)
        #expect(String(decoding: loop.metrics(), as: UTF8.self).contains("columba_central_upkeep_failures_total 0\n"))
    }

    @Test("told not to compact it only writes checkpoints, and it stops at once")
    func withoutCompaction() throws {
        let fixture = try ArchiveFixture()
        let archiver = try fixture.archiver()
        let (loop, thread) = start(fixture, compacts: false)
        try archive(archiver, 1...6)
        #expect(eventually(within: 30) { loop.snapshot.checkpoints > 0 })
        loop.stop()
        thread.join()
        #expect(loop.snapshot.compactions == 0)
        #expect(try fixture.table(.reports).snapshot.files.count == 6)
    }
}
