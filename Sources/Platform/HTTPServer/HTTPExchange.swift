// One request and the one answer it gets. Ownership moves with the object: the handler may keep it, pass it to
// another thread, and answer there; after the answer its memory belongs to the server again, so nothing may be read.
import CHTTPServer
import TLS
import Synchronization

// Safety: used by one thread at a time (it is handed over, never shared); the answer itself is one atomic exchange.
package final class HTTPExchange: @unchecked Sendable {
    package let method: String
    /// As sent: still percent-encoded, without the query.
    package let path: String

    private let exchange: OpaquePointer
    private let core: HTTPServerCore
    private let answered = Atomic<Bool>(false)

    init(_ exchange: OpaquePointer, core: HTTPServerCore) {
        self.exchange = exchange
        self.core = core
        method = String(cString: chs_exchange_method(exchange))
        path = String(cString: chs_exchange_path(exchange))
    }

    /// A handler that drops an exchange would leave its client waiting for ever.
    deinit {
        if !answered.load(ordering: .relaxed) {
            respond(
                .problem(
                    status: 500, title: "Internal Server Error", code: "unanswered",
                    detail: "The server gave up on this request. Send it again."))
        }
    }

    /// The body; valid until answered. `bodyCapacity` bytes may be read from its start: zeros follow the body.
    package var body: UnsafeRawBufferPointer {
        checkOpen()
        return UnsafeRawBufferPointer(
            start: chs_exchange_body(exchange), count: chs_exchange_body_length(exchange))
    }

    /// Readable bytes from the body's start: at least 64 more than its length.
    package var bodyCapacity: Int {
        checkOpen()
        return chs_exchange_body_capacity(exchange)
    }

    /// The first header of that name, whatever its case.
    package func header(_ name: String) -> String? {
        checkOpen()
        return chs_exchange_header(exchange, name).map { String(cString: $0) }
    }

    /// All query items in order, decoded. A name without "=" has an empty value.
    package var queryItems: [(name: String, value: String)] {
        checkOpen()
        let items = QueryItems()
        chs_exchange_query(exchange, Unmanaged.passUnretained(items).toOpaque(), appendQueryItem)
        return items.items
    }

    /// The first query item of that name.
    package func queryItem(_ name: String) -> String? {
        queryItems.first { $0.name == name }?.value
    }

    /// "127.0.0.1:49152", "[::1]:49152".
    package var remoteAddress: String {
        checkOpen()
        var port: UInt16 = 0
        let host = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer -> String? in
            guard let start = buffer.baseAddress, chs_exchange_remote_address(exchange, start, 64, &port) else {
                return nil
            }
            return String(cString: start)
        }
        guard let host else { return "unknown" }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The one URI of the client's verified certificate; nil over plain HTTP. Valid until answered.
    package var peerIdentity: String? {
        checkOpen()
        return chs_exchange_peer(exchange).map { PeerCertificate.identity(of: $0) }
    }

    /// Asks the socket whether the client closed it, so that long work for nobody can be cancelled. True once answered.
    package func isClientGone() -> Bool {
        answered.load(ordering: .relaxed) || chs_exchange_client_gone(exchange)
    }

    /// The answer, from any thread.
    package func respond(_ response: HTTPResponse) {
        let native = response.makeNative()
        answer(status: response.status, native)
    }

    /// A file as the answer, read while it is sent, so that gigabytes need no memory. It is opened now: whoever made it
    /// may remove it afterwards. False if it cannot be opened; then nothing is answered yet.
    package func respond(status: Int = 200, headers: [(String, String)], file path: String) -> Bool {
        HTTPResponse.check(status: status)
        checkOpen()
        guard let native = chs_response_create_from_file(exchange, path) else { return false }
        HTTPResponse.add(headers, to: native)
        answer(status: status, native)
        return true
    }

    /// Begins an answer of unknown length, such as Server-Sent Events: sends the header, then whatever is written.
    /// - Parameter maxPendingBytes: written and not yet taken by the socket; beyond it the stream ends (slow reader).
    /// - Parameter onClose: called once, on a server thread, when the client left or everything was sent.
    package func stream(
        status: Int = 200, headers: [(String, String)], maxPendingBytes: Int = 1 << 20,
        onClose: @escaping @Sendable () -> Void = {}
    ) -> HTTPResponseStream {
        HTTPResponse.check(status: status)
        let stream = HTTPResponseStream(core: core, onClose: onClose)
        let native = stream.open(exchange, maxPendingBytes: maxPendingBytes)
        HTTPResponse.add(headers, to: native)
        core.opened(stream)
        answer(status: status, native)
        return stream
    }

    private func answer(status: Int, _ native: OpaquePointer) {
        let before = answered.exchange(true, ordering: .relaxed)
        precondition(!before, "a request is answered once")
        chs_exchange_answer(exchange, UInt32(status), native)
    }

    private func checkOpen() {
        precondition(!answered.load(ordering: .relaxed), "an answered request's memory belongs to the server again")
    }
}

private final class QueryItems {
    var items: [(name: String, value: String)] = []
}

private func appendQueryItem(
    _ context: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
    _ value: UnsafePointer<CChar>?, _ valueLength: Int
) {
    guard let context else { return }
    let items = Unmanaged<QueryItems>.fromOpaque(context).takeUnretainedValue()
    items.items.append((percentDecoded(name, nameLength), percentDecoded(value, valueLength)))
}

/// %41 → A; a "%" that isn't followed by two hex digits stays as it is; invalid UTF-8 is repaired with U+FFFD.
private func percentDecoded(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
    let bytes = UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : length)
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
        if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = hexValue(bytes[index + 1]),
            let low = hexValue(bytes[index + 2])
        {
            decoded.append(high << 4 | low)
            index += 3
        } else {
            decoded.append(bytes[index])
            index += 1
        }
    }
    return String(decoding: decoded, as: UTF8.self)
}

private func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
