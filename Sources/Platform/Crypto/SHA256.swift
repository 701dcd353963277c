// SHA-256 (FIPS 180-4): the digest of a report's raw bytes, of a batch and of an alert's identity.
//
// OpenSSL's SHA256_* functions keep their whole state in a plain struct, so a hasher is a Swift value: copying it
// forks the computation, and hashing a report allocates nothing.

import CCrypto

/// The 32 bytes of a SHA-256, held inline (no allocation), compared in plain, not constant, time.
package struct SHA256Digest: Hashable, Comparable, Sendable {
    package static let byteCount = 32

    // The digest as four big-endian words: `<` on them is byte order.
    private let word0: UInt64
    private let word1: UInt64
    private let word2: UInt64
    private let word3: UInt64

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount else { return nil }
        word0 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        word1 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// Nil unless there are exactly 32 bytes.
    package init?(bytes: [UInt8]) {
        guard let digest = bytes.withUnsafeBytes({ SHA256Digest(bytes: $0) }) else { return nil }
        self = digest
    }

    /// Nil unless `hex` is 64 hexadecimal digits.
    package init?(hex: String) {
        guard let bytes = Hex.decode(hex), let digest = SHA256Digest(bytes: bytes) else { return nil }
        self = digest
    }

    package var bytes: [UInt8] { withBytes { [UInt8]($0) } }

    /// Lends the 32 bytes for the time of the call.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let words = (word0.bigEndian, word1.bigEndian, word2.bigEndian, word3.bigEndian)
        return try withUnsafeBytes(of: words, body)
    }

    /// 64 lowercase hexadecimal digits.
    package var hex: String { withBytes { Hex.encode($0) } }

    /// 44 characters with padding (RFC 4648 §4).
    package var base64: String { withBytes { Base64.encode($0) } }

    /// The first eight bytes as a number: a uniform hash for partitioning.
    package var prefix64: UInt64 { word0 }

    package static func < (left: SHA256Digest, right: SHA256Digest) -> Bool {
        (left.word0, left.word1, left.word2, left.word3) < (right.word0, right.word1, right.word2, right.word3)
    }
}

/// An incremental SHA-256. A value: a copy continues on its own.
package struct SHA256: Sendable {
    private var context = SHA256_CTX()

    package init() {
        let answer = SHA256_Init(&context)
        precondition(answer == 1, "OpenSSL's SHA256_Init cannot fail on a valid context")
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        let answer = SHA256_Update(&context, start, bytes.count)
        precondition(answer == 1, "OpenSSL's SHA256_Update cannot fail on a valid context")
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    package mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// The digest of everything so far; the hasher itself may go on.
    package func finalize() -> SHA256Digest {
        var context = context
        return withUnsafeTemporaryAllocation(byteCount: SHA256Digest.byteCount, alignment: 8) { output in
            let target = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let answer = SHA256_Final(target, &context)
            precondition(answer == 1, "OpenSSL's SHA256_Final cannot fail on a valid context")
            guard let digest = SHA256Digest(bytes: UnsafeRawBufferPointer(output)) else {
                preconditionFailure("a SHA-256 is 32 bytes long")
            }
            return digest
        }
    }

    package static func hash(_ bytes: UnsafeRawBufferPointer) -> SHA256Digest {
        var hasher = SHA256()
        hasher.update(bytes)
        return hasher.finalize()
    }

    package static func hash(_ bytes: [UInt8]) -> SHA256Digest {
        bytes.withUnsafeBytes { hash($0) }
    }

    package static func hash(_ text: String) -> SHA256Digest {
        var hasher = SHA256()
        hasher.update(text)
        return hasher.finalize()
    }
}
