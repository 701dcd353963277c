// A relay: a simulated disk that survives, and a process that does not. What decides is the real code (parser, rules,
// admission, forwarder, release); this shell does what ReportIngest, BufferWriter, BufferKeeper and Forwarder do around
// it, one virtual step after the other.

import AlertRules
import Central
import EdgeRelay
import Models
import SegmentedLog
import Simulation
import System
import SyncProtocol

/// A relay's answer to a request of reports.
enum RelayAnswer {
    /// 202 for these; 207 where some are left out.
    case taken([Int])
    case refused(Int, retryAfterSeconds: Double)
}

/// What is on a relay's disk. A copy is a backup.
struct RelayDisk {
    struct Epoch {
        var name: String
        var log: SimulatedLog
    }

    /// Oldest first; the last one is the current life's.
    var epochs: [Epoch] = []
    var notes: [String: StateStore.EpochNote] = [:]
    /// What a power cut leaves of the notes: they are not synced at once.
    var syncedNotes: [String: StateStore.EpochNote] = [:]
    let capacity: Int
    let maxBytes: Int
    let segmentBytes: Int
    /// Other programs' files.
    var otherBytes = 0

    var usedBytes: Int { epochs.reduce(0) { $0 + $1.log.totalBytes } }
    var freeBytes: Int { max(0, capacity - usedBytes - otherBytes) }
}

final class RelayNode {
    let world: World
    let number: Int
    let relayID: String
    /// To and from the drones.
    let radio = Link()
    /// To and from central.
    let uplink = Link()
    var disk: RelayDisk
    var life: RelayLife?
    var lives = 0
    var wallOffset = 0.0
    var slowDiskUntil: Instant = 0
    /// The last answers of central that came by here: what a caching proxy would repeat.
    var seenAnswers: [SeenAnswer] = []
    private var machineStartedAt: Instant = 0

    init(_ world: World, number: Int, relayID: String, disk: RelayDisk) {
        self.world = world
        self.number = number
        self.relayID = relayID
        self.disk = disk
        uplink.isSlow = world.options.faults.slowLink
    }

    var isUp: Bool { life != nil }
    var wallMicroseconds: Int64 { world.wallMicroseconds(offset: wallOffset) }
    /// Begins anew with each boot of the machine.
    var monotonic: UInt64 { 1_000_000_000 + (world.now - machineStartedAt) }
    func source(_ epoch: String) -> RecordSource { RecordSource(relayID: relayID, epoch: epoch) }

    /// Runs a step of the present life; a simulated crash in it ends that life.
    func guarded(_ body: (RelayLife) throws -> Void) {
        guard let life else { return }
        life.clock.setWall(microseconds: wallMicroseconds)
        do {
            try body(life)
        } catch is SimulatedCrash {
            crash(isPowerCut: false)
        } catch {
            world.ledger.fail("shell", "relay \(number): \(error)")
        }
    }

    /// An action of this life: nothing happens if it has ended meanwhile.
    func later(_ seconds: Double, _ body: @escaping (RelayLife) throws -> Void) {
        let number = lives
        world.after(seconds) {
            guard self.lives == number else { return }
            self.guarded(body)
        }
    }

    // MARK: - Lives

    func start() {
        guard life == nil else { return }
        lives += 1
        let started = RelayLife(self)
        life = started
        world.trace.add(.start, at: world.now, number, lives, started.epoch)
        later(world.random.between(5, 15)) { _ in self.keep() }
        later(30) { _ in self.lookForSilence() }
        later(world.random.between(1, 20)) { life in
            self.findAlerts(life)
            self.pump()
        }
        pump()
    }

    /// - Parameter isPowerCut: what was not synced is gone too, and the machine's clock begins anew.
    func crash(isPowerCut: Bool) {
        guard let ended = life else { return }
        world.trace.add(.crash, at: world.now, number, isPowerCut ? 1 : 0, "relay")
        world.crashes += 1
        // A transaction that the disk had in hand is on it or not, whole or not at all; nobody was answered (F04).
        if let group = ended.writing, world.random.unit() < 0.5 {
            let plan = ended.plan(group)
            if plan.bytes <= disk.freeBytes { commit(plan, ended) }
            world.faults.killed(at: .relayWriting)
        }
        life = nil
        lives += 1
        if isPowerCut {
            disk.notes = disk.syncedNotes
            machineStartedAt = world.now
        }
        let pause = world.faultsAreOn ? world.random.between(0.5, world.random.unit() < 0.2 ? 600 : 20) : 1
        let number = lives
        world.after(pause) { if self.lives == number { self.start() } }
    }

    // MARK: - Reports

    func post(_ reports: [Int], reply: @escaping (RelayAnswer) -> Void) {
        guarded { life in
            try world.faults.pass(.relayAccepted)
            let post = life.take(reports, reply: reply)
            try world.faults.pass(.relayAlerted)
            guard !post.reports.isEmpty else {
                return reply(.refused(post.status, retryAfterSeconds: post.retryAfterSeconds))
            }
            life.waiting.append(post)
            if world.options.mutation == .acknowledgeBeforeCommit { answer(post) }
            try world.faults.pass(.relayQueued)
            write()
        }
    }

    func postGarbage(_ bytes: [UInt8], reply: @escaping (Int) -> Void) {
        guarded { life in reply(life.parse(bytes)) }
    }

    func answer(_ post: PendingPost) {
        guard !post.isAnswered else { return }
        post.isAnswered = true
        for report in post.reports where report.number >= 0 { world.ledger.answered(report.number, by: number) }
        world.trace.add(.answer, at: world.now, number, post.reports.count, "202")
        post.reply(.taken(post.reports.map(\.number)))
    }

    // MARK: - The writer

    /// A group commit: everything that waits goes to the disk at once, and the next group waits for it (I1).
    func write() {
        guard let life, life.writing == nil, !life.waiting.isEmpty else { return }
        let group = life.waiting
        life.waiting = []
        life.writing = group
        let seconds = world.now < slowDiskUntil ? world.random.between(0.5, 3) : world.random.between(0.001, 0.02)
        later(seconds) { life in
            let plan = life.plan(group)
            guard plan.bytes <= self.disk.freeBytes, self.disk.usedBytes + plan.bytes <= self.disk.capacity else {
                life.writing = nil
                self.world.trace.add(.refused, at: self.world.now, self.number, group.count, "disk full")
                for post in group where !post.isAnswered { post.reply(.refused(503, retryAfterSeconds: 5)) }
                if self.world.options.mutation == .duplicateBeforeCommit { life.remember(group) }
                return self.write()
            }
            self.commit(plan, life)
            life.writing = nil
            try self.world.faults.pass(.relayCommitted)
            life.committed(through: self.disk.epochs[life.index].log.nextPosition - 1, alerts: plan.alerts)
            life.remember(group)
            if self.world.options.mutation == .alertAfterCommit { life.alertLate(group) }
            try self.world.faults.pass(.relayAnswering)
            for post in group {
                self.answer(post)
                try self.world.faults.pass(.relayAnswered)
            }
            self.pump()
            self.write()
        }
    }

    private func commit(_ plan: RelayLife.Plan, _ life: RelayLife) {
        disk.epochs[life.index].log.append(plan.entries)
        for (entry, record) in zip(plan.entries, plan.records) {
            world.ledger.wrote(source(life.epoch), entry.position, record, by: number)
        }
        world.trace.add(.commit, at: world.now, number, plan.entries.count, life.epoch)
    }

    /// As AlertIndexKeeper does it: earlier lives' alerts are found while the backlog already flows.
    private func findAlerts(_ life: RelayLife) {
        for (index, epoch) in disk.epochs.enumerated() where index != life.index && life.waiting(epoch.name) > 0 {
            let entries = epoch.log.read(from: 1, through: .max, maxEntries: .max, maxBytes: .max)
            let alerts = IntervalSet(
                entries.filter { $0.kind != BufferKind.report }.map { $0.position...$0.position })
            life.withMachine { $0.alertsFound(epoch.name, alerts) }
        }
    }

    // MARK: - Maintenance

    private func lookForSilence() {
        guarded { life in
            life.raiseSilences()
            write()
        }
        later(60) { _ in self.lookForSilence() }
    }

    private func keep() {
        guarded { life in
            life.measure()
            note(life)
            try world.faults.pass(.keeperNoted)
            try release(life)
        }
        later(10) { _ in self.keep() }
    }

    private func note(_ life: RelayLife) {
        disk.syncedNotes = disk.notes
        guard disk.freeBytes > 0 else { return }
        for (index, epoch) in disk.epochs.enumerated() {
            let through = index == life.index ? epoch.log.nextPosition - 1 : life.earlierThrough[epoch.name] ?? 0
            guard through > 0 else { continue }
            disk.notes[epoch.name] = StateStore.EpochNote(archived: life.archived(epoch.name), through: through)
        }
    }

    /// As BufferKeeper does it: what is archived was noted before its segments go.
    private func release(_ life: RelayLife) throws {
        let admission = BufferAdmission(maxBytes: disk.maxBytes)
        var excess = admission.excess(used: disk.usedBytes, free: disk.freeBytes)
        var gone: [String] = []
        for index in disk.epochs.indices {
            let name = disk.epochs[index].name
            guard let settled = life.settled(name) else { continue }
            let summaries = disk.epochs[index].log.summaries
            var positions = SegmentRelease.releasable(
                summaries, settled: settled, nowMicroseconds: wallMicroseconds, holdSeconds: world.holdSeconds,
                excessBytes: &excess)
            if world.options.mutation == .releaseUnarchived {
                positions = summaries.filter(\.sealed).map(\.firstPosition)
            }
            for position in positions {
                guard let segment = disk.epochs[index].log.release(startingAt: position) else { continue }
                let missing = life.missing(name)
                for entry in segment.entries where !missing.contains(entry.position) {
                    world.ledger.released(source(name), entry.position, by: number)
                }
                world.trace.add(.released, at: world.now, number, segment.entries.count, name)
                try world.faults.pass(.keeperReleased)
            }
            let isEmpty = disk.epochs[index].log.segments.isEmpty
            if index != life.index, isEmpty, life.waiting(name) == 0 { gone.append(name) }
            if index == life.index, let last = summaries.last,
                SegmentRelease.isWorthSealing(last, settled: settled, excessBytes: excess)
            {
                disk.epochs[index].log.seal()
            }
        }
        for name in gone { forget(name, life) }
    }

    private func forget(_ name: String, _ life: RelayLife) {
        guard let index = disk.epochs.firstIndex(where: { $0.name == name }) else { return }
        life.released(name)
        disk.epochs.remove(at: index)
        disk.notes[name] = nil
        life.index = disk.epochs.count - 1
    }
}
