// The log's two background threads: one prepares the next segment, one seals, repairs and discards. Neither holds up an
// append: the writer only ever waits for a segment that is not prepared yet.

import SQLite
import System

/// Keeps no strong reference to the log across a wait, so that the log's own life is not prolonged by its threads.
struct Housekeeping: Sendable {
    private let directory: String
    private let configuration: SegmentedLog.Configuration
    private let state: Monitor<LogState>
    private let readers: ReaderPool
    private let incidents: @Sendable (LogIncident) -> Void

    init(_ log: SegmentedLog) {
        directory = log.directory
        configuration = log.configuration
        state = log.state
        readers = log.readers
        incidents = log.incidents
    }

    // MARK: - Preparing

    func prepareSegments() {
        while true {
            let wanted: (name: SegmentName, discarded: [SegmentWriter])?? = state.wait { state in
                if state.isClosed { return .some(nil) }
                return state.takePreparation().map { .some($0) }
            }
            guard let wanted, let wanted else { return }
            let name = wanted.name
            var discarded = wanted.discarded
            let result: Result<SegmentWriter, SegmentedLogError>
            do {
                try SegmentFile.makeDirectory(directory)
                while let writer = discarded.last {
                    try SegmentFile.remove(writer.name, in: directory)
                    discarded.removeLast()
                }
                try SegmentFile.prepare(name, in: directory, pageBytes: configuration.pageBytes)
                result = .success(try SegmentWriter(name, in: directory))
                SegmentFile.keepReserve(in: directory)
            } catch {
                // Files under this number may be left: empty, and removed at the next opening.
                result = .failure(SegmentedLogError.classify(error, in: directory))
            }
            state.update { $0.preparationEnded(name, result, kept: discarded) }
        }
    }

    // MARK: - Sealing and repairing

    func sealAndRepair() {
        WorkerThread.yieldToOthers()
        while true {
            let next: HousekeepingJob?? = state.wait { state in
                if state.isClosed { return .some(nil) }
                return state.takeJob().map { .some($0) }
            }
            guard let next, let job = next else { return }
            perform(job)
        }
    }

    /// All jobs there are, on the calling thread.
    func workOff() {
        while let job = state.withLock({ $0.takeJobOrEnd() }) { perform(job) }
    }

    private func perform(_ job: HousekeepingJob) {
        switch job {
        case .seal(let name, let writer): seal(name, writer)
        case .repair(let name, let reason): repair(name, reason)
        }
        state.update { $0.jobEnded() }
    }

    private func seal(_ name: SegmentName, _ handedOver: SegmentWriter?) {
        // Released before it was checkpointed: nothing to do, its content need never reach the database file.
        guard let facts = state.withLock({ $0.segment(name) }), facts.sealed else { return }
        do {
            try requireRoomForCheckpoint(name)
            let writer = try handedOver ?? SegmentWriter(name, in: directory)
            guard try writer.seal(first: facts.first, last: facts.last) else {
                throw SegmentedLogError(code: .unavailable, detail: "readers held up the checkpoint")
            }
            readers.evict(name)
            writer.leaveWriteAheadLog()
        } catch {
            guard state.withLock({ $0.segment(name) }) != nil else { return }
            if let reason = DamagedSegment.reason(of: error) {
                state.update { $0.wantRepair(name, reason: reason) }
            } else {
                // Everything is still in the WAL and readable; this connection is not used again. After a failed flush
                // nothing is tried again before the next opening (F35).
                let failure = SegmentedLogError.classify(error, in: directory)
                let isNews = failure.code == .fatal || state.withLock { $0.postpone(name) }
                if isNews { report(.postponed, name, "its checkpoint failed: \(failure.detail)") }
            }
            return
        }
        let bytes = SegmentFile.bytes(name, in: directory)
        state.update { $0.checkpointed(name, bytes: bytes) }
    }

    /// A checkpoint needs the segment's size once more for a moment: not from a disk that is almost full.
    private func requireRoomForCheckpoint(_ name: SegmentName) throws {
        guard configuration.checkpointLeavesBytes > 0, let free = try? FileSystem.freeBytes(at: directory) else {
            return
        }
        guard free < SegmentFile.bytes(name, in: directory) + configuration.checkpointLeavesBytes else { return }
        throw SegmentedLogError(code: .diskFull, detail: "it waits for more free space")
    }

    private func repair(_ name: SegmentName, _ reason: String) {
        guard let facts = state.withLock({ $0.segment(name) }) else {
            state.update { $0.repairFailed(name) }
            return
        }
        let expected = ExpectedContent(first: facts.first, last: facts.last, holes: facts.holes)
        do {
            let salvage = Salvage(name, in: directory, pageBytes: configuration.pageBytes)
            let outcome = try salvage.run(expected)
            try salvage.replaceOriginal()
            readers.evict(name)
            // First the report: a reader that waits must not be ahead of it.
            incidents(outcome.incident(reason))
            state.update { $0.repaired(name, outcome.facts) }
        } catch {
            report(.damaged, name, "\(reason); its repair failed: \(SegmentedLogError.classify(error).detail)")
            state.update { $0.repairFailed(name) }
        }
    }

    private func report(_ kind: LogIncident.Kind, _ name: SegmentName, _ detail: String) {
        incidents(LogIncident(kind: kind, path: name.path(in: directory), detail: detail))
    }
}
