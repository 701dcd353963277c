// A file or standard input, read in pieces.
import Glibc
import System

final class InputFile {
    private static let pieceBytes = 1 << 20

    let path: String
    /// nil if the end is not known beforehand.
    let totalBytes: Int?
    private let descriptor: Int32

    /// `-` is standard input.
    init(_ path: String) throws {
        self.path = path
        if path == "-" {
            descriptor = 0
            totalBytes = nil
            return
        }
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
        var information = stat()
        let isRegular = fstat(descriptor, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
        totalBytes = isRegular ? Int(information.st_size) : nil
    }

    deinit { if descriptor > 0 { close(descriptor) } }

    /// The next piece; nil at the end.
    func read() throws -> [UInt8]? {
        while true {
            var failure: Int32 = 0
            let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { buffer, count in
                let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                failure = got < 0 ? errno : 0
                count = max(0, got)
            }
            if failure == EINTR { continue }
            guard failure == 0 else { throw CommandFailure("\(path): \(String(cString: strerror(failure)))") }
            return piece.isEmpty ? nil : piece
        }
    }

    func readAll(maxBytes: Int) throws -> [UInt8] {
        var all: [UInt8] = []
        while let piece = try read() {
            all += piece
            guard all.count <= maxBytes else { throw CommandFailure("\(path): longer than \(maxBytes) bytes") }
        }
        return all
    }
}
