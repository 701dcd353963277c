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

    private let time: any TimeSource
    private let log: Log
    private let keeper: BufferKeeper
    private let book: AlertBook
    private let board: DroneBoard
    private let alerting: Alerting
    private let writer: BufferWriter
    private let gauge: BufferGauge
    private let wake: MaintenanceWake
    private let eachRound: @Sendable () -> Void

    package init(
        time: any TimeSource, log: Log, keeper: BufferKeeper, book: AlertBook, board: DroneBoard, alerting: Alerting,
        writer: BufferWriter, gauge: BufferGauge, wake: MaintenanceWake, eachRound: @escaping @Sendable () -> Void
    ) {
        self.time = time
        self.log = log
        self.keeper = keeper
        self.book = book
        self.board = board
        self.alerting = alerting
        self.writer = writer
        self.gauge = gauge
        self.wake = wake
        self.eachRound = eachRound
    }

    package func stop() { wake.state.update { $0.isStopped = true } }

    package func start() -> WorkerThread {
        WorkerThread(name: "maintenance", stackBytes: 4 << 20) { self.run() }
    }

    /// The maintenance thread's body.
    package func run() {
        var due = Due()
        var unsaved: [AlertEntry] = []
        while true {
            let isStopped = wake.state.wait(timeoutSeconds: Self.tickSeconds) { $0.isStopped ? true : nil } ?? false
            let now = time.monotonicNanoseconds()
            let level = gauge.measure()
            keeper.keepReserve()
            if due.retry.isDue(at: now, every: Self.retrySeconds) { gauge.forgive() }
            if due.heartbeat.isDue(at: now, every: Self.heartbeatSeconds) { book.heartbeat() }
            if due.silence.isDue(at: now, every: Self.silenceSeconds), !isStopped { raiseSilences(at: now) }
            if due.save.isDue(at: now, every: Self.saveSeconds) || isStopped { save(&unsaved) }
            if due.release.isDue(at: now, every: Self.releaseSeconds) || level >= .releasing { keeper.release() }
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

    /// What a full disk refuses is kept for the next try, as many alerts as the book itself holds.
    private func save(_ unsaved: inout [AlertEntry]) {
        unsaved += book.takeUnsaved()
        let alerts = unsaved
        if keeper.note({ try $0.save(alerts) }) {
            unsaved = []
        } else if unsaved.count > AlertBook.maxAlerts {
            unsaved.removeFirst(unsaved.count - AlertBook.maxAlerts)
        }
    }
}
