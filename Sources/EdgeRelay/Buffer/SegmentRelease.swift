// Decides which segments may be forgotten (I2). Pure.

package import SegmentedLog
package import SyncProtocol

package enum SegmentRelease {
    /// The first positions of the sealed segments that may go, oldest first: all their records are archived (or lost
    /// already), and their hold time is over or the buffer needs the room. Records that central never archived keep
    /// their whole segment.
    ///
    /// - Parameter excessBytes: what must go before its hold time is over; less by what goes.
    package static func releasable(
        _ segments: [SegmentSummary], settled: IntervalSet, nowMicroseconds: Int64, holdSeconds: Double,
        excessBytes: inout Int
    ) -> [Int64] {
        var positions: [Int64] = []
        for segment in segments where segment.sealed && segment.entries > 0 {
            guard isSettled(segment, settled) else { continue }
            let isHeld = Double(nowMicroseconds) - Double(segment.lastTimeMicroseconds) < holdSeconds * 1e6
            if isHeld && excessBytes <= 0 { continue }
            excessBytes -= segment.bytes
            positions.append(segment.firstPosition)
        }
        return positions
    }

    /// The current segment could go once it is sealed, and the buffer needs its room.
    package static func isWorthSealing(_ segment: SegmentSummary, settled: IntervalSet, excessBytes: Int) -> Bool {
        excessBytes > 0 && !segment.sealed && segment.entries > 0 && isSettled(segment, settled)
    }

    private static func isSettled(_ segment: SegmentSummary, _ settled: IntervalSet) -> Bool {
        if segment.holes.isEmpty { return settled.contains(segment.firstPosition...segment.lastPosition) }
        var all = settled
        for hole in segment.holes { all.insert(hole) }
        return all.contains(segment.firstPosition...segment.lastPosition)
    }
}

/// The explicit retention rule of a stand-alone relay's operator: the only way for an unarchived record out of the
/// buffer (I2). Looks at two clocks, because a wall clock can jump (F55): nothing is dropped in the first hour of a
/// life, nor after the wall clock moved against the monotonic one by more than a few minutes.
package struct RetentionRule: Sendable {
    package static let quietSeconds = 3_600.0
    package static let toleratedJumpSeconds = 300.0

    private let dropAfterSeconds: Double
    private let startedAt: UInt64
    /// Wall clock minus monotonic clock when the relay started.
    private let offsetAtStart: Double
    package private(set) var isSuspended = false

    package init(dropAfterHours: Double, wallMicroseconds: Int64, monotonic: UInt64) {
        precondition(dropAfterHours > 0, "a retention of no time keeps nothing")
        dropAfterSeconds = dropAfterHours * 3_600
        startedAt = monotonic
        offsetAtStart = Double(wallMicroseconds) / 1e6 - Double(monotonic) / 1e9
    }

    /// The sealed segments whose newest record is older than the rule says, oldest first.
    package mutating func expired(
        _ segments: [SegmentSummary], wallMicroseconds: Int64, monotonic: UInt64
    ) -> [SegmentSummary] {
        let offset = Double(wallMicroseconds) / 1e6 - Double(monotonic) / 1e9
        if abs(offset - offsetAtStart) > Self.toleratedJumpSeconds { isSuspended = true }
        guard !isSuspended, Double(monotonic - startedAt) / 1e9 >= Self.quietSeconds else { return [] }
        return segments.filter {
            $0.sealed && Double(wallMicroseconds - $0.lastTimeMicroseconds) / 1e6 >= dropAfterSeconds
        }
    }
}
