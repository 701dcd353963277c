// Follows a relay's alerts on a thread of its own, over lost connections and restarts: nothing is missed, because each
// new connection says which event was the last (`Last-Event-ID`).
import DroneClient
package import HTTPClient
import Models
package import System

package final class AlertSubscriber: Sendable {
    private static let backoff = Backoff(baseSeconds: 0.1, longestSeconds: 2)
    /// A relay sends a heartbeat at least every 15 s: with none for this long, the connection is dead.
    private static let stallTimeoutSeconds = 30

    private struct State {
        var isStopping = false
        var hasEnded = false
        var isConnected = false
    }

    private let state = Monitor(State())

    /// - Parameters:
    ///   - url: the relay, without a slash at the end.
    ///   - onTrouble: hears why a connection ended, before the next one is tried.
    ///   - onEvent: hears each event on the subscriber's thread, with the monotonic time at which its last byte came.
    package init(
        url: String, lastEventID: String = "", tls: HTTPClientTLS? = nil, time: any TimeSource = SystemTime(),
        onTrouble: @escaping @Sendable (String) -> Void = { _ in },
        onEvent: @escaping @Sendable (ServerSentEvent, UInt64) -> Void
    ) {
        _ = WorkerThread(name: "alerts") { [state] in
            var random = SeededRandom(seed: time.monotonicNanoseconds())
            var lastEventID = lastEventID
            var failures = 0
            while !state.withLock({ $0.isStopping }) {
                let connection = Connection(
                    url: url, lastEventID: lastEventID, tls: tls, state: state, time: time, onEvent: onEvent)
                let ending = connection.follow()
                state.update { $0.isConnected = false }
                lastEventID = connection.parser.lastEventID.isEmpty ? lastEventID : connection.parser.lastEventID
                if state.withLock({ $0.isStopping }) { break }
                onTrouble(ending)
                failures = connection.wasAccepted ? 1 : failures + 1
                let pause = Self.backoff.waitSeconds(failures: failures, askedFor: nil, random: &random)
                _ = state.wait(timeoutSeconds: pause) { $0.isStopping ? true : nil }
            }
            state.update { $0.hasEnded = true }
        }
    }

    /// Whether the relay accepted the subscription within the time.
    package func waitUntilConnected(timeoutSeconds: Double) -> Bool {
        state.wait(timeoutSeconds: timeoutSeconds) { $0.isConnected ? true : nil } ?? false
    }

    /// No event is heard after it returns. Takes up to about a second.
    package func stop() {
        state.update { $0.isStopping = true }
        _ = state.wait(timeoutSeconds: 10) { $0.hasEnded ? true : nil }
    }

    /// One connection's life; used on the subscriber's thread only.
    private final class Connection {
        private let request: HTTPClientRequest
        private let state: Monitor<State>
        private let time: any TimeSource
        private let onEvent: @Sendable (ServerSentEvent, UInt64) -> Void
        var parser = EventStreamParser()
        var wasAccepted = false

        init(
            url: String, lastEventID: String, tls: HTTPClientTLS?, state: Monitor<State>, time: any TimeSource,
            onEvent: @escaping @Sendable (ServerSentEvent, UInt64) -> Void
        ) {
            var headers = [("Accept", "text/event-stream")]
            if !lastEventID.isEmpty { headers.append(("Last-Event-ID", lastEventID)) }
            var request = HTTPClientRequest(method: "GET", url: url + "/v1/alerts/stream", headers: headers)
            request.timeoutSeconds = 0
            request.tls = tls
            request.stallTimeoutSeconds = AlertSubscriber.stallTimeoutSeconds
            self.request = request
            self.state = state
            self.time = time
            self.onEvent = onEvent
        }

        /// Why the connection ended.
        func follow() -> String {
            do {
                let response = try HTTPClient().stream(
                    request, isCancelled: { self.state.withLock { $0.isStopping } },
                    onStatus: { status in
                        self.wasAccepted = status == 200
                        if self.wasAccepted { self.state.update { $0.isConnected = true } }
                        return self.wasAccepted
                    },
                    onBytes: { bytes in self.take(bytes) })
                return response.status == 200
                    ? "the relay ended the stream" : "the relay answered \(response.status)"
            } catch {
                return error.detail.isEmpty ? error.code.rawValue : error.detail
            }
        }

        private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
            let now = time.monotonicNanoseconds()
            for event in parser.consume(bytes) { onEvent(event, now) }
            return !parser.isBroken && !state.withLock { $0.isStopping }
        }
    }
}
