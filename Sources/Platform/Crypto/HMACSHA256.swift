// HMAC-SHA-256 (RFC 2104): webhooks' signatures and the pseudonyms (`person_id`) of people named in reports.
//
// Built on SHA256's value semantics: the two key blocks are hashed once, when the key is set, so that each
// message costs only its own bytes and one more block.

package struct HMACSHA256: Sendable {
    private static let blockBytes = 64
    private let inner: SHA256
    private let outer: SHA256

    /// A key of any length; RFC 2104 recommends at least 32 bytes.
    package init(key: [UInt8]) {
        var block = key.count > Self.blockBytes ? SHA256.hash(key).bytes : key
        block.append(contentsOf: repeatElement(0, count: Self.blockBytes - block.count))
        var inner = SHA256()
        inner.update(block.map { $0 ^ 0x36 })
        var outer = SHA256()
        outer.update(block.map { $0 ^ 0x5c })
        self.inner = inner
        self.outer = outer
    }

    package func authenticate(_ message: UnsafeRawBufferPointer) -> SHA256Digest {
        var first = inner
        first.update(message)
        var second = outer
        first.finalize().withBytes { second.update($0) }
        return second.finalize()
    }

    package func authenticate(_ message: [UInt8]) -> SHA256Digest {
        message.withUnsafeBytes { authenticate($0) }
    }

    package func authenticate(_ message: String) -> SHA256Digest {
        var message = message
        return message.withUTF8 { authenticate(UnsafeRawBufferPointer($0)) }
    }

    /// True if `code` is this message's. Takes the same time wherever the first difference is.
    package func isValid(_ code: [UInt8], for message: UnsafeRawBufferPointer) -> Bool {
        authenticate(message).withBytes { expected in
            code.withUnsafeBytes { ConstantTime.equal(expected, $0) }
        }
    }
}
