// Rows on their way to DuckDB: lines of JSON appended to a scratch file through a buffer. Not durable, and need not
// be: a crash starts the conversion again from the stream.

import Glibc
import System

package final class RowFile {
    package let path: String
    package private(set) var bytesWritten = 0
    private var buffer: [UInt8] = []
    private var descriptor: Int32
    private static let bufferBytes = 1 << 20

    /// Creates the file; it must not exist.
    package init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError(operation: "create", path: path, errno: errno) }
        buffer.reserveCapacity(Self.bufferBytes + 65_536)
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws {
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.bufferBytes { try flush() }
    }

    /// Two pieces and a line feed.
    package func append(_ row: UnsafeRawBufferPointer, _ end: UnsafeRawBufferPointer) throws {
        buffer.append(contentsOf: row)
        buffer.append(contentsOf: end)
        buffer.append(0x0a)
        if buffer.count >= Self.bufferBytes { try flush() }
    }

    package func append(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try append($0) }
    }

    /// Writes what is left and closes the file. Doing it twice is fine: a conversion is tried again without the rows
    /// of one table that could not be read, and then every other table's file is finished already.
    package func finish() throws {
        guard descriptor >= 0 else { return }
        try flush()
        Glibc.close(descriptor)
        descriptor = -1
    }

    private func flush() throws {
        precondition(descriptor >= 0, "a finished row file takes no more rows")
        var written = 0
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { bytes in
                write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError(operation: "write", path: path, errno: errno) }
            written += count
        }
        bytesWritten += written
        buffer.removeAll(keepingCapacity: true)
    }
}
