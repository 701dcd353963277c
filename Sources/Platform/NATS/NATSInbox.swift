// Where answers arrive: read one by one on the caller's thread (`NATSInbox`), or told to a closure on a thread of
// libnats's (`ReplyBox`).

import CNATS

/// A subject of its own with a queue behind it. For one thread at a time.
package final class NATSInbox {
    package let subject: String
    private let subscription: OpaquePointer

    package init(_ connection: NATSConnection) throws(NATSError) {
        let subject = NATSConnection.inbox()
        var made: OpaquePointer?
        try connection.withPointer { pointer throws(NATSError) in
            try NATSError.check(natsConnection_SubscribeSync(&made, pointer, subject), "subscribe to an inbox")
        }
        guard let made else { throw NATSError(.invalid, "libnats made no subscription") }
        self.subject = subject
        subscription = made
        // The server stops at what was asked for, so nothing may be dropped here for being too much.
        natsSubscription_SetPendingLimits(made, -1, -1)
    }

    deinit { natsSubscription_Destroy(subscription) }

    /// The next message; throws `timedOut`, or `noResponders` where the server says that nobody serves the subject.
    package func next(timeoutSeconds: Double) throws(NATSError) -> NATSMessage {
        var message: OpaquePointer?
        let status = natsSubscription_NextMsg(
            &message, subscription, NATSConnection.milliseconds(timeoutSeconds))
        try NATSError.check(status, "wait for an answer")
        guard let message else { throw NATSError(.timedOut, "wait for an answer: none") }
        return NATSMessage(message)
    }
}

/// Answers to many publications that are under way at once: each is published with `subject(for: token)` as its reply,
/// and its answer comes with that token.
package final class ReplyBox: Sendable {
    private final class Listener: Sendable {
        let heard: @Sendable (UInt64, NATSMessage) -> Void

        init(_ heard: @escaping @Sendable (UInt64, NATSMessage) -> Void) { self.heard = heard }
    }

    private let prefix: String
    // Safety: libnats's objects have their own locks; this one is set once and destroyed when nobody refers to us.
    private nonisolated(unsafe) let subscription: OpaquePointer

    /// - Parameter heard: called on a thread of libnats's, one answer after the other. It must not wait.
    package init(
        _ connection: NATSConnection, heard: @escaping @Sendable (UInt64, NATSMessage) -> Void
    ) throws(NATSError) {
        let prefix = NATSConnection.inbox() + "."
        let listener = Unmanaged.passRetained(Listener(heard))
        var made: OpaquePointer?
        let status = try connection.withPointer { pointer throws(NATSError) in
            natsConnection_Subscribe(
                &made, pointer, prefix + "*",
                { _, _, pointer, closure in
                    guard let message = pointer.map({ NATSMessage($0) }), let closure,
                        let token = message.subject.split(separator: ".").last.flatMap({ UInt64($0, radix: 36) })
                    else { return }
                    Unmanaged<Listener>.fromOpaque(closure).takeUnretainedValue().heard(token, message)
                }, listener.toOpaque())
        }
        guard status == NATS_OK, let made else {
            listener.release()
            throw NATSError(status: status, "subscribe to the answers")
        }
        self.prefix = prefix
        subscription = made
        natsSubscription_SetPendingLimits(made, -1, -1)
        // Called when the last answer has been told.
        natsSubscription_SetOnCompleteCB(
            made, { closure in closure.map { Unmanaged<Listener>.fromOpaque($0).release() } }, listener.toOpaque())
    }

    deinit { natsSubscription_Destroy(subscription) }

    package func subject(for token: UInt64) -> String { prefix + String(token, radix: 36) }
}
