// Whether a report tells of now or of some time ago. A late one was replayed after an outage: its alerts are stored,
// listed and marked, but wake nobody. (The archive's column `late`, contract §5, goes by the claimed time alone.)
//
// A time in the past has two causes: the report waited, or the drone's clock is slow. What waited comes faster than it
// was observed or stands out from the drone's other reports; a slow clock is the same amount slow in every report. In
// doubt a report is live: a wrong clock must not silence an alarm (I6).

package import Models

/// What is known of one drone's clock. Pure: facts go in, a verdict comes out.
package struct DroneClock: Sendable, Equatable {
    /// How much longer than that it took from one report to the next still counts as the same pace.
    private static let slackSeconds = 5.0
    private static let slackShare = 0.2

    private struct Heard: Sendable, Equatable {
        var observedAt: Timestamp
        var receivedAt: Timestamp
    }

    private var last: Heard?
    /// How far the clock is behind, as far as known: the least age of its reports, or that of the last two that came at
    /// the pace at which they were observed.
    private var secondsBehind = 0.0
    /// Hashes of the boots last heard of. A drone that was switched on again may have lost its time.
    private var boot: Int?
    private var bootBefore: Int?

    package init() {}

    /// Takes a report into account and says whether it is late.
    package mutating func isLate(observedAt: Timestamp, receivedAt: Timestamp, boot name: String) -> Bool {
        let before = last
        last = Heard(observedAt: observedAt, receivedAt: receivedAt)
        let isKnownBoot = knows(name)
        let age = receivedAt.seconds(since: observedAt)
        guard age > ReportLimits.lateAfterSeconds else {
            secondsBehind = 0
            return false
        }
        guard let before, isKnownBoot else {
            secondsBehind = age
            return false
        }
        let waited = receivedAt.seconds(since: before.receivedAt)
        let passed = observedAt.seconds(since: before.observedAt)
        if age < secondsBehind - Self.slackSeconds, passed > 2 * waited + Self.slackSeconds {
            // It comes faster than it was observed, so what came before had waited: the clock is less behind.
            secondsBehind = age
            return true
        }
        if waited >= Self.slackSeconds, abs(passed - waited) <= Self.slackShare * waited {
            secondsBehind = age
            return false
        }
        return age > secondsBehind + ReportLimits.lateAfterSeconds
    }

    /// Two boots are kept, so that what waited from before a restart is not taken for another restart.
    private mutating func knows(_ name: String) -> Bool {
        let hash = name.hashValue
        if boot == hash || bootBefore == hash { return true }
        bootBefore = boot
        boot = hash
        return false
    }
}
