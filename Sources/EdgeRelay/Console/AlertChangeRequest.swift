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
    private let shelfTime: ShelfTime?

    private struct Body: Decodable {
        var by: String?
        var note: String?
        var outcome: String?
    }

    private struct ShelfBody: Decodable {
        var forSeconds: Double?
        var until: String?

        enum CodingKeys: String, CodingKey {
            case until
            case forSeconds = "for_s"
        }
    }

    private enum ShelfTime {
        case seconds(Double)
        case until(Timestamp)
    }

    /// How long an alert may be put aside: one forgotten on the shelf is one nobody sees.
    static let shelfSeconds = 1.0...(30 * 86_400)

    /// When a shelved alert comes back; nil: not by itself.
    func shelvedUntil(from now: Timestamp) -> Timestamp? {
        switch shelfTime {
        case .seconds(let seconds): now.adding(seconds: seconds)
        case .until(let time): time
        case nil: nil
        }
    }

    private static func shelfTime(_ json: [UInt8], _ state: AlertState) throws(Problem) -> ShelfTime? {
        let decoded = try? JSONDecoder().decode(ShelfBody.self, from: Data(json))
        guard let body = decoded else {
            // Members that an acknowledgement does not know may be anything.
            guard state == .shelved else { return nil }
            throw Problem(
                status: 422, code: "invalid_field", detail: "for_s is a number of seconds, until an RFC 3339 time.",
                field: "for_s")
        }
        guard body.forSeconds != nil || body.until != nil else { return nil }
        func problem(_ field: String, _ detail: String) -> Problem {
            Problem(status: 422, code: "invalid_field", detail: detail, field: field)
        }
        let field = body.forSeconds != nil ? "for_s" : "until"
        guard state == .shelved else { throw problem(field, "\(field) goes with shelve only.") }
        guard body.forSeconds == nil || body.until == nil else {
            throw problem("until", "Send for_s or until, not both.")
        }
        if let seconds = body.forSeconds {
            guard shelfSeconds.contains(seconds) else { throw problem("for_s", "for_s is 1 to 2592000 seconds.") }
            return .seconds(seconds)
        }
        guard let until = body.until.flatMap({ Timestamp(rfc3339: $0) }) else {
            throw problem("until", "until is an RFC 3339 time, such as 2026-11-20T06:00:00Z.")
        }
        return .until(until)
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
        shelfTime = try Self.shelfTime(json, state)
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
