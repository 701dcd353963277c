// When lost contact may be believed. A relay that did not listen for a while (it was stopped, or the machine slept)
// would take its own deafness for the silence of every drone at once. Pure.

package struct SilenceClock: Sendable {
    /// Looks further apart than this mean that the relay itself was away.
    package static let maxGapSeconds = 10.0

    private var lastLook: UInt64?
    private var listeningSince: UInt64 = 0

    package init() {}

    /// To be called every second or so. Nanoseconds, monotonic.
    package mutating func looked(at now: UInt64) {
        if let lastLook, Double(now - min(now, lastLook)) / 1e9 <= Self.maxGapSeconds {
            self.lastLook = now
            return
        }
        lastLook = now
        listeningSince = now
    }

    /// Whether the relay has listened without a break for as long as the silence must last.
    package func canTell(silentSeconds: Double, at now: UInt64) -> Bool {
        Double(now - min(now, listeningSince)) / 1e9 > silentSeconds
    }
}
