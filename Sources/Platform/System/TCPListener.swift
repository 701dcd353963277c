// TCP sockets that never block: a listening one, and the connections it accepts. Thin values over descriptors; whoever
// holds one closes it.

import CPosix
import Glibc

package struct TCPListener: Sendable {
    package let descriptor: Int32
    /// The port really bound.
    package let port: UInt16

    /// - Parameters:
    ///   - host: a numeric IPv4 or IPv6 address, or "localhost" (127.0.0.1).
    ///   - port: 0: any free one.
    package init(host: String, port: UInt16, backlog: Int32 = 1024) throws(SystemError) {
        var bound = port
        descriptor = columba_listen(host == "localhost" ? "127.0.0.1" : host, &bound, backlog)
        guard descriptor >= 0 else {
            throw SystemError(operation: "listen on", path: "\(host):\(port)", errno: errno)
        }
        self.port = bound
    }

    package enum Accepted: Sendable {
        case connection(StreamSocket)
        case noneWaiting
        /// No descriptor or memory for it: try again later, not at once.
        case exhausted
    }

    package func accept() -> Accepted {
        let accepted = columba_accept(descriptor)
        if accepted >= 0 { return .connection(StreamSocket(descriptor: accepted)) }
        return errno == EAGAIN || errno == EWOULDBLOCK ? .noneWaiting : .exhausted
    }

    package func close() { _ = Glibc.close(descriptor) }
}

package struct StreamSocket: Sendable {
    package let descriptor: Int32

    package enum Transfer: Sendable, Equatable {
        case moved(Int)
        /// Nothing to read, or no room to write, now.
        case wouldBlock
        /// The peer closed, or the connection is broken.
        case closed
    }

    /// Numeric, without the port; nil when it is not known (any more).
    package var peerAddress: String? {
        var text = [CChar](repeating: 0, count: 64)
        guard columba_peer_address(descriptor, &text, UInt64(text.count)) else { return nil }
        return text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    package func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        Self.transfer(columba_receive(descriptor, buffer.baseAddress, UInt64(buffer.count)), zeroMeansClosed: true)
    }

    package func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        Self.transfer(columba_send(descriptor, bytes.baseAddress, UInt64(bytes.count)), zeroMeansClosed: false)
    }

    private static func transfer(_ count: Int, zeroMeansClosed: Bool) -> Transfer {
        if count > 0 || (count == 0 && !zeroMeansClosed) { return .moved(count) }
        if count < 0, errno == EAGAIN || errno == EWOULDBLOCK { return .wouldBlock }
        return .closed
    }

    /// What was sent still arrives; nothing more will be.
    package func finishWriting() { columba_shutdown_writing(descriptor) }

    package func close() { _ = Glibc.close(descriptor) }
}
