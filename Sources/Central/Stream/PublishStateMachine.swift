// What is published when: a batch's parts 1 … P−1 first, part 0 (the ledger) when all of them are acknowledged, and the
// answer when part 0 is (I4). Pure: facts go in, orders come out; `NATSStream` carries them out.
//
//   waiting ──published──▶ under way ──acknowledged──▶ done          all but part 0 done ──▶ part 0 waits
//      ▲                      │ no answer in time, no leader: once more, with the same Nats-Msg-Id
//      └──────────────────────┘
//
// A batch fails as a whole: when its time is over, or when the stream refuses a part for good (full, too large). Parts
// that are in the stream then stay there and harm nobody: the relay sends the batch again, and what an archiver has
// settled it does not settle twice. Bytes under way and bytes waiting have limits (I7).

package struct PublishStateMachine {
    package struct Limits: Sendable, Equatable {
        /// Published and not acknowledged.
        package var bytesUnderWay = 32 << 20
        package var messagesUnderWay = 1_024
        /// Of all batches that are not answered yet.
        package var bytesTaken = 128 << 20
        package var batchesTaken = 1_024
        /// Until a part is published again.
        package var acknowledgeNanoseconds: UInt64 = 4_000_000_000
        /// Where nobody is there to take it: until it is tried again.
        package var retryNanoseconds: UInt64 = 100_000_000
        /// Of a batch from its acceptance on. A lost leader is replaced after 4 to 9 s (nats-server's election); a
        /// relay waits 8 s for an answer and then gives up all its connections, so it must have heard before.
        package var batchNanoseconds: UInt64 = 7_000_000_000

        package init() {}
    }

    package typealias BatchID = UInt64
    package typealias Token = UInt64

    package struct Part: Sendable {
        package let isLedger: Bool
        package let bytes: Int

        package init(isLedger: Bool, bytes: Int) {
            self.isLedger = isLedger
            self.bytes = bytes
        }
    }

    package enum Refusal: Equatable, Sendable {
        /// Worth another try: no leader, no connection.
        case passing
        /// The stream will not take it: full, too large.
        case final
    }

    package enum Order: Equatable, Sendable {
        /// Publish this part; its answer comes with the token.
        case publish(BatchID, part: Int, Token)
        /// Durable, all of it: the position of its last entry.
        case succeed(BatchID, position: UInt64)
        case fail(BatchID, Failure)
    }

    package enum Failure: Equatable, Sendable { case timedOut, refused }

    private enum PartState {
        case held
        case waiting(from: UInt64)
        case underWay(Token, since: UInt64)
        case done
    }

    private struct Batch {
        let parts: [Part]
        var states: [PartState]
        /// Those that are not the ledger and not done.
        var missing: Int
        var missingLedger: Int
        let deadline: UInt64
        var position: UInt64 = 0
        let bytes: Int
    }

    package let limits: Limits
    private var batches: [BatchID: Batch] = [:]
    /// In the order of acceptance.
    private var order: [BatchID] = []
    private var tokens: [Token: (batch: BatchID, part: Int)] = [:]
    private var nextBatch: BatchID = 1
    private var nextToken: Token = 1
    package private(set) var bytesUnderWay = 0
    package private(set) var bytesTaken = 0

    package init(limits: Limits = Limits()) { self.limits = limits }

    package var isEmpty: Bool { batches.isEmpty }
    package var hasRoomForABatch: Bool { bytesTaken < limits.bytesTaken && batches.count < limits.batchesTaken }

    // MARK: Facts

    package mutating func accepted(_ parts: [Part], at now: UInt64) -> BatchID {
        precondition(parts.contains { $0.isLedger }, "a batch ends with its part in the ledger")
        let id = nextBatch
        nextBatch += 1
        let others = parts.count { !$0.isLedger }
        let bytes = parts.reduce(0) { $0 + $1.bytes }
        batches[id] = Batch(
            parts: parts,
            states: parts.map { $0.isLedger && others > 0 ? .held : .waiting(from: now) }, missing: others,
            missingLedger: parts.count - others, deadline: now + limits.batchNanoseconds, bytes: bytes)
        bytesTaken += bytes
        order.append(id)
        return id
    }

    package mutating func acknowledged(_ token: Token, position: UInt64, at now: UInt64) -> [Order] {
        // Of a batch that was given up, or acknowledged twice because it was published twice.
        guard let (id, part) = tokens.removeValue(forKey: token), var batch = batches[id] else { return [] }
        bytesUnderWay -= batch.parts[part].bytes
        batch.states[part] = .done
        batch.position = max(batch.position, position)
        if batch.parts[part].isLedger {
            batch.missingLedger -= 1
        } else {
            batch.missing -= 1
            if batch.missing == 0 {
                for index in batch.parts.indices where batch.parts[index].isLedger {
                    batch.states[index] = .waiting(from: now)
                }
            }
        }
        batches[id] = batch
        guard batch.missing == 0, batch.missingLedger == 0 else { return [] }
        remove(id)
        return [.succeed(id, position: batch.position)]
    }

    package mutating func refused(_ token: Token, _ refusal: Refusal, at now: UInt64) -> [Order] {
        guard let (id, part) = tokens.removeValue(forKey: token), var batch = batches[id] else { return [] }
        bytesUnderWay -= batch.parts[part].bytes
        switch refusal {
        case .passing:
            batch.states[part] = .waiting(from: now + limits.retryNanoseconds)
            batches[id] = batch
            return []
        case .final:
            batches[id] = batch
            remove(id)
            return [.fail(id, .refused)]
        }
    }

    /// Acknowledgements that were on their way are lost: everything under way is published again, with the same ids.
    package mutating func connectionLost(at now: UInt64) {
        for (token, place) in tokens {
            guard let batch = batches[place.batch] else { continue }
            bytesUnderWay -= batch.parts[place.part].bytes
            batches[place.batch]?.states[place.part] = .waiting(from: now + limits.retryNanoseconds)
            tokens[token] = nil
        }
    }

    /// What is to be done now. Call it after facts and when `nextTime` has come.
    package mutating func proceed(at now: UInt64) -> [Order] {
        var orders: [Order] = []
        for id in order {
            guard var batch = batches[id] else { continue }
            if now >= batch.deadline {
                remove(id)
                orders.append(.fail(id, .timedOut))
                continue
            }
            for part in batch.parts.indices {
                if case .underWay(let token, let since) = batch.states[part],
                    now >= since + limits.acknowledgeNanoseconds
                {
                    tokens[token] = nil
                    bytesUnderWay -= batch.parts[part].bytes
                    batch.states[part] = .waiting(from: now)
                }
                guard case .waiting(let from) = batch.states[part], now >= from, hasRoom(batch.parts[part].bytes)
                else { continue }
                let token = nextToken
                nextToken += 1
                tokens[token] = (id, part)
                bytesUnderWay += batch.parts[part].bytes
                batch.states[part] = .underWay(token, since: now)
                orders.append(.publish(id, part: part, token))
            }
            batches[id] = batch
        }
        order.removeAll { batches[$0] == nil }
        return orders
    }

    /// When to call `proceed` again if nothing happens before; nil while nothing is under way. What only waits for room
    /// goes on with the next acknowledgement.
    package func nextTime(after now: UInt64) -> UInt64? {
        var next: UInt64?
        for batch in batches.values {
            for state in batch.states {
                switch state {
                case .held, .done: continue
                case .waiting(let from): if from > now { next = min(next ?? from, from) }
                case .underWay(_, let since):
                    let time = since + limits.acknowledgeNanoseconds
                    next = min(next ?? time, time)
                }
            }
            next = min(next ?? batch.deadline, batch.deadline)
        }
        return next
    }

    /// A single message larger than the limit goes alone.
    private func hasRoom(_ bytes: Int) -> Bool {
        tokens.isEmpty
            || (tokens.count < limits.messagesUnderWay && bytesUnderWay + bytes <= limits.bytesUnderWay)
    }

    private mutating func remove(_ id: BatchID) {
        guard let batch = batches.removeValue(forKey: id) else { return }
        bytesTaken -= batch.bytes
        for (part, state) in batch.states.enumerated() {
            guard case .underWay(let token, _) = state, tokens.removeValue(forKey: token) != nil else { continue }
            bytesUnderWay -= batch.parts[part].bytes
        }
    }
}
