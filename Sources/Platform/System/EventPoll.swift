// Waiting for many sockets at once (epoll), and waking the thread that waits (eventfd). One thread waits; any thread
// may ring.

import CPosix
import Glibc

package final class EventPoll: Sendable {
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let readable = Interest(rawValue: UInt32(COLUMBA_READABLE.rawValue))
        package static let writable = Interest(rawValue: UInt32(COLUMBA_WRITABLE.rawValue))
        /// Reported always, never asked for: an error, or the peer is gone.
        package static let broken = Interest(rawValue: UInt32(COLUMBA_BROKEN.rawValue))
    }

    package struct Event: Sendable {
        /// What `add` was given.
        package let token: UInt64
        package let interest: Interest
    }

    /// The token of the poll's own bell, which `wait` never reports.
    private static let bellToken = UInt64.max
    private static let eventsAtOnce = 256

    private let descriptor: Int32
    private let bell: Int32

    package init() throws(SystemError) {
        descriptor = columba_poll_create()
        guard descriptor >= 0 else { throw SystemError(operation: "create an epoll", errno: errno) }
        bell = columba_wake_create()
        guard bell >= 0,
            columba_poll_change(
                descriptor, Int32(COLUMBA_POLL_ADD.rawValue), bell, Interest.readable.rawValue, Self.bellToken) == 0
        else {
            let error = errno
            close(descriptor)
            if bell >= 0 { close(bell) }
            throw SystemError(operation: "create an eventfd", errno: error)
        }
    }

    deinit {
        close(bell)
        close(descriptor)
    }

    /// Watches a descriptor. The owner removes it before closing it.
    package func add(_ watched: Int32, token: UInt64, interest: Interest) throws(SystemError) {
        precondition(token != Self.bellToken, "this token is the bell's")
        try change(COLUMBA_POLL_ADD, watched, token, interest)
    }

    package func modify(_ watched: Int32, token: UInt64, interest: Interest) throws(SystemError) {
        try change(COLUMBA_POLL_MODIFY, watched, token, interest)
    }

    package func remove(_ watched: Int32) {
        _ = columba_poll_change(descriptor, Int32(COLUMBA_POLL_REMOVE.rawValue), watched, 0, 0)
    }

    private func change(
        _ change: columba_poll_change, _ watched: Int32, _ token: UInt64, _ interest: Interest
    ) throws(SystemError) {
        guard columba_poll_change(descriptor, Int32(change.rawValue), watched, interest.rawValue, token) == 0 else {
            throw SystemError(operation: "watch a socket", errno: errno)
        }
    }

    /// Makes the thread in `wait` return, now or when it waits next. From any thread.
    package func ring() { columba_wake_ring(bell) }

    /// What happened, at most 256 events; none after the timeout or when rung.
    package func wait(timeoutMilliseconds: Int32) -> [Event] {
        withUnsafeTemporaryAllocation(of: columba_poll_event.self, capacity: Self.eventsAtOnce) { buffer in
            let count = columba_poll_wait(
                descriptor, buffer.baseAddress, Int32(Self.eventsAtOnce), timeoutMilliseconds)
            precondition(count >= 0, "epoll_wait fails only for wrong arguments: \(SystemError.text(of: errno))")
            var events: [Event] = []
            events.reserveCapacity(Int(count))
            for event in buffer.prefix(Int(count)) {
                if event.token == Self.bellToken {
                    columba_wake_clear(bell)
                } else {
                    events.append(Event(token: event.token, interest: Interest(rawValue: event.interest)))
                }
            }
            return events
        }
    }
}
