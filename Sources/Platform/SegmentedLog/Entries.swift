// What goes into the log and comes out of it, and the checksum every stored entry carries.

import Crypto

/// One durable entry, as read back.
package struct LogEntry: Hashable, Sendable {
    package var position: Int64
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    package var timeMicroseconds: Int64
    /// The owner's own kind number.
    package var kind: UInt8
    package var header: [UInt8]
    package var payload: [UInt8]

    package init(position: Int64, timeMicroseconds: Int64, kind: UInt8, header: [UInt8], payload: [UInt8]) {
        self.position = position
        self.timeMicroseconds = timeMicroseconds
        self.kind = kind
        self.header = header
        self.payload = payload
    }

    package var byteCount: Int { header.count + payload.count }
}

/// One entry to append. Its buffers are borrowed: they must stay unchanged until `append` has returned.
package struct NewLogEntry {
    package var timeMicroseconds: Int64
    package var kind: UInt8
    package var header: UnsafeRawBufferPointer
    package var payload: UnsafeRawBufferPointer

    package init(
        timeMicroseconds: Int64, kind: UInt8, header: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer
    ) {
        self.timeMicroseconds = timeMicroseconds
        self.kind = kind
        self.header = header
        self.payload = payload
    }
}

enum EntryChecksum {
    /// XXH3-64 over position, time, kind, header and payload. SQLite does not notice bit rot in a page (F32): this
    /// does.
    static func of(
        position: Int64, timeMicroseconds: Int64, kind: UInt8, header: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer
    ) -> Int64 {
        // Chained through the seed, so that a byte moved between the parts changes the result.
        let fixed = (position.littleEndian, timeMicroseconds.littleEndian, Int64(kind).littleEndian)
        let start = withUnsafeBytes(of: fixed) { XXH3.hash64($0) }
        let middle = XXH3.hash64(header, seed: start)
        return Int64(bitPattern: XXH3.hash64(payload, seed: middle))
    }
}
