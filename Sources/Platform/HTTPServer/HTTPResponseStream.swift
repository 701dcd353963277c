// The writing end of a streamed answer. Any thread may write; what is written leaves at once.
import CHTTPServer
import Synchronization

package final class HTTPResponseStream: Sendable {
    /// Let go when closed: handler and closure usually hold whoever holds this stream.
    private let whileOpen: Mutex<(core: HTTPServerCore, onClose: @Sendable () -> Void)?>
    // Safety: set once by `open`, before any other thread knows this object; the C stream has its own lock.
    private nonisolated(unsafe) var stream: OpaquePointer?

    init(core: HTTPServerCore, onClose: @escaping @Sendable () -> Void) {
        whileOpen = Mutex((core, onClose))
    }

    deinit {
        if let stream {
            chs_stream_finish(stream)
            chs_stream_release(stream)
        }
    }

    /// Returns the native answer that reads from this stream.
    func open(_ exchange: OpaquePointer, maxPendingBytes: Int) -> OpaquePointer {
        precondition(stream == nil, "a stream is opened once")
        precondition(maxPendingBytes > 0, "a stream needs room for pending bytes")
        var native: OpaquePointer?
        stream = chs_stream_create(
            exchange, maxPendingBytes, Unmanaged.passRetained(self).toOpaque(), streamClosed, &native)
        guard let native else { preconditionFailure("no memory for a streamed answer") }
        return native
    }

    /// All or nothing. False once the client left, the stream was finished, or it would hold more than its limit of
    /// pending bytes: then it sends what it has and ends.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { write($0) }
    }

    @discardableResult
    package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let stream else { return false }
        return chs_stream_write(stream, bytes.baseAddress, bytes.count)
    }

    /// Sends what is pending, then ends the answer. Harmless when repeated.
    package func finish() {
        if let stream { chs_stream_finish(stream) }
    }

    fileprivate func closed() {
        let open = whileOpen.withLock { open in
            defer { open = nil }
            return open
        }
        open?.core.closed(self)
        open?.onClose()
    }
}

private func streamClosed(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<HTTPResponseStream>.fromOpaque(context).takeRetainedValue().closed()
}
