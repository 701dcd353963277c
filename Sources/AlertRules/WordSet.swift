// The words that a rule looks for, made to be asked about every word of every report: bytes are compared where they lie
// in the report, nothing is allocated, and most words are told apart by their length and first byte alone.

import Crypto
package import JSON

package struct WordSet: Sendable, Equatable {
    private static let maxIndexedLength = 63

    package let words: Set<String>
    /// Bit n: there is a word of n bytes (the last bit: of 63 or more).
    private let lengths: UInt64
    /// Bit b: there is a word that begins with the byte b.
    private let firstBytes: SIMD4<UInt64>
    /// Open addressing; a power of two, at most half full. 0 is an empty slot, n is the n-th word, from 1.
    private let slots: [UInt32]
    private let hashes: [UInt64]
    private let starts: [UInt32]
    private let text: [UInt8]

    package init(_ words: some Sequence<String>) {
        self.words = Set(words)
        let sorted = self.words.sorted()
        var lengths: UInt64 = 0
        var firstBytes = SIMD4<UInt64>()
        var text: [UInt8] = []
        var starts: [UInt32] = [0]
        var hashes: [UInt64] = []
        for word in sorted {
            let bytes = Array(word.utf8)
            lengths |= 1 << UInt64(min(bytes.count, Self.maxIndexedLength))
            if let first = bytes.first { firstBytes[Int(first >> 6)] |= 1 << UInt64(first & 63) }
            text += bytes
            starts.append(UInt32(text.count))
            hashes.append(XXH3.hash64(bytes, seed: Self.seed))
        }
        var capacity = 4
        while capacity < 2 * sorted.count { capacity *= 2 }
        var slots = [UInt32](repeating: 0, count: capacity)
        for (index, hash) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: hash) & (capacity - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
            slots[slot] = UInt32(index + 1)
        }
        self.lengths = lengths
        self.firstBytes = firstBytes
        self.text = text
        self.starts = starts
        self.hashes = hashes
        self.slots = slots
    }

    /// Fresh at each start, so that no one can prepare words that all fall into one slot (F94).
    private static let seed = UInt64.random(in: .min ... .max)

    package static func == (left: WordSet, right: WordSet) -> Bool { left.words == right.words }

    package func containsAny(of report: ParsedReport) -> Bool {
        for index in 0..<report.wordCount {
            let token = report.word(at: index)
            // Escapes only shorten a word, so an escaped one goes the long way at once.
            if token.isEscaped {
                if token.withText({ contains($0) }) { return true }
            } else if contains(UnsafeRawBufferPointer(rebasing: token.raw[1..<token.raw.count - 1])) {
                return true
            }
        }
        return false
    }

    package func contains(_ word: UnsafeRawBufferPointer) -> Bool {
        guard lengths & 1 << UInt64(min(word.count, Self.maxIndexedLength)) != 0 else { return false }
        guard let first = word.first else { return true }
        guard firstBytes[Int(first >> 6)] & 1 << UInt64(first & 63) != 0 else { return false }
        let hash = XXH3.hash64(word, seed: Self.seed)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if hashes[index] == hash, isEqual(index, word) { return true }
            slot = (slot + 1) & (slots.count - 1)
        }
        return false
    }

    private func isEqual(_ index: Int, _ word: UnsafeRawBufferPointer) -> Bool {
        let range = Int(starts[index])..<Int(starts[index + 1])
        guard range.count == word.count else { return false }
        return text.withUnsafeBytes { text in UnsafeRawBufferPointer(rebasing: text[range]).elementsEqual(word) }
    }
}
