// Decides what the relay sends to central and when. Pure: no clock, no randomness, no I/O; its owner (Forwarder)
// carries the orders out and reports what happened.
//
// Per epoch it knows which record numbers exist (1…committedThrough) and, as sets of intervals,
//   archived   central committed them to the archive: they need nothing any more (I2, I4)
//   received   durable at central, not yet archived: not sent again unless central says that it no longer has them
//   inFlight   in a request right now
//   setAside   refused again and again on their own: kept, counted, not sent (one bad record never blocks the rest)
// What is in none of these is sent, oldest epoch and oldest record first, in as many requests at once as central's
// credit allows. After a failure one request at a time probes the link, after a full-jitter pause.

import Models
package import SyncProtocol

package struct ForwarderStateMachine: Sendable {
    package struct Limits: Sendable {
        package var maxInFlight: Int
        package var maxBatchBytes: Int
        /// The pause after the k-th failure in a row is random between 0 and min(cap, base · 2^k) seconds.
        package var backoffBaseSeconds = 0.25
        package var backoffCapSeconds = 300.0
        /// Pause between two small batches, so that single reports travel together.
        package var lingerSeconds = 0.05
        /// So many unsent records make a batch worth sending without a pause.
        package var worthSendingAtOnce: Int64 = 500
        /// Pause between two questions whether received records are archived by now.
        package var askEverySeconds = 0.5
        package var askCapSeconds = 5.0
        /// After so many refusals of one and the same record it is set aside.
        package var refusalsBeforeSetAside = 3

        package init(maxInFlight: Int, maxBatchBytes: Int) {
            self.maxInFlight = maxInFlight
            self.maxBatchBytes = maxBatchBytes
        }
    }

    package struct Epoch: Sendable {
        package let name: String
        package var committedThrough: Int64 = 0
        package var archived = IntervalSet()
        package var received = IntervalSet()
        package var rejected = IntervalSet()
        /// Refused by central again and again; still in the buffer.
        package var setAside = IntervalSet()
        /// Not in the buffer and not known to be archived: lost to damage, or dropped by the operator's rule.
        package var missing = IntervalSet()
        /// Central was asked in this life: perhaps it has archived what seems to be missing.
        var wasAsked = false

        /// Records that central has not archived yet, in flight or not.
        package var waiting: Int { Int(committedThrough) - archived.count - missing.count }
        /// Nobody waits for these: their place on disk may be released.
        package var settled: IntervalSet { missing.isEmpty ? archived : archived.union(missing) }
    }

    /// One request's order: read records from `from` on, at most `maxBytes` of them, none beyond `through`.
    package struct Batch: Sendable, Equatable {
        package let id: UInt64
        package let epoch: String
        package let from: Int64
        package let through: Int64
        package let maxBytes: Int
    }

    package enum Order: Sendable, Equatable {
        case send(Batch)
        /// `GET …/epochs/{epoch}/acks`, answered with `acknowledgementsArrived` or `failed`.
        case ask(id: UInt64, epoch: String)
        /// Nothing to do before this instant (monotonic nanoseconds), whatever is committed meanwhile.
        case wait(until: UInt64)
        /// Nothing to do before this instant, unless something is committed.
        case idle(until: UInt64)
    }

    package enum Failure: Sendable, Equatable {
        /// No usable answer: refused, timed out, closed, or not an acknowledgement of this batch (a captive portal's
        /// page).
        case unreachable
        /// 429 or 503, with the seconds it asked for.
        case overloaded(retryAfterSeconds: Double?)
        /// 413: split.
        case tooLarge
        /// 400: central could not read it as a batch.
        case malformed
        /// 401 or 403: this relay's identity is not accepted.
        case forbidden
    }

    private struct Flight { let epoch: String; var range: ClosedRange<Int64>?; let isQuestion: Bool }

    package private(set) var epochs: [Epoch] = []
    package private(set) var consecutiveFailures = 0
    package private(set) var pausedUntil: UInt64 = 0
    private var limits: Limits
    private var batchBytes: Int
    private var credit: Int
    private var flights: [UInt64: Flight] = [:]
    private var nextID: UInt64 = 1
    private var lastSendAt: UInt64?
    private var nextAskAt: UInt64 = 0
    private var askPauseSeconds: Double
    private var refusals: [Int64: Int] = [:]
    /// Missing records of epochs that are released by now.
    private var missingReleased = 0

    package init(limits: Limits) {
        precondition(
            limits.maxInFlight > 0 && limits.maxBatchBytes > 0, "a forwarder needs room for one batch in flight")
        self.limits = limits
        batchBytes = limits.maxBatchBytes
        credit = limits.maxInFlight
        askPauseSeconds = limits.askEverySeconds
    }

    package var waiting: Int { epochs.reduce(0) { $0 + $1.waiting } }
    package var setAsideCount: Int { epochs.reduce(0) { $0 + $1.setAside.count } }
    package var inFlight: Int { flights.count }
    package var missingCount: Int { epochs.reduce(missingReleased) { $0 + $1.missing.count } }

    // MARK: Facts

    /// A log exists with records 1…`through` (0: none yet); `archived` is what an earlier life had learnt, `missing`
    /// what the log does not have although it should.
    package mutating func epochOpened(
        _ name: String, through: Int64, archived: IntervalSet, missing: IntervalSet = IntervalSet()
    ) {
        precondition(!epochs.contains { $0.name == name }, "an epoch is opened once")
        var epoch = Epoch(name: name)
        epoch.committedThrough = through
        if through > 0 {
            epoch.archived = archived.intersection(IntervalSet(1...through))
            epoch.missing = missing.intersection(IntervalSet(1...through)).subtracting(epoch.archived)
        }
        epochs.append(epoch)
    }

    package mutating func epochReleased(_ name: String) {
        for epoch in epochs where epoch.name == name { missingReleased += epoch.missing.count }
        epochs.removeAll { $0.name == name }
    }

    package mutating func committed(_ name: String, through: Int64) {
        guard let index = epochs.firstIndex(where: { $0.name == name }) else { return }
        precondition(through >= epochs[index].committedThrough, "record numbers only grow (I3)")
        epochs[index].committedThrough = through
    }

    /// The owner read the batch: it holds `range`, which may be shorter than ordered. Nil: there was nothing to read.
    package mutating func batchRead(_ id: UInt64, range: ClosedRange<Int64>?, missing: [ClosedRange<Int64>]) {
        guard var flight = flights[id], let index = epochs.firstIndex(where: { $0.name == flight.epoch }) else {
            return
        }
        // Numbers whose rows are gone (a damaged segment) can never be sent: the buffer reported them as lost (I2, I3).
        for hole in missing { epochs[index].missing.insert(hole) }
        epochs[index].missing.subtract(epochs[index].archived)
        flight.range = range
        if range == nil { flights[id] = nil } else { flights[id] = flight }
    }

    package mutating func acknowledged(_ id: UInt64, _ answer: Acknowledgement, at now: UInt64) {
        guard let flight = flights.removeValue(forKey: id) else { return }
        linkWorks()
        if flight.isQuestion, let index = epochs.firstIndex(where: { $0.name == flight.epoch }) {
            epochs[index].wasAsked = true
        }
        credit = max(1, min(answer.credit.maxInFlight, limits.maxInFlight))
        if batchBytes < limits.maxBatchBytes { batchBytes = min(limits.maxBatchBytes, batchBytes * 2) }
        merge(answer, into: flight.epoch, authoritative: flight.isQuestion && flights.isEmpty, at: now)
        if let range = flight.range, !refusals.isEmpty { for n in range { refusals[n] = nil } }
    }

    package mutating func failed(_ id: UInt64, _ failure: Failure, at now: UInt64, jitter: Double) {
        guard let flight = flights.removeValue(forKey: id) else { return }
        switch failure {
        case .tooLarge, .malformed:
            // The link works; this batch does not. Halve until one record is left, then set that one aside.
            if let range = flight.range {
                if range.count == 1 {
                    refuse(range.lowerBound, of: flight.epoch)
                } else {
                    batchBytes = max(1, batchBytes / 2)
                }
            }
            pause(retryAfterSeconds: nil, at: now, jitter: jitter)
        case .unreachable, .forbidden:
            pause(retryAfterSeconds: nil, at: now, jitter: jitter)
        case .overloaded(let seconds):
            pause(retryAfterSeconds: seconds, at: now, jitter: jitter)
        }
    }

    // MARK: Orders

    package mutating func nextOrder(at now: UInt64) -> Order {
        if now < pausedUntil { return .wait(until: pausedUntil) }
        let allowed = consecutiveFailures > 0 ? 1 : credit
        guard flights.count < allowed else { return .wait(until: now + Self.nanoseconds(1)) }
        for epoch in epochs {
            guard let gap = firstUnsent(of: epoch) else { continue }
            let unsent = gap.upperBound - gap.lowerBound + 1
            if unsent < limits.worthSendingAtOnce, let lastSendAt {
                let due = lastSendAt + Self.nanoseconds(limits.lingerSeconds)
                if now < due { return .wait(until: due) }
            }
            let batch = Batch(
                id: takeID(), epoch: epoch.name, from: gap.lowerBound, through: gap.upperBound, maxBytes: batchBytes)
            // Until it is read nobody knows how far the batch reaches: the whole gap counts as in flight.
            flights[batch.id] = Flight(epoch: epoch.name, range: gap, isQuestion: false)
            lastSendAt = now
            return .send(batch)
        }
        return nextQuestion(at: now)
    }

    private mutating func nextQuestion(at now: UInt64) -> Order {
        guard let epoch = epochs.first(where: { asksAbout($0) }) else {
            return .idle(until: now + Self.nanoseconds(limits.askCapSeconds))
        }
        if now < nextAskAt { return .idle(until: nextAskAt) }
        nextAskAt = now + Self.nanoseconds(askPauseSeconds)
        askPauseSeconds = min(limits.askCapSeconds, askPauseSeconds * 1.5)
        let id = takeID()
        flights[id] = Flight(epoch: epoch.name, range: nil, isQuestion: true)
        return .ask(id: id, epoch: epoch.name)
    }

    // MARK: Inside

    private func asksAbout(_ epoch: Epoch) -> Bool {
        if isAsking(epoch.name) { return false }
        return epoch.waiting > epoch.setAside.count || !(epoch.missing.isEmpty || epoch.wasAsked)
    }

    private func isAsking(_ epoch: String) -> Bool {
        flights.values.contains { $0.isQuestion && $0.epoch == epoch }
    }

    private mutating func takeID() -> UInt64 {
        defer { nextID += 1 }
        return nextID
    }

    private func firstUnsent(of epoch: Epoch) -> ClosedRange<Int64>? {
        guard epoch.committedThrough > 0 else { return nil }
        var settled = epoch.archived
        settled.formUnion(epoch.received)
        settled.formUnion(epoch.setAside)
        settled.formUnion(epoch.missing)
        for flight in flights.values where flight.epoch == epoch.name {
            if let range = flight.range { settled.insert(range) }
        }
        return settled.gaps(in: 1...epoch.committedThrough).first
    }

    private mutating func merge(
        _ answer: Acknowledgement, into name: String, authoritative: Bool, at now: UInt64
    ) {
        guard let index = epochs.firstIndex(where: { $0.name == name }), epochs[index].committedThrough > 0 else {
            return
        }
        // An answer about numbers this relay never gave out is not believed: it must not make room for them.
        let existing = IntervalSet(1...epochs[index].committedThrough)
        let before = epochs[index].archived.count
        epochs[index].archived.formUnion(answer.archived.intersection(existing))
        epochs[index].setAside.subtract(epochs[index].archived)
        epochs[index].missing.subtract(epochs[index].archived)
        let received = answer.received.intersection(existing)
        if authoritative {
            // With nothing in flight central's word is complete: what it no longer lists it has lost, so send it again.
            epochs[index].received = received
        } else {
            epochs[index].received.formUnion(received)
        }
        for rejection in answer.rejected where existing.contains(rejection.n) {
            epochs[index].rejected.insert(rejection.n)
        }
        if epochs[index].archived.count > before {
            askPauseSeconds = limits.askEverySeconds
            nextAskAt = now + Self.nanoseconds(askPauseSeconds)
        }
    }

    private mutating func refuse(_ n: Int64, of name: String) {
        refusals[n, default: 0] += 1
        guard refusals[n, default: 0] >= limits.refusalsBeforeSetAside,
            let index = epochs.firstIndex(where: { $0.name == name })
        else { return }
        refusals[n] = nil
        epochs[index].setAside.insert(n)
    }

    private mutating func linkWorks() {
        consecutiveFailures = 0
        pausedUntil = 0
    }

    private mutating func pause(retryAfterSeconds: Double?, at now: UInt64, jitter: Double) {
        precondition((0...1).contains(jitter), "jitter is a random number between 0 and 1")
        let exponent = Double(min(consecutiveFailures, 30))
        consecutiveFailures += 1
        let ceiling = min(limits.backoffCapSeconds, limits.backoffBaseSeconds * exp2(exponent))
        let asked = min(retryAfterSeconds ?? 0, limits.backoffCapSeconds)
        pausedUntil = max(pausedUntil, now + Self.nanoseconds(asked + ceiling * jitter))
    }

    private func exp2(_ exponent: Double) -> Double {
        var result = 1.0
        for _ in 0..<Int(exponent) { result *= 2 }
        return result
    }

    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }
}
