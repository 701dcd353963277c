// The one thing the reference client needs from HTTP: ask, and get an answer or the reason why there is none. A
// protocol, so that tests can lose answers, refuse and delay without a network.

package struct TransportRequest: Sendable {
    package var method: String
    package var url: String
    package var headers: [(String, String)]
    package var body: [UInt8]
    package var timeoutSeconds: Double
    package var maxResponseBytes: Int
    /// The drone that speaks: over TLS each has a certificate of its own.
    package var droneID: String?

    package init(
        _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8] = [],
        timeoutSeconds: Double = 30, maxResponseBytes: Int = 16 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeoutSeconds = timeoutSeconds
        self.maxResponseBytes = maxResponseBytes
    }
}

package struct TransportResponse: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: [UInt8]

    package init(status: Int, headers: [String: String] = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// `Retry-After` in seconds; nil if absent or a date (relays send seconds).
    package var retryAfterSeconds: Double? {
        headers["retry-after"].flatMap(Double.init).flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }
}

/// No answer came: nothing is known about what the other side did.
package struct TransportFailure: Error, Sendable {
    package let reason: String

    package init(reason: String) { self.reason = reason }
}

/// One connection: used by one thread at a time.
package protocol Transport {
    func exchange(_ request: TransportRequest) throws(TransportFailure) -> TransportResponse
}
