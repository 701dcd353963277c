// An alert as an HTTPS POST, signed. docs/relay/alerts.md shows receivers how to verify.
//
//   Columba-Timestamp: 1795150800
//   Columba-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>
//
// The time is that of the try, so that a receiver can refuse what was recorded and is played again.

import Crypto
import HTTPClient
import JSON
import Models
import System

struct WebhookChannel: AlertChannel {
    private static let maxAnswerBytes = 64 << 10

    private let settings: WebhookSettings
    private let key: HMACSHA256?
    private let time: any TimeSource
    private let client = HTTPClient()

    init(_ settings: WebhookSettings, key: HMACSHA256?, time: any TimeSource) {
        self.settings = settings
        self.key = key
        self.time = time
    }

    mutating func send(_ alert: Alert, tries: Int, isCancelled: @escaping () -> Bool) throws(DeliveryFailure) {
        let body = alert.json()
        let timestamp = String(time.wallMicroseconds() / 1_000_000)
        var headers = [
            ("Content-Type", "application/json"), ("User-Agent", "columba-relay/\(EdgeRelayService.version)"),
            ("Columba-Alert-Id", alert.alertID), ("Columba-Try", String(tries)), ("Columba-Timestamp", timestamp),
        ]
        if let key {
            headers.append(("Columba-Signature", "sha256=\(key.authenticate(Array("\(timestamp).".utf8) + body).hex)"))
        }
        var request = HTTPClientRequest(
            method: "POST", url: settings.url.text, headers: headers, body: body, timeoutSeconds: Self.deadlineSeconds,
            connectTimeoutSeconds: Self.deadlineSeconds, maxResponseBytes: Self.maxAnswerBytes)
        request.addresses = settings.allowPrivate ? .any : settings.url.isLoopback ? .loopbackOnly : .publicOnly
        if let file = settings.authoritiesFile { request.tls = HTTPClientTLS(authoritiesFile: file) }
        let response: HTTPClientResponse
        do throws(HTTPClientError) {
            response = try client.perform(request, isCancelled: isCancelled)
        } catch {
            throw Self.failure(error)
        }
        guard (200..<300).contains(response.status) else { throw Self.failure(response) }
    }

    private static func failure(_ error: HTTPClientError) -> DeliveryFailure {
        switch error.code {
        case .couldNotResolve: DeliveryFailure("the host's name could not be resolved")
        case .couldNotConnect: DeliveryFailure("no connection")
        case .timedOut: DeliveryFailure("no answer within \(Int(deadlineSeconds)) s")
        case .tls, .handshake: DeliveryFailure("TLS failed")
        case .closed: DeliveryFailure("the connection was closed before the answer")
        case .addressRefused: DeliveryFailure("the host's address is private or reserved; see allow_private")
        case .badAnswer, .tooLarge: DeliveryFailure("the answer is not usable HTTP")
        case .cancelled, .invalidRequest, .other: DeliveryFailure(error.code.rawValue)
        }
    }

    private static func failure(_ response: HTTPClientResponse) -> DeliveryFailure {
        let status = response.status
        let retryAfter = response.header("retry-after").flatMap(Double.init)
        switch status {
        case 300..<400: return DeliveryFailure("answered \(status): redirects are not followed")
        // What is wrong with one alert need not be wrong with the next.
        case 400, 413, 415, 422: return DeliveryFailure("answered \(status)", scope: .message)
        default: return DeliveryFailure("answered \(status)", retryAfterSeconds: retryAfter)
        }
    }
}
