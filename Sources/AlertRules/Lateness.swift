// Whether a report tells of now or of some time ago. A late one was replayed after an outage: its alerts are stored,
// listed and marked, but wake nobody (contract §5 calls the same reports late in the archive).

package import Models

package enum Lateness {
    /// - Parameter clockIsGood: whether the drone was heard before with a time that agreed with the relay's.
    ///
    /// A claimed time beyond `ReportLimits.suspectAfterSeconds` (24 h) may as well come from a clock that was never
    /// set. Such a report is late only when the drone's clock is known to be good: a wrong clock must not silence an
    /// alarm (I6).
    package static func isLate(observedAt: Timestamp, receivedAt: Timestamp, clockIsGood: () -> Bool) -> Bool {
        let age = receivedAt.seconds(since: observedAt)
        guard age > ReportLimits.lateAfterSeconds else { return false }
        return age <= ReportLimits.suspectAfterSeconds || clockIsGood()
    }

    package static func isGood(observedAt: Timestamp, receivedAt: Timestamp) -> Bool {
        abs(receivedAt.seconds(since: observedAt)) <= ReportLimits.lateAfterSeconds
    }
}
