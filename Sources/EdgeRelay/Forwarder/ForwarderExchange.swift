// One forwarder thread's requests: a batch or a question goes out, and what came back is told to the state machine.

import HTTPClient
import Log
import Models
import SyncProtocol
import System

/// Used by one thread.
final class ForwarderExchange {
    /// Longest wait for a connection with its TLS handshake.
    private static let connectSeconds = 12.0
    /// A peer that acknowledges nothing of what was sent for so long is gone (F64).
    private static let deadPeerSeconds = 12

    private let forwarder: Forwarder
    private let reader: BatchReader
    private var client = HTTPClient()
    /// The state machine's count when the client was made.
    private var connections: UInt64 = 0

    init(_ forwarder: Forwarder) {
        self.forwarder = forwarder
        reader = BatchReader(relayID: forwarder.relayID)
    }

    private var state: Monitor<Forwarder.State> { forwarder.state }

    // MARK: Orders

    func send(_ order: ForwarderStateMachine.Batch) {
        let (batch, missing): (EncodedBatch?, IntervalSet)
        if let source = forwarder.store.epochLog(order.epoch) {
            do {
                (batch, missing) = try reader.read(order, from: source.log)
            } catch {
                // The disk did not give the records now; the buffer itself finds out whether they are damaged.
                forwarder.log.error(
                    "forward_read_failed", ["epoch": .string(order.epoch), "error": .string("\(error)")])
                return fail(order.id, .unreadable, "read_failed")
            }
        } else {
            (batch, missing) = (nil, IntervalSet())
        }
        if !missing.isEmpty {
            forwarder.log.error(
                "records_missing",
                [
                    "epoch": .string(order.epoch), "records": .int(missing.count),
                    "ranges": .string("\(missing.ranges.prefix(20))"), "hint": "see the buffer's quarantine",
                ])
        }
        let now = forwarder.time.monotonicNanoseconds()
        let allowed = state.update { state in
            let allowed = state.machine.batchRead(
                order.id, numbers: batch?.numbers ?? IntervalSet(), missing: missing,
                lineBytes: batch?.lineBytes ?? 0, wireBytes: batch?.bytes.count ?? 0, at: now)
            state.wakeUps += 1
            return allowed
        }
        guard let allowed, let batch else { return }
        let request = HTTPClientRequest(
            method: "PUT", url: forwarder.central[order.address] + batch.name.path,
            headers: [
                ("Content-Type", "application/x-ndjson"), ("Content-Encoding", "zstd"),
                ("Content-Digest", batch.digest),
            ],
            body: batch.bytes, timeoutSeconds: allowed, maxResponseBytes: SyncLimits.acknowledgementBytes)
        perform(order.id, request, expecting: batch.digest, lineBytes: batch.lineBytes)
    }

    func ask(_ question: ForwarderStateMachine.Question) {
        var path = BatchName.acknowledgementsPath(relayID: forwarder.relayID, epoch: question.epoch)
        if question.from > 1 { path += "?from=\(question.from)" }
        let request = HTTPClientRequest(
            url: forwarder.central[question.address] + path, timeoutSeconds: question.timeoutSeconds,
            maxResponseBytes: SyncLimits.acknowledgementBytes)
        perform(question.id, request, expecting: nil, lineBytes: 0)
    }

    // MARK: The exchange

    private func perform(_ id: UInt64, _ request: HTTPClientRequest, expecting digest: String?, lineBytes: Int) {
        var request = request
        request.tls = forwarder.tls
        request.connectTimeoutSeconds = min(Self.connectSeconds, request.timeoutSeconds)
        request.deadPeerSeconds = Self.deadPeerSeconds
        let current = state.withLock { state in
            state.status.attemptedBytes += (request.body?.count ?? 0) + LinkControl.overheadBytes
            return state.machine.connections
        }
        if current != connections {
            client = HTTPClient()
            connections = current
        }
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try client.perform(request) { [state] in
                state.withLock { $0.isClosed || !$0.machine.isInFlight(id) }
            }
        } catch {
            return fail(id, error.code == .timedOut ? .timedOut : .unreachable, error.code.rawValue)
        }
        switch response.status {
        case 200: break
        case 400: return fail(id, .malformed, "central_400")
        case 401, 403: return fail(id, .forbidden, "central_\(response.status)")
        case 413: return fail(id, .tooLarge, "central_413")
        case 429, 503:
            let seconds = response.header("retry-after").flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil }
            return fail(id, .overloaded(retryAfterSeconds: seconds), "central_\(response.status)")
        default: return fail(id, .unreachable, "central_\(response.status)")
        }
        // A portal's or proxy's 200 is not an acknowledgement: only central can echo the digest of these bytes (F68).
        guard let answer = Acknowledgement(json: response.body), answer.digest == digest else {
            return fail(id, .unreachable, "not_an_acknowledgement")
        }
        succeed(id, answer, response, bytesSent: request.body?.count ?? 0, lineBytes: lineBytes)
    }

    private func succeed(
        _ id: UInt64, _ answer: Acknowledgement, _ response: HTTPClientResponse, bytesSent: Int, lineBytes: Int
    ) {
        let now = forwarder.time.monotonicNanoseconds()
        let wall = Timestamp(microseconds: forwarder.time.wallMicroseconds())
        let jitter = Double.random(in: 0...1)
        let (isNews, wasDown) = state.update { state in
            let wasDown = state.machine.consecutiveFailures > 0
            let before = state.machine.waiting
            state.machine.acknowledged(
                id, answer, roundTripSeconds: response.roundTripSeconds, at: now, jitter: jitter)
            state.wakeUps += 1
            state.status.lastSuccess = wall
            state.status.lastError = nil
            state.status.batches += bytesSent > 0 ? 1 : 0
            state.status.bytesSent += bytesSent
            state.status.lineBytes += lineBytes
            return (state.machine.waiting != before, wasDown)
        }
        if wasDown {
            let address = state.withLock { $0.machine.address }
            forwarder.log.info("uplink_up", ["central": .string(forwarder.central[address])])
        }
        if isNews { forwarder.onArchived() }
        forwarder.onAcknowledgement(answer)
    }

    private func fail(_ id: UInt64, _ failure: ForwarderStateMachine.Failure, _ code: String) {
        let now = forwarder.time.monotonicNanoseconds()
        let jitter = Double.random(in: 0...1)
        let isFirst = state.update { state in
            let wasUp = state.machine.consecutiveFailures == 0
            state.machine.failed(id, failure, at: now, jitter: jitter)
            state.status.lastError = code
            state.wakeUps += 1
            return wasUp && state.machine.consecutiveFailures > 0
        }
        if isFirst, !forwarder.isStopped { forwarder.log.warning("uplink_down", ["code": .string(code)]) }
    }
}
