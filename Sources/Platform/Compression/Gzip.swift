// gzip (RFC 1952), read only: bodies of drones that cannot do zstd. A single member; more count as trailing bytes.

import CZlib

package enum Gzip {
    /// One whole member, its checksum verified; errors tell which limit was passed.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, maxBytes: Int, maxRatio: Int
    ) throws(CompressionError) -> [UInt8] {
        let limit = InflationLimit(inputBytes: bytes.count, maxBytes: maxBytes, maxRatio: maxRatio)
        guard let start = bytes.baseAddress, !bytes.isEmpty else {
            throw CompressionError(code: .corrupt, detail: "the body is empty")
        }
        guard bytes.count <= Int(UInt32.max) else { throw limit.error }
        var stream = z_stream()
        // 15 bits of window; + 16 asks for the gzip wrapper and no other.
        let opened = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard opened == Z_OK else { throw CompressionError(code: .library, detail: "zlib could not start") }
        defer { inflateEnd(&stream) }
        stream.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(bytes.count)
        var output = GrowingOutput(capacity: bytes.count * 6, limit: limit)
        while true {
            let code = output.fill { target in
                stream.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.avail_out = UInt32(target.count)
                let code = inflate(&stream, Z_NO_FLUSH)
                return (code, target.count - Int(stream.avail_out))
            }
            if output.isOverLimit { throw limit.error }
            if code == Z_STREAM_END { break }
            guard code == Z_OK else {
                let detail = code == Z_BUF_ERROR ? "the gzip member is cut short" : "the gzip member is damaged"
                throw CompressionError(code: .corrupt, detail: detail)
            }
        }
        guard stream.avail_in == 0 else {
            throw CompressionError(code: .trailingBytes, detail: "there are bytes after the gzip member's end")
        }
        return output.bytes
    }

    package static func decompress(_ bytes: [UInt8], maxBytes: Int, maxRatio: Int) throws(CompressionError) -> [UInt8] {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(CompressionError) in
                try decompress(buffer, maxBytes: maxBytes, maxRatio: maxRatio)
            }
        }
        return try outcome.get()
    }
}
