// Why a compressed body was refused. The limits (I7) are the caller's; nothing is ever inflated far past them.

package struct CompressionError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// Inflates to more than the limit.
        case tooLarge = "too_large"
        /// Inflates to more times its size than allowed: a bomb.
        case ratio = "compression_ratio"
        /// Not this encoding, damaged, or cut short.
        case corrupt = "corrupt_encoding"
        /// Complete, with bytes after it.
        case trailingBytes = "trailing_bytes"
        /// The library had no memory or refused our own parameters.
        case library = "compression_failed"
    }

    package var code: Code
    package var detail: String

    package var description: String { "\(code.rawValue): \(detail)" }
}

/// What may come out of compressed bytes.
struct InflationLimit {
    let maxBytes: Int
    /// min(maxBytes, input × ratio)
    let bytes: Int

    init(inputBytes: Int, maxBytes: Int, maxRatio: Int) {
        precondition(maxBytes >= 0 && maxRatio >= 1, "limits of decompression are not negative")
        self.maxBytes = maxBytes
        let (product, overflow) = inputBytes.multipliedReportingOverflow(by: maxRatio)
        bytes = overflow ? maxBytes : min(maxBytes, product)
    }

    var error: CompressionError {
        bytes < maxBytes
            ? CompressionError(code: .ratio, detail: "the body inflates to more times its size than is allowed")
            : CompressionError(code: .tooLarge, detail: "the body inflates to more than \(maxBytes) bytes")
    }
}
