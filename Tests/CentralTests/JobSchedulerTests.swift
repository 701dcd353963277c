// The scheduler against its promises: each instant once, one run at a time, retries later and later, clocks that jump.

import Central
import Models
import Testing
import TestSupport

private final class World {
    var scheduler = JobScheduler()
    var now: Timestamp
    var monotonic = MonotonicInstant(nanoseconds: 1_000_000_000)
    var missed = 0
    var wentBack = 0
    var begun: [JobScheduler.Order] = []

    init(_ start: String = "2026-11-20T05:00:30Z") { now = Timestamp(rfc3339: start) ?? Timestamp(microseconds: 0) }

    func job(
        _ name: String, _ schedule: String = "every 1h", catchUp: String = "last", retries: Int = 2
    ) throws -> JobDefinition {
        try JobDefinition(
            name: name,
            text: "-- schedule: \(schedule)\n-- table: t_\(name)\n-- catch_up: \(catchUp)\n-- retries: \(retries)\n"
                + "SELECT 1 AS x")
    }

    func set(_ jobs: [JobDefinition], settled: String? = nil) {
        scheduler.set(jobs.map { ($0, settled.flatMap { Timestamp(rfc3339: $0) }) }, now: now)
    }

    func pass(_ seconds: Double) {
        now = now.adding(seconds: seconds)
        monotonic = monotonic.adding(seconds: seconds)
    }

    @discardableResult func tick(slots: Int = 10) -> [JobScheduler.Order] {
        var orders: [JobScheduler.Order] = []
        for event in scheduler.tick(now: now, monotonic: monotonic, slots: slots) {
            switch event {
            case .run(let order): orders.append(order)
            case .missed(_, let count, _): missed += count
            case .clockWentBack: wentBack += 1
            }
        }
        begun += orders
        missed += orders.reduce(0) { $0 + $1.missed }
        return orders
    }

    @discardableResult func finish(_ order: JobScheduler.Order, _ outcome: JobScheduler.Outcome = .succeeded) -> Double?
    { scheduler.finished(order, outcome, monotonic: monotonic) }
}

@Suite("the job scheduler") struct JobSchedulerTests {
    @Test("a job seen for the first time waits for its next instant")
    func firstSight() throws {
        let world = World()
        world.set([try world.job("a")])
        #expect(world.tick().isEmpty)
        world.pass(3_569)
        #expect(world.tick().isEmpty)
        world.pass(1)
        #expect(world.tick().map(\.scheduledAt.rfc3339) == ["2026-11-20T06:00:00.000Z"])
        #expect(world.tick().isEmpty, "an instant is ordered once")
    }

    @Test("a job does not overlap with itself; what came due meanwhile is one run, and the rest is counted")
    func overlap() throws {
        let world = World()
        world.set([try world.job("a")])
        world.pass(3_600)
        let first = try #require(world.tick().first)
        world.pass(3 * 3_600)
        #expect(world.tick().isEmpty)
        world.finish(first)
        let second = try #require(world.tick().first)
        #expect(second.scheduledAt.rfc3339 == "2026-11-20T09:00:00.000Z")
        #expect(second.missed == 2)
        world.finish(second)
        #expect(world.tick().isEmpty)
    }

    @Test("after a pause: last runs the newest instant, all runs each in order, none runs nothing old")
    func catchUp() throws {
        let world = World()
        world.set(
            [
                try world.job("all", catchUp: "all"), try world.job("last"), try world.job("none", catchUp: "none"),
            ], settled: "2026-11-20T00:00:00Z")
        var ran: [String: [String]] = [:]
        for _ in 0..<20 {
            for order in world.tick() {
                ran[order.job, default: []].append(String(order.scheduledAt.rfc3339.prefix(13).suffix(2)))
                world.finish(order)
            }
        }
        #expect(ran == ["all": ["01", "02", "03", "04", "05"], "last": ["05"], "none": ["05"]])
        // 05:00 was half a minute ago, so `none` took it; an hour and a half later it does not.
        ran = [:]
        world.pass(5_400)
        for order in world.tick() { ran[order.job, default: []].append(order.scheduledAt.rfc3339) }
        #expect(ran.keys.sorted() == ["all", "last"])
    }

    @Test("a failed run is repeated, each time later, and given up after its retries")
    func retries() throws {
        let world = World()
        world.set([try world.job("a", "every 1d", retries: 3)], settled: "2026-11-19T00:00:00Z")
        var delays: [Double] = []
        var order = try #require(world.tick().first)
        while let delay = world.finish(order, .failed) {
            delays.append(delay)
            world.pass(delay - 0.1)
            #expect(world.tick().isEmpty, "not before its time")
            world.pass(0.1)
            let next = try #require(world.tick().first)
            #expect(next.scheduledAt == order.scheduledAt && next.attempt == order.attempt + 1)
            order = next
        }
        #expect(delays == [10, 20, 40] && order.attempt == 4)
        #expect(world.tick().isEmpty, "given up")
        #expect(JobScheduler.retryDelay(afterAttempt: 60) == 600)
    }

    @Test("what cannot get better is not repeated")
    func failedForGood() throws {
        let world = World()
        world.set([try world.job("a")], settled: "2026-11-20T04:00:00Z")
        #expect(world.finish(try #require(world.tick().first), .failedForGood) == nil)
        world.pass(1_000)
        #expect(world.tick().isEmpty)
    }

    @Test("a newer instant takes the place of one that waits for its retry")
    func superseded() throws {
        let world = World()
        world.set([try world.job("a", "every 10s", retries: 5)])
        world.pass(10)
        let first = try #require(world.tick().first)
        _ = world.finish(first, .failed)
        world.pass(10)
        let second = try #require(world.tick().first)
        #expect(second.scheduledAt > first.scheduledAt && second.attempt == 1)
        #expect(world.tick().isEmpty)
    }

    @Test("a clock that jumps forward by a year makes one run of it, and comes back without a second one")
    func clockJumps() throws {
        let world = World()
        world.set([try world.job("a")])
        let before = world.now
        world.now = before.adding(seconds: 365 * 86_400)
        let orders = world.tick()
        #expect(orders.count == 1)
        world.finish(orders[0])
        world.now = before.adding(seconds: 60)
        #expect(world.tick().isEmpty && world.wentBack == 1)
        #expect(world.tick().isEmpty && world.wentBack == 1, "told once")
        world.pass(3_600)
        #expect(world.tick().count == 1, "the schedule goes on at once, not in a year")
    }

    @Test("a small step back is waited for")
    func smallStep() throws {
        let world = World()
        world.set([try world.job("a", "every 1m")])
        world.pass(60)
        world.finish(try #require(world.tick().first))
        world.now = world.now.adding(seconds: -120)
        #expect(world.tick().isEmpty && world.wentBack == 0)
        world.pass(240)
        #expect(world.tick().count == 1)
    }

    @Test("another schedule does not make up for instants of its past")
    func changedSchedule() throws {
        let world = World()
        world.set([try world.job("a", "every 1d")])
        world.pass(7_200)
        world.set([try world.job("a", "every 1m", catchUp: "all")])
        #expect(world.tick().isEmpty)
        world.pass(60)
        #expect(world.tick().count == 1)
    }

    @Test("a removed job ends its run and is not begun again")
    func removed() throws {
        let world = World()
        world.set([try world.job("a")])
        world.pass(3_600)
        let order = try #require(world.tick().first)
        world.set([])
        world.pass(36_000)
        #expect(world.tick().isEmpty)
        world.finish(order)
        #expect(world.tick().isEmpty && world.scheduler.settled("a") == nil)
    }

    @Test("a run by hand is not begun beside another, and settles nothing of the schedule")
    func manual() throws {
        let world = World()
        world.set([try world.job("a")])
        let begun = world.scheduler.runNow("a", scheduledAt: world.now)
        let order = try #require(begun)
        let second = world.scheduler.runNow("a", scheduledAt: world.now)
        #expect(second == nil)
        world.pass(3_600)
        #expect(world.tick().isEmpty)
        #expect(world.finish(order, .failed) == nil, "whoever asked sees that it failed")
        #expect(world.tick().map(\.scheduledAt.rfc3339) == ["2026-11-20T06:00:00.000Z"])
    }

    @Test("whatever happens: one run of a job at a time, no instant settled twice, with `all` none left out")
    func properties() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            let world = World()
            let period = [10, 60, 600, 3_600].randomElement(using: &random) ?? 60
            let jobs = try ["all", "last", "none"].map { name in
                try world.job(name, "every \(period)s", catchUp: name, retries: Int.random(in: 0...2, using: &random))
            }
            world.set(jobs)
            let start = world.now
            var running: [String: JobScheduler.Order] = [:]
            var done: [String: [Timestamp]] = [:]
            for _ in 0..<200 {
                world.pass(Double.random(in: 0...Double(period), using: &random))
                for order in world.tick(slots: Int.random(in: 0...3, using: &random)) {
                    #expect(running[order.job] == nil)
                    #expect(order.scheduledAt <= world.now && order.scheduledAt > start)
                    running[order.job] = order
                }
                for (name, order) in running.sorted(by: { $0.key < $1.key }) where Bool.random(using: &random) {
                    running[name] = nil
                    let outcome: JobScheduler.Outcome =
                        Int.random(in: 0..<4, using: &random) == 0 ? .failed : .succeeded
                    if world.finish(order, outcome) == nil { done[name, default: []].append(order.scheduledAt) }
                }
            }
            for (name, instants) in done {
                #expect(zip(instants, instants.dropFirst()).allSatisfy { $0 < $1 }, "\(name)")
            }
            let all = done["all"] ?? []
            for (one, next) in zip(all, all.dropFirst()) {
                #expect(next.seconds(since: one) == Double(period), "with catch-up all, every instant is settled")
            }
        }
    }
}
