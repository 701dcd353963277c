// Publishing: `append` splits on the caller's thread, one thread publishes and hears the acknowledgements.

import Log
import Models
import NATS
import SyncProtocol
import System

extension NATSStream {
    package func append(
        _ batch: NewBatch, answer: @escaping @Sendable (Result<Int64, any Error>) -> Void
    ) -> Bool {
        let hasRoom = inbox.withLock { inbox in
            !inbox.isClosed && inbox.hasRoom && inbox.batches.count < Self.maxQueued && inbox.bytes < Self.queueBytes
        }
        guard hasRoom else { return false }
        let parts: [BatchPart]
        do {
            parts = try splitter.split(batch).flatMap { $0 }
        } catch {
            answer(.failure(error))
            return true
        }
        return inbox.update { inbox in
            guard !inbox.isClosed else { return false }
            inbox.batches.append(QueuedBatch(parts: parts, answer: answer))
            inbox.bytes += parts.reduce(0) { $0 + $1.payload.count }
            return true
        }
    }

    /// Between two turns of the publishing thread.
    private static let maxQueued = 256
    private static let queueBytes = 32 << 20

    package func run() {
        var publisher: Publisher
        do {
            publisher = Publisher(
                self,
                try ReplyBox(connection) { [inbox] token, message in
                    let result: Result<PublishAcknowledgement, NATSError>
                    do throws(NATSError) {
                        result = .success(try JetStream.acknowledgement(message))
                    } catch {
                        result = .failure(error)
                    }
                    inbox.update { $0.facts.append(.answered(token, result)) }
                })
        } catch {
            return onFatal("the stream's publisher cannot start: \(error)")
        }
        publisher.run()
    }
}

/// The publishing thread's own state.
private struct Publisher {
    private struct Running {
        let batch: NATSStream.QueuedBatch
        var refusal: NATSError?
    }

    private let stream: NATSStream
    private let replies: ReplyBox
    private var machine: PublishStateMachine
    private var running: [PublishStateMachine.BatchID: Running] = [:]
    private var failuresUntold = 0
    private var lastTold: UInt64 = 0
    /// Between two lines of the log about batches that failed.
    private static let secondsBetweenTellings = 5.0
    /// A token's batch and part, for what is told of it later.
    private var parts: [PublishStateMachine.Token: (batch: PublishStateMachine.BatchID, part: Int)] = [:]

    init(_ stream: NATSStream, _ replies: ReplyBox) {
        self.stream = stream
        self.replies = replies
        machine = PublishStateMachine(limits: stream.configuration.publishing)
    }

    private var now: UInt64 { stream.time.monotonicNanoseconds() }

    mutating func run() {
        while true {
            let (batches, facts, isClosed) = takeNews()
            if isClosed, batches.isEmpty, facts.isEmpty, machine.isEmpty { return }
            for batch in batches { accept(batch) }
            for fact in facts { hear(fact) }
            carryOut(machine.proceed(at: now))
            let hasRoom = machine.hasRoomForABatch
            stream.inbox.withLock { $0.hasRoom = hasRoom }
        }
    }

    private func takeNews() -> ([NATSStream.QueuedBatch], [NATSStream.Fact], isClosed: Bool) {
        let next = machine.nextTime(after: now)
        let wait = next.map { Double($0 - min($0, now)) / 1e9 }
        let isIdle = machine.isEmpty
        _ = stream.inbox.wait(timeoutSeconds: wait) { inbox -> Bool? in
            !inbox.batches.isEmpty || !inbox.facts.isEmpty || (inbox.isClosed && isIdle) ? true : nil
        }
        return stream.inbox.withLock { inbox in
            defer {
                inbox.batches = []
                inbox.bytes = 0
                inbox.facts = []
            }
            return (inbox.batches, inbox.facts, inbox.isClosed)
        }
    }

    private mutating func accept(_ batch: NATSStream.QueuedBatch) {
        let parts = batch.parts.map { PublishStateMachine.Part(isLedger: $0.partition == 0, bytes: $0.bytes) }
        running[machine.accepted(parts, at: now)] = Running(batch: batch)
    }

    private mutating func hear(_ fact: NATSStream.Fact) {
        switch fact {
        case .connectionLost: machine.connectionLost(at: now)
        case .answered(let token, .success(let acknowledgement)):
            acknowledged(token, acknowledgement)
        case .answered(let token, .failure(let error)): refuse(token, error)
        }
    }

    private mutating func acknowledged(
        _ token: PublishStateMachine.Token, _ acknowledgement: PublishAcknowledgement
    ) {
        if let place = parts.removeValue(forKey: token), let batch = running[place.batch]?.batch {
            let partition = batch.parts[place.part].partition
            stream.known.update { $0.backlog.saw(Int64(clamping: acknowledgement.sequence), partition: partition) }
        }
        carryOut(machine.acknowledged(token, position: acknowledgement.sequence, at: now))
    }

    private mutating func refuse(_ token: PublishStateMachine.Token, _ error: NATSError) {
        let place = parts.removeValue(forKey: token)
        if let place { running[place.batch]?.refusal = error }
        let isFinal =
            error.isFull || error.jetStream == JetStreamCode.messageTooLarge
            || error.jetStream == JetStreamCode.headerTooLarge || error.code == .closed || error.code == .refused
        carryOut(machine.refused(token, isFinal ? .final : .passing, at: now))
    }

    private mutating func carryOut(_ orders: [PublishStateMachine.Order]) {
        for order in orders {
            switch order {
            case .publish(let id, let part, let token): publish(id, part, token)
            case .succeed(let id, let position):
                running.removeValue(forKey: id)?.batch.answer(.success(Int64(clamping: position)))
            case .fail(let id, let failure):
                guard let failed = running.removeValue(forKey: id) else { continue }
                let reason =
                    failed.refusal
                    ?? NATSError(.timedOut, "the stream did not acknowledge the batch in time")
                tell(failure, reason)
                failed.batch.answer(.failure(reason))
            }
        }
        if parts.count > 4 * machine.limits.messagesUnderWay { forgetLostTokens() }
    }

    private mutating func tell(_ failure: PublishStateMachine.Failure, _ reason: NATSError) {
        failuresUntold += 1
        guard Double(now - lastTold) / 1e9 >= Self.secondsBetweenTellings else { return }
        stream.log.warning(
            "stream_append_failed",
            [
                "batches": .int(failuresUntold), "in_time": .bool(failure == .refused), "reason": .string("\(reason)"),
            ])
        failuresUntold = 0
        lastTold = now
    }

    /// Of publications whose answer never came.
    private mutating func forgetLostTokens() { parts = parts.filter { running[$0.value.batch] != nil } }

    private mutating func publish(
        _ id: PublishStateMachine.BatchID, _ part: Int, _ token: PublishStateMachine.Token
    ) {
        guard let batch = running[id]?.batch else { return }
        parts[token] = (id, part)
        do throws(NATSError) {
            try stream.connection.publish(batch.parts[part].message(), reply: replies.subject(for: token))
        } catch {
            refuse(token, error)
        }
    }
}
