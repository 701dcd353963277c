// gzip (RFC 1952), written: a page's files, compressed once when they are loaded.

import CZlib

extension Gzip {
    /// One whole member at zlib's default level. Nil where zlib fails; the bytes are then sent as they are.
    package static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count <= 1 << 30 else { return nil }
        var stream = z_stream()
        // 15 bits of window; + 16 asks for the gzip wrapper.
        let opened = deflateInit2_(
            &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard opened == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(bytes.count)))
        var input = bytes
        var code = Z_STREAM_ERROR
        let output = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
            code = input.withUnsafeMutableBufferPointer { source in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(target.count)
                return deflate(&stream, Z_FINISH)
            }
            count = target.count - Int(stream.avail_out)
        }
        return code == Z_STREAM_END ? output : nil
    }
}
