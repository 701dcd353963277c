// What is published when, without a server: every order is checked against what has been acknowledged.

import Central
import TestSupport
import Testing

@Suite("publishing a batch's parts")
struct PublishStateMachineTests {
    typealias Machine = PublishStateMachine
    private static let second: UInt64 = 1_000_000_000

    private func parts(_ count: Int, bytes: Int = 100) -> [Machine.Part] {
        (0..<count).map { Machine.Part(isLedger: $0 == 0, bytes: bytes) }
    }

    private func published(_ orders: [Machine.Order]) -> [(part: Int, token: Machine.Token)] {
        orders.compactMap { if case .publish(_, let part, let token) = $0 { (part, token) } else { nil } }
    }

    @Test("the ledger's part goes when all others are durable, and the answer when it is (I4)")
    func order() throws {
        var machine = Machine()
        let id = machine.accepted(parts(4), at: 0)
        let first = published(machine.proceed(at: 0))
        try #require(first.map(\.part) == [1, 2, 3])
        #expect(machine.acknowledged(first[0].token, position: 5, at: 1).isEmpty)
        #expect(machine.acknowledged(first[2].token, position: 9, at: 1).isEmpty)
        #expect(machine.proceed(at: 2).isEmpty)
        #expect(machine.acknowledged(first[1].token, position: 7, at: 3).isEmpty)
        let ledger = published(machine.proceed(at: 3))
        try #require(ledger.map(\.part) == [0])
        #expect(machine.acknowledged(ledger[0].token, position: 12, at: 4) == [.succeed(id, position: 12)])
        #expect(machine.isEmpty && machine.bytesUnderWay == 0 && machine.bytesTaken == 0)
        #expect(machine.nextTime(after: 4) == nil)
    }

    @Test("one partition is only a ledger")
    func single() throws {
        var machine = Machine()
        let id = machine.accepted(parts(1), at: 0)
        let orders = published(machine.proceed(at: 0))
        try #require(orders.map(\.part) == [0])
        #expect(machine.acknowledged(orders[0].token, position: 1, at: 1) == [.succeed(id, position: 1)])
    }

    @Test("a part without an answer in time goes again, and an answer to the first time counts no more")
    func again() throws {
        var machine = Machine()
        _ = machine.accepted(parts(2), at: 0)
        let first = published(machine.proceed(at: 0))
        #expect(machine.nextTime(after: 0) == machine.limits.acknowledgeNanoseconds)
        #expect(machine.proceed(at: machine.limits.acknowledgeNanoseconds - 1).isEmpty)
        let second = published(machine.proceed(at: machine.limits.acknowledgeNanoseconds))
        try #require(first.map(\.part) == [1] && second.map(\.part) == [1])
        #expect(second[0].token != first[0].token)
        #expect(machine.acknowledged(first[0].token, position: 1, at: 5 * Self.second).isEmpty)
        #expect(published(machine.proceed(at: 5 * Self.second)).isEmpty)
        #expect(machine.bytesUnderWay == 100)
    }

    @Test("without a leader a part is tried again soon, and the batch fails when its time is over")
    func noLeader() {
        var machine = Machine()
        let id = machine.accepted(parts(2), at: 0)
        var now: UInt64 = 0
        var tries = 0
        var orders: [Machine.Order] = []
        while orders.isEmpty {
            for (_, token) in published(machine.proceed(at: now)) {
                tries += 1
                #expect(machine.refused(token, .passing, at: now).isEmpty)
            }
            guard let next = machine.nextTime(after: now) else { break }
            #expect(next > now)
            now = next
            if now >= machine.limits.batchNanoseconds { orders = machine.proceed(at: now) }
        }
        #expect(orders == [.fail(id, .timedOut)])
        #expect(tries == Int(machine.limits.batchNanoseconds / machine.limits.retryNanoseconds))
        #expect(machine.isEmpty && machine.bytesUnderWay == 0 && machine.bytesTaken == 0)
    }

    @Test("a full stream fails the batch at once, and late answers change nothing")
    func full() throws {
        var machine = Machine()
        let id = machine.accepted(parts(3), at: 0)
        let sent = published(machine.proceed(at: 0))
        try #require(sent.count == 2)
        #expect(machine.refused(sent[0].token, .final, at: 1) == [.fail(id, .refused)])
        #expect(machine.acknowledged(sent[1].token, position: 3, at: 2).isEmpty)
        #expect(machine.proceed(at: 3).isEmpty)
        #expect(machine.isEmpty && machine.bytesUnderWay == 0)
    }

    @Test("after a lost connection everything under way goes again")
    func connection() throws {
        var machine = Machine()
        _ = machine.accepted(parts(3), at: 0)
        let sent = published(machine.proceed(at: 0))
        try #require(sent.count == 2)
        #expect(machine.acknowledged(sent[0].token, position: 1, at: 1).isEmpty)
        machine.connectionLost(at: 2)
        #expect(machine.bytesUnderWay == 0)
        #expect(published(machine.proceed(at: 2)).isEmpty)
        #expect(published(machine.proceed(at: 2 + machine.limits.retryNanoseconds)).map(\.part) == [2])
    }

    @Test("bytes and messages under way have limits, and one message larger than that goes alone")
    func limits() throws {
        var limits = Machine.Limits()
        limits.bytesUnderWay = 250
        limits.messagesUnderWay = 10
        var machine = Machine(limits: limits)
        _ = machine.accepted(parts(8), at: 0)
        let first = published(machine.proceed(at: 0))
        try #require(first.count == 2)
        #expect(machine.acknowledged(first[0].token, position: 1, at: 1).isEmpty)
        #expect(published(machine.proceed(at: 1)).count == 1)
        var other = Machine(limits: limits)
        _ = other.accepted(parts(2, bytes: 1_000), at: 0)
        #expect(published(other.proceed(at: 0)).count == 1)
        limits.messagesUnderWay = 3
        var third = Machine(limits: limits)
        _ = third.accepted(parts(8, bytes: 1), at: 0)
        #expect(published(third.proceed(at: 0)).count == 3)
        limits.batchesTaken = 1
        var fourth = Machine(limits: limits)
        #expect(fourth.hasRoomForABatch)
        _ = fourth.accepted(parts(2), at: 0)
        #expect(!fourth.hasRoomForABatch)
    }

    @Test(
        "whatever is lost, refused or late: a batch succeeds only when all its parts are durable, and is answered once",
        arguments: 1...20)
    func chance(_ round: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var generator = SeededGenerator(seed: seed)
        var limits = Machine.Limits()
        limits.bytesUnderWay = 1_000
        var machine = Machine(limits: limits)
        var durable: [Machine.BatchID: Set<Int>] = [:]
        var answered: [Machine.BatchID: Int] = [:]
        var flying: [(id: Machine.BatchID, part: Int, token: Machine.Token)] = []
        var counts: [Machine.BatchID: Int] = [:]
        var now: UInt64 = 0
        func carryOut(_ orders: [Machine.Order]) {
            for order in orders {
                switch order {
                case .publish(let id, let part, let token):
                    if part == 0 {
                        #expect(
                            durable[id, default: []].subtracting([0]).count == (counts[id] ?? 0) - 1, "seed \(seed)")
                    }
                    flying.append((id, part, token))
                case .succeed(let id, _):
                    #expect(durable[id]?.count == counts[id], "seed \(seed)")
                    answered[id, default: 0] += 1
                case .fail(let id, _): answered[id, default: 0] += 1
                }
            }
        }
        for _ in 0..<2_000 {
            if counts.count < 40, Int.random(in: 0..<10, using: &generator) == 0 {
                let count = Int.random(in: 1...8, using: &generator)
                counts[machine.accepted(parts(count), at: now)] = count
            }
            carryOut(machine.proceed(at: now))
            #expect(machine.bytesUnderWay <= 1_000, "seed \(seed)")
            if !flying.isEmpty, Int.random(in: 0..<3, using: &generator) > 0 {
                let one = flying.remove(at: Int.random(in: 0..<flying.count, using: &generator))
                switch Int.random(in: 0..<20, using: &generator) {
                case 0: break
                case 1: carryOut(machine.refused(one.token, .passing, at: now))
                case 2: carryOut(machine.refused(one.token, .final, at: now))
                case 3: machine.connectionLost(at: now)
                default:
                    durable[one.id, default: []].insert(one.part)
                    carryOut(machine.acknowledged(one.token, position: now + 1, at: now))
                }
            }
            now += UInt64.random(in: 0...400_000_000, using: &generator)
        }
        for _ in 0..<200 {
            now += Self.second
            carryOut(machine.proceed(at: now))
        }
        #expect(machine.isEmpty && machine.bytesUnderWay == 0 && machine.bytesTaken == 0, "seed \(seed)")
        #expect(answered.count == counts.count && answered.values.allSatisfy { $0 == 1 }, "seed \(seed)")
    }
}
