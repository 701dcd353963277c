// Carries out what ForwarderStateMachine orders: a few threads, each with one connection to central, read records from
// the buffer, send them as batches, and report what central answered. They own no decision.

import SegmentedLog
package import Log
package import Models
import SyncProtocol
package import System
package import HTTPClient

/// What the relay can say about its uplink.
package struct UplinkStatus: Sendable, Equatable {
    package var central: String
    package var lastSuccess: Timestamp?
    package var lastError: String?
    package var consecutiveFailures = 0
    /// Seconds until the next attempt; 0 while nothing holds it back.
    package var nextTrySeconds = 0.0
    package var waiting = 0
    package var setAside = 0
    /// Records that the buffer lost or dropped, of all epochs of this life.
    package var missing = 0
    package var batches = 0
    package var bytesSent = 0
}

package final class Forwarder: Sendable {
    private struct State {
        var machine: ForwarderStateMachine
        var isClosed = false
        /// Grows when something was committed while a thread had nothing to do.
        var wakeUps: UInt64 = 0
        var idleThreads = 0
        var centralIndex = 0
        var status: UplinkStatus
    }

    private let central: [String]
    private let tls: HTTPClientTLS?
    private let relayID: String
    private let store: BufferStore
    private let time: any TimeSource
    private let log: Log
    private let threads: Int
    private let state: Monitor<State>
    private let onArchived: @Sendable () -> Void

    /// - Parameters:
    ///   - recovered: per epoch, what an earlier life had learnt.
    ///   - onArchived: called on a forwarder thread when central archived more records.
    package init(
        central: [String], relayID: String, store: BufferStore, limits: ForwarderStateMachine.Limits,
        recovered: [String: Recovery.Epoch], tls: HTTPClientTLS? = nil, time: any TimeSource, log: Log,
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
        threads = limits.maxInFlight
        var machine = ForwarderStateMachine(limits: limits)
        for epoch in store.all {
            let known = recovered[epoch.epoch]
            machine.epochOpened(
                epoch.epoch, through: known?.through ?? epoch.log.lastPosition ?? 0,
                archived: known?.archived ?? IntervalSet(), missing: known?.missing ?? IntervalSet())
        }
        state = Monitor(State(machine: machine, status: UplinkStatus(central: central[0])))
    }

    // MARK: From the other parts of the relay

    package func committed(epoch: String, through: Int64) {
        let wake = state.withLock { state in
            state.machine.committed(epoch, through: through)
            return state.idleThreads > 0
        }
        if wake { state.update { $0.wakeUps += 1 } }
    }

    package func released(epoch: String) {
        state.withLock { $0.machine.epochReleased(epoch) }
    }

    package var epochs: [ForwarderStateMachine.Epoch] { state.withLock { $0.machine.epochs } }

    package var status: UplinkStatus {
        let now = time.monotonicNanoseconds()
        return state.withLock { state in
            var status = state.status
            status.consecutiveFailures = state.machine.consecutiveFailures
            let pause = state.machine.pausedUntil
            status.nextTrySeconds = pause > now ? Double(pause - now) / 1e9 : 0
            status.waiting = state.machine.waiting
            status.setAside = state.machine.setAsideCount
            status.missing = state.machine.missingCount
            return status
        }
    }

    /// Starts the threads. They end after `stop`.
    package func start() -> [WorkerThread] {
        (0..<threads).map { number in WorkerThread(name: "forward-\(number)") { self.work() } }
    }

    package func stop() { state.update { $0.isClosed = true } }

    private var isStopped: Bool { state.withLock { $0.isClosed } }

    // MARK: One thread

    private func work() {
        let client = HTTPClient()
        let encoder = BatchReader(relayID: relayID)
        while let order = nextOrder() {
            switch order {
            case .send(let batch): send(batch, client, encoder)
            case .ask(let id, let epoch): ask(id, epoch, client)
            case .wait(let until): pause(until: until, isIdle: false)
            case .idle(let until): pause(until: until, isIdle: true)
            }
        }
    }

    private func nextOrder() -> ForwarderStateMachine.Order? {
        let now = time.monotonicNanoseconds()
        return state.withLock { $0.isClosed ? nil : $0.machine.nextOrder(at: now) }
    }

    private func pause(until: UInt64, isIdle: Bool) {
        let now = time.monotonicNanoseconds()
        guard until > now else { return }
        let before = state.withLock { state in
            if isIdle { state.idleThreads += 1 }
            return state.wakeUps
        }
        _ = state.wait(timeoutSeconds: Double(until - now) / 1e9) { state -> Void? in
            state.isClosed || (isIdle && state.wakeUps != before) ? () : nil
        }
        if isIdle { state.withLock { $0.idleThreads -= 1 } }
    }

    private func send(_ order: ForwarderStateMachine.Batch, _ client: HTTPClient, _ reader: BatchReader) {
        guard let source = store.epochLog(order.epoch) else {
            return state.withLock { $0.machine.batchRead(order.id, range: nil, missing: []) }
        }
        let batch: EncodedBatch?
        let missing: [ClosedRange<Int64>]
        do {
            (batch, missing) = try reader.read(order, from: source.log)
        } catch {
            // The disk did not give the records now; the buffer itself finds out whether they are damaged.
            log.error("forward_read_failed", ["epoch": .string(order.epoch), "error": .string("\(error)")])
            return fail(order.id, .unreachable, "read_failed")
        }
        if !missing.isEmpty {
            log.error(
                "records_missing",
                ["epoch": .string(order.epoch), "ranges": .string("\(missing)"), "hint": "see the buffer's quarantine"])
        }
        state.withLock { $0.machine.batchRead(order.id, range: batch?.name.range, missing: missing) }
        guard let batch else { return }
        exchange(
            order.id,
            HTTPClientRequest(
                method: "PUT", url: base + batch.name.path,
                headers: [
                    ("Content-Type", "application/x-ndjson"), ("Content-Encoding", "zstd"),
                    ("Content-Digest", batch.digest),
                ],
                body: batch.bytes, timeoutSeconds: 30, maxResponseBytes: SyncLimits.acknowledgementBytes, tls: tls),
            client, expecting: batch.digest)
    }

    private func ask(_ id: UInt64, _ epoch: String, _ client: HTTPClient) {
        let path = BatchName.acknowledgementsPath(relayID: relayID, epoch: epoch)
        exchange(
            id,
            HTTPClientRequest(
                url: base + path, timeoutSeconds: 15, maxResponseBytes: SyncLimits.acknowledgementBytes, tls: tls),
            client, expecting: nil)
    }

    private var base: String { state.withLock { central[$0.centralIndex] } }

    private func exchange(_ id: UInt64, _ request: HTTPClientRequest, _ client: HTTPClient, expecting digest: String?) {
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try client.perform(request) { self.isStopped }
        } catch {
            return fail(id, .unreachable, error.code.rawValue)
        }
        switch response.status {
        case 200: break
        case 400: return fail(id, .malformed, "central_400")
        case 401, 403: return fail(id, .forbidden, "central_\(response.status)")
        case 413: return fail(id, .tooLarge, "central_413")
        case 429, 503:
            let seconds = response.header("retry-after").flatMap(Double.init)
            return fail(id, .overloaded(retryAfterSeconds: seconds.map { max(0, $0) }), "central_\(response.status)")
        default: return fail(id, .unreachable, "central_\(response.status)")
        }
        // A portal's or proxy's 200 is not an acknowledgement: only central can echo the digest of these bytes.
        guard let answer = Acknowledgement(json: response.body), answer.digest == digest else {
            return fail(id, .unreachable, "not_an_acknowledgement")
        }
        succeed(id, answer, bytesSent: request.body?.count ?? 0, isBatch: digest != nil)
    }

    private func succeed(_ id: UInt64, _ answer: Acknowledgement, bytesSent: Int, isBatch: Bool) {
        let now = time.monotonicNanoseconds()
        let wall = Timestamp(microseconds: time.wallMicroseconds())
        let (isNews, wasDown) = state.update { state in
            let wasDown = state.machine.consecutiveFailures > 0
            let before = state.machine.waiting
            state.machine.acknowledged(id, answer, at: now)
            state.wakeUps += 1
            state.status.lastSuccess = wall
            state.status.lastError = nil
            state.status.batches += isBatch ? 1 : 0
            state.status.bytesSent += bytesSent
            return (state.machine.waiting != before, wasDown)
        }
        if wasDown { log.info("uplink_up", ["central": .string(base)]) }
        if isNews { onArchived() }
    }

    private func fail(_ id: UInt64, _ failure: ForwarderStateMachine.Failure, _ code: String) {
        let now = time.monotonicNanoseconds()
        let jitter = Double.random(in: 0...1)
        let isFirst = state.update { state in
            let isFirst = state.machine.consecutiveFailures == 0
            state.machine.failed(id, failure, at: now, jitter: jitter)
            state.status.lastError = code
            state.centralIndex = (state.centralIndex + 1) % central.count
            state.status.central = central[state.centralIndex]
            return isFirst
        }
        if isFirst, !isStopped { log.warning("uplink_down", ["code": .string(code)]) }
    }
}
