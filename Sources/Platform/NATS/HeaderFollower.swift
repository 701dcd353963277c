// Follows a stream's messages without their payload, from a position on, as they come: an ephemeral pull consumer
// without acknowledgements. The server forgets it soon after we are gone; we know where we are and make a new one.
//
// Nothing is left out: the consumer numbers what it delivers, and where a number is missing (the connection broke) the
// caller is told `.interrupted` and begins again after the last message it had.

import CNATS
import FoundationEssentials
package import System

package struct FollowedMessage: Sendable {
    package let sequence: UInt64
    package let subject: String
    package let header: String?
    /// Messages of the stream that come after this one and were there when it was sent.
    package let pending: UInt64
}

/// For one thread at a time.
package final class HeaderFollower {
    package enum Step {
        case message(FollowedMessage)
        /// Nothing came within the time.
        case silence
        /// The consumer is gone or messages are missing: make a new follower after the last position.
        case interrupted(String)
    }

    private struct Creation: Encodable {
        struct Config: Encodable {
            var name: String
            var deliver_policy = "by_start_sequence"
            var opt_start_seq: UInt64
            var ack_policy = "none"
            var filter_subject: String?
            var headers_only = true
            var mem_storage = true
            var num_replicas = 1
            var max_waiting = 4
            var inactive_threshold: Int64 = 15_000_000_000
        }

        var stream_name: String
        var config: Config
    }

    private struct Created: Decodable {
        var name: String
        var num_pending: UInt64?
    }

    private static let batch = 500
    private static let requestSeconds = 20.0
    private static let heartbeatSeconds = 1.0

    /// Messages that were there when it was made.
    package let pendingAtStart: UInt64
    private let jetStream: JetStream
    private let stream: String
    private let name: String
    private let header: String
    private let inbox: NATSInbox
    private let time: any TimeSource
    private var isAsked = false
    private var expected: UInt64 = 1
    private var received = 0
    private var lastHeard: UInt64

    /// - Parameters:
    ///   - subject: of the stream's subjects only this one; nil: all.
    ///   - header: the one that is told with each message.
    package init(
        _ jetStream: JetStream, stream: String, subject: String?, from sequence: UInt64, header: String,
        time: any TimeSource
    ) throws(NATSError) {
        self.jetStream = jetStream
        self.stream = stream
        self.header = header
        self.time = time
        inbox = try NATSInbox(jetStream.connection)
        let name = "columba-" + inbox.subject.filter { $0 != "." && $0 != "_" }
        let config = Creation.Config(name: name, opt_start_seq: max(1, sequence), filter_subject: subject)
        let created = try jetStream.ask(
            "CONSUMER.CREATE.\(stream).\(name)", Creation(stream_name: stream, config: config), as: Created.self,
            timeoutSeconds: 3)
        self.name = created.name
        pendingAtStart = created.num_pending ?? 0
        lastHeard = time.monotonicNanoseconds()
    }

    /// What comes next, at most so long from now.
    package func next(timeoutSeconds: Double) -> Step {
        do {
            if !isAsked { try ask() }
            let message = try inbox.next(timeoutSeconds: timeoutSeconds)
            lastHeard = time.monotonicNanoseconds()
            guard let status = message.status else { return try deliver(message) }
            switch status {
            case 100: return .silence
            case 404, 408:
                isAsked = false
                return .silence
            default: return .interrupted("\(status) \(message.statusText)")
            }
        } catch {
            let silent = Double(time.monotonicNanoseconds() - lastHeard) / 1e9
            if error.code == .timedOut, silent < 3 * Self.heartbeatSeconds { return .silence }
            return .interrupted(error.code == .timedOut ? "no heartbeat for \(silent) s" : "\(error)")
        }
    }

    private func ask() throws(NATSError) {
        let expires = Int64(Self.requestSeconds * 1e9)
        let heartbeat = Int64(Self.heartbeatSeconds * 1e9)
        let request = #"{"batch":\#(Self.batch),"expires":\#(expires),"idle_heartbeat":\#(heartbeat)}"#
        try jetStream.connection.publish(
            OutgoingMessage(subject: "$JS.API.CONSUMER.MSG.NEXT.\(stream).\(name)", payload: Array(request.utf8)),
            reply: inbox.subject)
        isAsked = true
        received = 0
    }

    private func deliver(_ message: NATSMessage) throws(NATSError) -> Step {
        guard let place = DeliveryPlace(reply: message.reply ?? "") else {
            throw NATSError(.invalid, "a message without its place in the stream")
        }
        guard place.delivered == expected else { return .interrupted("\(place.delivered) after \(expected - 1)") }
        expected += 1
        received += 1
        if received == Self.batch { isAsked = false }
        return .message(
            FollowedMessage(
                sequence: place.sequence, subject: message.subject, header: message.header(header),
                pending: place.pending))
    }
}

/// A delivered message's reply subject (ADR-15): `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivered>.<time>.
/// <pending>`, since 2.10 also with domain and account before the stream and a token at the end.
package struct DeliveryPlace: Equatable, Sendable {
    package let sequence: UInt64
    /// Counted by the consumer, from 1.
    package let delivered: UInt64
    package let pending: UInt64

    package init?(reply: String) {
        let parts = reply.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 9 || parts.count >= 11, parts[0] == "$JS", parts[1] == "ACK" else { return nil }
        let first = parts.count == 9 ? 4 : 6
        guard let sequence = UInt64(parts[first + 1]), let delivered = UInt64(parts[first + 2]),
            let pending = UInt64(parts[first + 4])
        else { return nil }
        self.sequence = sequence
        self.delivered = delivered
        self.pending = pending
    }
}
