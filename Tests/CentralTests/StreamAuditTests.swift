// A part of a batch that the stream has lost is noticed, and its relay is asked for the records again (F50).

import Central
import Log
import Models
import Synchronization
import SyncProtocol
import System
import Testing

@Suite("what the stream has lost") struct StreamAuditTests {
    private static let source = RecordSource(relayID: "r-1", epoch: String(repeating: "a", count: 32))
    private static let rest = UInt64(LedgerAudit.restSeconds * 1e9)

    @Test("what is archived by the time every partition is beyond it was not lost, and is not looked at again")
    func archived() {
        var audit = LedgerAudit()
        audit.noted(IntervalSet(1...10), of: Self.source, at: 8)
        audit.noted(IntervalSet(11...20), of: Self.source, at: 16)
        #expect(audit.look(settledThrough: 8, atNanoseconds: 0) { _ in IntervalSet(1...10) }.isEmpty)
        #expect(audit.look(settledThrough: 20, atNanoseconds: 1) { _ in IntervalSet(1...20) }.isEmpty)
        #expect(audit.look(settledThrough: 20, atNanoseconds: 9 * Self.rest) { _ in IntervalSet() }.isEmpty)
    }

    @Test("while a partition is not beyond a batch nothing of it is lost, however long that takes")
    func waiting() {
        var audit = LedgerAudit()
        audit.noted(IntervalSet(1...10), of: Self.source, at: 8)
        for turn in 0..<5 {
            let losses = audit.look(settledThrough: 7, atNanoseconds: UInt64(turn) * Self.rest) { _ in IntervalSet() }
            #expect(losses.isEmpty)
        }
    }

    @Test("what is not archived although every partition is beyond it is taken back after a rest, again and again")
    func lost() {
        var audit = LedgerAudit()
        audit.noted(IntervalSet(1...10), of: Self.source, at: 8)
        audit.noted(IntervalSet(11...20), of: Self.source, at: 16)
        var now: UInt64 = 5
        func look(_ archived: IntervalSet) -> [LedgerAudit.Loss] {
            audit.look(settledThrough: 16, atNanoseconds: now) { _ in archived }
        }
        let holes = IntervalSet([1...3, 8...18])
        #expect(look(holes).isEmpty)
        now += Self.rest - 1
        #expect(look(holes).isEmpty, "the servers still drop what is repeated")
        now += 1
        let wanted = [LedgerAudit.Loss(source: Self.source, numbers: IntervalSet([4...7, 19...20]))]
        #expect(look(holes) == wanted)
        #expect(look(holes).isEmpty)
        now += Self.rest
        #expect(look(holes) == wanted, "it did not come, or was dropped")
        now += Self.rest
        #expect(look(IntervalSet(1...18)).map(\.numbers) == [IntervalSet(19...20)])
        now += Self.rest
        #expect(look(IntervalSet(1...20)).isEmpty && look(IntervalSet()).isEmpty)
    }

    @Test("a relay hears that its records are not received, and central takes the very same batch again")
    func told() {
        let time = ManualTime()
        let archived = Mutex(IntervalSet())
        let settled = Mutex<Int64>(0)
        let fleet = Fleet(archived: { _, _ in archived.withLock { $0 } })
        let audit = StreamAudit(
            fleet: fleet, settledThrough: { settled.withLock { $0 } }, archived: { _, _ in archived.withLock { $0 } },
            time: time, log: Log(component: "test", sink: .none))
        let name = BatchName(relayID: "r-1", epoch: Self.source.epoch, first: 1, last: 10)
        let header = StreamHeader(
            relay: "r-1", epoch: Self.source.epoch, numbers: IntervalSet(1...10), rejected: [], records: 10)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        fleet.received(header, name: name.path, digest: "d", at: now)
        audit.noted(StreamEntry(position: 4, receivedAt: now, header: header, payload: []))
        func received() -> IntervalSet {
            fleet.acknowledgement(relayID: "r-1", epoch: Self.source.epoch, digest: nil, credit: .standard).received
        }
        // Partition 1 has passed the place of its part, which was not there.
        settled.withLock { $0 = 9 }
        archived.withLock { $0 = IntervalSet(1...4) }
        audit.look()
        #expect(received() == IntervalSet(1...10) && fleet.has(name, digest: "d"))
        time.advance(seconds: LedgerAudit.restSeconds + 10)
        audit.look()
        #expect(received() == IntervalSet(1...4) && !fleet.has(name, digest: "d"))
        // It comes again.
        fleet.received(header, name: name.path, digest: "d", at: now)
        archived.withLock { $0 = IntervalSet(1...10) }
        time.advance(seconds: LedgerAudit.restSeconds + 10)
        audit.look()
        #expect(received() == IntervalSet(1...10) && fleet.has(name, digest: "d"))
    }
}
