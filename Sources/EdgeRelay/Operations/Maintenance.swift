// What a relay does by itself, on one thread: measure the disk, release archived segments (I2), note alerts and
// archived ranges in the state store, raise lost-contact alerts, keep followers' connections alive.

package import Log
package import System
import Models
import SegmentedLog
import SyncProtocol

/// Tells the maintenance thread that something was archived.
package final class MaintenanceWake: Sendable {
    fileprivate struct State { var rings = 0; var isStopped = false }
    fileprivate let state = Monitor(State())

    package init() {}
    package func ring() { state.update { $0.rings += 1 } }
}

package final class Maintenance: Sendable {
    private static let tickSeconds = 0.2
    private static let heartbeatSeconds = 10.0
    private static let silenceSeconds = 1.0
    private static let saveSeconds = 1.0
    private static let releaseSeconds = 5.0
    private static let retrySeconds = 5.0

    private let configuration: RelayConfiguration
    private let time: any TimeSource
    private let log: Log
    private let store: BufferStore
    private let state: SharedStateStore
    private let forwarder: Forwarder?
    private let book: AlertBook
    private let board: DroneBoard
    private let alerting: Alerting
    private let writer: BufferWriter
    private let gauge: BufferGauge
    private let wake: MaintenanceWake
    private let eachRound: @Sendable () -> Void

    package init(
        configuration: RelayConfiguration, time: any TimeSource, log: Log, store: BufferStore,
        state: SharedStateStore,
        forwarder: Forwarder?, book: AlertBook, board: DroneBoard, alerting: Alerting, writer: BufferWriter,
        gauge: BufferGauge, wake: MaintenanceWake, eachRound: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.time = time
        self.log = log
        self.store = store
        self.state = state
        self.forwarder = forwarder
        self.book = book
        self.board = board
        self.alerting = alerting
        self.writer = writer
        self.gauge = gauge
        self.wake = wake
        self.eachRound = eachRound
    }

    package func stop() { wake.state.update { $0.isStopped = true } }

    /// The maintenance thread's body.
    package func run() {
        var due = Due()
        var savedArchived: [String: Int] = [:]
        while true {
            let isStopped = wake.state.wait(timeoutSeconds: Self.tickSeconds) { $0.isStopped ? true : nil } ?? false
            let now = time.monotonicNanoseconds()
            let level = gauge.measure()
            if due.retry.isDue(at: now, every: Self.retrySeconds) { gauge.committed() }
            if due.heartbeat.isDue(at: now, every: Self.heartbeatSeconds) { book.heartbeat() }
            if due.silence.isDue(at: now, every: Self.silenceSeconds), !isStopped { raiseSilences(at: now) }
            if due.save.isDue(at: now, every: Self.saveSeconds) || isStopped { save(&savedArchived) }
            if due.release.isDue(at: now, every: Self.releaseSeconds) || level >= .releasing { release(level) }
            eachRound()
            if isStopped { return }
        }
    }

    private struct Due {
        var heartbeat = Clockwork()
        var silence = Clockwork()
        var save = Clockwork()
        var release = Clockwork()
        var retry = Clockwork()
    }

    private struct Clockwork {
        private var last: UInt64?

        mutating func isDue(at now: UInt64, every seconds: Double) -> Bool {
            if let last, Double(now - last) / 1e9 < seconds { return false }
            last = now
            return true
        }
    }

    private func raiseSilences(at now: UInt64) {
        let alerts = alerting.raiseSilences(board, at: now)
        let returned = alerting.returnFromShelf()
        guard !alerts.isEmpty || !returned.isEmpty else { return }
        let write = PendingWrite(
            receivedAt: Timestamp(microseconds: time.wallMicroseconds()), reports: [],
            others: alerts.map { OtherRecord(kind: BufferKind.alert, body: $0) }
                + returned.map { OtherRecord(kind: BufferKind.alertState, body: $0) }
        ) { [log] outcome in
            // The alert is out already (I6); what the disk refused is missing in the archive only.
            if case .failed = outcome { log.warning("silence_alerts_not_stored", ["alerts": .int(alerts.count)]) }
        }
        if !writer.submit(write) { log.warning("silence_alerts_not_stored", ["alerts": .int(alerts.count)]) }
    }

    /// The state store is a cache: what fails to be saved is asked again or found in the buffer.
    private func save(_ saved: inout [String: Int]) {
        let alerts = book.takeUnsaved()
        let epochs = forwarder?.epochs ?? []
        do {
            try state.withStore { state in
                try state.save(alerts)
                for epoch in epochs where saved[epoch.name] != epoch.archived.count {
                    try state.save(epoch: epoch.name, archived: epoch.archived)
                    saved[epoch.name] = epoch.archived.count
                }
            }
        } catch {
            log.warning("state_not_saved", ["error": .string("\(error)")])
        }
    }

    private func release(_ level: BufferLevel) {
        guard let forwarder else { return }
        let archived = Dictionary(uniqueKeysWithValues: forwarder.epochs.map { ($0.name, $0.archived) })
        for epoch in store.all {
            guard let archived = archived[epoch.epoch] else { continue }
            let positions = SegmentRelease.releasable(
                epoch.log.segments, archived: archived, nowMicroseconds: time.wallMicroseconds(),
                holdSeconds: configuration.buffer.holdHours * 3600, level: level)
            do {
                for position in positions { try epoch.log.release(segmentStartingAt: position) }
                if !positions.isEmpty {
                    log.info("segments_released", ["epoch": .string(epoch.epoch), "segments": .int(positions.count)])
                }
                if !epoch.isCurrent, epoch.log.segments.isEmpty { try forget(epoch, forwarder) }
            } catch {
                log.error("release_failed", ["epoch": .string(epoch.epoch), "error": .string("\(error)")])
            }
        }
    }

    private func forget(_ epoch: EpochLog, _ forwarder: Forwarder) throws {
        forwarder.released(epoch: epoch.epoch)
        try store.remove(epoch)
        try state.withStore { try $0.forget(epoch: epoch.epoch) }
        log.info("epoch_released", ["epoch": .string(epoch.epoch)])
    }
}
