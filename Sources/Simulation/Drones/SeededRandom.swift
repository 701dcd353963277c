// The simulator's only source of chance: the same seed gives the same reports, so a run can be repeated exactly.

/// SplitMix64 (Steele, Lea, Flood: «Fast Splittable Pseudorandom Number Generators», 2014). Not for secrets.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// An independent generator for part `stream` of a simulation: a drone's reports do not depend on how many other
    /// drones fly, or in which order they report.
    package init(seed: UInt64, stream: UInt64) {
        var mixer = SeededRandom(seed: seed ^ (stream &+ 1) &* 0xD1B5_4A32_D192_ED03)
        state = mixer.next()
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// 0 ≤ result < 1, with 53 random bits.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    package mutating func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

    /// 0 ≤ result < `count`; the bias is below 2^-53 × count.
    package mutating func index(below count: Int) -> Int {
        precondition(count > 0, "there is something to choose from")
        return min(Int(unit() * Double(count)), count - 1)
    }

    /// Small indices far more often than large ones, as with the words of a language.
    package mutating func skewedIndex(below count: Int) -> Int {
        let draw = unit()
        return min(Int(draw * draw * draw * Double(count)), count - 1)
    }
}
