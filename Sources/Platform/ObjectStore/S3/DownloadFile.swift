// An object on its way to this machine: a file that grows as bytes come, and the digest of them all.

import Crypto
import Glibc
import System

/// A new file that bytes are added to as they come, with their digest.
final class DownloadFile {
    private let path: String
    private let descriptor: Int32
    private var hasher = SHA256()
    private var bytes = 0
    private var failure: SystemError?

    /// Replaces what is there.
    init(path: String) throws {
        self.path = path
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError(operation: "create", path: path, errno: errno) }
    }

    deinit { close(descriptor) }

    /// False when the disk refuses.
    func append(_ piece: UnsafeRawBufferPointer) -> Bool {
        var written = 0
        while written < piece.count {
            let count = write(descriptor, piece.baseAddress.map { $0 + written }, piece.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                failure = SystemError(operation: "write", path: path, errno: errno)
                return false
            }
            written += count
        }
        hasher.update(piece)
        bytes += piece.count
        return true
    }

    func finish() throws -> ObjectCache.Fetched {
        if let failure { throw failure }
        return ObjectCache.Fetched(bytes: bytes, sha256: hasher.finalize().hex)
    }
}
