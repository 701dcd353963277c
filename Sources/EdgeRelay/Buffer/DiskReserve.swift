// Space set aside while there is some, given up when another program has filled the disk (F38): without it a relay on a
// full disk could not note an alert's state, make a folder for its new epoch or open a write-ahead log.

import Synchronization
import System

package final class DiskReserve: Sendable {
    package static let fileName = "reserve"

    package let bytes: Int
    private let path: String
    private let held: Atomic<Int>

    package init(dataDirectory: String, bytes: Int) {
        precondition(bytes > 0, "a reserve has a size")
        self.bytes = bytes
        path = "\(dataDirectory)/\(Self.fileName)"
        held = Atomic(FileSystem.allocatedBytes(path) ?? 0)
    }

    /// Bytes of the disk that it holds now.
    package var heldBytes: Int { held.load(ordering: .relaxed) }
    package var isHeld: Bool { heldBytes > 0 }

    /// Gives the space back. True if there was some to give.
    @discardableResult
    package func giveUp() -> Bool {
        guard isHeld, (try? FileSystem.remove(path)) != nil else { return false }
        held.store(0, ordering: .relaxed)
        return true
    }

    /// Takes the space if it is not held and as much again stays free. Without it the relay works all the same.
    package func keep(freeBytes: Int) {
        guard !isHeld, freeBytes >= 2 * bytes else { return }
        guard (try? FileSystem.allocate(path, bytes: bytes)) == true else { return }
        held.store(FileSystem.allocatedBytes(path) ?? 0, ordering: .relaxed)
    }
}
