// Decides what the relay sends to central and when. Pure: no clock, no randomness, no I/O; its owner (Forwarder)
// carries the orders out and reports what happened. docs/relay/forwarding.md says the same for operators.
//
// Three lanes share the link. Alerts of any epoch go first. Live reports (the last seconds of the current epoch, newest
// first) and the rest (older alerts that wait in numbers, then the backlog, oldest first) share what is left after
// `liveShare`; where one has little to send the other takes it all. As many requests run at once as central's credit
// allows and the link carries in a few seconds; one of them is kept free for alerts and live reports.
//
// After a failure one request at a time probes the link, after a full-jitter pause. What is waiting is held as sets of
// intervals (ForwarderEpoch), so the work of an order grows neither with the records nor with the square of the gaps.
//
// The parts that decide one thing each: ForwarderEpoch (which numbers), LinkControl (how much), LaneShares, ByteBudget,
// Backoff, CentralAddresses, ProgressWatchdog.

package import SyncProtocol

package struct ForwarderStateMachine: Sendable {
    package typealias Epoch = ForwarderEpoch

    /// A request that is under way.
    struct Flight: Sendable {
        let epoch: String
        /// Nil: a question.
        let lane: ForwarderLane?
        var numbers = IntervalSet()
        let address: Int
        let startedAt: UInt64
        /// When its bytes began to go, and how many batches were under way then.
        var sentAt: UInt64 = 0
        var sharedBy = 1
        /// Expected until the batch is read, then known.
        var wireBytes = 0
        var lineBytes = 0
        /// As large as the link allowed, so its time says how fast the link is.
        var isFull = false
        var deadline: UInt64
        /// What central had said to have received when it was asked.
        var had: IntervalSet?
    }

    package internal(set) var epochs: [Epoch] = []
    var limits: Limits
    var link: LinkControl
    var shares: LaneShares
    var budget: ByteBudget
    var backoff: Backoff
    var addresses: CentralAddresses
    var watchdog: ProgressWatchdog
    var credit: Credit
    var flights: [UInt64: Flight] = [:]
    private var nextID: UInt64 = 1
    var lastLiveSendAt: UInt64?
    var nextAskAt: UInt64 = 0
    var askPauseSeconds: Double
    var nextReconcileAt: UInt64 = 0
    /// Whose turn it is to be asked about.
    var askCursor = 0
    /// After a refused batch: at most so many bytes of lines, until batches are taken again.
    private var splitBytes: Int?
    private var refusals: [String: [Int64: Int]] = [:]
    private var answersWithoutProgress = 0
    /// Grows when connections are not to be trusted any more: the next requests begin with new ones.
    package private(set) var connections: UInt64 = 0
    /// Missing records of epochs that are released by now.
    private var missingReleased = 0

    package init(limits: Limits) {
        precondition(
            limits.maxInFlight > 0 && limits.maxBatchBytes > 0, "a forwarder needs room for one batch in flight")
        self.limits = limits
        link = LinkControl(maxBatchBytes: limits.maxBatchBytes)
        shares = LaneShares(liveShare: limits.liveShare)
        budget = ByteBudget(bytesPerSecond: limits.maxBytesPerSecond)
        backoff = Backoff(baseSeconds: limits.backoffBaseSeconds, capSeconds: limits.backoffCapSeconds)
        addresses = CentralAddresses(
            count: limits.addresses, preferFirstAfterSeconds: limits.preferFirstAfterSeconds)
        watchdog = ProgressWatchdog(seconds: limits.watchdogSeconds)
        credit = Credit(maxBytes: Credit.standard.maxBytes, maxInFlight: limits.maxInFlight)
        askPauseSeconds = limits.askEverySeconds
    }

    // MARK: What it says of itself

    package var waiting: Int { epochs.reduce(0) { $0 + $1.waiting } }
    package var setAsideCount: Int { epochs.reduce(0) { $0 + $1.setAside.count } }
    package var missingCount: Int { epochs.reduce(missingReleased) { $0 + $1.missing.count } }
    package var inFlight: Int { flights.count }
    package var consecutiveFailures: Int { backoff.consecutiveFailures }
    package var pausedUntil: UInt64 { backoff.pausedUntil }
    package var address: Int { addresses.current }
    package var restarts: Int { watchdog.restarts }
    /// When central last acknowledged a number it had not acknowledged before.
    package var lastProgressAt: UInt64? { watchdog.lastProgressAt }
    /// Bytes of lines that the next batch may hold.
    package var batchBytes: Int { min(splitBytes ?? .max, creditedBytes, link.batchBytes) }
    package var bytesPerSecond: Double? { link.bytesPerSecond }

    // MARK: Facts from the buffer

    /// A log exists with records 1…`through` (0: none yet); `archived` is what an earlier life had learnt, `missing`
    /// what the log does not have although it should.
    package mutating func epochOpened(
        _ name: String, through: Int64, archived: IntervalSet, missing: IntervalSet = IntervalSet(),
        isCurrent: Bool = false
    ) {
        precondition(!epochs.contains { $0.name == name }, "an epoch is opened once")
        precondition(!isCurrent || !epochs.contains { $0.isCurrent }, "a relay writes one epoch")
        epochs.append(
            Epoch(name: name, isCurrent: isCurrent, through: through, archived: archived, missing: missing))
    }

    package mutating func epochReleased(_ name: String) {
        for epoch in epochs where epoch.name == name { missingReleased += epoch.missing.count }
        epochs.removeAll { $0.name == name }
        refusals[name] = nil
    }

    /// Records up to `through` are on disk; those in `alerts` are alerts and alert states.
    package mutating func committed(
        _ name: String, through: Int64, alerts: IntervalSet = IntervalSet(), at now: UInt64
    ) {
        guard let index = index(of: name) else { return }
        epochs[index].committed(through: through, alerts: alerts, at: now)
    }

    /// A look at records of an earlier life found these to be alerts and alert states.
    package mutating func alertsFound(_ name: String, _ numbers: IntervalSet) {
        guard let index = index(of: name) else { return }
        epochs[index].alertsFound(numbers)
    }

    // MARK: Facts from the owner

    /// The owner made a batch of `numbers`; the numbers in `missing` the buffer does not have any more.
    ///
    /// - Returns: the seconds the request may take; nil if it must not be sent: nothing was there, it is larger than
    ///   central allows, or it was given up.
    package mutating func batchRead(
        _ id: UInt64, numbers: IntervalSet, missing: IntervalSet = IntervalSet(), lineBytes: Int, wireBytes: Int,
        at now: UInt64
    ) -> Double? {
        guard var flight = flights[id], let lane = flight.lane, let index = index(of: flight.epoch) else { return nil }
        epochs[index].lost(missing)
        let left = flight.numbers.subtracting(numbers).subtracting(missing)
        epochs[index].giveBack(left)
        link.read(records: numbers.count, lineBytes: lineBytes, wireBytes: wireBytes)
        let isTooLarge = wireBytes > credit.maxBytes && numbers.count > 1
        if numbers.isEmpty || isTooLarge {
            flights[id] = nil
            spend(lane, -flight.wireBytes, at: now)
            if isTooLarge {
                epochs[index].giveBack(numbers)
                splitBytes = max(1, lineBytes / 2)
            }
            return nil
        }
        let wire = wireBytes + LinkControl.overheadBytes
        spend(lane, wire - flight.wireBytes, at: now)
        flight.isFull = !left.isEmpty || lineBytes * 4 >= link.batchBytes * 3
        flight.numbers = numbers
        flight.wireBytes = wire
        flight.lineBytes = lineBytes
        flight.sentAt = now
        flight.sharedBy = batchesInFlight
        flights[id] = flight
        let allowed = link.deadline(records: numbers.count, wireBytesInFlight: wireInFlight)
        flights[id]?.deadline = now + seconds(allowed)
        return allowed
    }

    /// - Parameters:
    ///   - roundTripSeconds: of the path to central, where the system knows it.
    ///   - jitter: 0…1, for the pause if central answers but takes nothing.
    package mutating func acknowledged(
        _ id: UInt64, _ answer: Acknowledgement, roundTripSeconds: Double? = nil, at now: UInt64, jitter: Double = 1
    ) {
        guard let flight = flights.removeValue(forKey: id) else { return }
        backoff.succeeded()
        addresses.worked(flight.address)
        credit = Credit(
            maxBytes: max(1, answer.credit.maxBytes),
            maxInFlight: max(1, min(answer.credit.maxInFlight, limits.maxInFlight)))
        guard let index = index(of: flight.epoch) else { return }
        let before = (epochs[index].received.count, epochs[index].archived.count)
        epochs[index].answered(answer, had: flight.had, inFlight: numbersInFlight(of: flight.epoch), at: now)
        if epochs[index].received.count > before.0 || epochs[index].archived.count > before.1 {
            watchdog.progressed(at: now)
        }
        if epochs[index].archived.count > before.1 {
            askPauseSeconds = limits.askEverySeconds
            nextAskAt = now + seconds(askPauseSeconds)
        }
        if flight.lane == nil {
            return epochs[index].wasTold(answer.complete)
        }
        let notTaken = flight.numbers.subtracting(epochs[index].received).subtracting(epochs[index].archived)
        epochs[index].giveBack(notTaken)
        link.acknowledged(
            wireBytes: flight.wireBytes, seconds: Double(now - min(now, flight.sentAt)) / 1e9,
            sharedBy: Double(flight.sharedBy + batchesInFlight + 1) / 2, wasFull: flight.isFull,
            roundTripSeconds: roundTripSeconds)
        if let split = splitBytes { splitBytes = split * 2 >= limits.maxBatchBytes ? nil : split * 2 }
        if refusals[flight.epoch] != nil { flight.numbers.forEachRange { clearRefusals(flight.epoch, $0) } }
        if notTaken.count < flight.numbers.count {
            answersWithoutProgress = 0
        } else {
            pauseWithoutProgress(at: now, jitter: jitter)
        }
    }

    /// It answers and takes nothing: not as fast as the link goes, and not for ever (the watchdog).
    private mutating func pauseWithoutProgress(at now: UInt64, jitter: Double) {
        answersWithoutProgress += 1
        var ceiling = limits.backoffBaseSeconds
        for _ in 0..<min(answersWithoutProgress, 6) { ceiling *= 2 }
        backoff.pause(until: now + seconds(ceiling * jitter))
    }

    package mutating func failed(_ id: UInt64, _ failure: Failure, at now: UInt64, jitter: Double) {
        guard let flight = flights.removeValue(forKey: id) else { return }
        watchdog.excused(at: now)
        if failure == .unreadable {
            if let index = index(of: flight.epoch) { epochs[index].couldNotRead(flight.numbers, at: now) }
            return backoff.pause(until: now + seconds(limits.backoffBaseSeconds))
        }
        if let index = index(of: flight.epoch) { epochs[index].giveBack(flight.numbers) }
        if failure.isAboutTheBatch {
            // The link works; this batch does not. Halve until one record is left, then set that one aside.
            if flight.numbers.count == 1, let n = flight.numbers.min {
                refuse(n, of: flight.epoch, at: now)
            } else if flight.lane != nil {
                splitBytes = max(1, min(splitBytes ?? .max, flight.lineBytes) / 2)
            }
        } else if addresses.failed(flight.address, at: now), flight.lane == nil {
            // Only a look at the preferred address: the one in use works.
            return
        }
        var retryAfter: Double?
        if case .overloaded(let asked) = failure { retryAfter = asked }
        let isLink = failure == .unreachable || failure == .timedOut
        let isNew = backoff.failed(
            startedAt: flight.startedAt, retryAfterSeconds: retryAfter, isUnreachable: isLink, rounds: addresses.count,
            at: now, jitter: jitter)
        if failure == .timedOut { distrustConnections(at: now) }
        if isNew, isLink, flight.lane != nil {
            link.failed(
                isTimeout: failure == .timedOut, afterSeconds: Double(now - min(now, flight.startedAt)) / 1e9)
        }
    }

    private mutating func refuse(_ n: Int64, of name: String, at now: UInt64) {
        refusals[name, default: [:]][n, default: 0] += 1
        guard refusals[name]?[n] ?? 0 >= limits.refusalsBeforeSetAside, let index = index(of: name) else { return }
        clearRefusals(name, n...n)
        epochs[index].setAside(n, at: now)
    }

    private mutating func clearRefusals(_ name: String, _ range: ClosedRange<Int64>) {
        refusals[name] = refusals[name]?.filter { !range.contains($0.key) }
        if refusals[name]?.isEmpty == true { refusals[name] = nil }
    }

    // MARK: For the orders

    mutating func begin(_ flight: Flight) -> UInt64 {
        defer { nextID += 1 }
        flights[nextID] = flight
        return nextID
    }

    /// False once the request is answered or given up: its owner should end it.
    package func isInFlight(_ id: UInt64) -> Bool { flights[id] != nil }

    /// Gives requests up; what is answered later is not listened to.
    mutating func giveUp(_ lost: [UInt64: Flight]) {
        connections += 1
        for (id, flight) in lost {
            flights[id] = nil
            if let index = index(of: flight.epoch) { epochs[index].giveBack(flight.numbers) }
        }
    }

    /// A request got no answer in time. What is half open for one connection is so for the others (F64): those that
    /// have been silent for long are given up with it.
    private mutating func distrustConnections(at now: UInt64) {
        giveUp(flights.filter { isOverdue($0.value, at: now) })
    }

    /// Silent for longer than a batch should take. One large record may take its time.
    func isOverdue(_ flight: Flight, at now: UInt64) -> Bool {
        flight.numbers.count != 1 && flight.sentAt > 0 && now > flight.sentAt + seconds(link.patienceSeconds)
    }

    mutating func spend(_ lane: ForwarderLane, _ bytes: Int, at now: UInt64) {
        shares.charge(lane, bytes: Double(bytes), limit: max(16 * 1024, 4 * link.windowBytes))
        budget.spend(Double(bytes), at: now)
    }

    func index(of name: String) -> Int? { epochs.firstIndex { $0.name == name } }

    func numbersInFlight(of name: String) -> IntervalSet {
        var numbers = IntervalSet()
        for flight in flights.values where flight.epoch == name { numbers.formUnion(flight.numbers) }
        return numbers
    }

    private var batchesInFlight: Int { flights.values.reduce(0) { $0 + ($1.lane == nil ? 0 : 1) } }

    var wireInFlight: Double { flights.values.reduce(0) { $0 + Double($1.wireBytes) } }

    /// Of a batch, by central's credit, before compression.
    private var creditedBytes: Int { max(1, Int(Double(credit.maxBytes) * max(1, link.compression * 0.8))) }
}
