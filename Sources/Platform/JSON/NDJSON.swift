// Newline-delimited JSON: the lines of a buffer, without their ends, blank lines skipped.

import Glibc

package enum NDJSON {
    /// Calls `body` with each line (LF or CR LF removed, white space around it kept) and its number among the lines
    /// that are not blank, from 0. The last line may lack its LF.
    package static func forEachLine(
        in bytes: UnsafeRawBufferPointer, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        var start = 0
        var number = 0
        while start < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
            let end = lineEnd(rest)
            let line = trimmed(UnsafeRawBufferPointer(rebasing: rest[..<end]))
            if !line.isEmpty {
                try body(number, line)
                number += 1
            }
            start += end + 1
        }
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress, let found = memchr(base, 0x0a, bytes.count) else { return bytes.count }
        return base.distance(to: UnsafeRawPointer(found))
    }

    /// Without the CR at the end; empty where there is nothing but white space.
    private static func trimmed(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var line = line
        if line.last == 0x0d { line = UnsafeRawBufferPointer(rebasing: line.dropLast()) }
        let isBlank = line.first.map { $0 <= 0x20 } ?? true
        let hasText = !isBlank || line.contains { $0 != 0x20 && $0 != 0x09 && $0 != 0x0d }
        return hasText ? line : UnsafeRawBufferPointer(start: nil, count: 0)
    }
}
