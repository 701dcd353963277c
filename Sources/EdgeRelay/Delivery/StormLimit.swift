// Alert storms (F95): a rule that every report of a drone meets must not bury what else the targets have to say. Per
// rule and drone so many alerts a second go out, after a generous burst, so that the first ones are never delayed;
// those beyond it are stored, listed and streamed like all others, and counted with the next one that goes out. Pure.

package struct StormLimit: Sendable {
    /// One report may hold that many people; each of them is an alert of its own.
    package static let defaultBurst = 1_000.0
    package static let defaultPerSecond = 10.0
    /// (rule, drone) pairs remembered (I7); beyond it the memory starts afresh, and storms have their burst again.
    package static let maxPairs = 20_000

    private struct Pair: Hashable { let rule: String; let droneID: String }
    private struct Bucket { var tokens: Double; var at: UInt64; var heldBack = 0 }

    private let perSecond: Double
    private let burst: Double
    private var buckets: [Pair: Bucket] = [:]

    package init(perSecond: Double = StormLimit.defaultPerSecond, burst: Double = StormLimit.defaultBurst) {
        precondition(perSecond > 0 && burst >= 1, "the first alert always goes out")
        self.perSecond = perSecond
        self.burst = burst
    }

    package enum Verdict: Equatable, Sendable {
        /// Goes out; so many of the same rule and drone were held back since the last that did.
        case goesOut(heldBack: Int)
        case heldBack
    }

    package mutating func raised(rule: String, droneID: String, at now: UInt64) -> Verdict {
        let pair = Pair(rule: rule, droneID: droneID)
        if buckets.count >= Self.maxPairs, buckets[pair] == nil { buckets = [:] }
        var bucket = buckets[pair] ?? Bucket(tokens: burst, at: now)
        let elapsed = Double(now - min(now, bucket.at)) / 1e9
        bucket.tokens = min(burst, bucket.tokens + elapsed * perSecond)
        bucket.at = max(now, bucket.at)
        defer { buckets[pair] = bucket }
        guard bucket.tokens >= 1 else {
            bucket.heldBack += 1
            return .heldBack
        }
        bucket.tokens -= 1
        defer { bucket.heldBack = 0 }
        return .goesOut(heldBack: bucket.heldBack)
    }
}
