// What one target still has to get, and what is to be tried next. Pure: times are arguments (monotonic nanoseconds),
// the jitter's randomness is handed in.
//
//            raised                        try succeeded
//   ──────────────────▶ waiting ──▶ trying ──────────────▶ delivered
//                          ▲           │ try failed
//                          └───────────┤
//                        backoff       └── 24 h after it was raised, or pushed out of a full queue ──▶ given up
//
// A failure that says something of the target (no connection, 5xx) holds back everything already tried until the target
// is tried again; an alert never tried is tried at once, at most one such try a second: so the first alert after an
// outage finds out that it is over. A failure that says something of the one message (400, 413, 422) holds back only
// that message.

package import Models

package struct DeliveryQueue: Sendable {
    /// Alerts waiting for one target (I7); the least grave, oldest one makes room.
    package static let maxWaiting = 10_000
    package static let giveUpAfterSeconds = 24.0 * 3600
    package static let firstBackoffSeconds = 1.0
    package static let longestBackoffSeconds = 60.0
    /// Between two tries of a target that did not answer the last one.
    package static let probeSeconds = 1.0

    package enum Scope: Sendable { case target, message }

    package struct Item: Sendable, Equatable {
        package let alert: Alert
        /// When the 24 hours began.
        package let since: UInt64
        package var tries = 0
        fileprivate var notBefore: UInt64 = 0
        fileprivate let order: Int
    }

    package enum Decision: Equatable {
        case attempt(Item)
        /// Its time is over. Comes before anything else.
        case giveUp(Item)
        /// Nothing to do before this moment; nil: until something is added.
        case wait(until: UInt64?)
    }

    private var items: [String: Item] = [:]
    /// To be tried at once, by severity, in order of arrival; may hold ids that are gone.
    private var ready: [AlertSeverity: FirstInFirstOut] = [:]
    /// Tried, and waiting for their moment.
    private var held: Set<String> = []
    private var nextOrder = 0
    private var failuresInARow = 0
    private var lastTry: UInt64?
    private var targetNotBefore: UInt64 = 0
    private let maxWaiting: Int

    package init(maxWaiting: Int = DeliveryQueue.maxWaiting) {
        precondition(maxWaiting > 0, "a queue has room for one")
        self.maxWaiting = maxWaiting
    }

    package var count: Int { items.count }
    package var isFailing: Bool { failuresInARow > 0 }
    package var oldestSince: UInt64? { items.values.lazy.map(\.since).min() }

    // MARK: Facts

    /// - Returns: what had to make room for it: nil, or the least grave alert that waited longest, or itself.
    package mutating func added(_ alert: Alert, since: UInt64) -> Item? {
        guard items[alert.alertID] == nil else { return nil }
        let item = Item(alert: alert, since: since, order: nextOrder)
        nextOrder += 1
        var victim: Item?
        if items.count >= maxWaiting {
            victim = leastGrave(upTo: alert.severity)
            guard let victim else { return item }
            remove(victim.alert.alertID)
        }
        items[alert.alertID] = item
        ready[alert.severity, default: FirstInFirstOut()].append(alert.alertID)
        return victim
    }

    package mutating func succeeded(_ alertID: String) {
        remove(alertID)
        guard failuresInARow > 0 else { return }
        failuresInARow = 0
        targetNotBefore = 0
        // What waited for the target waits no more.
        let back = held.compactMap { items[$0] }.sorted { $0.order < $1.order }
        for item in back { ready[item.alert.severity, default: FirstInFirstOut()].append(item.alert.alertID) }
        held = []
    }

    /// - Parameters:
    ///   - retryAfterSeconds: what the target asked for.
    ///   - unit: uniform in 0..<1, the jitter.
    package mutating func failed(
        _ alertID: String, _ scope: Scope, retryAfterSeconds: Double? = nil, unit: Double, at now: UInt64
    ) {
        guard var item = items[alertID] else { return }
        let failures: Int
        switch scope {
        case .target:
            failuresInARow += 1
            failures = failuresInARow
        case .message:
            failuresInARow = 0
            failures = item.tries
        }
        let doublings = min(max(failures, 1) - 1, 20)
        let bound = min(Self.longestBackoffSeconds, Self.firstBackoffSeconds * Double(1 << doublings))
        let wait = max(bound * unit, min(retryAfterSeconds ?? 0, 3600))
        item.notBefore = now + UInt64(wait * 1e9)
        if scope == .target { targetNotBefore = item.notBefore }
        items[alertID] = item
        held.insert(alertID)
    }

    // MARK: Orders

    /// What to do now. An attempt counts as begun: `succeeded` or `failed` must follow.
    package mutating func next(at now: UInt64) -> Decision {
        if let expired = firstHeld(where: { Self.isOver($0, at: now) }) {
            remove(expired.alert.alertID)
            return .giveUp(expired)
        }
        let probeAt = isFailing ? (lastTry ?? 0) + UInt64(Self.probeSeconds * 1e9) : 0
        if probeAt <= now, let item = takeReady() {
            guard !Self.isOver(item, at: now) else {
                remove(item.alert.alertID)
                return .giveUp(item)
            }
            return attempt(item, at: now)
        }
        if targetNotBefore <= now, let item = firstHeld(where: { $0.notBefore <= now }) {
            return attempt(item, at: now)
        }
        return .wait(until: nextMoment(probeAt: probeAt))
    }

    private mutating func attempt(_ item: Item, at now: UInt64) -> Decision {
        var item = item
        item.tries += 1
        items[item.alert.alertID] = item
        held.remove(item.alert.alertID)
        lastTry = now
        return .attempt(item)
    }

    private static func isOver(_ item: Item, at now: UInt64) -> Bool {
        Double(now - min(now, item.since)) / 1e9 >= giveUpAfterSeconds
    }

    private mutating func takeReady() -> Item? {
        for severity in AlertSeverity.allCases.reversed() {
            while let id = ready[severity]?.removeFirst() {
                if let item = items[id] { return item }
            }
        }
        return nil
    }

    /// The gravest, then the oldest.
    private func firstHeld(where isWanted: (Item) -> Bool) -> Item? {
        let wanted = held.compactMap { items[$0] }.filter(isWanted)
        return wanted.min { left, right in
            left.alert.severity == right.alert.severity
                ? left.order < right.order : left.alert.severity > right.alert.severity
        }
    }

    private mutating func leastGrave(upTo limit: AlertSeverity) -> Item? {
        for severity in AlertSeverity.allCases where severity <= limit {
            while let id = ready[severity]?.removeFirst() {
                if let item = items[id] { return item }
            }
            if let item = firstHeld(where: { $0.alert.severity == severity }) { return item }
        }
        return nil
    }

    private func nextMoment(probeAt: UInt64) -> UInt64? {
        var moment = held.lazy.compactMap { items[$0]?.notBefore }.min().map { max($0, targetNotBefore) }
        if items.count > held.count { moment = min(moment ?? .max, probeAt) }
        return moment
    }

    private mutating func remove(_ alertID: String) {
        items[alertID] = nil
        held.remove(alertID)
    }
}

/// A queue whose removals at the front cost nothing.
private struct FirstInFirstOut: Sendable {
    private var elements: [String] = []
    private var head = 0

    mutating func append(_ element: String) { elements.append(element) }

    mutating func removeFirst() -> String? {
        guard head < elements.count else { return nil }
        let first = elements[head]
        head += 1
        if head > 1_024, head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return first
    }
}
