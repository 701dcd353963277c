// Decides whether the relay can take a report: how full the buffer is, and how fast one drone sends. Pure value types.

import Models

/// How full the buffer is, in the steps of the design: each step gives up something less precious than an acknowledged
/// report.
package enum BufferLevel: String, Sendable, Comparable, CaseIterable {
    /// Below 75 %.
    case normal
    /// From 75 %: metric and band on the page.
    case warning
    /// From 85 %: archived segments go before their hold time is over, oldest first.
    case releasing
    /// From 95 %: reports without an alert are refused; those that raise one are still stored.
    case alertsOnly = "alerts_only"
    /// Only the reserve is left: nothing more is stored.
    case full

    package static func < (a: BufferLevel, b: BufferLevel) -> Bool {
        (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
    }
}

package struct BufferAdmission: Sendable, Equatable {
    package static let warningShare = 0.75
    package static let releaseShare = 0.85
    package static let alertsOnlyShare = 0.95
    /// Never used by reports: alerts' last room, control data, and what recovery needs to move. A small buffer gives an
    /// eighth of its size, so that the reserve never outweighs what it protects.
    package static func reserveBytes(forMaxBytes maxBytes: Int) -> Int { min(64 << 20, maxBytes / 8) }

    /// Bytes the buffer may take.
    package let maxBytes: Int
    package let reserveBytes: Int

    package init(maxBytes: Int) {
        precondition(maxBytes > 0, "a buffer has room")
        self.maxBytes = maxBytes
        reserveBytes = Self.reserveBytes(forMaxBytes: maxBytes)
    }

    /// Bytes the buffer can come to. Other programs' files make it less than `maxBytes`; freeing some of the buffer
    /// does not change it.
    private func total(used: Int, free: Int) -> Int { min(maxBytes, used + max(0, free - reserveBytes)) }

    /// - Parameters:
    ///   - used: bytes that the buffer takes now.
    ///   - free: bytes that the filesystem still gives, with those that are set aside as the reserve; a disk filled by
    ///     somebody else counts like a full buffer.
    package func level(used: Int, free: Int) -> BufferLevel {
        let total = total(used: used, free: free)
        if used >= total { return .full }
        let share = Double(used) / Double(total)
        if share >= Self.alertsOnlyShare { return .alertsOnly }
        if share >= Self.releaseShare { return .releasing }
        if share >= Self.warningShare { return .warning }
        return .normal
    }

    /// Bytes to release until the buffer is below the step at which it must.
    package func excess(used: Int, free: Int) -> Int {
        // Where others have eaten into the reserve, what is freed fills that first.
        let total = min(maxBytes, used + free - reserveBytes)
        return min(used, max(0, used - Int((Double(total) * Self.releaseShare).rounded(.up)) + 1))
    }

    /// Bytes that reports without an alert may still take.
    package func room(used: Int, free: Int) -> Int {
        max(0, Int(Double(total(used: used, free: free)) * Self.alertsOnlyShare) - used)
    }
}

/// A token bucket: `ratePerSecond` in the long run, `burst` at once after a pause.
package struct TokenBucket: Sendable {
    private var tokens: Double
    private var updatedAt: UInt64

    package init(burst: Double, at now: UInt64) {
        tokens = burst
        updatedAt = now
    }

    /// Takes `count` tokens or none. Returns nil when taken, else the seconds until there would be enough.
    package mutating func take(_ count: Double, ratePerSecond: Double, burst: Double, at now: UInt64) -> Double? {
        if now > updatedAt {
            tokens = min(burst, tokens + Double(now - updatedAt) / 1e9 * ratePerSecond)
            updatedAt = now
        }
        // A request larger than the burst could never pass: it needs a full bucket and leaves a debt.
        let needed = min(count, burst)
        guard tokens >= needed else { return (needed - tokens) / ratePerSecond }
        tokens -= count
        return nil
    }
}
