// A file that is there whole or not at all: written beside its place under another name, flushed, then renamed.
import Glibc
import System

final class OutputFile {
    private let path: String
    private let temporary: String
    private var descriptor: Int32

    init(_ path: String) throws(CommandFailure) {
        self.path = path
        temporary = "\(path).\(Environment.processID).part"
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandFailure("\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    deinit { discard() }

    /// False, with errno set, when the bytes could not be written.
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }

    func finish() throws(CommandFailure) {
        let isWritten = fsync(descriptor) == 0 && close(descriptor) == 0
        descriptor = -1
        guard isWritten, rename(temporary, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(temporary)
            throw CommandFailure("\(path) cannot be written: \(reason)")
        }
    }

    /// Leaves nothing behind. Harmless after `finish`.
    func discard() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(temporary)
    }
}
