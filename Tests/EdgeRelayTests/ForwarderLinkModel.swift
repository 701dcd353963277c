// A link and a central in miniature: the real state machine with simulated time, bandwidth, round trip and outages. It
// checks at every order what must always hold: no number is in two requests at once, none is sent that does not exist
// or that central said to have archived, and the requests keep to the credit.

import EdgeRelay
import SyncProtocol
import Testing
import TestSupport

struct ForwarderLinkModel {
    enum Weather { case up, blackhole, refused, acknowledgementsLost, portal, overloaded(Double) }

    struct Request {
        let id: UInt64
        let order: ForwarderStateMachine.Batch?
        let numbers: IntervalSet
        let wireBytes: Double
        var remaining: Double
        let deadline: UInt64
        let address: Int
        let startedAt: UInt64
        /// When its answer arrives; nil while it is still being sent.
        var answerAt: UInt64?
        var answer: Acknowledgement?
        var failure: ForwarderStateMachine.Failure?
    }

    static let step: UInt64 = 20_000_000
    static let epoch = "e"

    var machine: ForwarderStateMachine
    var random: SeededGenerator
    var now: UInt64 = 1_000_000_000
    var bytesPerSecond: Double
    var roundTripSeconds = 0.05
    /// Per address.
    var weather: (_ address: Int, _ seconds: Double) -> Weather = { _, _ in .up }
    var alertEvery = 100
    var recordsPerSecond = 0.0
    var lineBytes = 1_500
    var archiveEverySeconds = 2.0
    var creditInFlight = 4

    // What happened.
    var requests: [Request] = []
    var committed: Int64 = 0
    var committedAt: [UInt64] = []
    var alerts = IntervalSet()
    var received = IntervalSet()
    var archived = IntervalSet()
    var receivedAt: [Int64: UInt64] = [:]
    var ordered = IntervalSet()
    var wireBytesSent = 0.0
    var wireBytesOfLane: [ForwarderLane: Double] = [:]
    var acknowledgedAt: [UInt64] = []
    var attemptsAt: [UInt64] = []
    var addressesUsed: [Int] = []
    var restarts = 0
    private var owed = 0.0
    private var nextLook: UInt64 = 0
    private var nextArchive: UInt64 = 0
    private let start: UInt64 = 1_000_000_000

    init(
        seed: UInt64, bytesPerSecond: Double, backlog: Int64 = 0,
        limits: ForwarderStateMachine.Limits = .init(maxInFlight: 4, maxBatchBytes: 1 << 20)
    ) {
        random = SeededGenerator(seed: seed)
        self.bytesPerSecond = bytesPerSecond
        creditInFlight = limits.maxInFlight
        machine = ForwarderStateMachine(limits: limits)
        machine.epochOpened(Self.epoch, through: 0, archived: IntervalSet(), isCurrent: true)
        // The backlog is a day old.
        if backlog > 0 {
            commit(backlog)
            committedAt = committedAt.map { _ in 0 }
            now += 10_000_000_000
            machine.committed(Self.epoch, through: committed, at: now)
        }
    }

    var seconds: Double { Double(now - start) / 1e9 }

    mutating func commit(_ count: Int64) {
        var new = IntervalSet()
        for n in committed + 1...committed + count where Int(n) % alertEvery == 0 { new.insert(n) }
        committed += count
        committedAt.append(contentsOf: Array(repeating: now, count: Int(count)))
        alerts.formUnion(new)
        machine.committed(Self.epoch, through: committed, alerts: new, at: now)
        nextLook = 0
    }

    /// Age of the newest record that central has: how old its picture is.
    var pictureAge: Double {
        let newest = received.max ?? 0
        guard newest < committed else { return 0 }
        return Double(now - committedAt[Int(newest)]) / 1e9
    }

    mutating func run(seconds: Double, until done: (ForwarderLinkModel) -> Bool = { _ in false }) {
        let end = now + UInt64(seconds * 1e9)
        while now < end, !done(self) {
            now += Self.step
            owed += recordsPerSecond * Double(Self.step) / 1e9
            if owed >= 1 {
                commit(Int64(owed))
                owed -= owed.rounded(.down)
            }
            if now >= nextArchive {
                archived.formUnion(received)
                nextArchive = now + UInt64(archiveEverySeconds * 1e9)
            }
            moveBytes()
            finish()
            // What was given up its owner ends.
            requests.removeAll { !machine.isInFlight($0.id) }
            if now >= nextLook { takeOrders() }
        }
    }

    // MARK: The link

    private mutating func moveBytes() {
        let moving = requests.indices.filter { index in
            guard requests[index].answerAt == nil else { return false }
            switch weather(requests[index].address, seconds) {
            case .blackhole, .refused: return false
            default: return true
            }
        }
        guard !moving.isEmpty else { return }
        let share = bytesPerSecond * Double(Self.step) / 1e9 / Double(moving.count)
        for index in moving {
            requests[index].remaining -= share
            if requests[index].remaining <= 0 { arrive(index) }
        }
    }

    /// The request is at central, which answers.
    private mutating func arrive(_ index: Int) {
        let request = requests[index]
        requests[index].answerAt = now + UInt64(roundTripSeconds / 2 * 1e9)
        switch weather(request.address, seconds) {
        case .portal: requests[index].failure = .unreachable
        case .overloaded(let seconds): requests[index].failure = .overloaded(retryAfterSeconds: seconds)
        default:
            for range in request.numbers.ranges {
                for n in range where !received.contains(n) { receivedAt[n] = now }
            }
            received.formUnion(request.numbers)
            requests[index].answer = Acknowledgement(
                received: received, archived: archived,
                credit: Credit(maxBytes: 1 << 20, maxInFlight: creditInFlight))
            if case .acknowledgementsLost = weather(request.address, seconds) {
                requests[index].answerAt = .max
            }
        }
    }

    private mutating func finish() {
        for request in requests where machine.isInFlight(request.id) {
            if let at = request.answerAt, now >= at {
                end(request)
                if let answer = request.answer {
                    if request.order != nil { acknowledgedAt.append(now) }
                    machine.acknowledged(
                        request.id, answer, roundTripSeconds: roundTripSeconds, at: now, jitter: jitter())
                } else {
                    machine.failed(request.id, request.failure ?? .unreachable, at: now, jitter: jitter())
                }
            } else if case .refused = weather(request.address, seconds) {
                end(request)
                machine.failed(request.id, .unreachable, at: now, jitter: jitter())
            } else if now >= request.deadline {
                end(request)
                machine.failed(request.id, .timedOut, at: now, jitter: jitter())
            }
        }
    }

    private mutating func end(_ request: Request) {
        requests.removeAll { $0.id == request.id }
        nextLook = 0
    }

    private mutating func jitter() -> Double { Double.random(in: 0...1, using: &random) }

    // MARK: The owner

    private mutating func takeOrders() {
        while true {
            switch machine.nextOrder(at: now) {
            case .send(let order): send(order)
            case .ask(let question):
                begin(
                    Request(
                        id: question.id, order: nil, numbers: IntervalSet(), wireBytes: 400, remaining: 400,
                        deadline: now + UInt64(question.timeoutSeconds * 1e9), address: question.address,
                        startedAt: now))
            case .restartConnection:
                restarts += 1
                requests = []
            case .wait(let until), .idle(let until):
                #expect(until > now, "a wait that is over already would spin")
                nextLook = until
                return
            }
        }
    }

    private mutating func send(_ order: ForwarderStateMachine.Batch) {
        let fitting = Int64(max(1, order.maxBytes / lineBytes))
        let all = 1...max(1, committed)
        let numbers =
            order.newestFirst
            ? order.numbers.highest(in: all, numbers: fitting, ranges: .max)
            : order.numbers.lowest(in: all, numbers: fitting, ranges: .max)
        #expect(!numbers.isEmpty && (numbers.max ?? 0) <= committed)
        #expect(requests.allSatisfy { $0.numbers.intersection(order.numbers).isEmpty }, "a number is in two requests")
        #expect(requests.filter { $0.order != nil }.count < creditInFlight, "more requests than central's credit")
        if order.lane == .alerts { #expect(numbers.subtracting(alerts).isEmpty, "only alerts in the alerts' lane") }
        let lines = numbers.count * lineBytes
        let wire = 300 + Double(lines) * 0.2
        guard
            let allowed = machine.batchRead(
                order.id, numbers: numbers, lineBytes: lines, wireBytes: Int(wire), at: now)
        else { return }
        ordered.formUnion(numbers)
        wireBytesSent += wire
        wireBytesOfLane[order.lane, default: 0] += wire
        begin(
            Request(
                id: order.id, order: order, numbers: numbers, wireBytes: wire, remaining: wire + 500,
                deadline: now + UInt64(allowed * 1e9), address: order.address, startedAt: now))
    }

    private mutating func begin(_ request: Request) {
        attemptsAt.append(now)
        if request.order != nil { addressesUsed.append(request.address) }
        requests.append(request)
    }
}
