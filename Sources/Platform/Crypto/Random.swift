// Unpredictable bytes from the kernel (getrandom(2)): right after a start, in a cloned machine and after fork alike.
// Values that must not be guessed or repeated (epochs, tokens, keys) come from here; simulations use seeded generators.

package enum Random {
    package static func bytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0, "a number of random bytes is not negative")
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            var word = generator.next()
            for _ in 0..<min(8, count - bytes.count) {
                bytes.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        return bytes
    }

    package static func hex(bytes count: Int) -> String { Hex.encode(bytes(count)) }

    /// A relay's identity for one life: 128 random bits, 32 lowercase hexadecimal digits (I3).
    package static func epoch() -> String { hex(bytes: 16) }
}
