// Zstandard (RFC 8878): batches between relay and central, and bodies of drones that compress.
//
// Only a single frame is read: concatenated and skippable frames count as trailing bytes. The window is bounded, so
// that a frame cannot ask for more memory than the output limit warrants.

import CZstd

package enum Zstd {
    /// Levels 1 (fastest) to 19 (smallest); reports compress about 5×. The frame carries its size and a checksum.
    package static func compress(_ bytes: UnsafeRawBufferPointer, level: Int32 = 3) throws(CompressionError) -> [UInt8]
    {
        precondition((1...19).contains(level), "a zstd level is 1 to 19")
        guard let context = ZSTD_createCCtx() else { throw libraryError("no memory for a compressor") }
        defer { ZSTD_freeCCtx(context) }
        return try compress(bytes, level: level, context: context)
    }

    package static func compress(_ bytes: [UInt8], level: Int32 = 3) throws(CompressionError) -> [UInt8] {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(CompressionError) in try compress(buffer, level: level) }
        }
        return try outcome.get()
    }

    static func compress(
        _ bytes: UnsafeRawBufferPointer, level: Int32, context: OpaquePointer
    ) throws(CompressionError) -> [UInt8] {
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        let bound = ZSTD_compressBound(bytes.count)
        var code = 0
        let output = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
            code = ZSTD_compress2(context, target.baseAddress, bound, bytes.baseAddress, bytes.count)
            count = ZSTD_isError(code) == 0 ? code : 0
        }
        guard ZSTD_isError(code) == 0 else { throw libraryError(String(cString: ZSTD_getErrorName(code))) }
        return output
    }

    /// One whole frame; errors tell which limit was passed. Never holds more than the limit plus a window of output.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, maxBytes: Int, maxRatio: Int
    ) throws(CompressionError) -> [UInt8] {
        let limit = InflationLimit(inputBytes: bytes.count, maxBytes: maxBytes, maxRatio: maxRatio)
        guard !bytes.isEmpty else { throw CompressionError(code: .corrupt, detail: "the body is empty") }
        guard let context = ZSTD_createDCtx() else { throw libraryError("no memory for a decompressor") }
        defer { ZSTD_freeDCtx(context) }
        // A window of 2^24 bytes is enough for level 19; the library's own limit would be 2^27.
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 24)
        // The two highest values mean "unknown" and "not a frame".
        let claimed = ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count)
        if claimed < UInt64.max - 1 {
            if claimed > UInt64(limit.bytes) { throw limit.error }
            return try inflate(bytes, context: context, size: Int(claimed))
        }
        return try inflate(bytes, context: context, limit: limit, firstCapacity: min(limit.bytes, bytes.count * 6))
    }

    /// A frame that tells its size: one call, straight into the result. The library checks the claim.
    private static func inflate(
        _ bytes: UnsafeRawBufferPointer, context: OpaquePointer, size: Int
    ) throws(CompressionError) -> [UInt8] {
        let frame = ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count)
        if ZSTD_isError(frame) == 0, frame < bytes.count {
            throw CompressionError(code: .trailingBytes, detail: "there are bytes after the frame's end")
        }
        var code = 0
        let output = [UInt8](unsafeUninitializedCapacity: size) { target, count in
            code = ZSTD_decompressDCtx(context, target.baseAddress, size, bytes.baseAddress, bytes.count)
            count = ZSTD_isError(code) == 0 ? code : 0
        }
        guard ZSTD_isError(code) == 0 else {
            throw CompressionError(code: .corrupt, detail: String(cString: ZSTD_getErrorName(code)))
        }
        return output
    }

    package static func decompress(_ bytes: [UInt8], maxBytes: Int, maxRatio: Int) throws(CompressionError) -> [UInt8] {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(CompressionError) in
                try decompress(buffer, maxBytes: maxBytes, maxRatio: maxRatio)
            }
        }
        return try outcome.get()
    }

    private static func inflate(
        _ bytes: UnsafeRawBufferPointer, context: OpaquePointer, limit: InflationLimit, firstCapacity: Int
    ) throws(CompressionError) -> [UInt8] {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        var output = GrowingOutput(capacity: firstCapacity, limit: limit)
        while true {
            let inputBefore = input.pos
            let outputBefore = output.count
            let code = output.fill { target in
                var buffer = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
                let code = ZSTD_decompressStream(context, &buffer, &input)
                return (code, buffer.pos)
            }
            guard ZSTD_isError(code) == 0 else {
                throw CompressionError(code: .corrupt, detail: String(cString: ZSTD_getErrorName(code)))
            }
            if output.isOverLimit { throw limit.error }
            if code == 0 { break }
            guard input.pos > inputBefore || output.count > outputBefore else {
                throw CompressionError(code: .corrupt, detail: "the frame is cut short")
            }
        }
        guard input.pos == input.size else {
            throw CompressionError(code: .trailingBytes, detail: "there are bytes after the frame's end")
        }
        return output.bytes
    }

    private static func libraryError(_ detail: String) -> CompressionError {
        CompressionError(code: .library, detail: detail)
    }
}

/// A compressor that keeps its working memory between batches. One thread at a time.
package final class ZstdCompressor {
    private let context: OpaquePointer

    package init() throws(CompressionError) {
        guard let context = ZSTD_createCCtx() else {
            throw CompressionError(code: .library, detail: "no memory for a compressor")
        }
        self.context = context
    }

    deinit { ZSTD_freeCCtx(context) }

    package func compress(_ bytes: UnsafeRawBufferPointer, level: Int32 = 3) throws(CompressionError) -> [UInt8] {
        precondition((1...19).contains(level), "a zstd level is 1 to 19")
        return try Zstd.compress(bytes, level: level, context: context)
    }
}
