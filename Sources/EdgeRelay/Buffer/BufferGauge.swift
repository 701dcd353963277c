// How full the buffer is and whether it can be written, for everyone who must know at once.

import System
import Synchronization

package final class BufferGauge: Sendable {
    private static let levels = BufferLevel.allCases

    private let admission: BufferAdmission
    private let store: BufferStore
    private let directory: String
    private let levelIndex = Atomic<Int>(0)
    private let isFailing = Atomic<Bool>(false)
    private let bytes = Atomic<Int>(0)

    package init(admission: BufferAdmission, store: BufferStore, directory: String) {
        self.admission = admission
        self.store = store
        self.directory = directory
        measure()
    }

    package var level: BufferLevel { Self.levels[levelIndex.load(ordering: .relaxed)] }
    package var usedBytes: Int { bytes.load(ordering: .relaxed) }
    /// What `/readyz` says: the last transaction went to disk and the next would find room.
    package var canStore: Bool { !isFailing.load(ordering: .relaxed) && level < .full }

    package func committed() { isFailing.store(false, ordering: .relaxed) }
    package func failed() { isFailing.store(true, ordering: .relaxed) }

    /// Looks at the disk. Called a few times a second: between two looks at most some tens of megabytes come in, which
    /// the reserve absorbs.
    @discardableResult
    package func measure() -> BufferLevel {
        let used = store.totalBytes
        // Where the filesystem does not say, the configured limit alone decides.
        let free = (try? FileSystem.freeBytes(at: directory)) ?? Int.max / 2
        let level = admission.level(used: used, free: free)
        bytes.store(used, ordering: .relaxed)
        levelIndex.store(Self.levels.firstIndex(of: level) ?? 0, ordering: .relaxed)
        return level
    }
}
