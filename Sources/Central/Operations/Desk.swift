// Requests that write: a rule set, a decision, a retirement. Their fsync must not hold up the server's threads, and
// one after the other is soon enough: one thread with a bounded queue (I7).

import HTTPServer
import Models
import System

final class Desk: Sendable {
    private static let maxQueued = 64

    private struct State {
        var work: [@Sendable () -> Void] = []
        var isClosed = false
    }

    private let state = Monitor(State())

    func start() -> WorkerThread { WorkerThread(name: "desk", stackBytes: 4 << 20) { self.run() } }

    /// What is queued is done first.
    func stop() { state.update { $0.isClosed = true } }

    private func run() {
        while true {
            let next = state.wait { state -> (@Sendable () -> Void)?? in
                if let first = state.work.first {
                    state.work.removeFirst()
                    return .some(first)
                }
                return state.isClosed ? .some(nil) : nil
            }
            guard let next, let work = next else { return }
            work()
        }
    }

    /// False when the queue is full or closed: then `work` never runs.
    @discardableResult
    func enqueue(_ work: @escaping @Sendable () -> Void) -> Bool {
        state.withLock(notify: true) { state in
            guard !state.isClosed, state.work.count < Self.maxQueued else { return false }
            state.work.append(work)
            return true
        }
    }

    /// Answers the exchange with what `work` returns or throws.
    func answer(_ exchange: HTTPExchange, _ work: @escaping @Sendable () throws -> HTTPResponse) {
        let isQueued = enqueue { exchange.respond(Self.response(work)) }
        guard !isQueued else { return }
        exchange.respond(
            HTTPResponse(
                problem: Problem(
                    status: 503, code: "overloaded", detail: "Too many decisions at once. Send it again.",
                    retryAfterSeconds: 1)))
    }

    static func response(_ work: () throws -> HTTPResponse) -> HTTPResponse {
        do {
            return try work()
        } catch let problem as Problem {
            return HTTPResponse(problem: problem)
        } catch {
            return HTTPResponse(
                problem: Problem(
                    status: 503, code: "storage_failed",
                    detail: "Central's disk did not take it; nothing was changed. Look at its log.",
                    retryAfterSeconds: 5))
        }
    }
}
