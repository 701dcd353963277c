// SHA-256 of a whole file, read in pieces.

import Crypto
import System

package enum FileDigest {
    private static let pieceBytes = 1 << 20

    /// Hex. `progress` is told of every piece's bytes.
    package static func sha256(ofFile path: String, progress: (Int) -> Void = { _ in }) throws -> String {
        var hasher = SHA256()
        try FileSystem.readPieces(path, bytes: pieceBytes) { piece in
            hasher.update(piece)
            progress(piece.count)
        }
        return hasher.finalize().hex
    }
}
