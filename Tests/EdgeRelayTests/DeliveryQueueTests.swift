// What a target is sent, in which order and when again. Time is a number here.

import EdgeRelay
import Models
import Testing
import TestSupport

private let second: UInt64 = 1_000_000_000
private let start: UInt64 = 1_000_000 * second

private func alert(_ number: Int, _ severity: AlertSeverity = .warning) -> Alert {
    let digits = String(number)
    return Alert(
        alertID: String(repeating: "0", count: 32 - digits.count) + digits, rule: "r", ruleVersion: 1,
        severity: severity, droneID: "d", observedAt: Timestamp(microseconds: 0),
        receivedAt: Timestamp(microseconds: 0),
        raisedAt: Timestamp(microseconds: 0), relayID: "r")
}

extension DeliveryQueue.Decision {
    fileprivate var number: Int? {
        switch self {
        case .attempt(let item), .giveUp(let item): Int(item.alert.alertID)
        case .wait: nil
        }
    }

    fileprivate var isWait: Bool { if case .wait = self { true } else { false } }
}

@Suite("a target's queue")
struct DeliveryQueueTests {
    @Test("the gravest goes first, and among equals the oldest")
    func order() {
        var queue = DeliveryQueue()
        for (number, severity) in [(1, AlertSeverity.info), (2, .critical), (3, .warning), (4, .critical)] {
            #expect(queue.added(alert(number, severity), since: start) == nil)
        }
        var order: [Int] = []
        while let number = queue.next(at: start).number {
            order.append(number)
            queue.succeeded(alert(number).alertID)
        }
        #expect(order == [2, 4, 3, 1])
        #expect(queue.count == 0 && queue.next(at: start) == .wait(until: nil))
    }

    @Test("an alert that waits already is not queued twice")
    func once() {
        var queue = DeliveryQueue()
        #expect(queue.added(alert(1), since: start) == nil)
        #expect(queue.added(alert(1), since: start) == nil)
        #expect(queue.count == 1)
    }

    @Test("after a failure of the target the wait doubles up to its bound, with full jitter")
    func backoff() {
        var queue = DeliveryQueue()
        _ = queue.added(alert(1), since: start)
        var now = start
        var waits: [Double] = []
        for _ in 0..<9 {
            #expect(queue.next(at: now).number == 1)
            queue.failed(alert(1).alertID, .target, unit: 0.5, at: now)
            guard case .wait(let until?) = queue.next(at: now) else {
                Issue.record("nothing to wait for")
                return
            }
            waits.append(Double(until - now) / 1e9)
            now = until
        }
        #expect(waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30])
    }

    @Test("a new alert finds out that a dead target lives again; what waited then goes at once")
    func probe() {
        var queue = DeliveryQueue()
        _ = queue.added(alert(1), since: start)
        #expect(queue.next(at: start).number == 1)
        for _ in 0..<8 { queue.failed(alert(1).alertID, .target, unit: 0.99, at: start) }
        #expect(queue.next(at: start + 2 * second).isWait)
        _ = queue.added(alert(2), since: start + 2 * second)
        #expect(queue.next(at: start + 2 * second).number == 2)
        queue.succeeded(alert(2).alertID)
        #expect(queue.next(at: start + 2 * second).number == 1)
    }

    @Test("a storm of new alerts tries a dead target at most once a second")
    func probesAreBounded() {
        var queue = DeliveryQueue()
        for number in 1...1_000 { _ = queue.added(alert(number), since: start) }
        var tries = 0
        var now = start
        while now < start + 60 * second {
            switch queue.next(at: now) {
            case .attempt(let item):
                tries += 1
                queue.failed(item.alert.alertID, .target, unit: 0.99, at: now)
            case .wait(let until): now = max(now + 1, until ?? .max)
            case .giveUp: Issue.record("nothing is 24 h old")
            }
        }
        #expect((50...61).contains(tries), "\(tries) tries in a minute")
    }

    @Test("one alert that a target refuses does not hold up the others")
    func poison() {
        var queue = DeliveryQueue()
        _ = queue.added(alert(1), since: start)
        _ = queue.added(alert(2), since: start)
        #expect(queue.next(at: start).number == 1)
        queue.failed(alert(1).alertID, .message, unit: 0.9, at: start)
        #expect(queue.next(at: start).number == 2)
        queue.succeeded(alert(2).alertID)
        #expect(queue.next(at: start).isWait)
        #expect(queue.next(at: start + second).number == 1)
    }

    @Test("a target's Retry-After is kept")
    func retryAfter() {
        var queue = DeliveryQueue()
        _ = queue.added(alert(1), since: start)
        _ = queue.next(at: start)
        queue.failed(alert(1).alertID, .target, retryAfterSeconds: 90, unit: 0, at: start)
        #expect(queue.next(at: start + 89 * second).isWait)
        #expect(queue.next(at: start + 90 * second).number == 1)
    }

    @Test("24 hours after it was raised an alert is given up, tried or not")
    func givenUp() {
        var queue = DeliveryQueue()
        _ = queue.added(alert(1), since: start)
        _ = queue.next(at: start)
        queue.failed(alert(1).alertID, .target, unit: 0, at: start)
        _ = queue.added(alert(2), since: start)
        let day = start + 24 * 3600 * second
        #expect(queue.next(at: day - 1).number == 2)
        queue.failed(alert(2).alertID, .target, unit: 0, at: day - 1)
        var given: Set<Int> = []
        while case .giveUp(let item) = queue.next(at: day) { given.insert(Int(item.alert.alertID) ?? 0) }
        #expect(given == [1, 2] && queue.count == 0)
    }

    @Test("a full queue makes room for a graver alert and refuses a lesser one")
    func full() {
        var queue = DeliveryQueue(maxWaiting: 2)
        _ = queue.added(alert(1, .warning), since: start)
        _ = queue.added(alert(2, .warning), since: start)
        #expect(queue.added(alert(3, .info), since: start)?.alert == alert(3, .info))
        #expect(queue.added(alert(4, .critical), since: start)?.alert == alert(1, .warning))
        // Also when what waits was tried before.
        _ = queue.next(at: start)
        queue.failed(alert(4).alertID, .message, unit: 0.5, at: start)
        _ = queue.next(at: start)
        queue.failed(alert(2).alertID, .message, unit: 0.5, at: start)
        #expect(queue.added(alert(5, .critical), since: start)?.alert == alert(2, .warning))
        #expect(queue.count == 2)
    }

    @Test("whatever happens, each alert ends exactly once, and the queue keeps to its bound")
    func model() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var queue = DeliveryQueue(maxWaiting: 20)
        var open: Set<Int> = []
        var now = start
        for number in 1...5_000 {
            if let victim = queue.added(alert(number, AlertSeverity.allCases[Int(random.next() % 3)]), since: now) {
                open.insert(number)
                #expect(open.remove(Int(victim.alert.alertID) ?? 0) != nil, "seed \(seed)")
            } else {
                open.insert(number)
            }
            for _ in 0..<(random.next() % 3) {
                switch queue.next(at: now) {
                case .attempt(let item):
                    let id = item.alert.alertID
                    switch random.next() % 4 {
                    case 0: queue.failed(id, .target, unit: 0.5, at: now)
                    case 1: queue.failed(id, .message, unit: 0.5, at: now)
                    default:
                        queue.succeeded(id)
                        #expect(open.remove(Int(id) ?? 0) != nil, "seed \(seed)")
                    }
                case .giveUp(let item): #expect(open.remove(Int(item.alert.alertID) ?? 0) != nil, "seed \(seed)")
                case .wait(let until): now = max(now, until ?? now)
                }
            }
            now += random.next() % (2 * second)
            #expect(queue.count <= 20 && queue.count == open.count, "seed \(seed)")
        }
    }
}

@Suite("an alert storm")
struct StormLimitTests {
    @Test("the first alerts go out at once, those beyond the rate are counted with the next that does")
    func storm() {
        var storm = StormLimit(perSecond: 2, burst: 3)
        func raised(_ drone: String, _ at: UInt64) -> StormLimit.Verdict {
            storm.raised(rule: "r", droneID: drone, at: at)
        }
        #expect(
            (0..<5).map { _ in raised("a", start) } == [
                .goesOut(heldBack: 0), .goesOut(heldBack: 0), .goesOut(heldBack: 0), .heldBack, .heldBack,
            ])
        #expect(raised("b", start) == .goesOut(heldBack: 0))
        #expect(raised("a", start + second / 2) == .goesOut(heldBack: 2))
        #expect(raised("a", start + second / 2) == .heldBack)
    }
}
