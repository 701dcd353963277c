// Recent digests by a 128-bit hash of what they belong to. Two generations: when the young one is full, it becomes
// the old one and the old one is forgotten. Nothing is forgotten between two calls of `trim`, so what one archive
// call put in stays until its rows can be looked up in a table.

import Crypto
import Models

/// 128 bits of XXH3 with a seed of this process. Not a cryptographic hash, and it needs none: a collision, which
/// nobody can aim for without the seed, would mislabel a copy, never lose or double a report.
struct DigestKey: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private static let seed = UInt64.random(in: 0 ... .max)

    init(_ source: RecordSource, _ n: Int64) { self.init(source.relayID, source.epoch, n) }
    init(_ identity: ReportIdentity) { self.init(identity.droneID, identity.boot, identity.seq) }

    private init(_ name: String, _ part: String, _ number: Int64) {
        // Names are at most 64 bytes, parts at most 128 (`relay.<relay_id>.<epoch>`); longer ones fall back to the
        // heap.
        let bytes = name.utf8.count + part.utf8.count + 10
        (first, second) = withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 8) { buffer in
            buffer.storeBytes(of: number, as: Int64.self)
            var end = 8
            for text in [name, part] {
                for byte in text.utf8 {
                    buffer[end] = byte
                    end += 1
                }
                buffer[end] = 0
                end += 1
            }
            let key = UnsafeRawBufferPointer(rebasing: buffer[..<end])
            return (XXH3.hash64(key, seed: Self.seed), XXH3.hash64(key, seed: ~Self.seed))
        }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(first) }
}

struct DigestCache: Sendable {
    private let capacity: Int
    private var young: [DigestKey: SHA256Digest] = [:]
    private var old: [DigestKey: SHA256Digest] = [:]

    init(capacity: Int) { self.capacity = capacity }

    subscript(key: DigestKey) -> SHA256Digest? {
        get { young[key] ?? old[key] }
        set { young[key] = newValue }
    }

    mutating func trim() {
        guard young.count >= capacity else { return }
        old = young
        young = [:]
    }
}
