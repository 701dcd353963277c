// What ArchiveLoop does around the archiver, and the ways in which a commit can be cut short: a kill before each of its
// steps, a store that refuses or does not say that it did, and a second archiver that was thought dead.

import Central
import Compression
import Simulation
import SyncProtocol
import System

extension CentralNode {
    func archive() {
        guarded { life in
            do {
                try commit(life)
            } catch let crash as SimulatedCrash {
                throw crash
            } catch let error as ArchiveError {
                // Nothing that trying again could mend: the process ends and starts afresh.
                world.trace.add(.note, at: world.now, lives, 0, "\(error)")
                if case .anotherWriter = error { return crash() }
                world.ledger.fail("shell", "the archiver stops: \(error)")
                return
            } catch {
                world.trace.add(.note, at: world.now, lives, 1, "\(error)")
                return later(2) { _ in self.archive() }
            }
            later(world.archiveSeconds) { _ in self.archive() }
        }
    }

    private func commit(_ life: Life) throws {
        let position = life.archiver.committedPosition
        let batches = try stream.filter { $0.position > position }.prefix(400).map { entry in
            StreamedBatch(
                position: entry.position, relayID: entry.header.relay, epoch: entry.header.epoch,
                centralReceivedAt: entry.receivedAt,
                ndjson: try Zstd.decompress(
                    entry.payload, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio),
                skip: IntervalSet(entry.header.rejected.map { $0.n...$0.n }))
        }
        guard let last = batches.last else { return }
        try world.faults.pass(.archiveRead)
        if world.options.mutation == .streamReleasedEarly { release(through: last.position) }
        if zombieIsDue { armZombie(Array(batches)) }
        let commit = try life.archiver.archive(Array(batches))
        watch.look()
        world.trace.add(.archived, at: world.now, Int(commit.version), commit.reports, "\(commit.duplicates) copies")
        world.commits += 1
        try world.faults.pass(.archiveReleased)
        release(through: life.archiver.committedPosition)
    }

    /// The archiver's own steps.
    func failurePoint() -> @Sendable (ArchiveStep) throws -> Void {
        let faults = world.faults
        let zombie = world.zombie
        return { step in
            if step == .commitReports || step == .commitAlerts { try zombie.wake(at: step) }
            try faults.pass(Step(step))
        }
    }

    /// A process that was stopped for a while (F25) has a successor by the time it goes on: the successor commits the
    /// same batches between two steps of the old one.
    private func armZombie(_ batches: [StreamedBatch]) {
        zombieIsDue = false
        var configuration = archiverConfiguration()
        configuration.failurePoint = { _ in }
        let settings = configuration
        let clock = clock
        world.zombie.arm(at: world.random.unit() < 0.5 ? .commitReports : .commitAlerts) {
            let successor = try Archiver(settings, time: clock)
            let position = successor.committedPosition
            _ = try successor.archive(batches.filter { $0.position > position })
        }
    }
}

extension Step {
    init(_ step: ArchiveStep) {
        switch step {
        case .convert: self = .archiveConvert
        case .upload: self = .archiveUpload
        case .quarantine: self = .archiveQuarantine
        case .commitIdentities: self = .archiveIdentities
        case .commitAlerts: self = .archiveAlerts
        case .commitDuplicates: self = .archiveDuplicates
        case .commitReports: self = .archiveReports
        case .publish: self = .archivePublish
        case .snapshot: self = .archiveSnapshot
        }
    }
}
