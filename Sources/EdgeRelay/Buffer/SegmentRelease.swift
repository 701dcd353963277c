// Decides which segments may be forgotten (I2). Pure.

package import SegmentedLog
package import SyncProtocol

package enum SegmentRelease {
    /// The first positions of the sealed segments that may go, oldest first: all their records are archived, and their
    /// hold time is over or the buffer needs the room. Records that central never archived keep their whole segment.
    package static func releasable(
        _ segments: [SegmentSummary], archived: IntervalSet, nowMicroseconds: Int64, holdSeconds: Double,
        level: BufferLevel
    ) -> [Int64] {
        segments.filter { segment in
            guard segment.sealed, segment.entries > 0,
                archived.contains(segment.firstPosition...segment.lastPosition)
            else { return false }
            if level >= .releasing { return true }
            return Double(nowMicroseconds) - Double(segment.lastTimeMicroseconds) >= holdSeconds * 1e6
        }.map(\.firstPosition)
    }
}
