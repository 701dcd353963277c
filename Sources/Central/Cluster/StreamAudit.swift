// Notices what the stream has lost (F50): a batch whose ledger entry every partition has passed, and whose numbers are
// not archived all the same. A part of it was damaged on a server's disk, or is gone. Its relay was told `received` and
// waits; so that is taken back, and the relay sends these records again (I2, I11).
//
//   ledger entry ──noted──▶ waiting ──every partition is beyond it──▶ archived: done
//                                                                └──▶ not archived: lost ──rest──▶ taken back
//
// Taken back too often is harmless: whatever comes twice is settled once. Too soon would be of no use: the stream's
// servers know a repeated message for two minutes and drop it, whatever became of the first.

package import SyncProtocol
package import System
package import Log
import Synchronization

package struct LedgerAudit: Sendable {
    /// Longer than a repeated message is dropped (`StreamSettings.duplicateWindow`).
    package static let restSeconds = 150.0
    /// Batches beyond that many are not looked at (I7): an archive that stands still is another trouble.
    package static let maxWaiting = 100_000

    private struct Waiting: Sendable {
        let position: Int64
        let source: RecordSource
        let numbers: IntervalSet
    }

    private struct Lost: Sendable {
        var numbers: IntervalSet
        var since: UInt64
    }

    package struct Loss: Sendable, Equatable {
        package let source: RecordSource
        package let numbers: IntervalSet

        package init(source: RecordSource, numbers: IntervalSet) {
            self.source = source
            self.numbers = numbers
        }
    }

    /// By position.
    private var waiting: [Waiting] = []
    private var lost: [RecordSource: Lost] = [:]

    package init() {}

    package mutating func noted(_ numbers: IntervalSet, of source: RecordSource, at position: Int64) {
        guard waiting.count < Self.maxWaiting, position > waiting.last?.position ?? .min else { return }
        waiting.append(Waiting(position: position, source: source, numbers: numbers))
    }

    /// What is to be taken back now.
    /// - Parameters:
    ///   - settled: every partition has archived everything up to there; asked for before `archived`.
    package mutating func look(
        settledThrough settled: Int64, atNanoseconds now: UInt64, archived: (RecordSource) -> IntervalSet
    ) -> [Loss] {
        var known: [RecordSource: IntervalSet] = [:]
        func missing(_ numbers: IntervalSet, of source: RecordSource) -> IntervalSet {
            let archived = known[source] ?? archived(source)
            known[source] = archived
            return numbers.subtracting(archived)
        }
        let passed = waiting.prefix { $0.position <= settled }
        for batch in passed {
            let gone = missing(batch.numbers, of: batch.source)
            if !gone.isEmpty { lost[batch.source, default: Lost(numbers: gone, since: now)].numbers.formUnion(gone) }
        }
        waiting.removeFirst(passed.count)
        var losses: [Loss] = []
        for (source, state) in lost {
            let gone = missing(state.numbers, of: source)
            let isDue = now >= state.since + UInt64(Self.restSeconds * 1e9)
            lost[source] = gone.isEmpty ? nil : Lost(numbers: gone, since: isDue ? now : state.since)
            if isDue, !gone.isEmpty { losses.append(Loss(source: source, numbers: gone)) }
        }
        return losses
    }
}

/// Carries out what the audit finds; on the ledger's thread.
package final class StreamAudit: Sendable {
    private static let secondsBetweenLooks = 5.0

    private struct State {
        var audit = LedgerAudit()
        var nextLook: UInt64 = 0
    }

    private let fleet: Fleet
    private let settledThrough: @Sendable () -> Int64
    private let archived: @Sendable (String, String) -> IntervalSet
    private let time: any TimeSource
    private let log: Log
    private let state = Mutex(State())

    package init(
        fleet: Fleet, settledThrough: @escaping @Sendable () -> Int64,
        archived: @escaping @Sendable (String, String) -> IntervalSet, time: any TimeSource, log: Log
    ) {
        self.fleet = fleet
        self.settledThrough = settledThrough
        self.archived = archived
        self.time = time
        self.log = log
    }

    package func noted(_ entry: StreamEntry) {
        let source = RecordSource(relayID: entry.header.relay, epoch: entry.header.epoch)
        state.withLock { $0.audit.noted(entry.header.numbers, of: source, at: entry.position) }
    }

    package func look() {
        let now = time.monotonicNanoseconds()
        guard state.withLock({ $0.nextLook <= now }) else { return }
        let settled = settledThrough()
        let losses = state.withLock { state in
            state.nextLook = now + UInt64(Self.secondsBetweenLooks * 1e9)
            return state.audit.look(settledThrough: settled, atNanoseconds: now) { archived($0.relayID, $0.epoch) }
        }
        for loss in losses {
            log.error(
                "stream_lost_records",
                [
                    "relay_id": .string(loss.source.relayID), "epoch": .string(loss.source.epoch),
                    "records": .int(Int(loss.numbers.count)), "first": .int(Int(loss.numbers.min ?? 0)),
                    "hint": .string("their relay is asked for them again; look at the disks of the NATS servers"),
                ])
            fleet.notReceived(loss.numbers, relayID: loss.source.relayID, epoch: loss.source.epoch)
        }
    }
}
