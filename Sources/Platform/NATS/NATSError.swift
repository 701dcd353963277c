// What can go wrong between us and a NATS server, with the hint of what to do next. Never content of a message (I9).

import CNATS

package struct NATSError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// No server of the list answered, or the connection is being made again.
        case notConnected
        /// The server asks for other credentials, or forbids this subject.
        case refused
        /// No answer within the time. What was asked for may still have happened.
        case timedOut
        /// Nobody serves this subject now: no leader, no stream, or JetStream is off.
        case noResponders
        /// The connection was closed for good.
        case closed
        /// A server that Columba must not stand on.
        case unsuitableServer
        /// A stream or bucket that is not what the configuration says, and that must not be changed by itself.
        case conflict
        /// JetStream said no; see `jetStream`.
        case jetStream
        case invalid
    }

    package let code: Code
    package let detail: String
    /// JetStream's own error code, for example 10077: the stream is full.
    package let jetStream: Int?

    package init(_ code: Code, _ detail: String, jetStream: Int? = nil) {
        self.code = code
        self.detail = detail
        self.jetStream = jetStream
    }

    package var description: String {
        jetStream.map { "NATS \(code.rawValue) (\($0)): \(detail)" } ?? "NATS \(code.rawValue): \(detail)"
    }

    /// The stream has reached its limit and discards what is new.
    package var isFull: Bool { jetStream == JetStreamCode.maximumBytes || jetStream == JetStreamCode.maximumMessages }
    package var isStreamMissing: Bool { jetStream == JetStreamCode.streamNotFound }
}

/// Of the server's errors those that decide something here (nats-server's `errors.json`).
package enum JetStreamCode {
    package static let streamNotFound = 10_059
    package static let streamNameInUse = 10_058
    package static let messageTooLarge = 10_054
    package static let headerTooLarge = 10_097
    package static let maximumBytes = 10_077
    package static let maximumMessages = 10_076
    package static let consumerNotFound = 10_014
    package static let wrongLastSequence = 10_071
    package static let messageNotFound = 10_037
}

extension NATSError {
    init(status: natsStatus, _ operation: String) {
        let words = String(cString: natsStatus_GetText(status))
        switch status {
        case NATS_TIMEOUT: self.init(.timedOut, "\(operation): no answer in time")
        case NATS_NO_RESPONDERS: self.init(.noResponders, "\(operation): nobody answers; no leader, or no such stream")
        case NATS_NO_SERVER, NATS_CONNECTION_DISCONNECTED, NATS_IO_ERROR, NATS_STALE_CONNECTION,
            NATS_INSUFFICIENT_BUFFER:
            self.init(.notConnected, "\(operation): \(words)")
        case NATS_CONNECTION_CLOSED, NATS_INVALID_SUBSCRIPTION: self.init(.closed, "\(operation): \(words)")
        case NATS_CONNECTION_AUTH_FAILED, NATS_NOT_PERMITTED, NATS_SECURE_CONNECTION_REQUIRED, NATS_SSL_ERROR:
            self.init(.refused, "\(operation): \(words); see the credentials and the TLS files")
        default: self.init(.invalid, "\(operation): \(words)")
        }
    }

    static func check(_ status: natsStatus, _ operation: @autoclosure () -> String) throws(NATSError) {
        guard status != NATS_OK else { return }
        throw NATSError(status: status, operation())
    }
}
