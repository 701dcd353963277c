// One target: its queue and the one thread that sends to it. Nothing here is shared with another target, so a slow or
// dead one delays nobody (F121).

import Log
import Metrics
import Models
import Synchronization
import System

final class DeliveryTarget: Sendable {
    /// Between two calls of a channel's `idle`.
    private static let idleSeconds = 5.0

    /// What a target reports, on its own thread.
    enum Event: Sendable {
        case tried, delivered, failed(String), givenUp
    }

    private struct State {
        var queue: DeliveryQueue
        var changes = 0
        var isStopped = false
    }

    let settings: TargetSettings
    private let state: Monitor<State>
    private let time: any TimeSource
    private let log: Log
    private let stopped = Atomic<Bool>(false)
    let delivered = Counter()
    let failedTries = Counter()
    let givenUp = Counter()
    let dropped = Counter()
    let heldBack = Counter()

    init(_ settings: TargetSettings, maxWaiting: Int = DeliveryQueue.maxWaiting, time: any TimeSource, log: Log) {
        self.settings = settings
        self.time = time
        self.log = log
        state = Monitor(State(queue: DeliveryQueue(maxWaiting: maxWaiting)))
    }

    var waiting: Int { state.withLock { $0.queue.count } }
    var isFailing: Bool { state.withLock { $0.queue.isFailing } }
    var oldestSeconds: Double {
        let now = time.monotonicNanoseconds()
        return state.withLock { $0.queue.oldestSince }.map { Double(now - min(now, $0)) / 1e9 } ?? 0
    }

    /// Never waits.
    /// - Returns: the alert that had to make room.
    func add(_ alert: Alert, since: UInt64) -> Alert? {
        let victim = state.update { state in
            state.changes += 1
            return state.queue.added(alert, since: since)?.alert
        }
        if victim != nil {
            dropped.add()
            // The first one and then every thousandth: a full queue is one event, not ten thousand.
            if dropped.value % 1_000 == 1 { log.warning("delivery_queue_full", ["target": .string(settings.name)]) }
        }
        return victim
    }

    func stop() {
        stopped.store(true, ordering: .relaxed)
        state.update { $0.isStopped = true }
    }

    /// The thread's body.
    func run(_ channel: consuming any AlertChannel, onEvent: (Alert, Event) -> Void) {
        var channel = channel
        var random = SystemRandomNumberGenerator()
        while true {
            let (decision, seen): (DeliveryQueue.Decision, Int) = state.withLock { state in
                state.isStopped
                    ? (.wait(until: nil), -1) : (state.queue.next(at: time.monotonicNanoseconds()), state.changes)
            }
            guard seen >= 0 else { break }
            switch decision {
            case .giveUp(let item):
                givenUp.add()
                log.warning(
                    "delivery_given_up",
                    [
                        "target": .string(settings.name), "alert_id": .string(item.alert.alertID),
                        "tries": .int(item.tries), "reason": "24 h without success",
                    ])
                onEvent(item.alert, .givenUp)
            case .attempt(let item):
                attempt(item, &channel, &random, onEvent)
            case .wait(let until):
                wait(until: until, seen: seen, &channel)
            }
        }
        channel.close()
    }

    private func attempt(
        _ item: DeliveryQueue.Item, _ channel: inout any AlertChannel, _ random: inout SystemRandomNumberGenerator,
        _ onEvent: (Alert, Event) -> Void
    ) {
        onEvent(item.alert, .tried)
        let wasFailing = isFailing
        do throws(DeliveryFailure) {
            let stopped = { self.stopped.load(ordering: .relaxed) }
            try channel.send(
                item.alert.disclosed(includingNames: settings.includeNames), tries: item.tries, isCancelled: stopped)
            delivered.add()
            state.withLock { $0.queue.succeeded(item.alert.alertID) }
            onEvent(item.alert, .delivered)
            if wasFailing { log.info("delivery_recovered", ["target": .string(settings.name)]) }
        } catch {
            // A try that our own stop cut off says nothing about the target.
            if stopped.load(ordering: .relaxed) { return }
            failedTries.add()
            let now = time.monotonicNanoseconds()
            let unit = Double.random(in: 0..<1, using: &random)
            state.withLock {
                $0.queue.failed(
                    item.alert.alertID, error.scope, retryAfterSeconds: error.retryAfterSeconds, unit: unit, at: now)
            }
            onEvent(item.alert, .failed(error.reason))
            if !wasFailing {
                log.warning(
                    "delivery_failing",
                    [
                        "target": .string(settings.name), "alert_id": .string(item.alert.alertID),
                        "reason": .string(error.reason),
                    ])
            }
        }
    }

    private func wait(until moment: UInt64?, seen: Int, _ channel: inout any AlertChannel) {
        let now = time.monotonicNanoseconds()
        let seconds = moment.map { Double($0 - min($0, now)) / 1e9 } ?? Self.idleSeconds
        let isWoken = state.wait(timeoutSeconds: min(max(seconds, 0.001), Self.idleSeconds)) { state in
            state.isStopped || state.changes != seen ? true : nil
        }
        if isWoken == nil { channel.idle() }
    }
}
