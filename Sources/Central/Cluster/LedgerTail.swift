// Every node's knowledge of what is durable: follows the ledger (partition 0 of the stream, which is written last of
// each batch) into the fleet. So any node can say `received` for what any other one took, and `received` still comes
// from the stream alone (I4).

import Log
import Models
import SyncProtocol
import Synchronization
import System

final class LedgerTail: Sendable {
    private static let retrySeconds = 1.0
    private static let lookSeconds = 0.02

    private let stream: any BatchStream
    private let fleet: Fleet
    private let audit: StreamAudit
    private let log: Log
    private let position: Mutex<Int64>
    private let isStopping = Monitor(false)

    /// - Parameter after: the fleet knows everything up to there.
    init(stream: any BatchStream, fleet: Fleet, audit: StreamAudit, after position: Int64, log: Log) {
        self.stream = stream
        self.fleet = fleet
        self.audit = audit
        self.log = log
        self.position = Mutex(position)
    }

    private func follow() throws {
        let from = position.withLock { $0 }
        var last = from
        defer { position.withLock { $0 = last } }
        try stream.recover(after: from) { entry in
            fleet.received(entry.header, name: nil, digest: nil, at: entry.receivedAt)
            audit.noted(entry)
            last = entry.position
        }
    }

    /// What the fleet knew before this began is watched too.
    private func noteOlder() {
        let known = position.withLock { $0 }
        do {
            try stream.recover(after: 0) { if $0.position <= known { audit.noted($0) } }
        } catch {
            log.warning("ledger_not_read", ["error": .string("\(error)")])
        }
    }

    func run() {
        noteOlder()
        while !isStopping.withLock({ $0 }) {
            audit.look()
            let from = position.withLock { $0 }
            guard stream.wait(beyond: .partitions([0: from]), timeoutSeconds: 0.5) else { continue }
            do {
                try follow()
                // Durable, and not yet (or no longer) to be read: soon.
                if position.withLock({ $0 }) == from { rest(Self.lookSeconds) }
            } catch {
                log.warning("ledger_not_read", ["error": .string("\(error)")])
                rest(Self.retrySeconds)
            }
        }
    }

    private func rest(_ seconds: Double) { _ = isStopping.wait(timeoutSeconds: seconds) { $0 ? true : nil } }

    func stop() { isStopping.update { $0 = true } }
}
