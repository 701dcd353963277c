// What central's fleet keeper makes of batches, commits and reports: with a real archive and a real file, and a clock
// of its own.

import Central
import Log
import Models
import SyncProtocol
import System
import Testing
import TestSupport

final class KeeperFixture {
    let archive: ArchiveFixture
    let archiver: Archiver
    let fleet: Fleet
    let keeper: FleetKeeper
    private var position: Int64 = 0

    init(_ archive: ArchiveFixture) throws {
        self.archive = archive
        let archiver = try archive.archiver()
        self.archiver = archiver
        position = archiver.committedPosition
        fleet = Fleet(archived: { archiver.archivedRanges(relayID: $0, epoch: $1) })
        for relay in archiver.statistics.relays { fleet.known(relayID: relay.relayID, epoch: relay.epoch) }
        keeper = try FleetKeeper(
            fleet: fleet, store: try FleetStore(path: "\(archive.directory)/fleet.db"), time: archive.time,
            log: Log(component: "test", format: .text, minimum: .error), archive: { archiver.statistics })
    }

    var now: Timestamp { Timestamp(microseconds: archive.time.wallMicroseconds()) }

    /// Durable in the stream, not archived.
    func receive(_ numbers: IntervalSet) {
        let header = StreamHeader(
            relay: ArchiveFixture.relay, epoch: ArchiveFixture.epoch, numbers: numbers, rejected: [],
            records: numbers.count)
        fleet.received(header, name: nil, digest: nil, at: now)
    }

    func archive(_ makers: BatchMaker...) throws {
        let batches = makers.map { maker in
            position += 1
            fleet.known(relayID: maker.relay, epoch: maker.epoch)
            return maker.batch(at: position)
        }
        _ = try archiver.archive(batches)
        keeper.look()
    }

    var wanted: IntervalSet {
        fleet.acknowledgement(
            relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch, digest: nil, credit: .standard
        ).wanted
    }

    /// Looks again and again, as the thread does, while the clock goes on.
    func pass(_ seconds: Int) {
        for _ in 0..<seconds {
            archive.time.advance(seconds: 1)
            keeper.look()
        }
    }

    /// The thread's last act: everything is on disk.
    func stop() {
        let thread = keeper.start()
        keeper.stop()
        thread.join()
    }

    func report(through: Int64, waiting: Int, rules: RelayReport.Rules = .init(version: 0, state: .local))
        -> RelayReport
    {
        var report = RelayReport(
            relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch, version: "1", sentAt: now, rules: rules)
        report.epochs = [
            .init(epoch: ArchiveFixture.epoch, through: through, waiting: waiting, missing: IntervalSet())
        ]
        report.counters.received = Int(through)
        report.counters.waiting = waiting
        report.counters.archived = Int(through) - waiting
        return report
    }

    func open(_ code: IncidentCode) -> Bool { keeper.openIncidents(code) > 0 }
}

@Suite("the fleet keeper")
struct FleetKeeperTests {
    @Test("a gap is asked for again in acknowledgements until it is filled (F81)")
    func gap() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        fixture.receive(IntervalSet([1...4, 6...9]))
        fixture.keeper.look()
        #expect(fixture.wanted.isEmpty)
        fixture.pass(Int(RelayLedger.askAfterSeconds) + 1)
        #expect(fixture.wanted == IntervalSet(5...5))
        fixture.receive(IntervalSet(5...5))
        #expect(fixture.wanted.isEmpty, "at once: what is here is not wanted")
        fixture.pass(1)
        #expect(fixture.wanted.isEmpty)
    }

    @Test("after its stream is lost, a new central asks for what the old one had said to have")
    func streamLost() throws {
        let archive = try ArchiveFixture()
        do {
            let fixture = try KeeperFixture(archive)
            fixture.receive(IntervalSet(1...20))
            fixture.keeper.look()
            fixture.stop()
        }
        let fixture = try KeeperFixture(archive)
        fixture.receive(IntervalSet(18...20))
        fixture.keeper.look()
        #expect(fixture.wanted == IntervalSet(1...17))
    }

    @Test("what a relay told, and incidents, survive central's restart")
    func persisted() throws {
        let archive = try ArchiveFixture()
        do {
            let fixture = try KeeperFixture(archive)
            fixture.receive(IntervalSet(1...20))
            #expect(fixture.keeper.take(fixture.report(through: 50, waiting: 50)))
            #expect(fixture.keeper.take(fixture.report(through: 9, waiting: 9)))
            #expect(fixture.open(.rollback))
            fixture.stop()
        }
        let fixture = try KeeperFixture(archive)
        #expect(fixture.open(.rollback))
        let complete = fixture.keeper.completeness(fixture.fleet.relays(), fixture.archiver.statistics)
        #expect(complete.relay(ArchiveFixture.relay)?.waitingAtRelay == 9)
        #expect(
            try #require(try fixture.keeper.close("rollback.\(ArchiveFixture.relay)", by: "t", note: nil)).isOpen
                == false)
        #expect(!fixture.open(.rollback))
    }

    @Test(
        "record numbers that come again with other bytes are both kept, raise an incident, and the accounts hold (F73)")
    func recordConflict() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        var first = BatchMaker()
        for n in 1...3 as ClosedRange<Int64> { first.add(n, BatchMaker.report(seq: n)) }
        var other = BatchMaker()
        other.add(2, BatchMaker.report(drone: "pw-9", seq: 7))
        try fixture.archive(first, other)
        #expect(fixture.open(.recordConflict) && !fixture.open(.identityConflict))
        #expect(try fixture.archive.count(.reports) == 3)
        #expect(try fixture.archive.count(.duplicates, "reason = 'conflict'") == 1)
        fixture.pass(5)
        #expect(fixture.keeper.mismatches.isEmpty && !fixture.open(.accountingMismatch))
    }

    @Test(
        "a drone that reuses its numbering is a conflict of identity (F77), a second relay's copy is not (F76)"
    )
    func identities() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        var first = BatchMaker()
        first.add(1, BatchMaker.report(seq: 1))
        var copy = BatchMaker(relay: "south-1")
        copy.add(1, BatchMaker.report(seq: 1))
        try fixture.archive(first, copy)
        fixture.pass(5)
        #expect(!fixture.open(.identityConflict) && !fixture.open(.accountingMismatch))
        #expect(try fixture.archive.count(.reports) == 1)
        #expect(try fixture.archive.count(.duplicates, "reason = 'duplicate' and relay_id = 'south-1'") == 1)
        var liar = BatchMaker()
        liar.add(2, BatchMaker.report(seq: 1, name: "Bob Stone"))
        try fixture.archive(liar)
        #expect(fixture.open(.identityConflict) && !fixture.open(.recordConflict))
        fixture.pass(5)
        #expect(!fixture.open(.accountingMismatch))
    }

    @Test("overlapping, reordered and ancient batches are archived once, and nothing is counted twice (F78, F79)")
    func overlaps() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        var random = SeededGenerator(seed: UInt64.random(in: 0 ... .max))
        func maker(_ range: ClosedRange<Int64>) -> BatchMaker {
            var maker = BatchMaker()
            for n in range { maker.add(n, BatchMaker.report(drone: "pw-\(n % 3)", seq: n)) }
            return maker
        }
        let ranges: [ClosedRange<Int64>] = [1...40, 30...60, 61...80, 1...5, 50...90, 20...20, 85...90]
        let order = ranges.shuffled(using: &random)
        for range in order { try fixture.archive(maker(range)) }
        try fixture.archive(maker(1...10), maker(1...90))
        #expect(try fixture.archive.count(.reports) == 90, "order \(order)")
        #expect(try fixture.archive.count(.duplicates) == 0)
        fixture.pass(5)
        #expect(fixture.keeper.incidents.isEmpty, "order \(order): \(fixture.keeper.incidents)")
    }

    @Test("an incident that was closed is not opened again by the same conflict after a crash")
    func closedStaysClosed() throws {
        let archive = try ArchiveFixture()
        let id = "identity_conflict.\(ArchiveFixture.relay)"
        do {
            let fixture = try KeeperFixture(archive)
            var maker = BatchMaker()
            maker.add(1, BatchMaker.report(seq: 1))
            maker.add(2, BatchMaker.report(seq: 1, name: "Bob Stone"))
            try fixture.archive(maker)
            // No thread, no orderly end: what `close` itself wrote is all there is.
            #expect(try fixture.keeper.close(id, by: "t", note: nil)?.count == 1)
        }
        let fixture = try KeeperFixture(archive)
        fixture.pass(2)
        #expect(fixture.keeper.incidents.map(\.id) == [id] && !fixture.open(.identityConflict))
    }

    @Test("a relay that believes more archived than is, is found out")
    func believed() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        var maker = BatchMaker()
        for n in 1...5 as ClosedRange<Int64> { maker.add(n, BatchMaker.report(seq: n)) }
        try fixture.archive(maker)
        #expect(fixture.keeper.take(fixture.report(through: 8, waiting: 3)))
        fixture.pass(5)
        #expect(!fixture.open(.accountingMismatch))
        #expect(fixture.keeper.take(fixture.report(through: 8, waiting: 2)))
        fixture.pass(5)
        #expect(fixture.open(.accountingMismatch))
        #expect(fixture.keeper.take(fixture.report(through: 8, waiting: 3)))
        fixture.pass(5)
        #expect(!fixture.open(.accountingMismatch), "it is over")
    }

    @Test("a refused rule set is an incident until the relay has a good one")
    func rulesRefused() throws {
        let fixture = try KeeperFixture(ArchiveFixture())
        let refused = RelayReport.Rules(version: 4, state: .refused, reason: "channels: nobody has the name pager")
        #expect(fixture.keeper.take(fixture.report(through: 0, waiting: 0, rules: refused)))
        #expect(fixture.open(.rulesRefused))
        fixture.archive.time.advance(seconds: 10)
        let applied = RelayReport.Rules(version: 5, state: .applied)
        #expect(fixture.keeper.take(fixture.report(through: 0, waiting: 0, rules: applied)))
        #expect(!fixture.open(.rulesRefused))
    }

    @Test("a record that is tried again is archived under its number, once, and the accounts hold at every step")
    func retry() throws {
        let archive = try ArchiveFixture()
        let fixture = try KeeperFixture(archive)
        var maker = BatchMaker()
        maker.add(1, BatchMaker.report(seq: 1))
        maker.add(2, "[]")
        try fixture.archive(maker)
        var again = BatchMaker()
        again.add(2, BatchMaker.report(seq: 2))
        for position in [2, 3] as [Int64] {
            var batch = again.batch(at: position)
            batch.isRetry = true
            _ = try fixture.archiver.archive([batch])
            fixture.pass(5)
            let state = try #require(
                fixture.archiver.relayState(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch))
            #expect(state.reports == 2 && state.rejectedCount == 0 && state.rejected.isEmpty)
            #expect(!fixture.open(.accountingMismatch))
        }
        #expect(try archive.count(.reports, "relay_seq = 2") == 1)
        // Recovered from the tables, it is the same.
        let restarted = try archive.archiver()
        let state = try #require(restarted.relayState(relayID: ArchiveFixture.relay, epoch: ArchiveFixture.epoch))
        #expect(state.reports == 2 && state.rejectedCount == 0)
    }
}
