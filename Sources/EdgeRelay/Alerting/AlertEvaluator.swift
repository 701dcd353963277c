// Decides which alerts a report raises: the conditions of the rules, and what they remember of a drone's earlier
// reports (`for_reports`, `cooldown_s`, `silent_for_s`). Pure: times come in as arguments.

package import Models
package import JSON

/// An alert about to be raised: everything but its id, which needs a hash, and the times, which need a clock.
package struct RaisedAlert: Equatable, Sendable {
    package let rule: Rule
    package let match: Match
}

package struct AlertEvaluator: Sendable {
    /// Drones whose streaks are remembered (I7). At the limit the memory starts afresh: a rule over several reports may
    /// then take one more report to fire; rules without memory are untouched.
    package static let maxDrones = 200_000

    private struct Key: Hashable { let rule: String; let subject: String }
    private struct Streak { var count: Int; var isCurrent: Bool; var raisedAt: UInt64? }
    private struct DroneMemory {
        /// The last report counted, so that a resent one does not count twice.
        var boot = ""
        var seq: Int64 = -1
        var streaks: [Key: Streak] = [:]
    }

    package private(set) var rules: RuleSet
    private var statefulRules: [Rule]
    private var drones: [String: DroneMemory] = [:]

    package init(rules: RuleSet) {
        self.rules = rules
        statefulRules = rules.rules.filter(\.needsState)
    }

    /// New rules from now on. What is remembered stays for the rules that keep their names.
    package mutating func replace(rules: RuleSet) {
        self.rules = rules
        statefulRules = rules.rules.filter(\.needsState)
    }

    /// Rules without memory: may be asked from any thread, without a lock.
    package static func statelessAlerts(_ report: ParsedReport, _ rules: RuleSet) -> [RaisedAlert] {
        var raised: [RaisedAlert] = []
        for rule in rules.rules where !rule.needsState {
            for match in rule.condition.matches(report) { raised.append(RaisedAlert(rule: rule, match: match)) }
        }
        return raised
    }

    /// Whether `statefulAlerts` has anything to decide.
    package var hasStatefulRules: Bool { !statefulRules.isEmpty }

    /// Rules with memory. `now` is monotonic nanoseconds.
    package mutating func statefulAlerts(
        _ report: ParsedReport, identity: ReportIdentity, at now: UInt64
    ) -> [RaisedAlert] {
        guard hasStatefulRules else { return [] }
        if drones.count >= Self.maxDrones, drones[identity.droneID] == nil { drones = [:] }
        var memory = drones[identity.droneID] ?? DroneMemory()
        // Late or repeated reports of the same boot say nothing about "consecutive": they neither count nor reset.
        if memory.boot == identity.boot, identity.seq <= memory.seq { return [] }
        memory.boot = identity.boot
        memory.seq = identity.seq
        var raised: [RaisedAlert] = []
        for key in memory.streaks.keys { memory.streaks[key]?.isCurrent = false }
        for rule in statefulRules {
            for match in rule.condition.matches(report) {
                let key = Key(rule: rule.name, subject: match.subject)
                var streak = memory.streaks[key] ?? Streak(count: 0, isCurrent: false, raisedAt: nil)
                streak.count += 1
                streak.isCurrent = true
                if streak.count >= rule.forReports, !Self.isCoolingDown(streak, rule, at: now) {
                    streak.raisedAt = now
                    raised.append(RaisedAlert(rule: rule, match: match))
                }
                memory.streaks[key] = streak
            }
        }
        memory.streaks = memory.streaks.compactMapValues { streak in
            if streak.isCurrent { return streak }
            // A broken streak is only worth keeping for its cooldown.
            guard streak.raisedAt != nil else { return nil }
            return Streak(count: 0, isCurrent: false, raisedAt: streak.raisedAt)
        }
        drones[identity.droneID] = memory
        return raised
    }

    private static func isCoolingDown(_ streak: Streak, _ rule: Rule, at now: UInt64) -> Bool {
        guard let raisedAt = streak.raisedAt else { return false }
        return Double(now - raisedAt) / 1e9 < rule.cooldownSeconds
    }
}
