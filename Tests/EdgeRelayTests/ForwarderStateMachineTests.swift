// The forwarder's decisions one by one: what is sent, when, and what an answer may and may not make it forget.

import EdgeRelay
import SyncProtocol
import Testing

@Suite("the forwarder")
struct ForwarderStateMachineTests {
    private static let second: UInt64 = 1_000_000_000

    private func machine(
        through: Int64 = 100, inFlight: Int = 4, lingerSeconds: Double = 0.2
    ) -> ForwarderStateMachine {
        var limits = ForwarderStateMachine.Limits(maxInFlight: inFlight, maxBatchBytes: 1 << 20)
        limits.lingerSeconds = lingerSeconds
        var machine = ForwarderStateMachine(limits: limits)
        machine.epochOpened("e", through: through, archived: IntervalSet(), isCurrent: true)
        return machine
    }

    private func batch(_ order: ForwarderStateMachine.Order) throws -> ForwarderStateMachine.Batch {
        guard case .send(let batch) = order else {
            Issue.record("expected a batch, got \(order)")
            throw CancellationError()
        }
        return batch
    }

    private func question(_ order: ForwarderStateMachine.Order) throws -> ForwarderStateMachine.Question {
        guard case .ask(let question) = order else {
            Issue.record("expected a question, got \(order)")
            throw CancellationError()
        }
        return question
    }

    private func answer(received: IntervalSet, archived: IntervalSet = IntervalSet()) -> Acknowledgement {
        Acknowledgement(received: received, archived: archived)
    }

    /// Orders a batch, reads all of it and has it acknowledged.
    private func deliver(_ machine: inout ForwarderStateMachine, at now: UInt64) throws -> IntervalSet {
        let sent = try batch(machine.nextOrder(at: now))
        _ = read(&machine, sent, at: now)
        machine.acknowledged(sent.id, answer(received: sent.numbers), at: now + Self.second / 100)
        return sent.numbers
    }

    @discardableResult
    private func read(
        _ machine: inout ForwarderStateMachine, _ batch: ForwarderStateMachine.Batch, _ numbers: IntervalSet? = nil,
        at now: UInt64
    ) -> Double? {
        let numbers = numbers ?? batch.numbers
        return machine.batchRead(
            batch.id, numbers: numbers, lineBytes: numbers.count * 1_500, wireBytes: numbers.count * 300, at: now)
    }

    @Test("the backlog goes oldest first, and what a batch had no room for goes next")
    func oldestFirst() throws {
        var machine = machine()
        let first = try batch(machine.nextOrder(at: 1))
        #expect(first.lane == .backlog && first.numbers.min == 1)
        read(&machine, first, IntervalSet(1...10), at: 1)
        machine.acknowledged(first.id, answer(received: IntervalSet(1...10)), at: Self.second)
        #expect(try batch(machine.nextOrder(at: Self.second)).numbers.min == 11)
    }

    @Test("what is received is not sent again, and waits until it is archived")
    func receivedIsNotForgotten() throws {
        var machine = machine(through: 10)
        _ = try deliver(&machine, at: 1)
        #expect(machine.waiting == 10)
        let asked = try question(machine.nextOrder(at: Self.second))
        #expect(asked.epoch == "e")
        machine.acknowledged(
            asked.id, answer(received: IntervalSet(1...10), archived: IntervalSet(1...10)), at: Self.second)
        #expect(machine.waiting == 0)
    }

    @Test("received records that central no longer has when it is asked are sent again")
    func centralLostThem() throws {
        var machine = machine(through: 10)
        _ = try deliver(&machine, at: 1)
        let asked = try question(machine.nextOrder(at: Self.second))
        machine.acknowledged(asked.id, answer(received: IntervalSet(1...4)), at: Self.second)
        #expect(try batch(machine.nextOrder(at: 2 * Self.second)).numbers == IntervalSet(5...10))
    }

    @Test("an answer to a question does not make records be sent again that arrived after it was asked")
    func questionOvertaken() throws {
        var machine = machine(through: 10)
        _ = try deliver(&machine, at: 1)
        let asked = try question(machine.nextOrder(at: Self.second))
        machine.committed("e", through: 20, at: Self.second)
        #expect(try deliver(&machine, at: 2 * Self.second) == IntervalSet(11...20))
        // Central answered before 11…20 came.
        machine.acknowledged(asked.id, answer(received: IntervalSet(1...10)), at: 3 * Self.second)
        _ = try question(machine.nextOrder(at: 4 * Self.second))
    }

    @Test("an older answer that arrives late does not make received records be sent again")
    func lateAnswer() throws {
        var machine = machine(through: 6)
        let first = try batch(machine.nextOrder(at: 1))
        read(&machine, first, IntervalSet(1...3), at: 1)
        machine.committed("e", through: 9, at: 2)
        let second = try batch(machine.nextOrder(at: Self.second))
        #expect(second.lane == .live && second.numbers == IntervalSet(7...9))
        read(&machine, second, at: Self.second)
        machine.acknowledged(second.id, answer(received: IntervalSet([1...3, 7...9])), at: Self.second)
        machine.acknowledged(first.id, answer(received: IntervalSet(1...3)), at: Self.second)
        #expect(try deliver(&machine, at: 2 * Self.second) == IntervalSet(4...6))
        _ = try question(machine.nextOrder(at: 3 * Self.second))
    }

    @Test("an answer about numbers that were never given out is not believed")
    func unknownNumbers() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        read(&machine, sent, at: 1)
        machine.acknowledged(sent.id, answer(received: IntervalSet(1...1_000), archived: IntervalSet(1...1_000)), at: 2)
        machine.committed("e", through: 20, at: 3)
        #expect(machine.waiting == 10)
        #expect(try batch(machine.nextOrder(at: Self.second)).numbers.min == 11)
    }

    @Test("what central wants is sent again once, unless it is archived, under way or missing")
    func wanted() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        _ = machine.batchRead(
            sent.id, numbers: IntervalSet(2...10), missing: IntervalSet(1...1), lineBytes: 9_000, wireBytes: 2_000,
            at: 1)
        machine.acknowledged(sent.id, answer(received: IntervalSet(2...10), archived: IntervalSet(2...4)), at: 2)
        let asked = try question(machine.nextOrder(at: Self.second))
        var wish = answer(received: IntervalSet(2...10), archived: IntervalSet(2...4))
        wish.wanted = IntervalSet(1...6)
        machine.acknowledged(asked.id, wish, at: Self.second)
        let again = try batch(machine.nextOrder(at: 2 * Self.second))
        #expect(again.numbers == IntervalSet(5...6))
        read(&machine, again, at: 2 * Self.second)
        machine.acknowledged(again.id, wish, at: 3 * Self.second)
        // Repeated at once it would be a loop at the link's full speed.
        _ = try question(machine.nextOrder(at: 4 * Self.second))
    }

    @Test("a batch that is too large is split; a record that is refused again and again is set aside, not the rest")
    func poison() throws {
        var machine = machine(through: 8)
        var now: UInt64 = 1
        var acknowledged = IntervalSet()
        // Central refuses whatever holds record 5.
        for _ in 0..<200 where machine.waiting - machine.setAsideCount > acknowledged.count {
            now += 400 * Self.second
            var next = machine.nextOrder(at: now)
            if case .ask(let asked) = next {
                machine.acknowledged(asked.id, answer(received: acknowledged), at: now)
                next = machine.nextOrder(at: now)
            }
            guard case .send(let order) = next else { continue }
            let fitting = order.numbers.lowest(
                in: 1...8, numbers: max(1, Int64(order.maxBytes / 1_500)), ranges: .max)
            read(&machine, order, fitting, at: now)
            if fitting.contains(5) {
                machine.failed(order.id, .malformed, at: now, jitter: 0)
            } else {
                acknowledged.formUnion(fitting)
                machine.acknowledged(order.id, answer(received: acknowledged), at: now)
            }
        }
        #expect(machine.setAsideCount == 1)
        #expect(acknowledged == IntervalSet([1...4, 6...8]))
    }

    @Test("single live reports wait a moment for company, many do not")
    func linger() throws {
        var machine = machine(through: 0)
        machine.committed("e", through: 1, at: Self.second)
        _ = try deliver(&machine, at: Self.second)
        machine.committed("e", through: 2, at: Self.second + 20_000_000)
        #expect(machine.nextOrder(at: Self.second + 20_000_000) == .wait(until: Self.second + 200_000_000))
        machine.committed("e", through: 1_000, at: Self.second + 21_000_000)
        #expect(try batch(machine.nextOrder(at: Self.second + 21_000_000)).numbers.max == 1_000)
    }

    @Test("the longest wait for company leaves a report live")
    func longestLinger() throws {
        var machine = machine(through: 0, lingerSeconds: 4)
        machine.committed("e", through: 1, at: Self.second)
        _ = try deliver(&machine, at: Self.second)
        machine.committed("e", through: 2, at: Self.second + 1)
        #expect(machine.nextOrder(at: 2 * Self.second) == .wait(until: 5 * Self.second))
        #expect(try batch(machine.nextOrder(at: 5 * Self.second)).lane == .live)
    }

    @Test("numbers whose rows are gone are missing and hold nothing up")
    func missingRows() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        _ = machine.batchRead(
            sent.id, numbers: IntervalSet([1...2, 5...10]), missing: IntervalSet(3...4), lineBytes: 9_000,
            wireBytes: 2_000, at: 1)
        #expect(machine.missingCount == 2)
        machine.acknowledged(sent.id, answer(received: IntervalSet([1...2, 5...10])), at: 2)
        _ = try question(machine.nextOrder(at: Self.second))
    }

    @Test("records that the relay's own disk does not give hold up nothing and are tried again")
    func unreadable() throws {
        var machine = machine(through: 2_000)
        let first = try batch(machine.nextOrder(at: 1))
        machine.failed(first.id, .unreadable, at: 1, jitter: 0)
        #expect(machine.consecutiveFailures == 0, "the link did nothing wrong")
        let second = try batch(machine.nextOrder(at: Self.second))
        #expect(second.numbers.intersection(first.numbers).isEmpty)
        read(&machine, second, at: Self.second)
        machine.acknowledged(second.id, answer(received: second.numbers), at: 2 * Self.second)
        #expect(try batch(machine.nextOrder(at: 60 * Self.second)).numbers.contains(1))
    }

    @Test("an epoch of an earlier life is asked about before its records are sent again")
    func earlierEpoch() throws {
        var machine = ForwarderStateMachine(limits: .init(maxInFlight: 4, maxBatchBytes: 1 << 20))
        machine.epochOpened("old", through: 100, archived: IntervalSet())
        machine.epochOpened("new", through: 0, archived: IntervalSet(), isCurrent: true)
        let asked = try question(machine.nextOrder(at: 1))
        #expect(asked.epoch == "old")
        machine.acknowledged(asked.id, answer(received: IntervalSet(1...90)), at: 2)
        let sent = try batch(machine.nextOrder(at: 3))
        #expect(sent.epoch == "old" && sent.numbers == IntervalSet(91...100))
    }
}
