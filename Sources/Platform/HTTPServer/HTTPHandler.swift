// What a handler is asked, in the order it is asked: may this body come in (`admit`), here is the request (`handle`).
import CHTTPServer
import TLS

/// Called on the server's threads: several calls at a time, none of which may wait for disk, network or a lock that is
/// held across them.
package protocol HTTPHandler: Sendable {
    /// The header is complete, no byte of the body was read.
    func admit(_ head: HTTPRequestHead) -> HTTPAdmission

    /// The body is complete. Respond (or stream) exactly once, now or later, from any thread.
    func handle(_ exchange: HTTPExchange)

    /// The answer to a body longer than admitted, declared or found so; the connection is closed after it.
    func bodyTooLarge(_ head: HTTPRequestHead) -> HTTPResponse

    /// The answer when all bodies in flight together need more than `maxBodyBytesInFlight`.
    func outOfRoom(_ head: HTTPRequestHead) -> HTTPResponse

    /// The answer to a request whose length can be read in two ways (RFC 9112 §6.3).
    func ambiguousFraming(_ head: HTTPRequestHead) -> HTTPResponse
}

extension HTTPHandler {
    package func bodyTooLarge(_ head: HTTPRequestHead) -> HTTPResponse {
        .problem(
            status: 413, title: "Content Too Large", code: "too_large",
            detail: "The body is larger than this address accepts. Send it in smaller parts.")
    }

    package func outOfRoom(_ head: HTTPRequestHead) -> HTTPResponse {
        var response = HTTPResponse.problem(
            status: 503, title: "Service Unavailable", code: "out_of_room",
            detail: "Too many large bodies are being received at once. Send it again later.")
        response.headers.append(("Retry-After", "1"))
        return response
    }

    package func ambiguousFraming(_ head: HTTPRequestHead) -> HTTPResponse {
        .problem(
            status: 400, title: "Bad Request", code: "ambiguous_framing",
            detail: "Send either one Content-Length or 'Transfer-Encoding: chunked', and no space before a colon.")
    }
}

package enum HTTPAdmission: Sendable {
    /// Read the body, at most so many bytes (0: only an empty one).
    case body(limitBytes: Int)
    /// Answer without the body. If one was announced, the connection is closed after the answer.
    case refuse(HTTPResponse)
}

/// A request's first lines. Valid during the call it is given to.
package struct HTTPRequestHead {
    let exchange: OpaquePointer

    init(_ exchange: OpaquePointer) { self.exchange = exchange }

    package var method: String { String(cString: chs_exchange_method(exchange)) }

    /// As sent: still percent-encoded, without the query.
    package var path: String { String(cString: chs_exchange_path(exchange)) }

    /// The first header of that name, whatever its case.
    package func header(_ name: String) -> String? {
        chs_exchange_header(exchange, name).map { String(cString: $0) }
    }

    /// The one URI of the client's verified certificate; nil over plain HTTP.
    package var peerIdentity: String? {
        chs_exchange_peer(exchange).map { PeerCertificate.identity(of: $0) }
    }

    /// nil: none was declared (no body, or a chunked one).
    package var contentLength: Int? {
        let length = chs_exchange_content_length(exchange)
        return length < 0 ? nil : Int(length)
    }
}
