// A drone's side of contract §2, ready to use: give it reports, it brings them to the nearest relay that answers, sends
// the same bytes again until they are acknowledged, and forgets them then. `columba fly` flies its drones with the same
// outbox and the same choice of a relay.

import Synchronization
package import System

package struct DroneClientConfiguration: Sendable {
    package var droneID: String
    package var relays: [RelayEndpoint]
    package var limits = ReportOutbox.Limits()
    package var backoff = Backoff(baseSeconds: 0.5, longestSeconds: 60)
    package var requestTimeoutSeconds = 15.0

    package init(droneID: String, relays: [RelayEndpoint]) {
        self.droneID = droneID
        self.relays = relays
    }
}

package enum ReportOutcome: Sendable, Equatable {
    /// On a relay's disk.
    case acknowledged(status: String)
    /// No relay will ever take it: the report is wrong, or this drone may not send it.
    case refused(status: Int)
    /// The outbox was full of newer ones.
    case dropped
}

package final class DroneClient: Sendable {
    private struct State {
        var outbox: ReportOutbox
        var order: [Int]
        var nextID: UInt64 = 1
        var isStopped = false
    }

    private let configuration: DroneClientConfiguration
    private let state: Monitor<State>
    private let time: any TimeSource
    private let onOutcome: @Sendable (UInt64, ReportOutcome) -> Void
    private let thread = Mutex<WorkerThread?>(nil)

    /// - Parameters:
    ///   - transport: makes the one connection, on the client's own thread.
    ///   - onOutcome: called for each report once, on the client's thread or on the one that calls `send`.
    package init(
        _ configuration: DroneClientConfiguration, time: any TimeSource = SystemTime(),
        transport: @escaping @Sendable () -> any Transport,
        onOutcome: @escaping @Sendable (UInt64, ReportOutcome) -> Void = { _, _ in }
    ) {
        self.configuration = configuration
        self.time = time
        self.onOutcome = onOutcome
        let outbox = ReportOutbox(
            relays: configuration.relays.count, limits: configuration.limits, backoff: configuration.backoff)
        state = Monitor(State(outbox: outbox, order: Array(configuration.relays.indices)))
        thread.withLock { $0 = WorkerThread(name: "drone-client") { [self] in work(transport()) } }
    }

    /// Where the drone is now: from here on the nearest relay comes first.
    package func moved(to place: GeoPoint) {
        state.update { $0.order = RelayEndpoint.nearestFirst(configuration.relays, from: place) }
    }

    /// Takes the report (contract §1, the same bytes at each attempt) and returns at once.
    /// - Returns: the number that `onOutcome` will name.
    @discardableResult
    package func send(_ body: [UInt8]) -> UInt64 {
        let (id, dropped) = state.update { state in
            let id = state.nextID
            state.nextID += 1
            let report = OutgoingReport(id: id, droneID: configuration.droneID, body: body)
            return (id, state.outbox.add(report))
        }
        for report in dropped { onOutcome(report.id, .dropped) }
        return id
    }

    /// Reports without an outcome yet.
    package var waiting: Int { state.withLock { $0.outbox.count } }

    /// Whether everything had its outcome within the time.
    package func waitUntilEmpty(timeoutSeconds: Double) -> Bool {
        state.wait(timeoutSeconds: timeoutSeconds) { $0.outbox.count == 0 ? true : nil } ?? false
    }

    /// Ends the thread after the request under way; returns how many reports were not acknowledged.
    @discardableResult
    package func stop() -> Int {
        state.update { $0.isStopped = true }
        thread.withLock { $0 }?.join()
        return waiting
    }

    private var nowSeconds: Double { Double(time.monotonicNanoseconds()) / 1e9 }

    private func work(_ transport: any Transport) {
        var random = SystemRandomNumberGenerator()
        while let step = nextStep() {
            guard case .send(let report, let relay) = step else { continue }
            var request = TransportRequest(
                "POST", configuration.relays[relay].url + "/v1/reports",
                headers: [("Content-Type", "application/json")], body: report.body,
                timeoutSeconds: configuration.requestTimeoutSeconds, maxResponseBytes: 64 << 10)
            request.droneID = report.droneID
            let verdict = (try? transport.exchange(request)).map(Verdict.of)
            let now = nowSeconds
            let isSettled = state.update { state in
                state.outbox.answered(report.id, relay: relay, verdict, nowSeconds: now, random: &random)
            }
            guard isSettled else { continue }
            switch verdict {
            case .acknowledged(let status): onOutcome(report.id, .acknowledged(status: status))
            case .refused(let status): onOutcome(report.id, .refused(status: status))
            case .again, nil: break
            }
        }
    }

    /// Waits until there is something to send; nil when stopped.
    private func nextStep() -> ReportOutbox.Step? {
        let now = nowSeconds
        let pause: Double? = state.withLock { state in
            guard case .wait(let seconds) = state.outbox.next(order: state.order, nowSeconds: now) else { return nil }
            return seconds
        }
        if let pause {
            // A new report changes nothing: the relays were all told to be left alone.
            _ = state.wait(timeoutSeconds: pause) { $0.isStopped ? true : nil }
            return state.withLock { $0.isStopped } ? nil : .nothing
        }
        return state.wait { state -> ReportOutbox.Step?? in
            if state.isStopped { return .some(nil) }
            let step = state.outbox.next(order: state.order, nowSeconds: now)
            return step == .nothing ? nil : .some(step)
        } ?? nil
    }
}
