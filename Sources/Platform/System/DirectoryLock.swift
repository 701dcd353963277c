// One process owns a data directory at a time (F44). `flock` ends with the process, so a crash leaves no stale lock.

import CPosix
import Glibc

/// Holds `<directory>/lock` until it is released; the file's content is the holder's process id, for people.
package final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// Fails at once, naming the holder, if another process (or another lock of this one) has the directory.
    package init(_ directory: String) throws {
        let path = directory + "/lock"
        descriptor = columba_open(path, O_RDWR | O_CREAT, 0o644)
        guard descriptor >= 0 else { throw SystemError(operation: "open the lock file", path: path, errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = errno
            let holder = (try? FileSystem.read(path)).map { String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self) }
            close(descriptor)
            throw SystemError(
                operation: "lock", path: directory, errno: error,
                detail: error == EWOULDBLOCK
                    ? "process \(holder ?? "?") uses this directory already; stop it first or choose another directory"
                    : "")
        }
        let text = Array("\(getpid())\n".utf8)
        // The number is for people only: without it the lock holds all the same.
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
    }

    /// Whether some process holds the directory now. Changes nothing, not even when there is no such directory.
    package static func isHeld(_ directory: String) -> Bool {
        let descriptor = columba_open(directory + "/lock", O_RDONLY, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    deinit { close(descriptor) }
}
