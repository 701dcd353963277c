// The stage's exit: every alert that is not late comes here, and leaves to the targets it is for. Taking an alert costs
// a few microseconds and never waits; what became of it is noted and, a tenth of a second later, on disk.

package import AlertRules
package import Log
package import Metrics
package import Models
package import System
import Synchronization

package final class AlertDelivery: Sendable {
    private static let saveSeconds = 0.1
    private static let tidySeconds = 600.0
    /// After a failed write: the alerts go out all the same, only a restart would know less.
    private static let retrySaveSeconds = 5.0

    private struct OutboxState { var isDirty = false; var isStopped = false }

    private let targets: [DeliveryTarget]
    /// A channel is made on the thread that uses it.
    private let channels: [@Sendable () -> any AlertChannel]
    private let ledger = Mutex(DeliveryLedger())
    private let storm: Mutex<StormLimit>
    private let outbox: Monitor<Outbox>
    private let outboxState = Monitor(OutboxState())
    private let since: [String: Timestamp]
    private let threads = Mutex<[WorkerThread]>([])
    private let time: any TimeSource
    private let log: Log

    /// Opens the outbox and reads what the targets need (secrets, certificates); connects nowhere yet.
    package init(
        _ settings: AlertSettings, relayID: String, dataDirectory: String, time: any TimeSource, log: Log
    ) throws {
        self.time = time
        self.log = log
        targets = settings.targets.map { DeliveryTarget($0, time: time, log: log) }
        channels = try settings.channels(relayID: relayID, time: time)
        storm = Mutex(StormLimit(perSecond: settings.stormPerSecond, burst: settings.stormBurst))
        let opened = try Outbox.open(path: "\(dataDirectory)/outbox.db", log: log)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        since = try opened.register(targets.map(\.settings.name), at: now)
        outbox = Monitor(opened)
    }

    package convenience init(_ configuration: RelayConfiguration, time: any TimeSource, log: Log) throws {
        try self.init(
            configuration.alerts, relayID: configuration.relayID, dataDirectory: configuration.dataDirectory,
            time: time, log: log)
    }

    // MARK: Life

    /// Takes over what an earlier life did not deliver, then starts the threads.
    /// - Parameter recovered: every alert that the relay knows from before.
    package func start(recovered: [AlertEntry], rules: RuleSet) throws {
        guard !targets.isEmpty else { return }
        let entries = try outbox.withLock { try $0.load() }
        var known: Set<DeliveryLedger.Key> = []
        var pending = 0
        for entry in entries {
            known.insert(.init(alertID: entry.alertID, target: entry.record.target))
            ledger.withLock { $0.restored(entry) }
            guard entry.record.state == .pending, let alert = entry.alert else { continue }
            if enqueue(alert, target(entry.record.target), since: entry.since) { pending += 1 }
        }
        let now = Timestamp(microseconds: time.wallMicroseconds())
        for entry in recovered where isUndelivered(entry, at: now) {
            for target in targets where target.accepts(entry.alert, rules.rule(named: entry.alert.rule)) {
                let key = DeliveryLedger.Key(alertID: entry.alert.alertID, target: target.settings.name)
                let isOlder = since[key.target].map { entry.alert.raisedAt < $0 } ?? true
                guard !isOlder, !known.contains(key) else { continue }
                note(entry.alert, target, .pending, at: now)
                if enqueue(entry.alert, target, since: entry.alert.raisedAt) { pending += 1 }
            }
        }
        if pending > 0 { log.info("deliveries_resumed", ["pending": .int(pending)]) }
        startThreads()
    }

    private func isUndelivered(_ entry: AlertEntry, at now: Timestamp) -> Bool {
        !entry.alert.isLate && entry.alert.state != .closed
            && now.seconds(since: entry.alert.raisedAt) < DeliveryQueue.giveUpAfterSeconds
    }

    private func startThreads() {
        let senders = zip(targets, channels).map { target, channel in
            WorkerThread(name: "alerts-\(target.settings.kind.rawValue)") { [self] in
                target.run(channel()) { alert, event in heard(target, alert, event) }
            }
        }
        threads.withLock { $0 = senders + [WorkerThread(name: "outbox") { [self] in keepOutbox() }] }
    }

    /// Ends within about a second; what is not delivered stays in the outbox.
    package func stop() {
        for target in targets { target.stop() }
        let running = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in running.dropLast() { thread.join() }
        // The outbox last: it notes what the senders still did.
        outboxState.update { $0.isStopped = true }
        running.last?.join()
    }

    // MARK: Alerts

    /// Hands a new alert to the targets it is for.
    package func offer(_ alert: Alert, rule: Rule) {
        let wanted = targets.filter { $0.accepts(alert, rule) }
        guard !wanted.isEmpty else { return }
        let monotonic = time.monotonicNanoseconds()
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let verdict = storm.withLock { $0.raised(rule: alert.rule, droneID: alert.droneID, at: monotonic) }
        for target in wanted {
            if verdict == .heldBack {
                target.heldBack.add()
                note(alert, target, .heldBack, at: now)
                continue
            }
            note(alert, target, .pending, at: now)
            if let victim = target.add(alert, since: monotonic) { note(victim, target, .dropped, at: now) }
        }
        if case .goesOut(let heldBack) = verdict, heldBack > 0 {
            log.warning(
                "alert_storm",
                ["rule": .string(alert.rule), "drone_id": .string(alert.droneID), "held_back": .int(heldBack)])
        }
    }

    /// In the order of the configuration.
    package func deliveries(of alertID: String) -> [DeliveryRecord] {
        let records = ledger.withLock { $0.records(of: alertID) }
        return records.count < 2
            ? records : targets.compactMap { target in records.first { $0.target == target.settings.name } }
    }

    /// The target's queue; false when it had no room.
    private func enqueue(_ alert: Alert, _ target: DeliveryTarget?, since: Timestamp) -> Bool {
        guard let target else { return false }
        let now = time.monotonicNanoseconds()
        let age = Timestamp(microseconds: time.wallMicroseconds()).seconds(since: since)
        let ageNanoseconds = UInt64(max(0, age) * 1e9)
        guard let victim = target.add(alert, since: now - min(now, ageNanoseconds)) else { return true }
        note(victim, target, .dropped, at: Timestamp(microseconds: time.wallMicroseconds()))
        return victim.alertID != alert.alertID
    }

    private func target(_ name: String) -> DeliveryTarget? { targets.first { $0.settings.name == name } }

    private func note(_ alert: Alert, _ target: DeliveryTarget, _ state: DeliveryRecord.State, at now: Timestamp) {
        let record = DeliveryRecord(
            target: target.settings.name, kind: target.settings.kind, state: state, at: now,
            lastError: state == .dropped ? "the queue was full" : nil)
        ledger.withLock { $0.noted(alert, record, since: now) }
        outboxState.update { $0.isDirty = true }
    }

    private func heard(_ target: DeliveryTarget, _ alert: Alert, _ event: DeliveryTarget.Event) {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let key = DeliveryLedger.Key(alertID: alert.alertID, target: target.settings.name)
        ledger.withLock { ledger in
            ledger.update(key) { record in
                record.at = now
                switch event {
                case .tried: record.tries += 1
                case .delivered:
                    record.state = .delivered
                    record.lastError = nil
                case .failed(let reason): record.lastError = reason
                case .givenUp: record.state = .givenUp
                }
            }
        }
        outboxState.update { $0.isDirty = true }
    }

    // MARK: Outbox

    private func keepOutbox() {
        var tidiedAt: UInt64 = 0
        while true {
            let isStopped =
                outboxState.wait { state -> Bool? in
                    defer { state.isDirty = false }
                    return state.isStopped ? true : state.isDirty ? false : nil
                } ?? true
            // A moment for more to come, and for most alerts to be delivered: then they cost one row, once.
            if !isStopped { _ = outboxState.wait(timeoutSeconds: Self.saveSeconds) { $0.isStopped ? true : nil } }
            let isSaved = saveChanges()
            let now = time.monotonicNanoseconds()
            if isSaved, Double(now - min(now, tidiedAt)) / 1e9 >= Self.tidySeconds {
                tidiedAt = now
                tidy()
            }
            if outboxState.withLock({ $0.isStopped }) {
                // Between the save above and the stop nothing more was tried.
                _ = saveChanges()
                return
            }
            if !isSaved { _ = outboxState.wait(timeoutSeconds: Self.retrySaveSeconds) { $0.isStopped ? true : nil } }
        }
    }

    private func saveChanges() -> Bool {
        let changes = ledger.withLock { $0.takeUnsaved() }
        guard !changes.isEmpty else { return true }
        do {
            try outbox.withLock { try $0.save(changes) }
            return true
        } catch {
            log.warning("outbox_not_saved", ["error": .string("\(error)")])
            ledger.withLock { $0.saveFailed(changes) }
            outboxState.withLock { $0.isDirty = true }
            return false
        }
    }

    private func tidy() {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        do {
            try outbox.withLock { try $0.tidy(targets: targets.count, at: now) }
        } catch {
            log.warning("outbox_not_tidied", ["error": .string("\(error)")])
        }
    }

    // MARK: Figures

    package func register(in registry: MetricsRegistry) {
        let help = "Alerts by target and what became of them."
        for target in targets {
            let labels = [("kind", target.settings.kind.rawValue), ("target", target.settings.name)]
            let results = [
                ("delivered", target.delivered), ("failed_try", target.failedTries), ("given_up", target.givenUp),
                ("dropped", target.dropped), ("held_back", target.heldBack),
            ]
            for (result, counter) in results {
                registry.counterCallback(
                    "columba_relay_deliveries_total", help: help, labels: labels + [("result", result)]
                ) { Double(counter.value) }
            }
            registry.gaugeCallback(
                "columba_relay_deliveries_waiting", help: "Alerts that a target still has to get.", labels: labels
            ) { Double(target.waiting) }
            registry.gaugeCallback(
                "columba_relay_delivery_oldest_seconds", help: "Age of the oldest alert that a target has to get.",
                labels: labels
            ) { target.oldestSeconds }
            registry.gaugeCallback(
                "columba_relay_delivery_up", help: "0 while a target's last try failed.", labels: labels
            ) { target.isFailing ? 0 : 1 }
        }
    }
}

extension DeliveryTarget {
    func accepts(_ alert: Alert, _ rule: Rule?) -> Bool {
        guard alert.severity >= settings.minSeverity else { return false }
        guard let channels = rule?.channels else { return true }
        return channels.contains(settings.name)
    }
}
