// The HTTP server of relay and central: libmicrohttpd's threads in, one `HTTPHandler` out.
//
// Made for a relay that answers each report only when it is on disk (I1): a handler takes the exchange, returns at
// once, and some other thread answers whole groups later. Connections wait suspended, which costs no thread.
// Limits (I7): connections, header bytes, body bytes per request and over all connections, pending bytes per stream,
// idle time; each is in `HTTPServerConfiguration` with what happens at it.
import CHTTPServer
import Synchronization
package import TLS

package struct HTTPServerConfiguration: Sendable {
    /// Numeric IPv4 or IPv6 address, or "localhost" (127.0.0.1).
    package var host: String
    /// 0: any free port; see `HTTPServer.port`.
    package var port: UInt16
    /// At least 2: with one thread libmicrohttpd's suspend and resume stalls.
    package var threads: Int
    /// Further connections wait in the kernel's queue until one closes.
    package var maxConnections: Int
    /// A connection silent for this long is closed. One whose handler is still at work is not silent.
    package var idleTimeoutSeconds: Int
    /// Room for a request's line and header; beyond it the answer is 431.
    package var headerMemoryBytes: Int
    /// Room for all bodies larger than 16 KiB together; beyond it the answer is 503.
    package var maxBodyBytesInFlight: Int
    /// A refused body up to this size is read and dropped, so that the client gets to read its answer.
    package var maxDrainedBytes: Int
    /// Slow senders, slow readers, connections per address.
    package var admission: HTTPAdmissionLimits
    /// A request with more header fields is 431; the header as a whole must fit `headerMemoryBytes`.
    package var maxHeaderFields: Int
    /// Path and query; beyond it the answer is 414.
    package var maxURIBytes: Int
    /// Between two looks at all connections for slow ones: how late a limit in seconds may take effect.
    package var watchMilliseconds: Int
    /// How long `stop()` waits for requests in flight.
    package var stopTimeoutSeconds: Int
    /// nil: plain HTTP.
    package var tls: ServerTLS?

    package init(
        host: String = "127.0.0.1", port: UInt16 = 0, threads: Int = 2, maxConnections: Int = 4096,
        idleTimeoutSeconds: Int = 60, headerMemoryBytes: Int = 16 << 10, maxBodyBytesInFlight: Int = 512 << 20,
        maxDrainedBytes: Int = 32 << 20, admission: HTTPAdmissionLimits = HTTPAdmissionLimits(),
        maxHeaderFields: Int = 64, maxURIBytes: Int = 4 << 10, watchMilliseconds: Int = 1000,
        stopTimeoutSeconds: Int = 10, tls: ServerTLS? = nil
    ) {
        self.host = host
        self.port = port
        self.threads = threads
        self.maxConnections = maxConnections
        self.idleTimeoutSeconds = idleTimeoutSeconds
        self.headerMemoryBytes = headerMemoryBytes
        self.maxBodyBytesInFlight = maxBodyBytesInFlight
        self.maxDrainedBytes = maxDrainedBytes
        self.admission = admission
        self.maxHeaderFields = maxHeaderFields
        self.maxURIBytes = maxURIBytes
        self.watchMilliseconds = watchMilliseconds
        self.stopTimeoutSeconds = stopTimeoutSeconds
        self.tls = tls
    }
}

package struct HTTPServerError: Error, CustomStringConvertible {
    /// What failed: "bind", "listen", "read the address", …
    package let operation: String
    package let address: String
    package let errno: Int32
    package let hint: String

    package var description: String { "cannot \(operation) \(address): error \(errno). \(hint)" }
}

package final class HTTPServer: Sendable {
    private let core: HTTPServerCore
    // Safety: set once before `init` returns; the C server does its own synchronization.
    private nonisolated(unsafe) let server: OpaquePointer
    private let stopTimeoutMilliseconds: UInt32
    private let stopped = Mutex<Bool>(false)

    /// The port really bound.
    package let port: UInt16
    /// No TLS.
    package let isPlain: Bool

    package init(_ configuration: HTTPServerConfiguration, handler: any HTTPHandler) throws(HTTPServerError) {
        precondition(configuration.threads >= 2, "libmicrohttpd's suspend and resume needs at least two threads")
        precondition(configuration.maxConnections >= configuration.threads, "each server thread needs a connection")
        let host = configuration.host == "localhost" ? "127.0.0.1" : configuration.host
        let core = HTTPServerCore(handler: handler, tls: configuration.tls)
        isPlain = configuration.tls == nil
        var settings = configuration.native
        let credentials = try configuration.tls.map(HTTPServerError.native)
        // The server keeps a reference of its own.
        defer { credentials.map(TLSCredentials.release) }
        settings.tls = credentials
        settings.admit_peer = admitPeer
        settings.handshake_refused = handshakeRefused
        settings.handshake_timeout_seconds = UInt32(configuration.tls?.handshakeTimeoutSeconds ?? 0)
        let context = Unmanaged.passRetained(core)
        settings.context = context.toOpaque()
        var errorNumber: Int32 = 0
        var operation: UnsafePointer<CChar>?
        let started = host.withCString { name in
            settings.host = name
            return chs_server_start(&settings, &errorNumber, &operation)
        }
        guard let started else {
            context.release()
            throw HTTPServerError(
                operation: operation.map { String(cString: $0) } ?? "start", address: "\(host):\(configuration.port)",
                errno: errorNumber, hint: HTTPServer.hint(errorNumber))
        }
        self.core = core
        server = started
        stopTimeoutMilliseconds = UInt32(configuration.stopTimeoutSeconds * 1000)
        port = chs_server_port(started)
    }

    deinit { stop() }

    /// Connections open now.
    package var connections: Int { stopped.withLock { $0 ? 0 : Int(chs_server_connections(server)) } }

    /// Connections open now, and those closed by the server since its start.
    package var counts: HTTPConnectionCounts {
        stopped.withLock { $0 ? HTTPConnectionCounts() : HTTPConnectionCounts(chs_server_counts(server)) }
    }

    /// From now on, for open connections too.
    package func update(maxConnections: Int, admission: HTTPAdmissionLimits) {
        var limits = admission.native(maxConnections: maxConnections)
        stopped.withLock { if !$0 { chs_server_set_limits(server, &limits) } }
    }

    /// Refuses new connections. Requests on open ones are still answered, with `Connection: close`.
    package func stopAccepting() {
        stopped.withLock { if !$0 { chs_server_stop_accepting(server) } }
    }

    /// Answers what is in flight, ends streams, closes all connections. Takes at most `stopTimeoutSeconds`. A request
    /// its handler has not answered by then leaves the server's threads behind: only the process's end stops those.
    package func stop() {
        let first = stopped.withLock { stopped in
            defer { stopped = true }
            if !stopped { chs_server_stop_accepting(server) }
            return !stopped
        }
        guard first else { return }
        core.finishStreams()
        guard chs_server_stop(server, stopTimeoutMilliseconds) else { return }
        chs_server_free(server)
        Unmanaged.passUnretained(core).release()
    }

    /// Connections from now on begin with these; open ones keep those they have. On an error nothing changes.
    package func replace(_ credentials: TLSCredentials) throws(TLSError) {
        precondition(core.tls != nil, "only a server that began with TLS can be given other credentials")
        let native = try credentials.makeNative()
        defer { TLSCredentials.release(native) }
        stopped.withLock { if !$0 { chs_server_set_tls(server, native) } }
    }

    /// Its clients are anonymous (enrolment).
    package var asksNoClientCertificate: Bool { core.tls?.credentials.clientAuthorities == nil }

    /// Asks `ServerTLS.admit` again about every open connection and closes those it refuses.
    package func recheckPeers() {
        stopped.withLock { if !$0 { chs_server_recheck_peers(server) } }
    }

    private static func hint(_ errorNumber: Int32) -> String {
        switch errorNumber {
        case 98: "The address is in use: stop the other program, or choose another port."
        case 99: "This machine doesn't have that address."
        case 13: "Ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE)."
        case 22: "The address must be a numeric IPv4 or IPv6 address, or localhost."
        default: "See errno(3)."
        }
    }
}

/// What the C callbacks reach through their context pointer; lives as long as the C server.
final class HTTPServerCore: Sendable {
    let handler: any HTTPHandler
    let tls: ServerTLS?
    private let streams = Mutex<(open: [ObjectIdentifier: HTTPResponseStream], closing: Bool)>(([:], false))

    init(handler: any HTTPHandler, tls: ServerTLS?) {
        self.handler = handler
        self.tls = tls
    }

    func opened(_ stream: HTTPResponseStream) {
        let closing = streams.withLock { streams in
            streams.open[ObjectIdentifier(stream)] = stream
            return streams.closing
        }
        if closing { stream.finish() }
    }

    func closed(_ stream: HTTPResponseStream) {
        _ = streams.withLock { $0.open.removeValue(forKey: ObjectIdentifier(stream)) }
    }

    /// After this no stream can be suspended, now or later: libmicrohttpd aborts when stopped with one that is.
    func finishStreams() {
        let open = streams.withLock { streams in
            streams.closing = true
            return streams.open.values.map { $0 }
        }
        for stream in open { stream.finish() }
    }
}

extension HTTPServerConfiguration {
    fileprivate var native: chs_configuration {
        var settings = chs_configuration()
        settings.port = port
        settings.threads = UInt32(threads)
        settings.limits = admission.native(maxConnections: maxConnections)
        settings.max_header_fields = UInt32(maxHeaderFields)
        settings.max_uri_bytes = maxURIBytes
        settings.watch_interval_ms = UInt32(watchMilliseconds)
        settings.is_plain = tls == nil
        settings.idle_timeout_seconds = UInt32(idleTimeoutSeconds)
        settings.header_memory_bytes = headerMemoryBytes
        settings.max_drained_bytes = maxDrainedBytes
        settings.max_body_bytes_in_flight = maxBodyBytesInFlight
        settings.admit = admitRequest
        settings.refuse_body = refuseBody
        settings.handle = handleRequest
        return settings
    }
}

func core(_ context: UnsafeMutableRawPointer?) -> HTTPServerCore {
    guard let context else { preconditionFailure("libmicrohttpd lost the server's context") }
    return Unmanaged<HTTPServerCore>.fromOpaque(context).takeUnretainedValue()
}

// Called by C on server threads, so these are nonisolated functions.

private func admitRequest(_ context: UnsafeMutableRawPointer?, _ exchange: OpaquePointer?) -> Int64 {
    guard let exchange else { preconditionFailure("admission without an exchange") }
    switch core(context).handler.admit(HTTPRequestHead(exchange)) {
    case .body(let limitBytes):
        precondition(limitBytes >= 0, "a body's limit is not negative")
        return Int64(limitBytes)
    case .refuse(let response):
        chs_exchange_refuse(exchange, UInt32(response.status), response.makeNative())
        return -1
    }
}

private func refuseBody(_ context: UnsafeMutableRawPointer?, _ exchange: OpaquePointer?, _ status: UInt32) {
    guard let exchange else { preconditionFailure("refusal without an exchange") }
    let handler = core(context).handler
    let head = HTTPRequestHead(exchange)
    let response =
        switch status {
        case 403: HTTPResponse.certificateRefused
        case 413: handler.bodyTooLarge(head)
        case 414, 431: HTTPResponse.headTooLarge(status: Int(status))
        case 503: handler.outOfRoom(head)
        default: handler.ambiguousFraming(head)
        }
    chs_exchange_refuse(exchange, UInt32(response.status), response.makeNative())
}

private func handleRequest(_ context: UnsafeMutableRawPointer?, _ exchange: OpaquePointer?) {
    guard let exchange else { preconditionFailure("a request without an exchange") }
    let core = core(context)
    core.handler.handle(HTTPExchange(exchange, core: core))
}
