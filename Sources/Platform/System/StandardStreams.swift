// Whole texts to stdout and stderr, for programs. Glibc's `stdout` and `stderr` are mutable globals that Swift 6
// refuses; the descriptors are not.

import Glibc

package enum StandardStreams {
    package static func output(_ text: String) { write(text, to: STDOUT_FILENO) }
    package static func error(_ text: String) { write(text, to: STDERR_FILENO) }

    /// Writes everything, or stops where nobody reads any more.
    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
