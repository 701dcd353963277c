// What a node that archives does next, without threads: facts and times in, orders out.

import Central
import Testing

@Suite("what an owner of partitions does next") struct ArchiverStateMachineTests {
    private var machine = ArchiverStateMachine()
    private static let second: UInt64 = 1_000_000_000

    private static func milliseconds(_ nanoseconds: UInt64) -> Int { Int(nanoseconds / 1_000_000) }

    /// Rests until an order comes that is none to rest; the time of it.
    private mutating func wait(_ owned: Set<Int>, from start: UInt64) -> (ArchiverStateMachine.Order, UInt64) {
        var now = start
        while true {
            let order = machine.next(owned: owned, at: now)
            guard case .rest(let seconds) = order, now < start + 120 * Self.second else { return (order, now) }
            precondition(seconds > 0, "a rest takes time")
            now += max(1, UInt64(seconds * 1e9))
        }
    }

    private mutating func open(_ owned: Set<Int>, at start: UInt64 = 0) -> UInt64 {
        let (order, now) = wait(owned, from: start)
        #expect(order == .open(owned.sorted()))
        machine.opened(owned.sorted())
        return now
    }

    @Test("a node that owns nothing rests")
    mutating func nothing() {
        guard case .rest = wait([], from: 0).0 else {
            Issue.record("it has nothing to do")
            return
        }
    }

    @Test("partitions are opened once the owned set has been the same for a moment, then archived again and again")
    mutating func opens() {
        #expect(machine.next(owned: [1, 4], at: 0) != .open([1, 4]))
        #expect(machine.next(owned: [1], at: Self.second / 4) != .open([1]))
        let (order, now) = wait([1, 4], from: Self.second / 2)
        #expect(order == .open([1, 4]) && now >= Self.second)
        machine.opened([1, 4])
        for step in 0..<5 as Range<UInt64> {
            #expect(machine.next(owned: [1, 4], at: now + step) == .archive)
            if step > 2 { machine.archived() }
        }
    }

    @Test("another owned set closes the archiver at once and opens the new one soon")
    mutating func change() {
        let now = open([1, 2])
        #expect(machine.next(owned: [2], at: now) == .close)
        machine.closed()
        let (order, later) = wait([2], from: now)
        #expect(order == .open([2]) && later - now <= Self.second)
        machine.opened([2])
        #expect(machine.next(owned: [], at: later) == .close)
    }

    @Test("a commit lost to another node is a short pause, longer each time, and never the end")
    mutating func contested() {
        var now = open([3])
        var pauses: [Int] = []
        for _ in 0..<8 {
            machine.failed(.anotherWriter, at: now)
            let (order, later) = wait([3], from: now)
            #expect(order == .archive, "the archiver stays: its next call begins with a recovery")
            pauses.append(Self.milliseconds(later - now))
            now = later
        }
        #expect(pauses == pauses.sorted() && pauses[0] <= 500 && pauses[7] <= 5_000)
        machine.archived()
        machine.failed(.anotherWriter, at: now)
        #expect(Self.milliseconds(wait([3], from: now).1 - now) == pauses[0], "a commit makes it forget")
    }

    @Test("a store that fails is asked less and less often, and a stream that pauses at least every few seconds")
    mutating func failures() {
        var now = open([0])
        for (failure, limit) in [(ArchiverStateMachine.Failure.archive, 30_000), (.stream, 4_000)] {
            machine.archived()
            var last = 0
            for _ in 0..<20 {
                machine.failed(failure, at: now)
                let (order, later) = wait([0], from: now)
                #expect(order == .archive)
                let pause = Self.milliseconds(later - now)
                #expect(pause >= last && pause <= limit)
                last = pause
                now = later
            }
            #expect(last == limit)
        }
    }

    @Test("what lasts is tried again from the lake's word, and a change of partitions does not wait for it")
    mutating func lasting() {
        let now = open([0, 1])
        machine.failed(.lasting, at: now)
        #expect(machine.next(owned: [0, 1], at: now) == .close)
        machine.closed()
        let (order, later) = wait([0, 1], from: now)
        #expect(order == .open([0, 1]) && later - now >= 25 * Self.second)
        machine.failed(.lasting, at: later)
        let (other, soon) = wait([1], from: later)
        #expect(other == .open([1]) && soon - later <= Self.second)
    }

    @Test("every error of the archive is a failure that is tried again")
    func errors() {
        let contested = ArchiveError.anotherWriter(table: "reports", application: "archiver-p00", found: 3)
        #expect(ArchiverStateMachine.Failure(contested) == .anotherWriter)
        #expect(ArchiverStateMachine.Failure(.conversion(type: "OutOfMemory")) == .archive)
        #expect(ArchiverStateMachine.Failure(.tooManyConflicts(table: "reports", attempts: 3)) == .archive)
        #expect(ArchiverStateMachine.Failure(.wrongCluster(detail: "")) == .lasting)
        #expect(ArchiverStateMachine.Failure(.damagedLog(key: "", detail: "")) == .lasting)
    }
}
