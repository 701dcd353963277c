// Where lines go: stderr, or a test's memory.
import Glibc
import Synchronization

package struct LogSink: Sendable {
    let write: @Sendable ([UInt8]) -> Void

    package init(_ write: @escaping @Sendable ([UInt8]) -> Void) { self.write = write }

    /// One write(2) a line. A reader that went away or a full pipe loses the line: logging never stops the program.
    package static let standardError = LogSink { line in
        _ = line.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    package static let none = LogSink { _ in }
}

/// Keeps lines for a test to look at.
package final class LogCapture: Sendable {
    private let captured = Mutex<[String]>([])

    package init() {}

    package var sink: LogSink {
        LogSink { line in self.captured.withLock { $0.append(String(decoding: line.dropLast(), as: UTF8.self)) } }
    }

    /// Without their line ends.
    package var lines: [String] { captured.withLock { $0 } }
}

package func systemWallMicroseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}
