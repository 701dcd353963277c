// Carries out what ForwarderStateMachine orders: a few threads, each with one connection to central, read records from
// the buffer, send them as batches, and report what central answered. They own no decision.

package import Log
import Models
package import SyncProtocol
package import System
package import HTTPClient
import SegmentedLog

package final class Forwarder: Sendable {
    struct State {
        var machine: ForwarderStateMachine
        var isClosed = false
        /// Grows when waiting threads should look again.
        var wakeUps: UInt64 = 0
        var idleThreads = 0
        var status: UplinkStatus
    }

    let central: [String]
    let tls: HTTPClientTLS?
    let relayID: String
    let store: BufferStore
    let time: any TimeSource
    let log: Log
    let state: Monitor<State>
    let onArchived: @Sendable () -> Void
    let onAcknowledgement: @Sendable (Acknowledgement) -> Void
    private let threads: Int
    private let alertIndex: AlertIndexKeeper

    /// - Parameters:
    ///   - limits: `addresses` is set here.
    ///   - recovered: per epoch, what an earlier life had learnt.
    ///   - onAcknowledgement: called on a forwarder thread with every answer that is one; must return at once.
    ///   - onArchived: called on a forwarder thread when central archived more records.
    package init(
        central: [String], relayID: String, store: BufferStore, limits: ForwarderStateMachine.Limits,
        recovered: [String: Recovery.Epoch], tls: HTTPClientTLS? = nil, time: any TimeSource, log: Log,
        onAcknowledgement: @escaping @Sendable (Acknowledgement) -> Void = { _ in },
        onArchived: @escaping @Sendable () -> Void
    ) {
        precondition(!central.isEmpty, "a stand-alone relay has no forwarder")
        self.central = central
        self.tls = tls
        self.relayID = relayID
        self.store = store
        self.time = time
        self.log = log
        self.onArchived = onArchived
        self.onAcknowledgement = onAcknowledgement
        threads = limits.maxInFlight
        var limits = limits
        limits.addresses = central.count
        var machine = ForwarderStateMachine(limits: limits)
        for epoch in store.all {
            let known = recovered[epoch.epoch]
            machine.epochOpened(
                epoch.epoch, through: known?.through ?? epoch.log.lastPosition ?? 0,
                archived: known?.archived ?? IntervalSet(), missing: known?.missing ?? IntervalSet(),
                isCurrent: epoch.isCurrent)
        }
        state = Monitor(State(machine: machine, status: UplinkStatus(central: central[0])))
        alertIndex = AlertIndexKeeper(log: log)
    }

    // MARK: From the other parts of the relay

    /// Called on the writer's thread.
    /// - Parameter alerts: the numbers of the alerts and alert states among the new records.
    package func committed(epoch: String, through: Int64, alerts: IntervalSet) {
        let now = time.monotonicNanoseconds()
        let wake = state.withLock { state in
            state.machine.committed(epoch, through: through, alerts: alerts, at: now)
            return state.idleThreads > 0 || !alerts.isEmpty
        }
        if wake { state.update { $0.wakeUps += 1 } }
        alertIndex.committed(through: through, alerts: alerts)
    }

    package func released(epoch: String) {
        state.withLock { $0.machine.epochReleased(epoch) }
    }

    package var epochs: [ForwarderStateMachine.Epoch] { state.withLock { $0.machine.epochs } }

    package var status: UplinkStatus {
        let now = time.monotonicNanoseconds()
        var (status, epochs) = state.withLock { state in
            var status = state.status
            let machine = state.machine
            status.central = central[machine.address]
            status.consecutiveFailures = machine.consecutiveFailures
            status.nextTrySeconds = machine.pausedUntil > now ? Double(machine.pausedUntil - now) / 1e9 : 0
            status.waiting = machine.waiting
            status.setAside = machine.setAsideCount
            status.missing = machine.missingCount
            status.restarts = machine.restarts
            status.secondsSinceProgress = machine.lastProgressAt.map { Double(now - min(now, $0)) / 1e9 }
            status.batchLimitBytes = machine.batchBytes
            status.bytesPerSecond = machine.bytesPerSecond
            return (status, machine.epochs)
        }
        status.lanes = LaneLag(store: store, now: Timestamp(microseconds: time.wallMicroseconds())).lanes(epochs)
        return status
    }

    /// Starts the threads. They end after `stop`.
    package func start() -> [WorkerThread] {
        (0..<threads).map { number in WorkerThread(name: "forward-\(number)") { self.work() } }
            + [WorkerThread(name: "forward-index") { self.keepAlertIndex() }]
    }

    package func stop() {
        state.update { $0.isClosed = true }
        alertIndex.close()
    }

    var isStopped: Bool { state.withLock { $0.isClosed } }

    private func keepAlertIndex() {
        let earlier = epochs.filter { !$0.isCurrent && $0.waiting > 0 }
        alertIndex.run(store: store, earlier: earlier) { epoch, numbers in
            state.update { state in
                state.machine.alertsFound(epoch, numbers)
                state.wakeUps += 1
            }
        }
    }

    // MARK: One thread

    private func work() {
        let exchange = ForwarderExchange(self)
        while true {
            let now = time.monotonicNanoseconds()
            let (order, wakeUps) = state.withLock { state -> (ForwarderStateMachine.Order?, UInt64) in
                let order = state.isClosed ? nil : state.machine.nextOrder(at: now)
                if case .idle = order { state.idleThreads += 1 }
                return (order, state.wakeUps)
            }
            switch order {
            case nil: return
            case .send(let batch): exchange.send(batch)
            case .ask(let question): exchange.ask(question)
            case .restartConnection: restart()
            case .wait(let until): pause(until: until, since: wakeUps)
            case .idle(let until):
                pause(until: until, since: wakeUps)
                state.withLock { $0.idleThreads -= 1 }
            }
        }
    }

    private func pause(until: UInt64, since wakeUps: UInt64) {
        let now = time.monotonicNanoseconds()
        guard until > now else { return }
        _ = state.wait(timeoutSeconds: Double(until - now) / 1e9) { state -> Void? in
            state.isClosed || state.wakeUps != wakeUps ? () : nil
        }
    }

    private func restart() {
        let (restarts, address) = state.update { state in
            state.wakeUps += 1
            return (state.machine.restarts, state.machine.address)
        }
        log.warning(
            "forwarder_restarted",
            [
                "restarts": .int(restarts), "central": .string(central[address]),
                "reason": "something waits and central acknowledges nothing new",
            ])
    }
}
