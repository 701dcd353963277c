// A server's side of TLS over sockets that never block: the acceptor makes a stream of each socket, with whatever
// credentials are in force then.

import CTLS
package import System
import Glibc
import Synchronization

/// How many handshakes one address may begin, in the long run and at once (F99).
package struct HandshakeLimits: Sendable, Equatable {
    /// 0: no limit.
    package var perAddressPerSecond: Double
    package var burstPerAddress: Int
    package var exemptsLoopback: Bool

    package init(perAddressPerSecond: Double = 10, burstPerAddress: Int = 200, exemptsLoopback: Bool = true) {
        self.perAddressPerSecond = perAddressPerSecond
        self.burstPerAddress = burstPerAddress
        self.exemptsLoopback = exemptsLoopback
    }
}

package final class TLSAcceptor: Sendable {
    private struct Native: Sendable {
        // Safety: an immutable C object counted by reference (atomically); this holds one reference.
        nonisolated(unsafe) let credentials: OpaquePointer
    }

    private let tls: ServerTLS
    private let native: Mutex<Native>
    private let limits: Mutex<HandshakeLimits>
    // Safety: a C object with a lock of its own, set once; nil where there was no memory for it, then nobody is
    // counted.
    private nonisolated(unsafe) let rate: OpaquePointer?
    private let time: any TimeSource

    package init(
        _ tls: ServerTLS, limits: HandshakeLimits = HandshakeLimits(), time: any TimeSource
    ) throws(TLSError) {
        self.limits = Mutex(limits)
        self.time = time
        rate = ctls_rate_create(UInt64.random(in: .min ... .max))
        precondition(tls.credentials.clientAuthorities != nil, "a stream's peer shows a certificate")
        self.tls = tls
        native = Mutex(Native(credentials: try tls.credentials.makeNative()))
    }

    deinit {
        ctls_rate_free(rate)
        native.withLock { ctls_credentials_release($0.credentials) }
    }

    package var handshakeTimeoutSeconds: Int { tls.handshakeTimeoutSeconds }

    /// Streams from now on begin with these; open ones keep those they have.
    package func replace(_ credentials: TLSCredentials) throws(TLSError) {
        let next = Native(credentials: try credentials.makeNative())
        let before = native.withLock { native in
            defer { native = next }
            return native
        }
        ctls_credentials_release(before.credentials)
    }

    package func update(_ next: HandshakeLimits) { limits.withLock { $0 = next } }

    private func mayShakeHands(_ socket: StreamSocket) -> Bool {
        guard let rate else { return true }
        let limits = limits.withLock { $0 }
        return ctls_rate_take_socket(
            rate, socket.descriptor, limits.exemptsLoopback, limits.perAddressPerSecond,
            Double(limits.burstPerAddress), time.monotonicNanoseconds() / 1_000_000)
    }

    /// Nil when its address begins handshakes too often, or there is no memory for it.
    package func stream(over socket: StreamSocket) -> TLSStream? {
        guard mayShakeHands(socket) else {
            refused("handshake_rate", socket)
            return nil
        }
        let credentials = native.withLock { ctls_credentials_retain($0.credentials) }
        defer { ctls_credentials_release(credentials) }
        return TLSStream(socket, self, credentials)
    }

    fileprivate func admits(_ certificate: PeerCertificate) -> Bool { tls.admit(certificate) }

    fileprivate func refused(_ reason: String, _ socket: StreamSocket) {
        tls.onRefused(reason, socket.peerAddress ?? "")
    }
}

/// Used by one thread at a time, from `TLSAcceptor.stream` to `close`.
package final class TLSStream: Sendable {
    private let socket: StreamSocket
    private let acceptor: TLSAcceptor
    // Safety: set once before `init` returns; touched only by the one thread that the stream belongs to.
    private nonisolated(unsafe) var native: OpaquePointer?

    fileprivate init?(_ socket: StreamSocket, _ acceptor: TLSAcceptor, _ credentials: OpaquePointer?) {
        self.socket = socket
        self.acceptor = acceptor
        var policy = ctls_policy(
            admit: admitStreamPeer, admit_context: Unmanaged.passUnretained(acceptor).toOpaque(),
            settled: streamSettled, settled_context: Unmanaged.passUnretained(self).toOpaque())
        guard let stream = ctls_stream_begin(socket.descriptor, credentials, &policy) else { return nil }
        native = stream
    }

    deinit { end() }

    private var open: OpaquePointer {
        guard let native else { preconditionFailure("a stream is not used after it was closed") }
        return native
    }

    private func end() {
        guard let native else { return }
        ctls_stream_end(native)
        self.native = nil
    }

    fileprivate func settled(_ reason: String) { acceptor.refused(reason, socket) }

    package var descriptor: Int32 { socket.descriptor }

    /// The URI of the peer's verified certificate; nil before the handshake is finished.
    package var peerIdentity: String? {
        ctls_peer_certificate_of(ctls_stream_peer(open)).map { PeerCertificate.identity(of: $0) }
    }

    /// The certificate has expired or was denied since the handshake. False before that.
    package var isPeerRefused: Bool {
        let peer = ctls_stream_peer(open)
        return ctls_peer_certificate_of(peer) != nil && ctls_peer_is_refused(peer)
    }

    /// Asks `ServerTLS.admit` again; see `isPeerRefused`.
    package func recheckPeer() { _ = ctls_peer_recheck(ctls_stream_peer(open)) }

    /// The handshake goes on when the socket can be written to: then `receive`.
    package var wantsToWrite: Bool { ctls_stream_wants_to_write(open) }

    /// Goes on with the handshake, or reads. At most one record a time.
    package func receive(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocket.Transfer {
        precondition(buffer.count >= Int(CTLS_MAX_RECORD), "a buffer holds a whole record")
        return Self.transfer(ctls_stream_receive(open, buffer.baseAddress, buffer.count))
    }

    /// After `.wouldBlock` the same bytes must be offered again; more may stand behind them.
    package func send(_ bytes: UnsafeRawBufferPointer) -> StreamSocket.Transfer {
        Self.transfer(ctls_stream_send(open, bytes.baseAddress, bytes.count))
    }

    private static func transfer(_ count: Int) -> StreamSocket.Transfer {
        switch count {
        case Int(CTLS_WOULD_BLOCK): .wouldBlock
        case Int(CTLS_CLOSED): .closed
        default: .moved(count)
        }
    }

    package func finishWriting() { ctls_stream_finish_writing(open) }

    package func close() {
        end()
        socket.close()
    }
}

// Called by C, in a handshake, from `recheckPeer` or when a stream ends before its handshake did.

private func admitStreamPeer(
    _ context: UnsafeMutableRawPointer?, _ certificate: UnsafePointer<ctls_peer_certificate>?
) -> Bool {
    guard let context, let certificate else { return false }
    return Unmanaged<TLSAcceptor>.fromOpaque(context).takeUnretainedValue().admits(PeerCertificate(certificate))
}

private func streamSettled(_ context: UnsafeMutableRawPointer?, _ reason: UnsafePointer<CChar>?) {
    guard let context, let reason else { return }
    Unmanaged<TLSStream>.fromOpaque(context).takeUnretainedValue().settled(String(cString: reason))
}
