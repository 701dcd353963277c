// Decides which alerts a report raises: the conditions of the rules, and what they remember of a drone's earlier
// reports (`for_reports`, `cooldown_s`). Pure: times come in as arguments.
//
// Late reports (replayed after an outage) have a memory of their own that runs on the time of observation: they give
// the alerts that they would have given in time, and leave what live reports have counted as it is.

package import Models
package import JSON

/// An alert about to be raised: everything but its id, which needs a hash, and the times, which need a clock.
package struct RaisedAlert: Equatable, Sendable {
    package let rule: Rule
    package let match: Match

    package init(rule: Rule, match: Match) {
        self.rule = rule
        self.match = match
    }
}

package struct AlertEvaluator: Sendable {
    /// Alerts that one report may raise, the gravest rules first (F95). A report of the largest crowd that meets two
    /// rules stays below it.
    package static let maxAlertsPerReport = 2_000
    /// Drones, and subjects of all drones together, whose streaks are remembered (I7). At the limit the memory starts
    /// afresh: a rule over several reports may then take one more report to fire, a cooldown may end early; rules
    /// without memory are untouched.
    package static let maxDrones = 200_000
    package static let maxStreaks = 1_000_000

    package let rules: RuleSet
    private let statefulRules: [Rule]
    private let cooldowns: [String: Double]
    private var live = Memory()
    private var late = Memory()

    package init(rules: RuleSet) {
        self.rules = rules
        statefulRules = rules.gravestFirst.filter(\.needsState)
        cooldowns = Dictionary(uniqueKeysWithValues: statefulRules.map { ($0.name, $0.cooldownSeconds) })
    }

    /// The rules changed while drones were being watched: what was counted for rules of the same name goes on.
    package init(rules: RuleSet, after earlier: AlertEvaluator) {
        self.init(rules: rules)
        live = earlier.live
        late = earlier.late
    }

    /// Rules without memory: may be asked from any thread, without a lock.
    package static func statelessAlerts(_ report: ParsedReport, _ rules: RuleSet) -> [RaisedAlert] {
        var raised: [RaisedAlert] = []
        for rule in rules.gravestFirst where !rule.needsState {
            for match in rule.condition.matches(report) {
                guard raised.count < maxAlertsPerReport else { return raised }
                raised.append(RaisedAlert(rule: rule, match: match))
            }
        }
        return raised
    }

    /// Whether `statefulAlerts` has anything to decide.
    package var hasStatefulRules: Bool { !statefulRules.isEmpty }

    /// Rules with memory.
    /// - Parameter now: nanoseconds: monotonic for a live report, of the observation for a late one.
    package mutating func statefulAlerts(
        _ report: ParsedReport, identity: ReportIdentity, at now: UInt64, isLate: Bool = false
    ) -> [RaisedAlert] {
        guard hasStatefulRules else { return [] }
        let rules = Stateful(rules: statefulRules, cooldowns: cooldowns)
        return isLate ? rules.alerts(report, identity, now, &late) : rules.alerts(report, identity, now, &live)
    }

    /// The rules with memory, apart from the memory: a method of the whole evaluator that changes a part of it would
    /// copy all drones' memory for every report.
    fileprivate struct Stateful {
        let rules: [Rule]
        let cooldowns: [String: Double]
    }
}

extension AlertEvaluator.Stateful {
    fileprivate func alerts(
        _ report: ParsedReport, _ identity: ReportIdentity, _ now: UInt64, _ memory: inout AlertEvaluator.Memory
    ) -> [RaisedAlert] {
        let isFull = memory.drones.count >= AlertEvaluator.maxDrones && memory.drones[identity.droneID] == nil
        if isFull || memory.streaks >= AlertEvaluator.maxStreaks { memory = AlertEvaluator.Memory() }
        let (raised, added) = alerts(
            report, identity, now, drone: &memory.drones[identity.droneID, default: AlertEvaluator.DroneMemory()])
        memory.streaks += added
        return raised
    }

    private func alerts(
        _ report: ParsedReport, _ identity: ReportIdentity, _ now: UInt64, drone: inout AlertEvaluator.DroneMemory
    ) -> (raised: [RaisedAlert], added: Int) {
        // Reports out of order or repeated within a boot say nothing about "consecutive": they neither count nor reset.
        if drone.boot == identity.boot, identity.seq <= drone.seq { return ([], 0) }
        drone.boot = identity.boot
        drone.seq = identity.seq
        let before = drone.streaks.count
        var raised: [RaisedAlert] = []
        for key in drone.streaks.keys { drone.streaks[key]?.isCurrent = false }
        for rule in rules {
            for match in rule.condition.matches(report) {
                let key = AlertEvaluator.Key(rule: rule.name, subject: match.subject)
                var streak = drone.streaks[key] ?? AlertEvaluator.Streak()
                streak.count = min(streak.count + 1, rule.forReports)
                streak.isCurrent = true
                let fires = streak.count >= rule.forReports && !streak.isCoolingDown(rule.cooldownSeconds, at: now)
                if fires, raised.count < AlertEvaluator.maxAlertsPerReport {
                    streak.raisedAt = now
                    raised.append(RaisedAlert(rule: rule, match: match))
                }
                drone.streaks[key] = streak
            }
        }
        drone.forgetBroken(cooldowns, at: now)
        return (raised, drone.streaks.count - before)
    }
}

extension AlertEvaluator {
    fileprivate struct Key: Hashable { let rule: String; let subject: String }

    fileprivate struct Streak {
        var count = 0
        var isCurrent = false
        var raisedAt: UInt64?

        func isCoolingDown(_ seconds: Double, at now: UInt64) -> Bool {
            guard let raisedAt else { return false }
            // A clock that went back (late reports out of order) has not let any time pass.
            return Double(now - min(now, raisedAt)) / 1e9 < seconds
        }
    }

    fileprivate struct DroneMemory {
        /// The last report counted, so that a resent one does not count twice.
        var boot = ""
        var seq: Int64 = -1
        var streaks: [Key: Streak] = [:]

        /// A broken streak is only worth keeping for its cooldown.
        mutating func forgetBroken(_ cooldowns: [String: Double], at now: UInt64) {
            streaks = streaks.compactMapValues { streak in streak.isCurrent || streak.raisedAt != nil ? streak : nil }
            for (key, streak) in streaks where !streak.isCurrent {
                if streak.isCoolingDown(cooldowns[key.rule] ?? 0, at: now) {
                    streaks[key]?.count = 0
                } else {
                    streaks[key] = nil
                }
            }
        }
    }

    fileprivate struct Memory {
        var drones: [String: DroneMemory] = [:]
        /// Of all drones together.
        var streaks = 0
    }
}
