// How tests wait for a real process, thread or socket: they ask until it is so, and give up at a deadline.
//
// A deadline is there so that a hang ends as a failure with its place, not to measure: a machine with two cores whose
// disk is slow for a while must not fail. So every deadline is stretched by `patience`; a passing test never feels it.

import Glibc
import System

package enum Waiting {
    /// How many times longer than on a quiet machine something may take.
    package static let patience = 6.0

    /// Since `start` (monotonic nanoseconds) no more than `seconds` of a quiet machine have gone by. For promises that
    /// something does not wait for something slower; the slower thing must take longer than the stretched time.
    package static func isWithin(_ seconds: Double, since start: UInt64) -> Bool {
        Double(SystemTime().monotonicNanoseconds() - start) / 1e9 < seconds * patience
    }
}

/// Asks again and again until it is so, at most `seconds` of a quiet machine.
package func eventually(
    within seconds: Double = 10, everyMilliseconds: Int32 = 5, _ condition: () -> Bool
) -> Bool {
    let start = SystemTime().monotonicNanoseconds()
    while !condition() {
        guard Waiting.isWithin(seconds, since: start) else { return false }
        sched_yield()
        poll(nil, 0, everyMilliseconds)
    }
    return true
}
