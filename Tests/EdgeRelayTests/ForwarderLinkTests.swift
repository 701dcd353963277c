// What the forwarder promises over bad links, each promise on the link model with several seeds.

import EdgeRelay
import SyncProtocol
import Testing

@Suite("the forwarder on a link")
struct ForwarderLinkTests {
    /// A relay of 1,000 drones that report once a minute.
    private static let liveRate = 1_000.0 / 60

    private func limits(
        inFlight: Int = 4, _ change: (inout ForwarderStateMachine.Limits) -> Void = { _ in }
    ) -> ForwarderStateMachine.Limits {
        var limits = ForwarderStateMachine.Limits(maxInFlight: inFlight, maxBatchBytes: 1 << 20)
        change(&limits)
        return limits
    }

    @Test(
        "every committed record arrives, whatever the link does, and only what existed was sent",
        arguments: [UInt64(1), 2, 3, 4])
    func everythingArrives(seed: UInt64) {
        var model = ForwarderLinkModel(seed: seed, bytesPerSecond: 40_000, backlog: 3_000)
        model.recordsPerSecond = 20
        let phase = Double(seed % 3)
        model.weather = { _, seconds in
            switch Int(seconds + phase) % 60 {
            case 10..<17: .blackhole
            case 20..<24: .refused
            case 30..<38: .acknowledgementsLost
            case 42..<46: .portal
            case 50..<52: .overloaded(3)
            default: .up
            }
        }
        model.run(seconds: 240)
        model.recordsPerSecond = 0
        model.weather = { _, _ in .up }
        model.run(seconds: 600) { $0.received.count == Int($0.committed) }
        #expect(model.received == IntervalSet(1...model.committed), "seed \(seed)")
        #expect(model.ordered == IntervalSet(1...model.committed), "seed \(seed)")
        model.run(seconds: 30)
        #expect(model.machine.waiting == 0, "seed \(seed): all archived")
    }

    @Test(
        "while a backlog drains, central's picture is never more than 5 s old",
        arguments: [(20_000.0, 0.05), (50_000.0, 0.6), (200_000.0, 0.05), (5_000_000.0, 0.02)])
    func liveStaysCurrent(link: (bytesPerSecond: Double, roundTrip: Double)) {
        var model = ForwarderLinkModel(seed: 7, bytesPerSecond: link.bytesPerSecond, backlog: 200_000)
        model.roundTripSeconds = link.roundTrip
        model.recordsPerSecond = Self.liveRate
        var worst = 0.0
        var worstBacklogShare = 1.0
        model.run(seconds: 10)
        for _ in 0..<60 {
            let before = model.received.intersection(IntervalSet(1...200_000)).count
            for _ in 0..<20 {
                model.run(seconds: 0.1)
                worst = max(worst, model.pictureAge)
            }
            let drained = model.received.intersection(IntervalSet(1...200_000)).count - before
            worstBacklogShare = min(worstBacklogShare, Double(drained))
            if model.received.contains(1...200_000) { break }
        }
        #expect(worst <= 5, "\(link): \(worst) s")
        // Each live record by itself, not only the newest.
        let late = (200_001...model.committed - 200).filter { n in
            guard let at = model.receivedAt[n] else { return true }
            return Double(at - model.committedAt[Int(n) - 1]) / 1e9 > 5
        }
        #expect(late.isEmpty, "\(link): \(late.count) live records came later than 5 s")
    }

    @Test("a link too small even for the live reports shows the newest, and the backlog keeps its share")
    func overloadedLink() {
        for share in [0.3, 0.5, 0.8] {
            var model = ForwarderLinkModel(
                seed: 11, bytesPerSecond: 4_000, backlog: 20_000, limits: limits { $0.liveShare = share })
            model.alertEvery = 1_000_000
            model.recordsPerSecond = 40
            model.run(seconds: 20)
            let before = model.wireBytesOfLane
            var worst = 0.0
            for _ in 0..<300 {
                model.run(seconds: 1)
                worst = max(worst, model.pictureAge)
            }
            let live = model.wireBytesOfLane[.live, default: 0] - before[.live, default: 0]
            let backlog = model.wireBytesOfLane[.backlog, default: 0] - before[.backlog, default: 0]
            let measured = live / (live + backlog)
            #expect(abs(measured - share) < 0.1, "live got \(measured) of a share of \(share)")
            #expect(worst <= 8, "share \(share): the picture is \(worst) s old")
        }
    }

    @Test("alerts go before everything else, those of an outage too")
    func alertsFirst() {
        var model = ForwarderLinkModel(seed: 3, bytesPerSecond: 20_000, backlog: 50_000)
        model.recordsPerSecond = Self.liveRate
        model.run(seconds: 60)
        let old = model.alerts.intersection(IntervalSet(1...50_000))
        #expect(old.subtracting(model.received).isEmpty, "the outage's alerts are there within a minute")
        #expect(model.received.intersection(IntervalSet(1...50_000)).count < 20_000)
        let late = model.alerts.subtracting(old).ranges.compactMap { range -> Double? in
            guard let at = model.receivedAt[range.lowerBound] else { return nil }
            return Double(at - model.committedAt[Int(range.lowerBound) - 1]) / 1e9
        }
        #expect(!late.isEmpty && late.allSatisfy { $0 < 3 }, "\(late.max() ?? 0) s")
    }

    @Test(
        "a link that is up for 5 s and down for 5 s gets at least one batch through each time it is up (F63)",
        arguments: [1_200.0, 6_250.0, 100_000.0], [true, false])
    func flapping(bytesPerSecond: Double, refuses: Bool) {
        var model = ForwarderLinkModel(seed: 5, bytesPerSecond: bytesPerSecond, backlog: 100_000)
        model.roundTripSeconds = 0.2
        model.weather = { _, seconds in
            seconds.truncatingRemainder(dividingBy: 10) < 5 ? .up : refuses ? .refused : .blackhole
        }
        model.run(seconds: 300)
        let windows = (2..<30).map { window in
            model.acknowledgedAt.filter { at in
                let seconds = Double(at - 1_000_000_000) / 1e9
                return (Double(window) * 10...Double(window) * 10 + 5.5).contains(seconds)
            }.count
        }
        #expect(windows.allSatisfy { $0 >= 1 }, "batches per window: \(windows)")
    }

    @Test("while data passes and acknowledgements do not, resending takes little of the link (F62)")
    func asymmetric() {
        var model = ForwarderLinkModel(seed: 6, bytesPerSecond: 100_000, backlog: 10_000)
        model.weather = { _, seconds in (30..<3_630).contains(seconds) ? .acknowledgementsLost : .up }
        model.recordsPerSecond = 2
        model.run(seconds: 30)
        let before = model.wireBytesSent
        model.run(seconds: 3_600)
        let share = (model.wireBytesSent - before) / (100_000 * 3_600)
        #expect(share < 0.01, "\(share) of the link went into attempts")
        model.run(seconds: 700) { $0.received.count == Int($0.committed) }
        #expect(model.received.count == Int(model.committed))
    }

    @Test("the bandwidth cap holds over every ten seconds, and live reports stay current under it")
    func cap() {
        let cap = 12_000
        var model = ForwarderLinkModel(
            seed: 8, bytesPerSecond: 1_000_000, backlog: 30_000, limits: limits { $0.maxBytesPerSecond = cap })
        model.recordsPerSecond = 5
        model.run(seconds: 5)
        var worst = 0.0
        for _ in 0..<20 {
            let before = model.wireBytesSent
            model.run(seconds: 10)
            let rate = (model.wireBytesSent - before) / 10
            #expect(rate < Double(cap) * 1.25, "\(rate) B/s")
            worst = max(worst, model.pictureAge)
        }
        #expect(model.received.count > 3_000, "and it is used")
        #expect(worst <= 5)
    }
}
