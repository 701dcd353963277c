// Evaluates the rules for each report, gives every alert its id and times, and enters it into the book, which pushes
// it. Thread-safe; never waits for disk or network (I6).

package import Models
package import JSON
import Crypto
import Synchronization

package final class Alerting: Sendable {
    package let book: AlertBook
    private let relayID: String
    /// What one report is judged by: taken once per report, so that no report sees half of two rule sets.
    private struct InForce: Sendable { var rules: RuleSet; var hasStatefulRules: Bool }

    private let inForce: Mutex<InForce>
    private let evaluator: Mutex<AlertEvaluator>
    private let wallMicroseconds: @Sendable () -> Int64

    package init(
        relayID: String, rules: RuleSet, book: AlertBook, wallMicroseconds: @escaping @Sendable () -> Int64
    ) {
        self.relayID = relayID
        self.book = book
        let evaluator = AlertEvaluator(rules: rules)
        inForce = Mutex(InForce(rules: rules, hasStatefulRules: evaluator.hasStatefulRules))
        self.evaluator = Mutex(evaluator)
        self.wallMicroseconds = wallMicroseconds
    }

    package var rulesVersion: Int { inForce.withLock { $0.rules.version } }
    package var ruleCount: Int { inForce.withLock { $0.rules.rules.count } }

    /// New rules for every report evaluated from now on (reload). Streaks and cooldowns of rules that keep their names
    /// go on.
    package func replaceRules(_ rules: RuleSet) {
        let hasStatefulRules = evaluator.withLock { evaluator in
            evaluator.replace(rules: rules)
            return evaluator.hasStatefulRules
        }
        inForce.withLock { $0 = InForce(rules: rules, hasStatefulRules: hasStatefulRules) }
    }

    /// Raises what the report raises. Returns the alerts as JSON, to be stored with it.
    package func evaluate(
        _ report: ParsedReport, identity: ReportIdentity, observedAt: Timestamp, receivedAt: Timestamp,
        at now: UInt64
    ) -> [[UInt8]] {
        let inForce = inForce.withLock { $0 }
        let rules = inForce.rules
        var raised = AlertEvaluator.statelessAlerts(report, rules)
        if inForce.hasStatefulRules {
            raised += evaluator.withLock { $0.statefulAlerts(report, identity: identity, at: now) }
        }
        guard !raised.isEmpty else { return [] }
        let place = Place(latitude: report.latitude, longitude: report.longitude)
        return raised.map { raise($0, rules, identity, place, observedAt: observedAt, receivedAt: receivedAt) }
    }

    /// Raises lost-contact alerts for drones that have fallen silent. Returns them as JSON with the time they count
    /// from.
    package func raiseSilences(_ board: DroneBoard, at now: UInt64) -> [[UInt8]] {
        let rules = inForce.withLock { $0.rules }
        var stored: [[UInt8]] = []
        for rule in rules.rules {
            guard case .silent(let seconds) = rule.condition else { continue }
            for last in board.newlySilent(rule: rule.name, seconds: seconds, at: now) {
                let match = Match(subject: "silent", citizen: nil, value: nil, limit: seconds)
                let place = Place(latitude: last.latitude, longitude: last.longitude)
                stored.append(
                    raise(
                        RaisedAlert(rule: rule, match: match), rules, last.identity, place, observedAt: last.observedAt,
                        receivedAt: last.receivedAt))
            }
        }
        return stored
    }

    private func raise(
        _ raised: RaisedAlert, _ rules: RuleSet, _ identity: ReportIdentity, _ place: Place, observedAt: Timestamp,
        receivedAt: Timestamp
    ) -> [UInt8] {
        let id = Alert.identifier(
            rule: raised.rule.name, droneID: identity.droneID, boot: identity.boot, seq: identity.seq,
            subject: raised.match.subject, sha256: { SHA256.hash($0).bytes })
        let now = Timestamp(microseconds: wallMicroseconds())
        let alert = Alert(
            alertID: id, rule: raised.rule.name, ruleVersion: rules.version, severity: raised.rule.severity,
            droneID: identity.droneID, boot: identity.boot, seq: identity.seq, location: place,
            citizen: raised.match.citizen, value: raised.match.value, limit: raised.match.limit,
            observedAt: observedAt, receivedAt: receivedAt, raisedAt: now, relayID: relayID)
        book.raise(alert, at: now)
        return alert.json()
    }
}
