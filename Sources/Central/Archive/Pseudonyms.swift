// Names become `person_id`: the first 16 bytes of a keyed HMAC-SHA-256 of the name's UTF-8, in hex. The same name
// always gives the same person, and nobody without the key can tell which. A report has many names and most come
// again, so the HMAC is computed once for a name and looked up by the name's JSON token afterwards (two spellings of
// one name, `"\u0041"` and `"A"`, are two entries with one person).

import Crypto

package struct PersonID: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    init(_ digest: SHA256Digest) {
        (high, low) = digest.withBytes { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    /// nil unless `hex` is 32 hexadecimal digits.
    package init?(hex: String) {
        guard hex.utf8.count == 32, let high = UInt64(hex.prefix(16), radix: 16),
            let low = UInt64(hex.suffix(16), radix: 16)
        else { return nil }
        self.high = high
        self.low = low
    }

    var hex: String {
        var output: [UInt8] = []
        appendHex(to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    func appendHex(to output: inout [UInt8]) {
        for word in [high, low] { HexDigits.append(word, to: &output) }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(high) }
}

enum HexDigits {
    private static let digits: StaticString = "0123456789abcdef"

    static func append(_ word: UInt64, to output: inout [UInt8]) {
        withUnsafeBytes(of: word.bigEndian) { append($0, to: &output) }
    }

    static func append(_ bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        // Room is made once for all digits: two million appends of one byte each were 3 % of an archive call.
        digits.withUTF8Buffer { digits in
            withUnsafeTemporaryAllocation(byteCount: bytes.count * 2, alignment: 1) { text in
                var at = 0
                for byte in bytes {
                    text[at] = digits[Int(byte >> 4)]
                    text[at + 1] = digits[Int(byte & 15)]
                    at += 2
                }
                output.append(contentsOf: text)
            }
        }
    }
}

/// Person by name token. Open addressing over one byte arena; emptied when full. One thread at a time.
struct PseudonymCache {
    private struct Slot {
        var hash: UInt64 = 0
        var start: UInt32 = 0
        /// 0: the slot is free; a token has at least its two quotes.
        var count: UInt32 = 0
        var person = PersonID(high: 0, low: 0)
    }

    private let key: HMACSHA256
    private var slots: [Slot]
    private var tokens: [UInt8] = []
    private var used = 0
    /// 64 Ki names of about 20 bytes: some 4 MiB.
    private static let slotCount = 1 << 17
    private static let maxTokenBytes = 16 << 20

    init(key: HMACSHA256) {
        self.key = key
        slots = Array(repeating: Slot(), count: Self.slotCount)
    }

    /// The person behind a token, and whether the token was not in the cache. `name` gives the unescaped name's bytes.
    mutating func person(
        token: UnsafeRawBufferPointer, name: () -> String
    ) -> (person: PersonID, isNewHere: Bool) {
        let hash = XXH3.hash64(token)
        var index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[index].count != 0 {
            if slots[index].hash == hash && holds(slots[index], token) { return (slots[index].person, false) }
            index = (index + 1) & (Self.slotCount - 1)
        }
        let person = PersonID(key.authenticate(name()))
        if used >= Self.slotCount / 2 || tokens.count + token.count > Self.maxTokenBytes {
            slots = Array(repeating: Slot(), count: Self.slotCount)
            tokens.removeAll(keepingCapacity: true)
            used = 0
            index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        }
        slots[index] = Slot(hash: hash, start: UInt32(tokens.count), count: UInt32(token.count), person: person)
        tokens.append(contentsOf: token)
        used += 1
        return (person, true)
    }

    private func holds(_ slot: Slot, _ token: UnsafeRawBufferPointer) -> Bool {
        guard Int(slot.count) == token.count else { return false }
        let start = Int(slot.start)
        return tokens.withUnsafeBytes { bytes in
            bytes[start..<(start + token.count)].elementsEqual(token)
        }
    }
}

extension PersonID {
    fileprivate init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}
