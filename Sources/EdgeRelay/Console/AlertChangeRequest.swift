// What an operator sends to acknowledge, shelve or close an alert, checked; and who follows the stream of alerts.

import FoundationEssentials
import Models
import Synchronization

struct AlertChangeRequest {
    static let byCharacters = 1...128
    static let noteCharacters = 0...4_000

    let by: String
    let note: String
    let outcome: AlertOutcome?

    private struct Body: Decodable {
        var by: String?
        var note: String?
        var outcome: String?
    }

    init(json: [UInt8], state: AlertState) throws(Problem) {
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(json)) else {
            throw Problem(
                status: 400, code: "invalid_json", detail: #"Send {"by": "…", "note": "…"}, and "outcome" to close."#)
        }
        guard let by = body.by, Self.byCharacters.contains(by.unicodeScalars.count) else {
            throw Problem(
                status: 422, code: "missing_field", detail: "Say who decides: by, 1 to 128 characters.", field: "by")
        }
        let note = body.note ?? ""
        guard Self.noteCharacters.contains(note.unicodeScalars.count) else {
            throw Problem(
                status: 422, code: "invalid_field", detail: "A note has at most 4,000 characters.", field: "note")
        }
        var outcome: AlertOutcome?
        if let text = body.outcome {
            outcome = AlertOutcome(rawValue: text)
            guard outcome != nil else {
                throw Problem(
                    status: 422, code: "invalid_field", detail: "outcome is confirmed, false_alarm or unknown.",
                    field: "outcome")
            }
        }
        if state == .closed, outcome == nil {
            throw Problem(
                status: 422, code: "missing_field",
                detail: "An alert is closed with an outcome: confirmed, false_alarm or unknown.", field: "outcome")
        }
        self.by = by
        self.note = note
        self.outcome = outcome
    }
}

/// A follower's number, which its stream may lose before it is known: the connection can close at any moment.
final class FollowerID: Sendable {
    private enum State { case connecting, open(Int), closed }
    private let state = Mutex(State.connecting)

    func open(_ id: Int, orClosed unfollow: (Int) -> Void) {
        let isClosed = state.withLock { state in
            if case .closed = state { return true }
            state = .open(id)
            return false
        }
        if isClosed { unfollow(id) }
    }

    func close(_ unfollow: (Int) -> Void) {
        let id: Int? = state.withLock { state in
            defer { state = .closed }
            if case .open(let id) = state { return id }
            return nil
        }
        if let id { unfollow(id) }
    }
}
