// Decides which segments may be forgotten (I2). Pure.

package import SegmentedLog
package import SyncProtocol

package enum SegmentRelease {
    /// The first positions of the sealed segments that may go, oldest first: all their records are archived, and their hold
    /// time is over or the buffer needs the room. Records that central never archived keep their whole segment.
    package static func releasable(
        _ segments: [SegmentSummary], archived: IntervalSet, nowMicroseconds: Int64, holdSeconds: Double,
        level: BufferLevel
    ) -> [Int64] {
        segments.filter { segment in
            guard segment.sealed, let last = segment.lastPosition, last >= segment.firstPosition,
                archived.contains(segment.firstPosition...last)
            else { return false }
            if level >= .releasing { return true }
            guard let lastTime = segment.lastTime else { return true }
            return Double(nowMicroseconds) - Double(lastTime) >= holdSeconds * 1e6
        }.map(\.firstPosition)
    }
}
