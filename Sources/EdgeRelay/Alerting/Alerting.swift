// Evaluates the rules for each report, gives every alert its id and times, enters it into the book, which pushes it to
// those who follow, and offers it to the delivery targets. Thread-safe; never waits for disk or network (I6).

package import AlertRules
package import Models
package import JSON
import Crypto
import Synchronization

package final class Alerting: Sendable {
    package let book: AlertBook
    private let relayID: String
    private let rules: Mutex<RuleSet>
    private let evaluator: Mutex<AlertEvaluator>
    private let silenceClock = Mutex(SilenceClock())
    private let cutShort = Atomic<Int>(0)
    private let wallMicroseconds: @Sendable () -> Int64
    private let onRaised: @Sendable (Alert, Rule) -> Void

    /// - Parameter onRaised: hears of each new alert that is not late, on the thread that took its report: it must not
    ///   wait.
    package init(
        relayID: String, rules: RuleSet, book: AlertBook, wallMicroseconds: @escaping @Sendable () -> Int64,
        onRaised: @escaping @Sendable (Alert, Rule) -> Void = { _, _ in }
    ) {
        self.relayID = relayID
        self.rules = Mutex(rules)
        self.book = book
        evaluator = Mutex(AlertEvaluator(rules: rules))
        self.wallMicroseconds = wallMicroseconds
        self.onRaised = onRaised
    }

    package var rulesVersion: Int { rules.withLock { $0.version } }
    package var ruleCount: Int { rules.withLock { $0.rules.count } }

    /// Reports that raised as many alerts as one may, and perhaps would have raised more (F95).
    package var reportsCutShort: Int { cutShort.load(ordering: .relaxed) }

    /// Puts other rules in force, for the next report on. Streaks and cooldowns of rules that keep their name go on.
    package func replaceRules(_ next: RuleSet) {
        evaluator.withLock { $0 = AlertEvaluator(rules: next, after: $0) }
        rules.withLock { $0 = next }
    }

    /// Raises what the report raises. Returns the alerts as JSON, to be stored with it.
    /// - Parameters:
    ///   - now: monotonic nanoseconds.
    ///   - isLate: the report was replayed, see `DroneClock`.
    package func evaluate(
        _ report: ParsedReport, identity: ReportIdentity, observedAt: Timestamp, receivedAt: Timestamp, at now: UInt64,
        isLate: Bool = false
    ) -> [[UInt8]] {
        let rules = rules.withLock { $0 }
        guard !rules.rules.isEmpty else { return [] }
        var raised = AlertEvaluator.statelessAlerts(report, rules)
        if rules.hasStatefulRules {
            let at = isLate ? UInt64(max(0, observedAt.microseconds)) * 1_000 : now
            raised += evaluator.withLock { $0.statefulAlerts(report, identity: identity, at: at, isLate: isLate) }
        }
        guard !raised.isEmpty else { return [] }
        if raised.count >= AlertEvaluator.maxAlertsPerReport { cutShort.wrappingAdd(1, ordering: .relaxed) }
        let place = Place(latitude: report.latitude, longitude: report.longitude)
        return raised.map {
            raise(
                $0, rules.version, identity, place, observedAt: observedAt, receivedAt: receivedAt, isLate: isLate)
        }
    }

    /// Raises lost-contact alerts for drones that have fallen silent. Returns them as JSON, to be stored.
    /// To be called about once a second.
    package func raiseSilences(_ board: DroneBoard, at now: UInt64) -> [[UInt8]] {
        let clock = silenceClock.withLock { clock in
            clock.looked(at: now)
            return clock
        }
        let rules = rules.withLock { $0 }
        var stored: [[UInt8]] = []
        for rule in rules.rules {
            guard case .silent(let seconds, let grace) = rule.condition else { continue }
            guard clock.canTell(silentSeconds: seconds + grace, at: now) else { continue }
            for last in board.newlySilent(rule: rule.name, seconds: seconds + grace, at: now) {
                let match = Match(subject: "silent", citizen: nil, value: nil, limit: seconds)
                let place = Place(latitude: last.latitude, longitude: last.longitude)
                stored.append(
                    raise(
                        RaisedAlert(rule: rule, match: match), rules.version, last.identity, place,
                        observedAt: last.observedAt, receivedAt: last.receivedAt, isLate: false))
            }
        }
        return stored
    }

    /// Alerts whose time on the shelf is over; their state changes as JSON, to be stored.
    package func returnFromShelf() -> [[UInt8]] {
        book.returnFromShelf(relayID: relayID, at: Timestamp(microseconds: wallMicroseconds())).map { $0.json() }
    }

    private func raise(
        _ raised: RaisedAlert, _ rulesVersion: Int, _ identity: ReportIdentity, _ place: Place, observedAt: Timestamp,
        receivedAt: Timestamp, isLate: Bool
    ) -> [UInt8] {
        let id = Alert.identifier(
            rule: raised.rule.name, droneID: identity.droneID, boot: identity.boot, seq: identity.seq,
            subject: raised.match.subject, sha256: { SHA256.hash($0).bytes })
        let now = Timestamp(microseconds: wallMicroseconds())
        let alert = Alert(
            alertID: id, rule: raised.rule.name, ruleVersion: rulesVersion, severity: raised.rule.severity,
            droneID: identity.droneID, boot: identity.boot, seq: identity.seq, location: place,
            citizen: raised.match.citizen, value: raised.match.value, limit: raised.match.limit,
            observedAt: observedAt, receivedAt: receivedAt, raisedAt: now, relayID: relayID, isLate: isLate)
        let entered = book.raise(alert, subject: raised.match.subject, at: now)
        if entered.isNew, !isLate { onRaised(entered.alert, raised.rule) }
        return entered.alert.json()
    }
}
