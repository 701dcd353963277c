// Drones, relays and central in one process, on one thread, from one seed. What decides is the product's own code; the
// clock, the disks and the network are simulated. See docs/simulation.md for what is real and what is not.

import AlertRules
import Central
import EdgeRelay
import Models
import Simulation
import Synchronization

final class World {
    /// 2026-11-20T05:00:00Z
    static let startMicroseconds: Int64 = 1_795_150_800_000_000
    static let badScoreRule = "low-peacescore"

    let options: WorldOptions
    var random: SeededRandom
    var trace: Trace
    let ledger = Ledger()
    let faults: StepFaults
    let zombie = Zombie()
    let rules: RuleSet
    let forwarderLimits: ForwarderStateMachine.Limits
    let archiveSeconds: Double
    let holdSeconds: Double
    private(set) var now: Instant = 0
    private(set) var faultsAreOn = true
    private(set) var relays: [RelayNode] = []
    private(set) var drones: [Drone] = []
    private var centralNode: CentralNode?
    private var queue = EventQueue()
    var reportsMade = 0
    var crashes = 0
    var commits = 0
    var restarts = 0
    var faultCounts: [String: Int] = [:]

    init(_ options: WorldOptions) {
        self.options = options
        var random = SeededRandom(seed: options.seed, stream: 2)
        faults = StepFaults(random: SeededRandom(seed: options.seed, stream: 3))
        faults.state.withLock { state in
            state.killChance = options.faults.stepKills
            state.storeErrorChance = options.faults.storeErrors
        }
        trace = Trace(keepsLines: options.keepsLines)
        rules = RuleSet(
            version: 1,
            rules: [
                Rule(
                    name: Self.badScoreRule, severity: .critical,
                    condition: .citizen(peacescore: Threshold(below: 20), minimumConfidence: nil)),
                Rule(name: "lost", severity: .warning, condition: .silent(seconds: 600, graceSeconds: 60)),
            ])
        var limits = ForwarderStateMachine.Limits(
            maxInFlight: 1 + random.index(below: 4), maxBatchBytes: 1 << (11 + random.index(below: 10)))
        limits.lingerSeconds = random.between(0.2, 5)
        limits.liveShare = random.between(0.1, 0.9)
        forwarderLimits = limits
        archiveSeconds = random.between(15, 150)
        holdSeconds = random.unit() < 0.5 ? 0 : random.between(60, 7_200)
        self.random = random
        build()
    }

    private func build() {
        let central = CentralNode(self)
        centralNode = central
        for number in 0..<options.relays {
            let segmentBytes = 8 << (10 + random.index(below: 4))
            let maxBytes = max(8 * segmentBytes, Int(random.between(0.3, 6) * 1e6))
            let disk = RelayDisk(
                capacity: Int(Double(maxBytes) * random.between(0.8, 2)), maxBytes: maxBytes,
                segmentBytes: segmentBytes)
            relays.append(RelayNode(self, number: number, relayID: "north-\(number)", disk: disk))
        }
        central.start()
        for relay in relays { relay.start() }
        drones = (0..<options.drones).map { Drone(self, number: $0) }
        scheduleFaults()
    }

    var central: CentralNode {
        guard let centralNode else { preconditionFailure("a world has a central") }
        return centralNode
    }

    func add(_ relay: RelayNode) { relays.append(relay) }

    // MARK: - Time

    func after(_ seconds: Double, _ action: @escaping () -> Void) { queue.add(at: now.adding(seconds), action) }

    func wallMicroseconds(offset: Double) -> Int64 {
        Self.startMicroseconds + Int64(now / 1_000) + Int64(offset * 1e6)
    }

    /// Until the time is over, nothing is left to do, or an invariant is broken.
    func run(until end: Instant) {
        while ledger.violation == nil, let next = queue.nextTime, next <= end {
            guard let event = queue.next() else { return }
            now = event.at
            event.action()
        }
        now = max(now, end)
    }

    func endFaults() {
        faultsAreOn = false
        faults.end()
    }

    // MARK: - Little helpers

    /// 128 random bits, as a relay mints them at each start.
    func newEpoch() -> String {
        [random.next(), random.next()].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }

    /// `digest`: of the batch that was answered; nil for a question.
    func sawAnswer(_ answer: HTTPAnswer, _ source: RecordSource, digest: String?) {
        guard options.faults.portal > 0 else { return }
        let seen = SeenAnswer(answer: answer, epoch: source.epoch, isBatch: digest != nil)
        for relay in relays where relay.relayID == source.relayID {
            relay.seenAnswers.append(seen)
            if relay.seenAnswers.count > 8 { relay.seenAnswers.removeFirst() }
        }
    }
}
