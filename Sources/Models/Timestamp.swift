// A point in time as everything in Columba keeps it: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
// Written and read as RFC 3339. No Foundation: a report's time is parsed on the hot path, without allocation.

package struct Timestamp: Hashable, Comparable, Sendable {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    /// 0001-01-01T00:00:00Z, the earliest time that can be written.
    package static let earliest = Timestamp(microseconds: -62_135_596_800_000_000)
    /// 9999-12-31T23:59:59.999999Z, the latest.
    package static let latest = Timestamp(microseconds: 253_402_300_799_999_999)

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// Negative if this is the earlier one. Total: far apart times give a rounded, never a trapping, answer.
    package func seconds(since other: Timestamp) -> Double {
        let (difference, overflow) = microseconds.subtractingReportingOverflow(other.microseconds)
        return (overflow ? Double(microseconds) - Double(other.microseconds) : Double(difference)) / 1_000_000
    }

    /// Saturates at the ends of Int64. `seconds` must not be NaN.
    package func adding(seconds: Double) -> Timestamp {
        precondition(!seconds.isNaN, "a duration is a number")
        // Half away from zero, as `rounded()` does; that would need the mathematics library.
        let step = seconds * 1_000_000 + (seconds < 0 ? -0.5 : 0.5)
        guard step > -9.2e18 else { return Timestamp(microseconds: .min) }
        guard step < 9.2e18 else { return Timestamp(microseconds: .max) }
        let (sum, overflow) = microseconds.addingReportingOverflow(Int64(step))
        return Timestamp(microseconds: overflow ? (step < 0 ? .min : .max) : sum)
    }
}

/// A reading of a clock that never goes back and means nothing outside this process: for durations and deadlines.
package struct MonotonicInstant: Hashable, Comparable, Sendable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Negative if this is the earlier one.
    package func seconds(since other: MonotonicInstant) -> Double {
        self < other
            ? -Double(other.nanoseconds - nanoseconds) / 1_000_000_000
            : Double(nanoseconds - other.nanoseconds) / 1_000_000_000
    }

    /// Saturates at both ends. `seconds` must not be NaN.
    package func adding(seconds: Double) -> MonotonicInstant {
        precondition(!seconds.isNaN, "a duration is a number")
        let magnitude = abs(seconds) * 1_000_000_000
        guard magnitude < 1.8e19 else { return MonotonicInstant(nanoseconds: seconds < 0 ? 0 : .max) }
        let step = UInt64(magnitude)
        if seconds < 0 {
            return MonotonicInstant(nanoseconds: nanoseconds > step ? nanoseconds - step : 0)
        }
        let (sum, overflow) = nanoseconds.addingReportingOverflow(step)
        return MonotonicInstant(nanoseconds: overflow ? .max : sum)
    }
}
