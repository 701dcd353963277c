// What became of an alert at one target, for operators (`deliveries` in `GET /v1/alerts`) and for the next life of the
// relay.

package import Models
import JSON

package struct DeliveryRecord: Sendable, Equatable {
    package enum State: String, Sendable, CaseIterable {
        /// Waiting, or tried and to be tried again.
        case pending
        case delivered
        /// Tried for 24 h.
        case givenUp = "given_up"
        /// Pushed out of a full queue.
        case dropped
        /// One of a storm (see `StormLimit`): shown here, not sent.
        case heldBack = "held_back"

        var isFinal: Bool { self != .pending }
    }

    package var target: String
    package var kind: ChannelKind
    package var state: State
    package var tries = 0
    /// Of the last try; of its success where it was delivered.
    package var at: Timestamp
    package var lastError: String?

    package init(
        target: String, kind: ChannelKind, state: State, tries: Int = 0, at: Timestamp, lastError: String? = nil
    ) {
        self.target = target
        self.kind = kind
        self.state = state
        self.tries = tries
        self.at = at
        self.lastError = lastError
    }

    func appendJSON(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("target", target)
            writer.member("kind", kind.rawValue)
            writer.member("state", state.rawValue)
            writer.member("tries", tries)
            if state == .delivered {
                writer.member("delivered_at", at)
            } else if tries > 0 {
                writer.member("last_try_at", at)
            }
            if let lastError { writer.member("last_error", lastError) }
        }
    }
}
