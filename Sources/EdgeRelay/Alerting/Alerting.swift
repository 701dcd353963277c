// Evaluates the rules for each report, gives every alert its id and times, and enters it into the book, which pushes
// it. Thread-safe; never waits for disk or network (I6).

package import Models
package import JSON
import Crypto
import Synchronization

package final class Alerting: Sendable {
    package let book: AlertBook
    private let relayID: String
    private let rules: RuleSet
    private let evaluator: Mutex<AlertEvaluator>
    private let hasStatefulRules: Bool
    private let wallMicroseconds: @Sendable () -> Int64

    package init(
        relayID: String, rules: RuleSet, book: AlertBook, wallMicroseconds: @escaping @Sendable () -> Int64
    ) {
        self.relayID = relayID
        self.rules = rules
        self.book = book
        let evaluator = AlertEvaluator(rules: rules)
        hasStatefulRules = evaluator.hasStatefulRules
        self.evaluator = Mutex(evaluator)
        self.wallMicroseconds = wallMicroseconds
    }

    package var rulesVersion: Int { rules.version }

    /// Raises what the report raises. Returns the alerts as JSON, to be stored with it.
    package func evaluate(
        _ report: ParsedReport, identity: ReportIdentity, observedAt: Timestamp, receivedAt: Timestamp,
        at now: UInt64
    ) -> [[UInt8]] {
        var raised = AlertEvaluator.statelessAlerts(report, rules)
        if hasStatefulRules {
            raised += evaluator.withLock { $0.statefulAlerts(report, identity: identity, at: now) }
        }
        guard !raised.isEmpty else { return [] }
        let place = Place(latitude: report.latitude, longitude: report.longitude)
        return raised.map { raise($0, identity, place, observedAt: observedAt, receivedAt: receivedAt) }
    }

    /// Raises lost-contact alerts for drones that have fallen silent. Returns them as JSON with the time they count
    /// from.
    package func raiseSilences(_ board: DroneBoard, at now: UInt64) -> [[UInt8]] {
        var stored: [[UInt8]] = []
        for rule in rules.rules {
            guard case .silent(let seconds) = rule.condition else { continue }
            for last in board.newlySilent(rule: rule.name, seconds: seconds, at: now) {
                let match = Match(subject: "silent", citizen: nil, value: nil, limit: seconds)
                let place = Place(latitude: last.latitude, longitude: last.longitude)
                stored.append(
                    raise(
                        RaisedAlert(rule: rule, match: match), last.identity, place, observedAt: last.observedAt,
                        receivedAt: last.receivedAt))
            }
        }
        return stored
    }

    private func raise(
        _ raised: RaisedAlert, _ identity: ReportIdentity, _ place: Place, observedAt: Timestamp, receivedAt: Timestamp
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
