// How full the buffer is and whether it can be written, for everyone who must know at once.

import SegmentedLog
import System
import Synchronization

package final class BufferGauge: Sendable {
    private static let levels = BufferLevel.allCases
    /// A buffer that grew by this part of its size is measured at once, whatever the clock says: between two looks at
    /// a small one it could pass a step unseen.
    private static let growthBetweenLooks = 200

    private let admission: BufferAdmission
    private let store: BufferStore
    private let directory: String
    private let reserve: DiskReserve
    private let levelIndex = Atomic<Int>(0)
    private let isFailing = Atomic<Bool>(false)
    private let metFullDisk = Atomic<Bool>(false)
    private let bytes = Atomic<Int>(0)
    private let free = Atomic<Int>(0)
    private let currentBytes = Atomic<Int>(0)

    package init(admission: BufferAdmission, store: BufferStore, directory: String, reserve: DiskReserve) {
        self.admission = admission
        self.store = store
        self.directory = directory
        self.reserve = reserve
        measure()
    }

    package var level: BufferLevel { Self.levels[levelIndex.load(ordering: .relaxed)] }
    package var usedBytes: Int { bytes.load(ordering: .relaxed) }
    /// What `/readyz` says: the last transaction went to disk and the next would find room.
    package var canStore: Bool { !isFailing.load(ordering: .relaxed) && level < .full }
    package var reserveHeldBytes: Int { reserve.heldBytes }
    /// Bytes that must be released to come below the step that demands it.
    package var excessBytes: Int { admission.excess(used: usedBytes, free: free.load(ordering: .relaxed)) }
    /// Bytes that reports without an alert may still take.
    package var roomBytes: Int { admission.room(used: usedBytes, free: free.load(ordering: .relaxed)) }

    /// A transaction is on disk. Called on the writer's thread.
    package func committed() {
        isFailing.store(false, ordering: .relaxed)
        let now = store.current.log.totalBytes
        let growth = abs(now - currentBytes.load(ordering: .relaxed))
        if growth > admission.maxBytes / Self.growthBetweenLooks { measure() }
    }

    /// Time for another try: `/readyz` may say yes again until the next transaction fails.
    package func forgive() { isFailing.store(false, ordering: .relaxed) }

    package func failed(diskFull: Bool) {
        isFailing.store(true, ordering: .relaxed)
        if diskFull { metFullDisk.store(true, ordering: .relaxed) }
    }

    /// True once after a transaction found no space at all: time to give up the reserve.
    package func takeFullDisk() -> Bool { metFullDisk.exchange(false, ordering: .relaxed) }

    /// Looks at the disk. Called a few times a second and after each step of growth.
    @discardableResult
    package func measure() -> BufferLevel {
        currentBytes.store(store.current.log.totalBytes, ordering: .relaxed)
        let used = store.totalBytes
        // Where the filesystem does not say, the configured limit alone decides.
        let available = (try? FileSystem.freeBytes(at: directory)).map { $0 + reserve.heldBytes } ?? Int.max / 2
        let level = admission.level(used: used, free: available)
        bytes.store(used, ordering: .relaxed)
        free.store(available, ordering: .relaxed)
        levelIndex.store(Self.levels.firstIndex(of: level) ?? 0, ordering: .relaxed)
        return level
    }
}
