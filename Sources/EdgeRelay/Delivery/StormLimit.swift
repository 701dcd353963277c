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
    private struct Flow { var bucket: TokenBucket; var heldBack = 0 }

    private let perSecond: Double
    private let burst: Double
    private var flows: [Pair: Flow] = [:]

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
        if flows.count >= Self.maxPairs, flows[pair] == nil { flows = [:] }
        var flow = flows[pair] ?? Flow(bucket: TokenBucket(burst: burst, at: now))
        defer { flows[pair] = flow }
        guard flow.bucket.take(1, ratePerSecond: perSecond, burst: burst, at: now) == nil else {
            flow.heldBack += 1
            return .heldBack
        }
        defer { flow.heldBack = 0 }
        return .goesOut(heldBack: flow.heldBack)
    }
}
