// How far the archive is complete, after holes, losses, silence and retirement. Pure.

import Central
import Models
import SyncProtocol
import Testing

@Suite("completeness")
struct CompletenessTests {
    private let first = ToldRelay.first
    private let second = ToldRelay.second

    private func complete(_ relay: ToldRelay, _ facts: [LifeFacts]) -> RelayCompleteness {
        RelayCompleteness(relay.ledger, facts, at: relay.now)
    }

    @Test("with newest first, the highest number proves nothing: the run from the first one does")
    func newestFirst() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet([1...40, 90...100]))]
        _ = relay.ledger.observe(facts, at: relay.now)
        #expect(complete(relay, facts).completeThrough == ToldRelay.time(40))
        let headless = [ToldRelay.facts(first, IntervalSet(90...100))]
        var other = ToldRelay()
        _ = other.ledger.observe(headless, at: other.now)
        #expect(complete(other, headless).completeThrough == nil)
    }

    @Test("a relay that has nothing waiting is complete to its report, quiet or not")
    func quiet() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet(1...10))]
        relay.tell(first, [ToldRelay.life(first, through: 10)], facts)
        #expect(complete(relay, facts).completeThrough == relay.now)
        relay.tell(first, [ToldRelay.life(first, through: 10)], facts) {
            $0.settledBefore = $0.sentAt.adding(seconds: -3)
        }
        #expect(complete(relay, facts).completeThrough == relay.now.adding(seconds: -3))
    }

    @Test("received is not archived: what is in the stream holds the time back")
    func inStream() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet(1...10), inStream: IntervalSet(11...12))]
        relay.tell(first, [ToldRelay.life(first, through: 12, waiting: 2)], facts, oldest: ToldRelay.time(11))
        let complete = complete(relay, facts)
        #expect(complete.completeThrough == ToldRelay.time(11))
        #expect(complete.waitingHere == 2 && complete.waitingAtRelay == 0 && complete.gaps.isEmpty)
    }

    @Test("what waited when the relay went silent and came through all the same counts")
    func reportIsOlderThanTheArchive() {
        var relay = ToldRelay()
        let before = [ToldRelay.facts(first, IntervalSet(1...10))]
        relay.tell(first, [ToldRelay.life(first, through: 12, waiting: 2)], before, oldest: ToldRelay.time(11))
        let reported = relay.now
        relay.pass(600)
        let after = [ToldRelay.facts(first, IntervalSet(1...12))]
        let complete = complete(relay, after)
        #expect(complete.completeThrough == reported && complete.isSilent && complete.waitingAtRelay == 0)
    }

    @Test("an older life with holes holds the relay back, whatever the newest one says")
    func olderLife() {
        var relay = ToldRelay()
        let facts = [
            ToldRelay.facts(first, IntervalSet([1...5, 8...9])), ToldRelay.facts(second, IntervalSet(1...50)),
        ]
        _ = relay.ledger.observe([facts[0]], at: relay.now)
        let lives = [ToldRelay.life(first, through: 9, waiting: 2), ToldRelay.life(second, through: 50)]
        relay.tell(second, lives, facts, oldest: ToldRelay.time(6))
        #expect(complete(relay, facts).completeThrough == ToldRelay.time(6))
        #expect(complete(relay, facts).gaps.map(\.range) == [6...7])
        #expect(complete(relay, facts).gaps[0].after == ToldRelay.time(5))
        #expect(complete(relay, facts).gaps[0].before == ToldRelay.time(9))
    }

    @Test("what is lost for good is counted and not waited for")
    func lost() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet([1...5, 8...9]))]
        relay.tell(first, [ToldRelay.life(first, through: 9, missing: IntervalSet(6...7))], facts)
        let told = complete(relay, facts)
        #expect(told.completeThrough == relay.now && told.lost == 2 && told.gaps.map(\.state) == [.lost])
        // The relay came back with a new disk: the life is over, with all that it still had.
        relay.tell(second, [ToldRelay.life(second, through: 0)], facts)
        #expect(complete(relay, facts).lost == 2 && complete(relay, facts).completeThrough == relay.now)
    }

    @Test("a disk that died takes what waited on it: lost, not waiting for ever")
    func diskDied() {
        var relay = ToldRelay()
        let facts = [ToldRelay.facts(first, IntervalSet(1...5))]
        relay.tell(first, [ToldRelay.life(first, through: 9, waiting: 4)], facts, oldest: ToldRelay.time(6))
        #expect(complete(relay, facts).waitingAtRelay == 4)
        relay.tell(second, [ToldRelay.life(second, through: 0)], facts)
        let after = complete(relay, facts)
        #expect(after.waitingAtRelay == 0 && after.lost == 4 && after.completeThrough == relay.now)
    }

    @Test("records that the relay believes archived and central does not have are no completeness")
    func centralLostThem() {
        var relay = ToldRelay()
        relay.tell(first, [ToldRelay.life(first, through: 9)], [ToldRelay.facts(first, IntervalSet(1...9))])
        let restored = [ToldRelay.facts(first, IntervalSet(1...6))]
        #expect(complete(relay, restored).completeThrough == ToldRelay.time(6))
    }

    @Test("the fleet is as complete as its least complete relay, which is named; a retired one is not waited for")
    func fleet() {
        func relay(_ id: String, _ through: Int64?, retired: Bool = false) -> RelayCompleteness {
            var complete = RelayCompleteness(RelayLedger(relayID: id), [], at: ToldRelay.time(0))
            complete.completeThrough = through.map(ToldRelay.time)
            complete.isRetired = retired
            return complete
        }
        let fleet = FleetCompleteness([relay("a", 50), relay("b", 20), relay("c", 5, retired: true)])
        #expect(fleet.completeThrough == ToldRelay.time(20) && fleet.heldBackBy == ["b"])
        let unknown = FleetCompleteness([relay("a", 50), relay("b", nil)])
        #expect(unknown.completeThrough == nil && unknown.heldBackBy == ["b"])
        #expect(FleetCompleteness([relay("c", 5, retired: true)]).completeThrough == ToldRelay.time(5))
    }
}
