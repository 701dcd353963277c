// The forwarder's decisions: what is sent, when, and what an answer may and may not make it forget.

import EdgeRelay
import SyncProtocol
import Testing

@Suite("the forwarder")
struct ForwarderStateMachineTests {
    private static let second: UInt64 = 1_000_000_000

    private func machine(through: Int64 = 100, inFlight: Int = 4) -> ForwarderStateMachine {
        var machine = ForwarderStateMachine(limits: .init(maxInFlight: inFlight, maxBatchBytes: 1 << 20))
        machine.epochOpened("e", through: through, archived: IntervalSet())
        return machine
    }

    private func batch(_ order: ForwarderStateMachine.Order) throws -> ForwarderStateMachine.Batch {
        guard case .send(let batch) = order else {
            Issue.record("expected a batch, got \(order)")
            throw CancellationError()
        }
        return batch
    }

    private func answer(received: IntervalSet, archived: IntervalSet = IntervalSet()) -> Acknowledgement {
        Acknowledgement(received: received, archived: archived)
    }

    @Test("a batch holds what was never sent, oldest first")
    func oldestFirst() throws {
        var machine = machine()
        let first = try batch(machine.nextOrder(at: 1))
        #expect(first.from == 1 && first.through == 100)
        machine.batchRead(first.id, range: 1...40, missing: [])
        let second = try batch(machine.nextOrder(at: Self.second))
        #expect(second.from == 41)
    }

    @Test("what is received is not sent again, and waits until it is archived")
    func receivedIsNotForgotten() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        machine.batchRead(sent.id, range: 1...10, missing: [])
        machine.acknowledged(sent.id, answer(received: IntervalSet(1...10)), at: 2)
        #expect(machine.waiting == 10)
        guard case .ask(let id, "e") = machine.nextOrder(at: Self.second) else {
            Issue.record("it asks whether they are archived")
            return
        }
        machine.acknowledged(id, answer(received: IntervalSet(1...10), archived: IntervalSet(1...10)), at: Self.second)
        #expect(machine.waiting == 0)
    }

    @Test("received records that central no longer has are sent again")
    func centralLostThem() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        machine.batchRead(sent.id, range: 1...10, missing: [])
        machine.acknowledged(sent.id, answer(received: IntervalSet(1...10)), at: 2)
        guard case .ask(let id, _) = machine.nextOrder(at: Self.second) else {
            Issue.record("it asks")
            return
        }
        machine.acknowledged(id, answer(received: IntervalSet(1...4)), at: Self.second)
        let again = try batch(machine.nextOrder(at: 2 * Self.second))
        #expect(again.from == 5 && again.through == 10)
    }

    @Test("an older answer that arrives late does not make received records be sent again")
    func lateAnswer() throws {
        var machine = machine(through: 20)
        let first = try batch(machine.nextOrder(at: 1))
        machine.batchRead(first.id, range: 1...10, missing: [])
        let second = try batch(machine.nextOrder(at: Self.second))
        machine.batchRead(second.id, range: 11...20, missing: [])
        machine.acknowledged(second.id, answer(received: IntervalSet(1...20)), at: Self.second)
        machine.acknowledged(first.id, answer(received: IntervalSet(1...10)), at: Self.second)
        guard case .ask = machine.nextOrder(at: 2 * Self.second) else {
            Issue.record("nothing is left to send")
            return
        }
    }

    @Test("an answer about numbers that were never given out is not believed")
    func unknownNumbers() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        machine.batchRead(sent.id, range: 1...10, missing: [])
        machine.acknowledged(sent.id, answer(received: IntervalSet(1...1_000), archived: IntervalSet(1...1_000)), at: 2)
        machine.committed("e", through: 20)
        #expect(machine.waiting == 10)
        #expect(try batch(machine.nextOrder(at: Self.second)).from == 11)
    }

    @Test("after a failure it pauses at most base·2^k seconds, then one request at a time probes the link")
    func backoff() throws {
        var machine = machine(through: 10_000)
        var now: UInt64 = 1
        for failure in 0..<12 {
            let sent = try batch(machine.nextOrder(at: now))
            machine.batchRead(sent.id, range: 1...10, missing: [])
            machine.failed(sent.id, .unreachable, at: now, jitter: 1)
            let ceiling = min(300, 0.25 * Double(1 << failure))
            guard case .wait(let until) = machine.nextOrder(at: now) else {
                Issue.record("it waits after a failure")
                return
            }
            #expect(abs(Double(until - now) / 1e9 - ceiling) < 0.001)
            now = until
        }
        let probe = try batch(machine.nextOrder(at: now))
        guard case .wait = machine.nextOrder(at: now) else {
            Issue.record("only one probe at a time")
            return
        }
        machine.batchRead(probe.id, range: 1...10, missing: [])
        machine.acknowledged(probe.id, answer(received: IntervalSet(1...10)), at: now)
        #expect(machine.consecutiveFailures == 0)
        let next = try batch(machine.nextOrder(at: now + Self.second))
        machine.batchRead(next.id, range: 11...20, missing: [])
        #expect(try batch(machine.nextOrder(at: now + 2 * Self.second)).from == 21, "several are in flight again")
    }

    @Test("Retry-After is a floor under the pause")
    func retryAfter() throws {
        var machine = machine()
        let sent = try batch(machine.nextOrder(at: 1))
        machine.failed(sent.id, .overloaded(retryAfterSeconds: 30), at: 1, jitter: 0)
        #expect(machine.nextOrder(at: 1) == .wait(until: 1 + 30 * Self.second))
    }

    @Test(
        "a batch that is too large is split; a single record that is refused again and again is set aside, not the rest"
    )
    func poison() throws {
        var machine = machine(through: 8)
        var now: UInt64 = 1
        var acknowledged = IntervalSet()
        // Central refuses whatever holds record 5.
        for _ in 0..<200 where machine.waiting - machine.setAsideCount > acknowledged.count {
            now += 400 * Self.second
            guard case .send(let order) = machine.nextOrder(at: now) else { continue }
            let last = min(order.through, order.from + Int64(max(1, order.maxBytes / 100_000)) - 1)
            machine.batchRead(order.id, range: order.from...last, missing: [])
            if (order.from...last).contains(5) {
                machine.failed(order.id, .malformed, at: now, jitter: 0)
            } else {
                acknowledged.insert(order.from...last)
                machine.acknowledged(order.id, answer(received: acknowledged), at: now)
            }
        }
        #expect(machine.setAsideCount == 1)
        #expect(acknowledged == IntervalSet([1...4, 6...8]))
    }

    @Test("small batches wait a moment for company, large ones do not")
    func linger() throws {
        var machine = machine(through: 1)
        let first = try batch(machine.nextOrder(at: Self.second))
        machine.batchRead(first.id, range: 1...1, missing: [])
        machine.committed("e", through: 2)
        guard case .wait = machine.nextOrder(at: Self.second + 1) else {
            Issue.record("one record waits")
            return
        }
        machine.committed("e", through: 1_000)
        #expect(try batch(machine.nextOrder(at: Self.second + 2)).from == 2)
    }

    @Test("numbers whose rows are gone are set aside and hold nothing up")
    func missingRows() throws {
        var machine = machine(through: 10)
        let sent = try batch(machine.nextOrder(at: 1))
        machine.batchRead(sent.id, range: 1...10, missing: [3...4])
        #expect(machine.missingCount == 2)
    }
}
