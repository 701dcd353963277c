// Whether the buffer's writer gets anywhere. A disk can hang: fsync then neither returns nor fails, for minutes (F42).
// The writer notes when it hands a group to the disk and when the disk is done; others look how long that has been.

import Synchronization
package import System

package final class WriterProgress: Sendable {
    /// After so long without the disk's answer nothing more is taken for it: 503, and drones keep their reports.
    package static let patienceSeconds = 5.0

    private let time: any TimeSource
    /// When the group in hand was begun, in monotonic nanoseconds; 0 while the writer waits for work.
    private let busySince = Atomic<UInt64>(0)

    package init(time: any TimeSource) { self.time = time }

    package func began() { busySince.store(max(1, time.monotonicNanoseconds()), ordering: .relaxed) }
    package func ended() { busySince.store(0, ordering: .relaxed) }

    /// How long the disk has been at the group in hand; 0 while there is none.
    package var stalledSeconds: Double {
        let since = busySince.load(ordering: .relaxed)
        guard since != 0 else { return 0 }
        let now = time.monotonicNanoseconds()
        return Double(now - min(now, since)) / 1e9
    }

    package var isStuck: Bool { stalledSeconds >= Self.patienceSeconds }
}
