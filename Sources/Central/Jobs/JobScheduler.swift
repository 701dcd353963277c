// Which runs are to begin, decided without a clock, a thread or a disk: past facts go in, orders come out.
//
// What is true at any time, for each job:
//   J1  at most one run of it is under way;
//   J2  `settled` is the newest instant that is done with: it succeeded, failed for good, or was missed. It moves back
//       only when the wall clock was wrong (`clockWentBack`), and then no instant of the past runs again;
//   J3  an instant is ordered again only after its run failed, at most `retries` times, each time later;
//   J4  nothing before the job was first seen is ever made up for.

package import Models

package struct JobScheduler: Sendable {
    package struct Order: Hashable, Sendable {
        package var job: String
        package var scheduledAt: Timestamp
        /// 1 is the first.
        package var attempt: Int
        /// Instants that are passed over for this one.
        package var missed: Int
        package var isManual = false
    }

    package enum Event: Hashable, Sendable {
        case run(Order)
        /// Nothing will make up for these: how many, and the newest of them.
        case missed(job: String, count: Int, through: Timestamp)
        /// The job's newest instant lay in the future of a clock that has been set back.
        case clockWentBack(job: String, settled: Timestamp)
    }

    package enum Outcome: Hashable, Sendable { case succeeded, failed, failedForGood }

    private struct Entry: Sendable {
        var schedule: JobSchedule
        var catchUp: JobDefinition.CatchUp
        var retries: Int
        /// J2.
        var settled: Timestamp
        /// J1.
        var running: Order?
        /// J3: the run that failed, and when it may go on.
        var waiting: (order: Order, notBefore: MonotonicInstant)?
        /// Its file is gone; a run under way ends by itself.
        var isGone = false
    }

    package static let maxCatchUp = 100
    /// A clock that steps back by less is waited for.
    static let toleratedStepSeconds = 300.0
    /// With catch-up `none` an instant is taken up to so long after it came.
    static let graceSeconds = 60.0
    private static let firstRetrySeconds = 10.0
    private static let maxRetrySeconds = 600.0

    private var entries: [String: Entry] = [:]

    package init() {}

    package static func retryDelay(afterAttempt attempt: Int) -> Double {
        precondition(attempt >= 1, "attempts are counted from 1")
        var delay = firstRetrySeconds
        for _ in 1..<attempt where delay < maxRetrySeconds { delay *= 2 }
        return min(delay, maxRetrySeconds)
    }

    /// The jobs there are now. `settled`: as the history has it; nil for a job seen for the first time.
    package mutating func set(_ jobs: [(definition: JobDefinition, settled: Timestamp?)], now: Timestamp) {
        var kept: [String: Entry] = [:]
        for (definition, settled) in jobs {
            var entry =
                entries[definition.name]
                ?? Entry(
                    schedule: definition.schedule, catchUp: definition.catchUp, retries: definition.retries,
                    settled: settled ?? now)
            // Another schedule has other instants; those of the past are not its own (J4).
            if entry.schedule != definition.schedule { entry.settled = max(entry.settled, now) }
            entry.schedule = definition.schedule
            entry.catchUp = definition.catchUp
            entry.retries = definition.retries
            entry.isGone = false
            kept[definition.name] = entry
        }
        for (name, entry) in entries where kept[name] == nil && entry.running != nil {
            kept[name] = entry
            kept[name]?.isGone = true
        }
        entries = kept
    }

    package func settled(_ job: String) -> Timestamp? { entries[job]?.settled }
    package func isRunning(_ job: String) -> Bool { entries[job]?.running != nil }
    package func isWaitingToRetry(_ job: String) -> Bool { entries[job]?.waiting != nil }
    package var runningCount: Int { entries.values.count { $0.running != nil } }

    /// What is to be done now; `slots`: how many runs may begin.
    package mutating func tick(now: Timestamp, monotonic: MonotonicInstant, slots: Int) -> [Event] {
        var events: [Event] = []
        var free = slots
        // The longest overdue first, so that a job that is always due cannot starve the others.
        for name in entries.sorted(by: { ($0.value.settled, $0.key) < ($1.value.settled, $1.key) }).map(\.key) {
            guard var entry = entries[name], entry.running == nil, !entry.isGone else { continue }
            if entry.settled.seconds(since: now) > Self.toleratedStepSeconds {
                events.append(.clockWentBack(job: name, settled: entry.settled))
                entry.settled = now
                entry.waiting = nil
            }
            if let order = Self.due(name, &entry, now, monotonic, &events), free > 0 {
                free -= 1
                entry.running = order
                entry.waiting = nil
                events.append(.run(order))
            }
            entries[name] = entry
        }
        return events
    }

    private static func due(
        _ name: String, _ entry: inout Entry, _ now: Timestamp, _ monotonic: MonotonicInstant, _ events: inout [Event]
    ) -> Order? {
        guard let newest = entry.schedule.latest(through: now), newest > entry.settled else {
            return retry(entry, monotonic)
        }
        if entry.catchUp == .all {
            if entry.waiting != nil { return retry(entry, monotonic) }
            return oldest(name, &entry, newest, &events).map {
                Order(job: name, scheduledAt: $0, attempt: 1, missed: 0)
            }
        }
        // A newer instant than the one that waits: that one is passed over.
        if let waiting = entry.waiting, waiting.order.scheduledAt >= newest { return retry(entry, monotonic) }
        let missed = count(entry.schedule, after: entry.settled, before: newest)
        if entry.catchUp == .none, now.seconds(since: newest) > graceSeconds {
            events.append(.missed(job: name, count: missed + 1, through: newest))
            entry.settled = newest
            entry.waiting = nil
            return nil
        }
        return Order(job: name, scheduledAt: newest, attempt: 1, missed: missed)
    }

    private static func retry(_ entry: Entry, _ monotonic: MonotonicInstant) -> Order? {
        guard let (order, notBefore) = entry.waiting, monotonic >= notBefore else { return nil }
        return order
    }

    /// With catch-up `all`: the first instant that is not settled, of the newest `maxCatchUp`.
    private static func oldest(
        _ name: String, _ entry: inout Entry, _ newest: Timestamp, _ events: inout [Event]
    ) -> Timestamp? {
        var instants: [Timestamp] = []
        var last = newest
        while last > entry.settled {
            instants.append(last)
            guard instants.count < maxCatchUp,
                let before = entry.schedule.latest(through: Timestamp(microseconds: last.microseconds - 1))
            else { break }
            last = before
        }
        guard let oldest = instants.last else { return nil }
        let passed = count(entry.schedule, after: entry.settled, before: oldest)
        if passed > 0, let through = entry.schedule.latest(through: Timestamp(microseconds: oldest.microseconds - 1)) {
            events.append(.missed(job: name, count: passed, through: through))
            entry.settled = through
        }
        return oldest
    }

    /// Instants between two, both left out; counted up to a limit, for a clock that was wrong by years.
    private static func count(_ schedule: JobSchedule, after start: Timestamp, before end: Timestamp) -> Int {
        var count = 0
        var time = start
        while count < 10_000, let next = schedule.next(after: time), next < end {
            count += 1
            time = next
        }
        return count
    }

    /// The result of an order. Returns when it will be tried again, in seconds; nil if the instant is settled.
    package mutating func finished(_ order: Order, _ outcome: Outcome, monotonic: MonotonicInstant) -> Double? {
        guard var entry = entries[order.job], entry.running == order else { return nil }
        defer { entries[order.job] = entry.isGone ? nil : entry }
        entry.running = nil
        if outcome == .failed, order.attempt <= entry.retries, !order.isManual {
            let delay = Self.retryDelay(afterAttempt: order.attempt)
            var next = order
            next.attempt += 1
            next.missed = 0
            entry.waiting = (next, monotonic.adding(seconds: delay))
            // What it passed over stays passed over.
            if order.missed > 0, let before = Self.instant(before: order.scheduledAt, entry.schedule) {
                entry.settled = max(entry.settled, before)
            }
            return delay
        }
        entry.waiting = nil
        if !order.isManual { entry.settled = max(entry.settled, order.scheduledAt) }
        return nil
    }

    private static func instant(before time: Timestamp, _ schedule: JobSchedule) -> Timestamp? {
        schedule.latest(through: Timestamp(microseconds: time.microseconds - 1))
    }

    /// A run somebody asks for; nil while one is under way or the job is unknown.
    package mutating func runNow(_ job: String, scheduledAt: Timestamp) -> Order? {
        guard var entry = entries[job], entry.running == nil, !entry.isGone else { return nil }
        let order = Order(job: job, scheduledAt: scheduledAt, attempt: 1, missed: 0, isManual: true)
        entry.running = order
        entries[job] = entry
        return order
    }

    package func nextRun(_ job: String, now: Timestamp) -> Timestamp? {
        guard let entry = entries[job] else { return nil }
        return entry.schedule.next(after: max(entry.settled, now))
    }
}
