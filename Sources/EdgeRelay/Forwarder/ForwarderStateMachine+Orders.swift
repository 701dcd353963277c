// Which order is next: the watchdog, the questions, the lanes.

import SyncProtocol

extension ForwarderStateMachine {
    /// A request may take this much longer than it was given before it counts as stuck.
    private static let graceSeconds = 5.0

    package mutating func nextOrder(at now: UInt64) -> Order {
        for index in epochs.indices {
            epochs[index].retryUnreadable(at: now)
            epochs[index].retrySetAside(at: now)
        }
        if let stuck = watch(at: now) { return stuck }
        if now < backoff.pausedUntil { return .wait(until: backoff.pausedUntil) }
        let allowed = consecutiveFailures > 0 ? 1 : credit.maxInFlight
        guard flights.count < allowed else { return .wait(until: now + seconds(1)) }
        // Perhaps the link is gone: nothing more goes into it before that is known.
        if flights.values.contains(where: { isOverdue($0, at: now) }) { return .wait(until: now + seconds(1)) }
        if let look = lookAround(at: now) { return look }
        switch nextBatch(at: now, lastSlot: flights.count + 1 == allowed && allowed > 1) {
        case .batch(let lane, let epoch): return send(lane, of: epoch, at: now)
        case .ask(let epoch): return ask(epoch, address: addresses.current, at: now)
        case .later(let instant): return .wait(until: instant)
        case .nothing: return nextQuestion(at: now)
        }
    }

    // MARK: The watchdog

    private mutating func watch(at now: UInt64) -> Order? {
        let stuck = flights.values.contains { now > $0.deadline + seconds(Self.graceSeconds) }
        let isBusy = flights.values.contains { $0.lane != nil } || epochs.contains { !$0.unsent.isEmpty }
        if !stuck, consecutiveFailures > 0 || !isBusy || budget.pausedUntil(at: now) != nil {
            watchdog.excused(at: now)
            return nil
        }
        // One large record on a slow link is not stuck before its own deadline.
        let waitsForOne = flights.values.contains { $0.numbers.count == 1 && now <= $0.deadline }
        guard stuck ? watchdog.bitesNow(at: now) : !waitsForOne && watchdog.bites(at: now) else { return nil }
        giveUp(flights)
        _ = addresses.failed(addresses.current, at: now)
        return .restartConnection
    }

    // MARK: Lanes

    private enum Choice {
        case batch(ForwarderLane, Int)
        case ask(Int)
        case later(UInt64)
        case nothing
    }

    private func liveBounds(_ epoch: Epoch, at now: UInt64) -> ClosedRange<Int64>? {
        let window = seconds(limits.liveWindowSeconds)
        let first = epoch.clock.first(since: now > window ? now - window : 0)
        return first <= epoch.committedThrough ? first...epoch.committedThrough : nil
    }

    /// - Parameter lastSlot: the only request that may still begin, of several: not for the backlog.
    private mutating func nextBatch(at now: UInt64, lastSlot: Bool) -> Choice {
        let current = epochs.lastIndex { $0.isCurrent }
        let live = current.flatMap { liveBounds(epochs[$0], at: now) }
        // The newest epoch's first: an alert of today does not wait behind those of an outage.
        let alerts = epochs.lastIndex { !$0.unsentAlerts.isEmpty }
        if let alerts, alerts == current, let live, epochs[alerts].unsentAlerts.overlaps(live) {
            return .batch(.alerts, alerts)
        }
        let due = current.flatMap { liveDue(epochs[$0], live, at: now) }
        let backlog = backlogEpoch(current: current, live: live)
        let hasRest = alerts != nil || backlog != nil
        if (due != nil) != hasRest { due != nil ? shares.onlyLiveSends() : shares.onlyTheRestSends() }
        let turn = turn(due: due, hasRest: hasRest, at: now)
        // Alerts may borrow from the budget. Of those that wait in numbers, live reports get a share.
        if let alerts, turn == .backlog, !lastSlot, hasRoom(.alerts) { return .batch(.alerts, alerts) }
        if let paused = budget.pausedUntil(at: now) { return .later(paused) }
        if turn == .live || (lastSlot && due.map { $0 <= now } == true), let current {
            return hasRoom(.live) ? .batch(.live, current) : .later(now + seconds(1))
        }
        if turn == .backlog, alerts == nil, let backlog, !lastSlot, hasRoom(.backlog) {
            let needsAsking = !epochs[backlog].isCurrent && !epochs[backlog].wasAsked
            if !needsAsking { return .batch(.backlog, backlog) }
            if !isAsking(epochs[backlog].name) { return .ask(backlog) }
        }
        if let due, due > now { return .later(due) }
        return due == nil && !hasRest ? .nothing : .later(now + seconds(1))
    }

    /// Whose turn it is between live reports and the rest (named backlog); nil where neither can go now.
    private func turn(due: UInt64?, hasRest: Bool, at now: UInt64) -> ForwarderLane? {
        guard let due, due <= now else { return hasRest ? .backlog : nil }
        return !hasRest || shares.liveIsNext ? .live : .backlog
    }

    /// A lane that has nothing on the link may always put one batch there; more only until the link is full for a
    /// few seconds, so that what is urgent does not queue behind what is not.
    private func hasRoom(_ lane: ForwarderLane) -> Bool {
        wireInFlight < link.windowBytes || !flights.values.contains { $0.lane == lane }
    }

    private func backlogEpoch(current: Int?, live: ClosedRange<Int64>?) -> Int? {
        epochs.indices.first { index in
            let epoch = epochs[index]
            guard let lowest = epoch.unsent.min else { return false }
            return index != current || lowest < live?.lowerBound ?? .max
        }
    }

    /// When the next live batch may begin; nil: there is nothing for it.
    private func liveDue(_ current: Epoch, _ live: ClosedRange<Int64>?, at now: UInt64) -> UInt64? {
        guard let live, current.unsent.overlaps(live) else { return nil }
        let underWay = flights.values.filter { $0.lane == .live }.count
        // Half the requests at most, so that slow live batches leave room for alerts and the backlog.
        guard underWay < max(1, credit.maxInFlight / 2) else { return now + seconds(1) }
        guard let lastLiveSendAt else { return now }
        // A full batch does not wait.
        let worth = min(limits.worthSendingAtOnce, link.records(in: batchBytes))
        if current.unsent.highest(in: live, numbers: worth, ranges: 64).count >= Int(worth) { return now }
        return lastLiveSendAt + seconds(limits.lingerSeconds)
    }

    private mutating func send(_ lane: ForwarderLane, of index: Int, at now: UInt64) -> Order {
        let bytes = min(batchBytes, link.linesOf(wireBytes: budget.batchBytes))
        let count = min(Int64(SyncLimits.recordsPerBatch), link.records(in: bytes))
        let numbers = epochs[index].next(
            lane, live: epochs[index].isCurrent ? liveBounds(epochs[index], at: now) : nil, count: count,
            ranges: SyncLimits.batchRanges)
        precondition(!numbers.isEmpty, "a lane is chosen only where it has something to send")
        if lane == .live { lastLiveSendAt = now }
        let name = epochs[index].name
        epochs[index].take(numbers)
        let expected = link.wireBytes(ofLines: min(bytes, Int(Double(numbers.count) * link.recordBytes)))
        let id = begin(
            Flight(
                epoch: name, lane: lane, numbers: numbers, address: addresses.current, startedAt: now,
                wireBytes: expected, deadline: now + seconds(LinkControl.longestDeadlineSeconds)))
        spend(lane, expected, at: now)
        return .send(
            Batch(
                id: id, lane: lane, epoch: name, numbers: numbers, maxBytes: bytes,
                newestFirst: lane != .backlog, address: addresses.current))
    }

    // MARK: Questions

    /// Questions that do not wait until there is nothing to send.
    private mutating func lookAround(at now: UInt64) -> Order? {
        if consecutiveFailures == 0, addresses.current != 0, !epochs.isEmpty, addresses.looksAtFirst(at: now) {
            return ask(epochs.count - 1, address: 0, at: now)
        }
        guard now >= nextReconcileAt else { return nil }
        let isFirst = nextReconcileAt == 0
        nextReconcileAt = now + seconds(limits.reconcileSeconds)
        guard !isFirst, let index = nextToAsk({ $0.received.count > $0.archived.count }) else { return nil }
        return ask(index, address: addresses.current, at: now)
    }

    private mutating func nextQuestion(at now: UInt64) -> Order {
        guard let index = nextToAsk(asksAbout) else {
            return .idle(until: now + seconds(limits.askCapSeconds))
        }
        if now < nextAskAt { return .idle(until: nextAskAt) }
        nextAskAt = now + seconds(askPauseSeconds)
        askPauseSeconds = min(limits.askCapSeconds, askPauseSeconds * 1.5)
        return ask(index, address: addresses.current, at: now)
    }

    private func asksAbout(_ epoch: Epoch) -> Bool {
        epoch.waiting > epoch.setAside.count || !(epoch.missing.isEmpty || epoch.wasAsked)
    }

    /// In turn, so that no epoch keeps the others from being asked about.
    private mutating func nextToAsk(_ condition: (Epoch) -> Bool) -> Int? {
        for step in epochs.indices {
            let index = (askCursor + step) % epochs.count
            if condition(epochs[index]), !isAsking(epochs[index].name) {
                askCursor = index + 1
                return index
            }
        }
        return nil
    }

    private func isAsking(_ epoch: String) -> Bool {
        flights.values.contains { $0.lane == nil && $0.epoch == epoch }
    }

    private mutating func ask(_ index: Int, address: Int, at now: UInt64) -> Order {
        let name = epochs[index].name
        let id = begin(
            Flight(
                epoch: name, lane: nil, address: address, startedAt: now, sentAt: now,
                deadline: now + seconds(LinkControl.deadlineSeconds), had: epochs[index].received))
        return .ask(
            Question(
                id: id, epoch: name, from: epochs[index].askFrom, address: address,
                timeoutSeconds: LinkControl.deadlineSeconds))
    }
}
