// The forwarder when things go wrong: pauses, other addresses, answers that are none, requests that never end, sets
// with very many gaps.

import EdgeRelay
import SyncProtocol
import Testing

@Suite("the forwarder in trouble")
struct ForwarderRecoveryTests {
    private static let second: UInt64 = 1_000_000_000

    private func machine(
        through: Int64 = 100, addresses: Int = 1, _ change: (inout ForwarderStateMachine.Limits) -> Void = { _ in }
    ) -> ForwarderStateMachine {
        var limits = ForwarderStateMachine.Limits(maxInFlight: 4, maxBatchBytes: 1 << 20)
        limits.addresses = addresses
        change(&limits)
        var machine = ForwarderStateMachine(limits: limits)
        machine.epochOpened("e", through: through, archived: IntervalSet(), isCurrent: true)
        return machine
    }

    private func send(_ machine: inout ForwarderStateMachine, at now: UInt64) throws -> ForwarderStateMachine.Batch {
        let order = machine.nextOrder(at: now)
        guard case .send(let batch) = order else {
            Issue.record("expected a batch, got \(order)")
            throw CancellationError()
        }
        let count = batch.numbers.count
        _ = machine.batchRead(
            batch.id, numbers: batch.numbers, lineBytes: count * 1_500, wireBytes: count * 300, at: now)
        return batch
    }

    private func pause(_ machine: inout ForwarderStateMachine, at now: UInt64) throws -> UInt64 {
        let order = machine.nextOrder(at: now)
        guard case .wait(let until) = order else {
            Issue.record("expected a pause, got \(order)")
            throw CancellationError()
        }
        return until
    }

    @Test("after the k-th failure in a row it pauses at most base·2^k seconds and never longer than five minutes")
    func backoff() throws {
        var machine = machine(through: 10_000)
        var now: UInt64 = 1
        var longest = 0.0
        for failure in 0..<40 {
            let sent = try send(&machine, at: now)
            if failure > 0 { _ = try pause(&machine, at: now) }
            now += Self.second / 10
            machine.failed(sent.id, .unreachable, at: now, jitter: 1)
            let until = try pause(&machine, at: now)
            let seconds = Double(until - now) / 1e9
            let ceiling = failure < 30 ? min(300, 0.25 * Double(1 << failure)) : 300
            #expect(seconds <= ceiling + 0.001)
            longest = max(longest, seconds)
            now = until
        }
        #expect(longest == 300)
        let probe = try send(&machine, at: now)
        machine.acknowledged(probe.id, Acknowledgement(received: probe.numbers, archived: IntervalSet()), at: now + 1)
        #expect(machine.consecutiveFailures == 0)
        _ = try send(&machine, at: now + Self.second)
    }

    @Test("the pause is anywhere between nothing and its ceiling: relays that lost central together do not return so")
    func fullJitter() throws {
        for (jitter, expected) in [(0.0, 0.0), (0.5, 4.0), (1.0, 8.0)] {
            var machine = machine(through: 10_000)
            var now: UInt64 = 1
            for _ in 0..<6 {
                now = max(now, machine.pausedUntil)
                let sent = try send(&machine, at: now)
                machine.failed(sent.id, .overloaded(retryAfterSeconds: nil), at: now, jitter: jitter)
            }
            #expect(abs(Double(machine.pausedUntil - now) / 1e9 - expected) < 0.01)
        }
    }

    @Test("requests that fail together count as one failure")
    func togetherIsOne() throws {
        var machine = machine(through: 10_000)
        let first = try send(&machine, at: 1)
        machine.acknowledged(first.id, Acknowledgement(received: first.numbers, archived: IntervalSet()), at: 2)
        let batches = [try send(&machine, at: 3), try send(&machine, at: 4)]
        for batch in batches { machine.failed(batch.id, .timedOut, at: 10 * Self.second, jitter: 1) }
        #expect(machine.consecutiveFailures == 1)
    }

    @Test("Retry-After is a floor under the pause, five minutes its ceiling, and alerts wait too")
    func retryAfter() throws {
        var machine = machine()
        let sent = try send(&machine, at: 1)
        machine.failed(sent.id, .overloaded(retryAfterSeconds: 30), at: 1, jitter: 0)
        machine.committed("e", through: 101, alerts: IntervalSet(101...101), at: 2)
        #expect(machine.nextOrder(at: 2) == .wait(until: 1 + 30 * Self.second))
        let again = try send(&machine, at: 31 * Self.second)
        machine.failed(again.id, .overloaded(retryAfterSeconds: 86_400), at: 31 * Self.second, jitter: 0)
        #expect(try pause(&machine, at: 31 * Self.second) == 331 * Self.second)
    }

    @Test("an answer that is not an acknowledgement, for hours, resets nothing and settles nothing (F68)")
    func portal() throws {
        var machine = machine()
        var now: UInt64 = 1
        for attempt in 1...20 {
            let sent = try send(&machine, at: now)
            machine.failed(sent.id, .unreachable, at: now + 1, jitter: 1)
            #expect(machine.consecutiveFailures == attempt)
            now = machine.pausedUntil
        }
        #expect(machine.waiting == 100)
        #expect(machine.epochs[0].unsent == IntervalSet(1...100))
    }

    @Test("with several addresses it goes to the next at once, pauses after a round, and returns to the first")
    func failover() throws {
        var machine = machine(through: 10_000, addresses: 3) { $0.preferFirstAfterSeconds = 100 }
        var now: UInt64 = Self.second
        var used: [Int] = []
        for _ in 0..<6 {
            now = max(now, machine.pausedUntil)
            let sent = try send(&machine, at: now)
            used.append(sent.address)
            machine.failed(sent.id, .unreachable, at: now, jitter: 1)
        }
        #expect(used == [0, 1, 2, 0, 1, 2])
        // One round is one failure: 0.25 s, then 0.5 s, and no tenth of a minute after six.
        #expect(Double(machine.pausedUntil - now) / 1e9 <= 0.51)
        now = machine.pausedUntil
        let first = try send(&machine, at: now)
        machine.failed(first.id, .forbidden, at: now, jitter: 0)
        now = max(now, machine.pausedUntil)
        let sent = try send(&machine, at: now)
        #expect(sent.address == 1)
        machine.acknowledged(sent.id, Acknowledgement(received: sent.numbers, archived: IntervalSet()), at: now)
        // It works: no look at the first before its time, then a question, and no failure if that is not answered.
        let later = now + 101 * Self.second
        guard case .ask(let look) = machine.nextOrder(at: later), look.address == 0 else {
            Issue.record("it looks whether the first address answers again")
            return
        }
        machine.failed(look.id, .unreachable, at: later, jitter: 1)
        #expect(machine.consecutiveFailures == 0 && machine.address == 1)
        let much = later + 201 * Self.second
        guard case .ask(let second) = machine.nextOrder(at: much), second.address == 0 else {
            Issue.record("it looks again after twice the time")
            return
        }
        machine.acknowledged(second.id, Acknowledgement(received: sent.numbers, archived: IntervalSet()), at: much)
        #expect(machine.address == 0)
    }

    @Test("a request that outlives its deadline is given up: new connections, and its records go again")
    func stuckRequest() throws {
        var machine = machine(addresses: 2)
        let sent = try send(&machine, at: Self.second)
        var order = machine.nextOrder(at: 2 * Self.second)
        var now = 2 * Self.second
        while order != .restartConnection, now < 60 * Self.second {
            now += Self.second
            if case .send(let batch) = order { machine.failed(batch.id, .unreadable, at: now, jitter: 0) }
            order = machine.nextOrder(at: now)
        }
        #expect(order == .restartConnection && now <= 22 * Self.second)
        #expect(machine.restarts == 1 && machine.address == 1)
        let again = try send(&machine, at: now + Self.second)
        #expect(again.numbers.contains(1))
        // Its late answer is not listened to.
        machine.acknowledged(sent.id, Acknowledgement(received: sent.numbers, archived: sent.numbers), at: now)
        #expect(machine.waiting == 100)
    }

    @Test("a central that answers and takes nothing is asked less often, and left for a new connection in a minute")
    func noProgress() throws {
        var machine = machine()
        var now = Self.second
        var attempts = 0
        while machine.restarts == 0, now < 120 * Self.second {
            now += Self.second / 10
            guard case .send(let batch) = machine.nextOrder(at: now) else { continue }
            attempts += 1
            _ = machine.batchRead(batch.id, numbers: batch.numbers, lineBytes: 1_000, wireBytes: 400, at: now)
            machine.acknowledged(
                batch.id, Acknowledgement(received: IntervalSet(), archived: IntervalSet()), at: now, jitter: 0.5)
        }
        #expect(machine.restarts == 1)
        #expect(attempts < 30, "\(attempts) attempts")
    }

    @Test("a relay that works, or has nothing to send, or is told to wait, is never restarted")
    func quietIsNotStuck() throws {
        var idle = machine(through: 0)
        var waiting = machine()
        let sent = try send(&waiting, at: 1)
        for second in 1..<1_000 as Range<UInt64> {
            let now = second * Self.second
            if case .ask(let question) = idle.nextOrder(at: now) {
                idle.acknowledged(
                    question.id, Acknowledgement(received: IntervalSet(), archived: IntervalSet()), at: now)
            }
            if second == 2 { waiting.failed(sent.id, .overloaded(retryAfterSeconds: 290), at: now, jitter: 0) }
            if second < 290 { _ = waiting.nextOrder(at: now) }
        }
        #expect(idle.restarts == 0 && waiting.restarts == 0)
    }

    @Test("100,000 gaps are drained in batches of many ranges, and no order looks at the records one by one")
    func manyGaps() throws {
        let gaps: Int64 = 100_000
        // Three of each hundred thousand records are left, in a life of ten thousand million.
        var machine = ForwarderStateMachine(limits: .init(maxInFlight: 4, maxBatchBytes: 8 << 20))
        let width: Int64 = 100_000
        let archived = IntervalSet((0..<gaps).map { $0 * width + 4...($0 + 1) * width })
        machine.epochOpened("e", through: gaps * width, archived: archived, isCurrent: true)
        #expect(machine.waiting == Int(gaps) * 3)
        var received = IntervalSet()
        var batches = 0
        var now = Self.second
        while received.count < Int(gaps) * 3, batches < 3_000 {
            now += Self.second / 10
            guard case .send(let batch) = machine.nextOrder(at: now) else { continue }
            batches += 1
            #expect(batch.numbers.intersection(received).isEmpty)
            _ = machine.batchRead(
                batch.id, numbers: batch.numbers, lineBytes: batch.numbers.count * 1_500,
                wireBytes: batch.numbers.count * 300, at: now)
            received.formUnion(batch.numbers)
            machine.acknowledged(
                batch.id, Acknowledgement(received: batch.numbers, archived: IntervalSet()), at: now + Self.second / 100
            )
        }
        #expect(received.count == Int(gaps) * 3)
        #expect(batches < 300, "\(batches) batches")
    }

    @Test("a batch larger than central's credit is not sent but split")
    func creditBytes() throws {
        var machine = machine(through: 1_000)
        let first = try send(&machine, at: 1)
        machine.acknowledged(
            first.id,
            Acknowledgement(
                received: first.numbers, archived: IntervalSet(), credit: Credit(maxBytes: 5_000, maxInFlight: 1)),
            at: 2)
        let order = machine.nextOrder(at: Self.second)
        guard case .send(let batch) = order else {
            Issue.record("expected a batch, got \(order)")
            return
        }
        // Noise hardly compresses.
        #expect(
            machine.batchRead(
                batch.id, numbers: batch.numbers, lineBytes: 20_000, wireBytes: 15_000, at: Self.second) == nil)
        guard case .send(let smaller) = machine.nextOrder(at: Self.second) else {
            Issue.record("the records go in a smaller batch")
            return
        }
        #expect(smaller.maxBytes <= 10_000 && smaller.numbers.min == batch.numbers.min)
        #expect(machine.inFlight == 1, "within the credit")
    }

    @Test("an answer that is complete only in part makes nothing outside that part be sent again")
    func incompleteAnswer() throws {
        var machine = machine(through: 30)
        var now = Self.second
        while !machine.epochs[0].unsent.isEmpty, case .send(let batch) = machine.nextOrder(at: now) {
            _ = machine.batchRead(
                batch.id, numbers: batch.numbers, lineBytes: 1_000, wireBytes: 400, at: now)
            machine.acknowledged(batch.id, Acknowledgement(received: batch.numbers, archived: IntervalSet()), at: now)
            now += Self.second
        }
        var from: [Int64] = []
        for complete in [1...10, 11...20, 21...Int64.max] {
            now += 10 * Self.second
            guard case .ask(let question) = machine.nextOrder(at: now) else {
                Issue.record("it asks")
                return
            }
            from.append(question.from)
            var answer = Acknowledgement(
                received: IntervalSet(complete).subtracting(IntervalSet(15...16)), archived: IntervalSet())
            answer.received = answer.received.intersection(IntervalSet(1...30))
            answer.complete = complete
            machine.acknowledged(question.id, answer, at: now)
            #expect(machine.epochs[0].unsent == (complete.upperBound < 15 ? IntervalSet() : IntervalSet(15...16)))
            if complete.upperBound == 20 {
                // What central lost goes first; then the questions go on where they were.
                guard case .send(let again) = machine.nextOrder(at: now) else { return }
                machine.failed(again.id, .unreadable, at: now, jitter: 0)
                #expect(machine.epochs[0].unsent.isEmpty)
                break
            }
        }
        #expect(from == [1, 11])
    }
}
