// System: the services of the operating system that Columba uses, and nothing else of it: time, threads, child
// processes, files, locks, signals. Every call that can fail throws a `SystemError`. Depends on no other module.

import CPosix
import Glibc

/// An operating system call that failed: what was tried, on which file, why, and what a person can do about it.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, in words: "open", "start process".
    package var operation: String
    /// The file, directory or program it was tried on; empty where there is none.
    package var path: String
    /// The error number as in `errno(3)`.
    package var errno: Int32
    /// More specific words than the error number gives, for example who holds a lock.
    package var detail: String

    package init(operation: String, path: String = "", errno: Int32, detail: String = "") {
        self.operation = operation
        self.path = path
        self.errno = errno
        self.detail = detail
    }

    /// What is wrong, one line.
    package var description: String {
        let place = path.isEmpty ? "" : " \(path)"
        let reason = detail.isEmpty ? SystemError.text(of: errno) : detail
        return "cannot \(operation)\(place): \(reason)" + (hint.isEmpty ? "" : " (\(hint))")
    }

    /// What to do next; empty if the error says nothing about it.
    package var hint: String {
        switch errno {
        case ENOSPC, EDQUOT: "the disk is full: free space or enlarge it"
        case EACCES, EPERM: "check the owner and the permissions"
        case EROFS: "the file system is mounted read-only: check the disk and remount it"
        case EMFILE, ENFILE: "too many open files: raise the limit (ulimit -n)"
        case EIO: "the disk reports an error: check it (dmesg, smartctl)"
        case ENOENT: "check that the path exists"
        case EADDRINUSE: "another process uses this address"
        default: ""
        }
    }

    /// The disk has no room (or the quota or inodes are used up): passes once space is freed.
    package var isFull: Bool { errno == ENOSPC || errno == EDQUOT }

    /// The file or directory is not there.
    package var isMissing: Bool { errno == ENOENT }

    package static func text(of errno: Int32) -> String {
        "\(String(cString: columba_error_text(errno))) (errno \(errno))"
    }
}
