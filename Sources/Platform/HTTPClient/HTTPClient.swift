// A blocking HTTP client over libcurl, for threads that may wait: the forwarder, webhooks, the command-line programs.
//
// One `HTTPClient` keeps its connections open between requests and serves one thread at a time. It follows no
// redirects, uses no proxy, speaks only http and https. An open connection that turns out dead before any byte of
// the answer came is replaced once by curl itself, so a request may reach the server twice: requests should be
// idempotent, or say `freshConnection`.
import CHTTPClient

package struct HTTPClientRequest: Sendable {
    package var method: String
    package var url: String
    package var headers: [(String, String)]
    /// nil: none (GET, HEAD, DELETE); empty: `Content-Length: 0`.
    package var body: [UInt8]?
    /// Of the whole exchange; 0: unlimited (streams).
    package var timeoutSeconds: Double
    package var connectTimeoutSeconds: Double
    /// Fails with `timedOut` when nothing was received for this long; 0: never.
    package var stallTimeoutSeconds: Int
    /// The connection is given up when its peer acknowledges nothing of what was sent, or of the probes that are sent
    /// while nothing is under way, for this long (TCP_USER_TIMEOUT, keep-alive); 0: the system's many minutes. Set
    /// where the connection is made.
    package var deadPeerSeconds = 0
    package var maxResponseBytes: Int
    package var freshConnection: Bool
    package var tls: HTTPClientTLS?
    package var addresses = HTTPClientAddresses.any

    package init(
        method: String = "GET", url: String, headers: [(String, String)] = [], body: [UInt8]? = nil,
        timeoutSeconds: Double = 30, connectTimeoutSeconds: Double = 5, stallTimeoutSeconds: Int = 0,
        maxResponseBytes: Int = 16 << 20, freshConnection: Bool = false, tls: HTTPClientTLS? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeoutSeconds = timeoutSeconds
        self.connectTimeoutSeconds = connectTimeoutSeconds
        self.stallTimeoutSeconds = stallTimeoutSeconds
        self.maxResponseBytes = maxResponseBytes
        self.freshConnection = freshConnection
        self.tls = tls
    }
}

/// PEM files for https. Without a certificate the client doesn't identify itself.
package struct HTTPClientTLS: Sendable {
    /// nil: the system's authorities.
    package var authoritiesFile: String?
    package var certificateFile: String?
    package var keyFile: String?

    package init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.authoritiesFile = authoritiesFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

package struct HTTPClientResponse: Sendable {
    package let status: Int
    /// Names in lower case, in the order they came.
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]
    /// The least round trip of the connection's path, as the kernel measured it.
    package let roundTripSeconds: Double?

    /// The first header of that name, whatever its case.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name == wanted }?.value
    }
}

package struct HTTPClientError: Error, CustomStringConvertible, Sendable {
    package enum Code: String, Sendable {
        case invalidRequest, couldNotResolve, couldNotConnect, timedOut
        /// The server's certificate is not what it must be, or our own files are not.
        case tls
        /// TLS was not agreed upon: the connection broke meanwhile, or there is no common ground.
        case handshake
        /// The server ended the connection before its answer was complete.
        case closed
        /// More than `maxResponseBytes`.
        case tooLarge
        /// `isCancelled` or `onBytes` said so.
        case cancelled
        /// Not HTTP.
        case badAnswer
        /// The host's address is not among `HTTPClientRequest.addresses`.
        case addressRefused
        case other
    }

    package let code: Code
    /// libcurl's words, without the request's content.
    package let detail: String

    package var description: String { "\(code.rawValue): \(detail)" }
}

/// Use from one thread at a time; requests on one client wait for nothing but their own exchange.
// Safety: documented above: handed over between threads, never shared.
package final class HTTPClient: @unchecked Sendable {
    private let client: OpaquePointer

    package init() {
        guard let client = chc_client_create() else { preconditionFailure("no memory for an HTTP client") }
        self.client = client
    }

    deinit { chc_client_destroy(client) }

    /// Blocks until the whole answer is here. Any status is an answer, not an error.
    /// - Parameter isCancelled: asked about once a second and while bytes move.
    package func perform(
        _ request: HTTPClientRequest, isCancelled: (() -> Bool)? = nil
    ) throws(HTTPClientError) -> HTTPClientResponse {
        try exchange(request, Callbacks(isCancelled: isCancelled, onStatus: nil, onBytes: nil))
    }

    /// Blocks until the server ends the answer or a callback returns false (which isn't an error). The returned
    /// response has no body.
    /// - Parameter onStatus: called before the first byte; false ends the exchange.
    package func stream(
        _ request: HTTPClientRequest, isCancelled: (() -> Bool)? = nil, onStatus: ((Int) -> Bool)? = nil,
        onBytes: @escaping (UnsafeRawBufferPointer) -> Bool
    ) throws(HTTPClientError) -> HTTPClientResponse {
        try exchange(request, Callbacks(isCancelled: isCancelled, onStatus: onStatus, onBytes: onBytes))
    }

    private func exchange(
        _ request: HTTPClientRequest, _ callbacks: Callbacks
    ) throws(HTTPClientError) -> HTTPClientResponse {
        try HTTPClient.check(request)
        var strings = CStrings()
        defer { strings.free() }
        var native = chc_request()
        native.method = strings.add(request.method)
        native.url = strings.add(request.url)
        var lines = request.headers.map { UnsafePointer(strings.add($0.1.isEmpty ? "\($0.0);" : "\($0.0): \($0.1)")) }
        native.timeout_ms = Int((request.timeoutSeconds * 1000).rounded(.up))
        native.connect_timeout_ms = Int((request.connectTimeoutSeconds * 1000).rounded(.up))
        native.stall_timeout_seconds = request.stallTimeoutSeconds
        native.dead_peer_seconds = UInt32(max(0, request.deadPeerSeconds))
        native.max_response_bytes = request.maxResponseBytes
        native.fresh_connection = request.freshConnection
        native.addresses = request.addresses.native
        if let tls = request.tls {
            native.ca_file = tls.authoritiesFile.flatMap { UnsafePointer(strings.add($0)) }
            native.certificate_file = tls.certificateFile.flatMap { UnsafePointer(strings.add($0)) }
            native.key_file = tls.keyFile.flatMap { UnsafePointer(strings.add($0)) }
        }
        native.context = Unmanaged.passUnretained(callbacks).toOpaque()
        if callbacks.isCancelled != nil { native.cancelled = askCancelled }
        if callbacks.onStatus != nil { native.on_status = giveStatus }
        if callbacks.onBytes != nil { native.on_bytes = giveBytes }
        var response = chc_response()
        defer { chc_response_clear(&response) }
        let body = request.body ?? []
        native.has_body = request.body != nil
        lines.withUnsafeMutableBufferPointer { lines in
            native.headers = lines.baseAddress.map { UnsafePointer($0) }
            native.header_count = lines.count
            body.withUnsafeBytes { bytes in
                native.body = bytes.baseAddress
                native.body_length = bytes.count
                chc_perform(client, &native, &response)
            }
        }
        withExtendedLifetime(callbacks) {}
        let outcome = UInt32(response.outcome)
        // A consumer that has heard enough isn't an error; someone else's cancellation is.
        guard outcome == CHC_OK.rawValue || (outcome == CHC_CANCELLED.rawValue && callbacks.consumerStopped) else {
            throw HTTPClientError(
                code: HTTPClient.code(outcome), detail: withUnsafeBytes(of: response.detail, HTTPClient.text))
        }
        return HTTPClientResponse(
            status: response.status,
            headers: HTTPClient.headers(
                UnsafeRawBufferPointer(start: response.headers, count: response.headers_length)),
            body: response.body == nil
                ? [] : [UInt8](UnsafeRawBufferPointer(start: response.body, count: response.body_length)),
            roundTripSeconds: response.round_trip_us > 0 ? Double(response.round_trip_us) / 1e6 : nil)
    }

    private static func check(_ request: HTTPClientRequest) throws(HTTPClientError) {
        // A line break in a header or method would begin a header (or a request) of its own.
        for text in request.headers.flatMap({ [$0.0, $0.1] }) + [request.method, request.url]
        where text.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) {
            throw HTTPClientError(code: .invalidRequest, detail: "a control character in the method, URL or a header")
        }
        guard !request.method.isEmpty else { throw HTTPClientError(code: .invalidRequest, detail: "no method") }
    }

    private static func code(_ outcome: UInt32) -> HTTPClientError.Code {
        switch outcome {
        case CHC_INVALID_REQUEST.rawValue: .invalidRequest
        case CHC_COULD_NOT_RESOLVE.rawValue: .couldNotResolve
        case CHC_COULD_NOT_CONNECT.rawValue: .couldNotConnect
        case CHC_TIMED_OUT.rawValue: .timedOut
        case CHC_CLOSED.rawValue: .closed
        case CHC_TOO_LARGE.rawValue: .tooLarge
        case CHC_TLS.rawValue: .tls
        case CHC_HANDSHAKE.rawValue: .handshake
        case CHC_CANCELLED.rawValue: .cancelled
        case CHC_BAD_ANSWER.rawValue: .badAnswer
        case CHC_ADDRESS_REFUSED.rawValue: .addressRefused
        default: .other
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func headers(_ bytes: UnsafeRawBufferPointer) -> [(name: String, value: String)] {
        bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
            let value = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
            let end = value.lastIndex { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }.map { $0 + 1 } ?? value.startIndex
            return (
                String(decoding: line[..<colon], as: UTF8.self).lowercased(),
                String(decoding: value[..<end], as: UTF8.self)
            )
        }
    }
}
