// The reference client's connection: one keep-alive HTTP connection per relay, on libcurl.
import HTTPClient

package struct HTTPTransport: Transport {
    private static let connectTimeoutSeconds = 5.0

    private let client = HTTPClient()

    package init() {}

    package func exchange(_ request: TransportRequest) throws(TransportFailure) -> TransportResponse {
        let response: HTTPClientResponse
        do {
            response = try client.perform(
                HTTPClientRequest(
                    method: request.method, url: request.url, headers: request.headers,
                    body: request.method == "GET" ? nil : request.body, timeoutSeconds: request.timeoutSeconds,
                    connectTimeoutSeconds: Self.connectTimeoutSeconds, maxResponseBytes: request.maxResponseBytes))
        } catch {
            throw TransportFailure(reason: error.detail.isEmpty ? error.code.rawValue : error.detail)
        }
        return TransportResponse(
            status: response.status,
            headers: Dictionary(response.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            body: response.body)
    }
}
