// Central: stream, quarantine, lake and vault survive; a process with the real fleet and the real archiver does not.
// This shell does what BatchIntake, EmbeddedStream, ArchiveLoop and CentralService do around them.

import Central
import Compression
import Crypto
import Models
import Simulation
import SyncProtocol
import System

/// A batch in the stream.
struct StreamedEntry {
    var position: Int64
    var receivedAt: Timestamp
    var header: StreamHeader
    var payload: [UInt8]

    var source: RecordSource { RecordSource(relayID: header.relay, epoch: header.epoch) }
}

final class CentralNode {
    /// A batch that waits for the stream's disk.
    struct Pending {
        let header: StreamHeader
        let name: BatchName
        let payload: [UInt8]
        let digest: String
        let receivedAt: Timestamp
        let reply: (HTTPAnswer) -> Void
    }

    final class Life {
        let fleet: Fleet
        let archiver: Archiver
        var waiting: [Pending] = []
        var writing: [Pending]?

        init(fleet: Fleet, archiver: Archiver) {
            self.fleet = fleet
            self.archiver = archiver
        }
    }

    let world: World
    let store: MemoryDisk
    let lake: MemoryStore
    let vault: MemoryStore
    let clock = ManualTime()
    var watch: ArchiveWatch
    /// The stream's disk, ascending.
    var stream: [StreamedEntry] = []
    private var lastPosition: Int64 = 0
    private(set) var life: Life?
    private(set) var lives = 0
    var overloadedUntil: Instant = 0
    var fullUntil: Instant = 0
    var zombieIsDue = false
    private static let maxStreamBatches = 5_000

    init(_ world: World) {
        self.world = world
        store = MemoryDisk(faults: world.faults, mutation: world.options.mutation)
        lake = MemoryStore("lake", on: store)
        vault = MemoryStore("vault", on: store)
        watch = ArchiveWatch(disk: store, ledger: world.ledger)
    }

    var isUp: Bool { life != nil }
    var now: Timestamp { Timestamp(microseconds: world.wallMicroseconds(offset: 0)) }

    func guarded(_ body: (Life) throws -> Void) {
        guard let life else { return }
        setClocks()
        do {
            try body(life)
        } catch is SimulatedCrash {
            crash()
        } catch {
            world.ledger.fail("shell", "central: \(error)")
        }
        watch.look()
    }

    func setClocks() {
        clock.setWall(microseconds: now.microseconds)
        store.setTime(now.microseconds)
    }

    func later(_ seconds: Double, _ body: @escaping (Life) throws -> Void) {
        let number = lives
        world.after(seconds) {
            guard self.lives == number else { return }
            self.guarded(body)
        }
    }

    // MARK: - Lives

    func archiverConfiguration() -> ArchiverConfiguration {
        var configuration = ArchiverConfiguration(
            lake: lake, vault: vault, engine: MemoryEngine(disk: store),
            hmacKey: Array("a simulated key".utf8) + [0, 0])
        configuration.parsesAhead = false
        configuration.commitsPerSnapshot = 5
        return configuration
    }

    /// As CentralService does it: what relays may be told is derived from the archive and the stream (I4).
    func start() {
        guard life == nil else { return }
        lives += 1
        setClocks()
        do {
            var configuration = archiverConfiguration()
            configuration.failurePoint = failurePoint()
            let archiver = try Archiver(configuration, time: clock)
            let fleet = Fleet(archived: { archiver.archivedRanges(relayID: $0, epoch: $1) })
            for relay in archiver.statistics.relays { fleet.known(relayID: relay.relayID, epoch: relay.epoch) }
            release(through: archiver.committedPosition)
            for entry in stream where entry.position > archiver.committedPosition {
                fleet.received(entry.header, name: nil, digest: nil, at: entry.receivedAt)
            }
            life = Life(fleet: fleet, archiver: archiver)
            lastPosition = max(lastPosition, archiver.committedPosition)
        } catch {
            watch.look()
            let number = lives
            return world.after(world.random.between(1, 10)) { if self.lives == number { self.start() } }
        }
        watch.look()
        world.trace.add(.start, at: world.now, -1, lives, "central")
        later(world.random.between(1, 5)) { _ in self.archive() }
    }

    func crash() {
        guard let ended = life else { return }
        world.trace.add(.crash, at: world.now, -1, 0, "central")
        world.crashes += 1
        if let group = ended.writing, world.random.unit() < 0.5 {
            for pending in group { append(pending) }
            world.faults.killed(at: .centralWriting)
        }
        life = nil
        lives += 1
        let pause = world.faultsAreOn ? world.random.between(0.5, world.random.unit() < 0.2 ? 600 : 20) : 1
        let number = lives
        world.after(pause) { if self.lives == number { self.start() } }
    }

    // MARK: - Intake

    func acknowledgements(_ source: RecordSource, reply: @escaping (HTTPAnswer) -> Void) {
        guarded { life in
            guard !isOverloaded(reply) else { return }
            life.fleet.contacted(relayID: source.relayID, epoch: source.epoch, at: now)
            answer(life, source, digest: nil, reply)
        }
    }

    private func isOverloaded(_ reply: (HTTPAnswer) -> Void) -> Bool {
        guard world.now < overloadedUntil else { return false }
        reply(
            HTTPAnswer(
                status: world.random.unit() < 0.5 ? 429 : 503, retryAfterSeconds: world.random.between(0, 600)))
        return true
    }

    /// As BatchIntake does it: digest, inflate, look at every line, quarantine, stream, and only then `received`.
    func put(_ name: BatchName, _ bytes: [UInt8], digest: String, reply: @escaping (HTTPAnswer) -> Void) {
        guarded { life in
            guard !isOverloaded(reply) else { return }
            try world.faults.pass(.centralAccepted)
            let source = RecordSource(relayID: name.relayID, epoch: name.epoch)
            let isRight = SHA256.hash(bytes).withBytes { ContentDigest.format($0) } == digest
            guard isRight || world.options.mutation == .noDigestCheck else {
                return reply(HTTPAnswer(status: 400))
            }
            if life.fleet.has(name, digest: digest) {
                life.fleet.contacted(relayID: name.relayID, epoch: name.epoch, at: now)
                return answer(life, source, digest: digest, reply)
            }
            guard stream.count < Self.maxStreamBatches else {
                return reply(HTTPAnswer(status: 503, retryAfterSeconds: 10))
            }
            guard
                let lines = try? Zstd.decompress(
                    bytes, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio),
                let examined = try? BatchExamination.examine(lines, name: name)
            else { return reply(HTTPAnswer(status: 400)) }
            try world.faults.pass(.centralExamined)
            let header = StreamHeader(
                relay: name.relayID, epoch: name.epoch, numbers: examined.numbers,
                rejected: examined.rejected.map { RejectedRecord(n: $0.n, code: $0.code) }, records: examined.records)
            for record in examined.rejected { world.ledger.quarantined(source, record.n) }
            try world.faults.pass(.centralQuarantined)
            let pending = Pending(
                header: header, name: name, payload: bytes, digest: digest, receivedAt: now, reply: reply)
            life.waiting.append(pending)
            if world.options.mutation == .receivedBeforeDurable { accept(pending, life) }
            write()
        }
    }

    private func answer(
        _ life: Life, _ source: RecordSource, digest: String?, _ reply: (HTTPAnswer) -> Void
    ) {
        watch.look()
        var answer = life.fleet.acknowledgement(
            relayID: source.relayID, epoch: source.epoch, digest: digest, credit: .standard)
        if world.options.mutation == .archivedBeforeCommit { answer.archived.formUnion(answer.received) }
        world.ledger.said(answer, source)
        let sent = HTTPAnswer(status: 200, body: answer.json())
        world.sawAnswer(sent, source, digest: digest)
        reply(sent)
    }

    // MARK: - The stream

    private func write() {
        guard let life, life.writing == nil, !life.waiting.isEmpty else { return }
        let group = life.waiting
        life.waiting = []
        life.writing = group
        later(world.random.between(0.001, 0.03)) { life in
            life.writing = nil
            guard self.world.now >= self.fullUntil else {
                for pending in group { pending.reply(HTTPAnswer(status: 503, retryAfterSeconds: 5)) }
                return self.write()
            }
            for pending in group { self.append(pending) }
            try self.world.faults.pass(.centralStreamed)
            for pending in group {
                self.accept(pending, life)
                try self.world.faults.pass(.centralAnswering)
            }
            self.write()
        }
    }

    private func append(_ pending: Pending) {
        lastPosition += 1
        let entry = StreamedEntry(
            position: lastPosition, receivedAt: pending.receivedAt, header: pending.header, payload: pending.payload)
        stream.append(entry)
        world.ledger.streamed(pending.header.numbers, entry.source)
        world.trace.add(.batch, at: world.now, Int(lastPosition), pending.header.records, pending.name.path)
    }

    private func accept(_ pending: Pending, _ life: Life) {
        life.fleet.received(pending.header, name: pending.name.path, digest: pending.digest, at: pending.receivedAt)
        let source = RecordSource(relayID: pending.header.relay, epoch: pending.header.epoch)
        answer(life, source, digest: pending.digest, pending.reply)
    }

    func release(through position: Int64) {
        watch.look()
        let gone = stream.prefix { $0.position <= position }
        for entry in gone { world.ledger.streamReleased(entry.header.numbers, entry.source) }
        stream.removeFirst(gone.count)
    }

    /// Bit rot: a batch that was durable is gone. A start salvages the rest and tells relays of nothing else.
    func damageStream() {
        guard !stream.isEmpty else { return }
        crash()
        let entry = stream.remove(at: world.random.index(below: stream.count))
        world.ledger.streamLost(entry.header.numbers, entry.source)
        // What was sent twice may lie in another batch as well.
        for other in stream where other.source == entry.source {
            world.ledger.streamed(other.header.numbers, other.source)
        }
        world.trace.add(.fault, at: world.now, Int(entry.position), 0, "stream damage")
    }
}
