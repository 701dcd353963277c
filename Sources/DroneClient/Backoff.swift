// How long to wait before trying again: exponential backoff with full jitter, so that a thousand clients that lost the
// same relay do not come back in step («Exponential Backoff And Jitter», AWS Architecture Blog, 2015).

package struct Backoff: Sendable {
    /// The upper bound of the first wait.
    package var baseSeconds: Double
    /// No wait is longer, whatever the number of failures.
    package var longestSeconds: Double

    package init(baseSeconds: Double = 0.1, longestSeconds: Double = 5) {
        precondition(baseSeconds > 0 && longestSeconds >= baseSeconds, "waits are positive and bounded")
        self.baseSeconds = baseSeconds
        self.longestSeconds = longestSeconds
    }

    /// The longest wait after `failures` failures in a row.
    package func boundSeconds(failures: Int) -> Double {
        // 2^30 times the base is past any limit in use; more would only overflow.
        let doublings = min(max(failures - 1, 0), 30)
        return min(longestSeconds, baseSeconds * Double(1 << doublings))
    }

    /// Uniform between nothing and the bound; never shorter than what the other side asked for (`Retry-After`).
    package func waitSeconds(failures: Int, askedFor: Double?, random: inout some RandomNumberGenerator)
        -> Double
    {
        let jittered = boundSeconds(failures: failures) * Double.random(in: 0..<1, using: &random)
        guard let askedFor else { return jittered }
        // Some jitter on top: everybody was told the same number.
        return askedFor + jittered * 0.1
    }
}
