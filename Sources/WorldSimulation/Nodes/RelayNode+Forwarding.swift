// What Forwarder and BatchReader do around ForwarderStateMachine: read records, make a batch, send it, look whether the
// answer is one, and tell the machine.

import Compression
import Crypto
import EdgeRelay
import FoundationEssentials
import Models
import Simulation
import SyncProtocol

extension RelayNode {
    /// Carries out what the machine orders until it has nothing more to do now.
    func pump() {
        guarded { life in
            life.nextLook = .max
            while true {
                switch life.withMachine({ $0.nextOrder(at: monotonic) }) {
                case .send(let batch): try send(batch, life)
                case .ask(let question): ask(question)
                case .restartConnection: world.restarts += 1
                case .wait(let until), .idle(let until): return look(at: until, life)
                }
            }
        }
    }

    private func look(at until: UInt64, _ life: RelayLife) {
        let seconds = Double(until - min(until, monotonic)) / 1e9 + 0.001
        let at = world.now.adding(seconds)
        life.nextLook = at
        later(seconds) { life in
            // A later look was planned meanwhile: this one is stale.
            if life.nextLook == at { self.pump() }
        }
    }

    // MARK: - Batches

    private func send(_ order: ForwarderStateMachine.Batch, _ life: RelayLife) throws {
        var batch: EncodedBatch?
        var missing = IntervalSet()
        if let log = disk.epochs.first(where: { $0.name == order.epoch })?.log {
            (batch, missing) = try life.reader.read(order, from: log)
        }
        if world.options.mutation == .unreadIsMissing {
            missing = order.numbers.subtracting(batch?.numbers ?? IntervalSet())
        }
        try world.faults.pass(.forwarderRead)
        let allowed = life.withMachine {
            $0.batchRead(
                order.id, numbers: batch?.numbers ?? IntervalSet(), missing: missing,
                lineBytes: batch?.lineBytes ?? 0, wireBytes: batch?.bytes.count ?? 0, at: monotonic)
        }
        guard let allowed, let batch else { return }
        let bytes = isCorrupted ? corrupt(batch.bytes) : batch.bytes
        let central = world.central
        try world.faults.pass(.forwarderSent)
        exchange(order.id, order.epoch, expecting: batch.digest, timeout: allowed) { reply in
            central.put(batch.name, bytes, digest: batch.digest, reply: reply)
        }
    }

    private var isCorrupted: Bool {
        world.faultsAreOn
            && (world.now < uplink.corruptedUntil || world.random.unit() < world.options.faults.corruption)
    }

    /// A proxy that packs anew what it has damaged, or a plain flipped byte.
    private func corrupt(_ bytes: [UInt8]) -> [UInt8] {
        guard world.random.unit() < 0.6,
            let lines = try? Zstd.decompress(
                bytes, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
        else {
            var flipped = bytes
            flipped[world.random.index(below: flipped.count)] ^= 0x10
            return flipped
        }
        var changed = lines
        // A digit of a reading: the line stays a report.
        let digits = changed.indices.filter { changed[$0] == UInt8(ascii: "}") && $0 > 0 && isDigit(changed[$0 - 1]) }
        guard !digits.isEmpty else { return bytes }
        let place = digits[world.random.index(below: digits.count)] - 1
        changed[place] = changed[place] == UInt8(ascii: "9") ? UInt8(ascii: "1") : changed[place] + 1
        return (try? Zstd.compress(changed, level: 1)) ?? bytes
    }

    private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private func ask(_ question: ForwarderStateMachine.Question) {
        let central = world.central
        let source = source(question.epoch)
        exchange(question.id, question.epoch, expecting: nil, timeout: question.timeoutSeconds) { reply in
            central.acknowledgements(source, reply: reply)
        }
    }

    // MARK: - Answers

    private func exchange(
        _ id: UInt64, _ epoch: String, expecting digest: String?, timeout: Double,
        deliver: @escaping (@escaping (HTTPAnswer) -> Void) -> Void
    ) {
        let number = lives
        let due = world.now.adding(timeout)
        func done(_ answer: HTTPAnswer?) {
            guard lives == number else { return }
            guarded { life in try answered(id, epoch, answer, expecting: digest, isInTime: world.now < due, life) }
            pump()
        }
        if world.now < uplink.portalUntil, world.faultsAreOn {
            let answer = portalAnswer(epoch, isBatch: digest != nil)
            return world.after(world.random.between(0.01, 0.3)) { done(answer) }
        }
        let central = world.central
        world.request(
            over: uplink, timeout: timeout, isUp: { central.isUp },
            deliver: deliver, done: done)
    }

    /// A login page, or an answer that somebody else got some time ago. A question carries nothing that its answer
    /// could echo, so a proxy repeats only what it heard under that very address.
    private func portalAnswer(_ epoch: String, isBatch: Bool) -> HTTPAnswer {
        let all = (isBatch ? world.relays.flatMap(\.seenAnswers) : seenAnswers).filter {
            isBatch || (!$0.isBatch && $0.epoch == epoch)
        }
        guard world.random.unit() < 0.6, !all.isEmpty else {
            return HTTPAnswer(status: 200, body: Array("<html>Please log in</html>".utf8))
        }
        return all[world.random.index(below: all.count)].answer
    }

    private func answered(
        _ id: UInt64, _ epoch: String, _ answer: HTTPAnswer?, expecting digest: String?, isInTime: Bool,
        _ life: RelayLife
    ) throws {
        try world.faults.pass(.forwarderAcknowledged)
        let jitter = world.random.unit()
        func fail(_ failure: ForwarderStateMachine.Failure) {
            life.withMachine { $0.failed(id, failure, at: monotonic, jitter: jitter) }
        }
        guard let answer else { return fail(isInTime ? .unreachable : .timedOut) }
        switch answer.status {
        case 200: break
        case 400: return fail(.malformed)
        case 401, 403: return fail(.forbidden)
        case 413: return fail(.tooLarge)
        case 429, 503: return fail(.overloaded(retryAfterSeconds: answer.retryAfterSeconds))
        default: return fail(.unreachable)
        }
        guard var acknowledgement = decode(answer.body),
            acknowledgement.digest == digest || world.options.mutation == .noDigestEcho
        else { return fail(.unreachable) }
        mutate(&acknowledgement, epoch, life)
        life.withMachine { $0.acknowledged(id, acknowledgement, at: monotonic, jitter: jitter) }
        world.trace.add(
            .acknowledgement, at: world.now, number, acknowledgement.archived.count, "\(acknowledgement.received)")
        world.ledger.believed(life.archived(epoch), source(epoch), by: number)
        try world.faults.pass(.forwarderMerged)
    }

    private func decode(_ body: [UInt8]) -> Acknowledgement? {
        try? JSONDecoder().decode(Acknowledgement.self, from: Data(body))
    }

    private func mutate(_ answer: inout Acknowledgement, _ epoch: String, _ life: RelayLife) {
        switch world.options.mutation {
        case .forgetOnReceived: answer.archived.formUnion(answer.received)
        case .lostWanted:
            life.everReceived[epoch, default: IntervalSet()].formUnion(answer.received)
            answer.received = life.everReceived[epoch] ?? answer.received
            answer.wanted = IntervalSet()

        default: break
        }
    }
}
