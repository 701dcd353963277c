// Talking to a child through its pipes, never waiting longer than asked and never for a pipe a grandchild holds open.

import Glibc
import Synchronization

extension ChildProcess {
    /// What a conversation with a child came to.
    package struct Conversation: Sendable {
        package enum Ending: Hashable, Sendable {
            /// The child ended by itself.
            case exited
            /// Killed: the time was over.
            case timedOut
            /// Killed: `isCancelled` said so.
            case cancelled
            /// Killed: it wrote more than allowed. `output` holds the first bytes.
            case tooMuchOutput
        }

        package var ending: Ending
        package var status: ExitStatus
        package var output: [UInt8]
        /// What came on standard error, cut at its limit.
        package var error: [UInt8]
    }

    /// Writes all of `input` and closes it, reads both outputs until the child ends, and reaps it. A child that takes
    /// too long, writes too much or is no longer wanted is killed. Uses the streams that are pipes, ignores the others.
    package func converse(
        input: [UInt8] = [], timeoutSeconds: Double, maxOutputBytes: Int, maxErrorBytes: Int = 65_536,
        isCancelled: () -> Bool = { false }
    ) throws -> Conversation {
        let deadline = MonotonicDeadline(secondsFromNow: timeoutSeconds)
        var result = Conversation(ending: .exited, status: .exited(0), output: [], error: [])
        var written = 0
        if input.isEmpty { closeInput() }
        var status: ExitStatus?
        while status == nil {
            status = try reap()
            if try written < input.count && !sendInput(input, &written) { written = input.count }
            if written == input.count { closeInput() }
            let outputEnded = try receive(.output, into: &result.output, limit: maxOutputBytes + 1)
            let errorEnded = try receive(.error, into: &result.error, limit: maxErrorBytes)
            if result.output.count > maxOutputBytes {
                result.ending = .tooMuchOutput
            } else if deadline.hasPassed {
                result.ending = .timedOut
            } else if isCancelled() {
                result.ending = .cancelled
            }
            if status != nil { break }
            if result.ending != .exited {
                kill()
                status = try wait()
                break
            }
            try awaitActivity(
                sending: written < input.count, receiving: !outputEnded, receivingError: !errorEnded, deadline)
        }
        result.output.removeLast(max(0, result.output.count - maxOutputBytes))
        result.status = status ?? .killed(signal: SIGKILL)
        closeStreams()
        return result
    }

    /// Writes to the child's standard input; false if the child has closed it or the time was over.
    package func writeInput(_ bytes: [UInt8], timeoutSeconds: Double) throws -> Bool {
        let deadline = MonotonicDeadline(secondsFromNow: timeoutSeconds)
        var written = 0
        while written < bytes.count {
            guard try sendInput(bytes, &written) else { return false }
            if written == bytes.count { break }
            if deadline.hasPassed { return false }
            try awaitActivity(sending: true, receiving: false, receivingError: false, deadline)
        }
        return true
    }

    /// Waits for more of the child's standard output; empty if the time was over, nil after its end.
    package func readOutput(maxBytes: Int = 65_536, timeoutSeconds: Double) throws -> [UInt8]? {
        let deadline = MonotonicDeadline(secondsFromNow: timeoutSeconds)
        var bytes: [UInt8] = []
        while true {
            let ended = try receive(.output, into: &bytes, limit: maxBytes)
            if !bytes.isEmpty { return bytes }
            if ended { return nil }
            if deadline.hasPassed { return [] }
            try awaitActivity(sending: false, receiving: true, receivingError: false, deadline)
        }
    }

    /// The child reads an end of file.
    package func closeInput() { close(.input) }

    // MARK: - Inside

    private func closeStreams() {
        close(.input)
        close(.output)
        close(.error)
    }

    private func close(_ stream: StreamSlot) {
        let descriptor = state.withLock { state in
            defer { state[stream] = -1 }
            return state[stream]
        }
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Writes what the pipe takes now; false if the reader is gone.
    private func sendInput(_ bytes: [UInt8], _ written: inout Int) throws -> Bool {
        let descriptor = state.withLock { $0.input }
        guard descriptor >= 0 else { return false }
        let count = bytes.withUnsafeBytes { buffer in
            write(descriptor, buffer.baseAddress.map { $0 + written }, bytes.count - written)
        }
        if count >= 0 {
            written += count
            return true
        }
        switch errno {
        case EAGAIN, EINTR: return true
        case EPIPE: return false
        case let error: throw failure("write to", error)
        }
    }

    /// Reads what the pipe holds now, keeping at most `limit` bytes in all; true at its end.
    private func receive(
        _ stream: StreamSlot, into bytes: inout [UInt8], limit: Int
    ) throws -> Bool {
        let descriptor = state.withLock { $0[stream] }
        guard descriptor >= 0 else { return true }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        // Bounded, so that a child that never stops writing cannot hide the deadline.
        for _ in 0..<64 {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 {
                close(stream)
                return true
            }
            if count < 0 {
                if errno == EAGAIN { return false }
                if errno == EINTR { continue }
                throw failure("read from", errno)
            }
            bytes += buffer[..<min(count, max(0, limit - bytes.count))]
            if bytes.count >= limit { return false }
        }
        return false
    }

    /// Sleeps until a pipe can be used or the child has ended, at most 50 ms so that a cancellation is seen.
    private func awaitActivity(
        sending: Bool, receiving: Bool, receivingError: Bool, _ deadline: MonotonicDeadline
    ) throws {
        let open = state.withLock { $0 }
        let exitIsKnown = open.status != nil
        var watched = [
            pollfd(fd: exitIsKnown ? -1 : pidfd, events: Int16(POLLIN), revents: 0),
            pollfd(fd: sending ? open.input : -1, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: receiving ? open.output : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: receivingError ? open.error : -1, events: Int16(POLLIN), revents: 0),
        ]
        let cancellationMilliseconds: Int32 = 50
        let ready = poll(&watched, nfds_t(watched.count), min(deadline.remainingMilliseconds, cancellationMilliseconds))
        if ready < 0 && errno != EINTR { throw failure("wait for", errno) }
    }
}
