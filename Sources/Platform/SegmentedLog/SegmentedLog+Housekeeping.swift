// What an owner asks of a log beside appending, reading and releasing.

import System

extension SegmentedLog {
    /// Checkpoints and repairs what waits for it, on the calling thread, for a log that does not append and so has no
    /// threads of its own. Returns at once while another thread is at it.
    package func runHousekeeping() {
        guard !configuration.appends, !configuration.readOnly, state.withLock({ $0.beginWorkingOff() }) else { return }
        Housekeeping(self).workOff()
    }

    /// Checkpoints that a full disk or a reader held up are tried again.
    package func resumePostponed() { state.update { $0.retryPostponed() } }

    /// Sealed segments whose content is still in their write-ahead log only.
    package var uncheckpointedSegments: Int {
        state.withLock { $0.segments.count { $0.sealed && !$0.checkpointed } }
    }

    /// For a log opened for reading whose `read` threw `damaged`: what a repair of the segment that holds `position`
    /// would keep and what is lost. Changes nothing.
    package func examineDamage(at position: Int64, reason: String) throws -> LogIncident? {
        guard let facts = state.withLock({ $0.segment(atOrAfter: position) }) else { return nil }
        let salvage = Salvage(facts.name, in: directory, pageBytes: configuration.pageBytes)
        let expected = ExpectedContent(first: facts.first, last: facts.last, holes: facts.holes)
        return try salvage.examine(expected).incident(reason, .damaged)
    }

    /// Bytes of damaged segments kept for people.
    package static func quarantinedBytes(in directory: String) -> Int {
        let quarantine = directory + "/quarantine"
        guard let names = try? FileSystem.list(quarantine) else { return 0 }
        return names.reduce(0) { $0 + (FileSystem.fileSize(quarantine + "/" + $1) ?? 0) }
    }
}
