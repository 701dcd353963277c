// Answers that read the disk or take milliseconds: made one after another on a thread of their own, so that no report
// waits for them on a server thread.

import HTTPServer
import Models
import System

final class PageAnswers: Sendable {
    /// Requests that wait; beyond it 503 (I7).
    private static let maxWaiting = 256

    private struct Question: Sendable {
        let exchange: HTTPExchange
        let answer: @Sendable () -> HTTPResponse
    }

    private struct State {
        var waiting: [Question] = []
        var isStopped = false
    }

    private let state = Monitor(State())

    func ask(_ exchange: HTTPExchange, _ answer: @escaping @Sendable () -> HTTPResponse) {
        let isTaken = state.update { state in
            guard state.waiting.count < Self.maxWaiting, !state.isStopped else { return false }
            state.waiting.append(Question(exchange: exchange, answer: answer))
            return true
        }
        guard !isTaken else { return }
        exchange.respond(
            HTTPResponse(
                problem: Problem(
                    status: 503, code: "overloaded", detail: "Too many ask for this at once; ask again.",
                    retryAfterSeconds: 1)))
    }

    func stop() { state.update { $0.isStopped = true } }

    /// The thread's body; answers everyone before it ends.
    func run() {
        while let next = state.wait(until: { state -> [Question]? in
            guard !state.waiting.isEmpty || state.isStopped else { return nil }
            defer { state.waiting = [] }
            return state.waiting
        }), !next.isEmpty {
            for question in next { question.exchange.respond(question.answer()) }
        }
    }
}
