// Files too large to be held in memory: read piece by piece.

import CPosix
import Glibc

extension FileSystem {
    /// Lends the file's bytes in pieces of at most `bytes`, in order.
    package static func readPieces(
        _ path: String, bytes: Int, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        precondition(bytes > 0, "a piece has at least one byte")
        let descriptor = columba_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { throw SystemError(operation: "open", path: path, errno: errno) }
        defer { close(descriptor) }
        try withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 16) { buffer in
            while true {
                let count = Glibc.read(descriptor, buffer.baseAddress, bytes)
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else { throw SystemError(operation: "read", path: path, errno: errno) }
                guard count > 0 else { return }
                try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
    }
}
