// Answers that take tens of milliseconds to write, such as all drones: made on a thread of their own, so that no report
// waits for them on a server thread. Whoever asks within a second of the last answer gets the same bytes.

package import HTTPServer
package import System
import Models

package final class LargeAnswers: Sendable {
    /// Requests that wait; beyond it 503.
    private static let maxWaiting = 64
    private static let freshSeconds = 1.0

    private struct State {
        var waiting: [HTTPExchange] = []
        var isStopped = false
    }

    private let state = Monitor(State())
    private let time: any TimeSource

    package init(time: any TimeSource) { self.time = time }

    package func ask(_ exchange: HTTPExchange) {
        let isTaken = state.update { state in
            guard state.waiting.count < Self.maxWaiting, !state.isStopped else { return false }
            state.waiting.append(exchange)
            return true
        }
        if !isTaken {
            exchange.respond(
                HTTPResponse(
                    problem: Problem(
                        status: 503, code: "overloaded", detail: "Too many ask for this at once; ask again.",
                        retryAfterSeconds: 1)))
        }
    }

    package func stop() { state.update { $0.isStopped = true } }

    /// The thread's body; answers everyone before it ends.
    package func run(_ make: () -> [UInt8]) {
        var made: (at: UInt64, answer: HTTPResponse)?
        while true {
            // Kept no longer than it is fresh: it can be tens of megabytes.
            let waiting = state.wait(timeoutSeconds: made == nil ? nil : Self.freshSeconds) {
                state -> [HTTPExchange]? in
                guard !state.waiting.isEmpty || state.isStopped else { return nil }
                defer { state.waiting = [] }
                return state.waiting
            }
            let now = time.monotonicNanoseconds()
            if let at = made?.at, Double(now - min(now, at)) / 1e9 >= Self.freshSeconds { made = nil }
            guard let waiting else { continue }
            if waiting.isEmpty { return }
            let answer = made?.answer ?? RelayRoutes.json(make())
            if made == nil { made = (time.monotonicNanoseconds(), answer) }
            for exchange in waiting { exchange.respond(answer) }
        }
    }
}
