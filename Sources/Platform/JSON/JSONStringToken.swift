// A JSON string as it stands in a document: it can be copied on without being understood, and read when somebody needs
// the text.

import CJSON

package struct JSONStringToken {
    /// Quotes included: itself valid JSON.
    package let raw: UnsafeRawBufferPointer
    /// False where the text is simply the bytes between the quotes.
    package let isEscaped: Bool

    package init(raw: UnsafeRawBufferPointer, isEscaped: Bool) {
        precondition(raw.count >= 2, "a string token has two quotes")
        self.raw = raw
        self.isEscaped = isEscaped
    }

    package var string: String { withText { String(decoding: $0, as: UTF8.self) } }

    /// Lends the unescaped UTF-8 for the time of the call.
    package func withText<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        guard isEscaped else { return try body(UnsafeRawBufferPointer(rebasing: raw[1..<raw.count - 1])) }
        return try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: raw.count) { output in
            let start = raw.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let count = columba_json_unescape(start, raw.count, output.baseAddress)
            return try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<count]))
        }
    }

    package func equals(_ utf8: UnsafeRawBufferPointer) -> Bool {
        withText { $0.count == utf8.count && $0.elementsEqual(utf8) }
    }
}
