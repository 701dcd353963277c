// Adds to the end of a file without syncing it: for caches that may be lost in a power cut.

import Glibc

extension FileSystem {
    /// Creates the file where it is missing.
    package static func append(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError(operation: "open", path: path, errno: errno) }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError(operation: "write", path: path, errno: errno) }
            written += count
        }
    }
}
