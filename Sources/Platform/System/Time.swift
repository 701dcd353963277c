// Time as an input: whoever needs a clock is given a `TimeSource`, so that tests decide what time it is.

import Glibc
import Synchronization

/// A wall clock (may jump) and a monotonic clock (never goes back, keeps counting while the machine sleeps).
package protocol TimeSource: Sendable {
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    func wallMicroseconds() -> Int64
    /// Nanoseconds since an arbitrary point in the past.
    func monotonicNanoseconds() -> UInt64
}

/// The machine's clocks.
package struct SystemTime: TimeSource {
    package init() {}

    package func wallMicroseconds() -> Int64 {
        let time = Self.read(CLOCK_REALTIME)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

    package func monotonicNanoseconds() -> UInt64 {
        let time = Self.read(CLOCK_BOOTTIME)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        let result = clock_gettime(clock, &time)
        precondition(result == 0, "the kernel has no clock \(clock)")
        return time
    }
}

/// A clock for tests: stands still until it is moved.
package final class ManualTime: TimeSource {
    private struct State {
        var wallMicroseconds: Int64
        var monotonicNanoseconds: UInt64
    }

    private let state: Mutex<State>

    package init(wallMicroseconds: Int64 = 1_795_150_800_000_000, monotonicNanoseconds: UInt64 = 1_000_000_000) {
        state = Mutex(State(wallMicroseconds: wallMicroseconds, monotonicNanoseconds: monotonicNanoseconds))
    }

    package func wallMicroseconds() -> Int64 { state.withLock { $0.wallMicroseconds } }
    package func monotonicNanoseconds() -> UInt64 { state.withLock { $0.monotonicNanoseconds } }

    /// Both clocks go on together.
    package func advance(seconds: Double) {
        precondition(seconds >= 0, "time does not run backwards: set the wall clock instead")
        state.withLock {
            $0.wallMicroseconds += Int64((seconds * 1_000_000).rounded())
            $0.monotonicNanoseconds += UInt64((seconds * 1_000_000_000).rounded())
        }
    }

    /// The wall clock jumps (an operator, NTP); the monotonic one does not notice.
    package func setWall(microseconds: Int64) {
        state.withLock { $0.wallMicroseconds = microseconds }
    }
}
