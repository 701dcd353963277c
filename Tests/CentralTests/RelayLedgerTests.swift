// What central concludes from a relay's reports and batches: gaps, losses, older states, copies, completeness. Pure.

import Central
import Models
import SyncProtocol
import Testing

/// A relay as its reports describe it.
struct ToldRelay {
    var ledger = RelayLedger(relayID: "north-3")
    var now = Timestamp(microseconds: 1_795_150_800_000_000)
    static let first = String(repeating: "a", count: 32)
    static let second = String(repeating: "b", count: 32)
    static let third = String(repeating: "c", count: 32)

    mutating func pass(_ seconds: Double) { now = now.adding(seconds: seconds) }

    static func life(
        _ epoch: String, through: Int64, waiting: Int = 0, missing: IntervalSet = IntervalSet()
    ) -> RelayReport.Epoch { .init(epoch: epoch, through: through, waiting: waiting, missing: missing) }

    @discardableResult
    mutating func tell(
        _ epoch: String, _ lives: [RelayReport.Epoch], _ facts: [LifeFacts], oldest: Timestamp? = nil,
        change: (inout RelayReport) -> Void = { _ in }
    ) -> [RelayLedger.Event]? {
        pass(10)
        var report = RelayReport(
            relayID: "north-3", epoch: epoch, version: "1", sentAt: now, rules: .init(version: 0, state: .local))
        report.epochs = lives
        report.oldestWaiting = oldest
        change(&report)
        let events = ledger.reported(
            report, durable: { name in facts.first { $0.epoch == name }?.durable ?? IntervalSet() }, at: now)
        _ = ledger.observe(facts, at: now)
        return events?.filter { $0 != .rulesSettled }
    }

    /// Record n was received n seconds after the start.
    static func facts(_ epoch: String, _ archived: IntervalSet, inStream: IntervalSet = IntervalSet()) -> LifeFacts {
        var ends: [Int64: Int64] = [:]
        for range in archived.ranges { ends[range.upperBound] = time(range.upperBound).microseconds }
        return LifeFacts(epoch: epoch, durable: archived.union(inStream), archived: archived, lastReceivedAt: ends)
    }

    static func time(_ n: Int64) -> Timestamp { Timestamp(microseconds: 1_795_150_000_000_000 + n * 1_000_000) }
}

@Suite("what central concludes about a relay")
struct RelayLedgerTests {
    private let first = ToldRelay.first
    private let second = ToldRelay.second

    // MARK: Gaps (F81)

    @Test("numbers below the highest one are asked for again after a while, those the relay lost are not")
    func asksAgain() {
        var relay = ToldRelay()
        let facts = ToldRelay.facts(first, IntervalSet([1...4, 6...9]))
        _ = relay.ledger.observe([facts], at: relay.now)
        #expect(relay.ledger.wanted(facts, at: relay.now).isEmpty, "it may be under way")
        relay.pass(RelayLedger.askAfterSeconds)
        #expect(relay.ledger.wanted(facts, at: relay.now) == IntervalSet(5...5))
        relay.tell(first, [ToldRelay.life(first, through: 9, missing: IntervalSet(5...5))], [facts])
        relay.pass(RelayLedger.askAfterSeconds)
        #expect(relay.ledger.wanted(facts, at: relay.now).isEmpty, "what is lost cannot be sent")
    }

    @Test("holes that the relay counts among its waiting records are its backlog: not asked for, no incident")
    func backlog() {
        var relay = ToldRelay()
        let facts = ToldRelay.facts(first, IntervalSet(9_001...10_000))
        relay.tell(first, [ToldRelay.life(first, through: 10_000, waiting: 9_000)], [facts])
        for _ in 0..<400 { relay.tell(first, [ToldRelay.life(first, through: 10_000, waiting: 9_000)], [facts]) }
        #expect(relay.ledger.wanted(facts, at: relay.now).isEmpty)
        #expect(relay.ledger.overdue(facts, at: relay.now).isEmpty)
        relay.tell(first, [ToldRelay.life(first, through: 10_000, waiting: 8_999)], [facts])
        #expect(relay.ledger.wanted(facts, at: relay.now) == IntervalSet(1...9_000), "one is not counted there")
        #expect(relay.ledger.overdue(facts, at: relay.now).count == 9_000)
    }

    @Test("a gap is an incident after an hour, and none any more when it is filled")
    func overdue() {
        var relay = ToldRelay()
        let holed = ToldRelay.facts(first, IntervalSet([1...4, 6...9]))
        _ = relay.ledger.observe([holed], at: relay.now)
        relay.pass(RelayLedger.gapIncidentSeconds - 1)
        #expect(relay.ledger.overdue(holed, at: relay.now).isEmpty)
        relay.pass(1)
        #expect(relay.ledger.overdue(holed, at: relay.now) == IntervalSet(5...5))
        let whole = ToldRelay.facts(first, IntervalSet(1...9))
        _ = relay.ledger.observe([whole], at: relay.now)
        #expect(relay.ledger.overdue(whole, at: relay.now).isEmpty)
    }

    @Test("what central said to have received and has no more is asked for at once")
    func lostWithTheStream() {
        var relay = ToldRelay()
        let before = ToldRelay.facts(first, IntervalSet(1...5), inStream: IntervalSet(6...20))
        _ = relay.ledger.observe([before], at: relay.now)
        let after = ToldRelay.facts(first, IntervalSet(1...5), inStream: IntervalSet(15...20))
        _ = relay.ledger.observe([after], at: relay.now)
        #expect(relay.ledger.wanted(after, at: relay.now) == IntervalSet(6...14))
        let tail = ToldRelay.facts(first, IntervalSet(1...5))
        _ = relay.ledger.observe([tail], at: relay.now)
        #expect(relay.ledger.wanted(tail, at: relay.now) == IntervalSet(6...20), "the end of the stream as well")
    }

    @Test("an acknowledgement asks for a bounded number of ranges")
    func bounded() {
        var relay = ToldRelay()
        var odd = IntervalSet()
        for number in 0..<Int64(3_000) { odd.insert(number * 2 + 1) }
        let facts = ToldRelay.facts(first, odd)
        _ = relay.ledger.observe([facts], at: relay.now)
        relay.pass(60)
        #expect(relay.ledger.wanted(facts, at: relay.now).rangeCount == SyncLimits.wantedRanges)
    }

    // MARK: Older states and copies (F72, F74)

    @Test("a relay restored from a backup is noticed by what it no longer knows of")
    func rollback() {
        var relay = ToldRelay()
        let facts = ToldRelay.facts(first, IntervalSet(1...80))
        #expect(relay.tell(first, [ToldRelay.life(first, through: 80)], [facts]) == [])
        // The copy was taken at record 50; the process that runs on it has a life of its own.
        let restored = [ToldRelay.life(first, through: 50), ToldRelay.life(second, through: 3, waiting: 3)]
        #expect(relay.tell(second, restored, [facts]) == [.rollback])
        #expect(relay.tell(second, restored, [facts]) == [], "said once")
    }

    @Test("records that a restored relay no longer has and central never got are lost, and counted")
    func lostByRollback() throws {
        var relay = ToldRelay()
        let facts = ToldRelay.facts(first, IntervalSet([1...40, 61...80]))
        relay.tell(first, [ToldRelay.life(first, through: 80, waiting: 20)], [facts])
        relay.tell(
            second, [ToldRelay.life(first, through: 50, waiting: 10), ToldRelay.life(second, through: 0)], [facts])
        let life = try #require(relay.ledger.life(first))
        #expect(relay.ledger.lost(life, durable: facts.durable) == IntervalSet(51...60))
        let complete = RelayCompleteness(relay.ledger, [facts], at: relay.now)
        #expect(complete.lost == 10 && complete.waitingAtRelay == 10)
        #expect(complete.gaps.map(\.range) == [41...50, 51...60])
        #expect(complete.gaps.map(\.state) == [.waiting, .lost])
    }

    @Test("a life that was over and comes back is an older state of the relay")
    func lifeReturns() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet(1...9)), ToldRelay.facts(second, IntervalSet(1...5))]
        relay.tell(first, [ToldRelay.life(first, through: 9)], facts)
        #expect(relay.tell(second, [ToldRelay.life(second, through: 5)], facts) == [], "released: no more than that")
        let back = [ToldRelay.life(first, through: 9), ToldRelay.life(ToldRelay.third, through: 0)]
        #expect(relay.tell(ToldRelay.third, back, facts) == [.rollback])
    }

    @Test("records that come newest first after a report are under way, not lost")
    func newestFirstAfterAReport() throws {
        var relay = ToldRelay()
        relay.tell(first, [ToldRelay.life(first, through: 10, waiting: 10)], [])
        let facts = ToldRelay.facts(first, IntervalSet(1...3), inStream: IntervalSet(300...321))
        _ = relay.ledger.observe([facts], at: relay.now)
        #expect(relay.ledger.lost(try #require(relay.ledger.life(first)), durable: facts.durable).isEmpty)
        #expect(RelayCompleteness(relay.ledger, [facts], at: relay.now).lost == 0)
    }

    @Test("a life that has just begun is not over because a report from before it came late")
    func lateReportOfTheLifeBefore() throws {
        var relay = ToldRelay()
        relay.tell(first, [ToldRelay.life(first, through: 9)], [ToldRelay.facts(first, IntervalSet(1...9))])
        let facts = [ToldRelay.facts(first, IntervalSet(1...9)), ToldRelay.facts(second, IntervalSet(8...9))]
        _ = relay.ledger.observe(facts, at: relay.now)
        #expect(relay.tell(first, [ToldRelay.life(first, through: 9)], facts) == [])
        #expect(RelayCompleteness(relay.ledger, facts, at: relay.now).lost == 0)
        let both = [ToldRelay.life(first, through: 9), ToldRelay.life(second, through: 9, waiting: 7)]
        #expect(relay.tell(second, both, facts) == [])
    }

    @Test("a restart, even with records on the way, is no rollback")
    func restart() {
        var relay = ToldRelay()
        // The report was made before the last batch and arrived after it.
        let facts = ToldRelay.facts(first, IntervalSet(1...100))
        #expect(relay.tell(first, [ToldRelay.life(first, through: 90)], [facts]) == [])
        let next = ToldRelay.facts(second, IntervalSet(1...7))
        let lives = [ToldRelay.life(first, through: 100), ToldRelay.life(second, through: 5)]
        #expect(relay.tell(second, lives, [facts, next]) == [])
    }

    @Test("two processes that report in turn are a cloned relay; one after the other they are a restart")
    func clone() {
        var relay = ToldRelay()
        #expect(relay.tell(first, [ToldRelay.life(first, through: 1)], []) == [])
        #expect(relay.tell(second, [ToldRelay.life(second, through: 1)], []) == [])
        #expect(relay.tell(first, [ToldRelay.life(first, through: 2)], []) == [.cloned])
        #expect(relay.tell(second, [ToldRelay.life(second, through: 2)], []) == [.cloned])
    }

    @Test("a report that comes after its relay's restart was reported is not taken")
    func late() {
        var relay = ToldRelay()
        relay.tell(first, [ToldRelay.life(first, through: 1)], [])
        relay.tell(second, [ToldRelay.life(first, through: 1), ToldRelay.life(second, through: 1)], [])
        let late = relay.tell(first, [ToldRelay.life(first, through: 1)], []) {
            $0.sentAt = $0.sentAt.adding(seconds: -15)
        }
        #expect(late == nil)
    }

    @Test("counters that do not add up three times in a row are said so, once is under way")
    func counters() {
        var relay = ToldRelay()
        for round in 1...3 {
            let events = relay.tell(first, [], []) { report in
                report.counters.received = 10
                report.counters.archived = 9
            }
            #expect(events == (round < 3 ? [] : [.counters(received: 10, accounted: 9)]))
        }
        #expect(relay.tell(first, [], []) == [])
    }
}
