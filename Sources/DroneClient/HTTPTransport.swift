// The reference client's connection: one keep-alive HTTP connection per relay, on libcurl. Over TLS each drone has its
// own, because the certificate belongs to the connection.
package import HTTPClient

package struct HTTPTransport: Transport {
    private static let connectTimeoutSeconds = 5.0

    private final class Clients {
        /// By drone; "" is for everyone without a certificate of their own.
        var byDrone: [String: HTTPClient] = [:]
    }

    private let clients = Clients()
    private let tls: HTTPClientTLS?
    private let droneDirectory: String?

    /// - Parameter droneDirectory: holds a folder per drone as `columba enroll` makes it.
    package init(tls: HTTPClientTLS? = nil, droneDirectory: String? = nil) {
        self.tls = tls
        self.droneDirectory = droneDirectory
    }

    private func connection(for droneID: String?) -> (HTTPClient, HTTPClientTLS?) {
        let drone = droneDirectory == nil ? "" : droneID ?? ""
        let client = clients.byDrone[drone] ?? HTTPClient()
        clients.byDrone[drone] = client
        guard let droneDirectory, !drone.isEmpty else { return (client, tls) }
        let pair = "\(droneDirectory)/\(drone)/identity.pem"
        return (
            client,
            HTTPClientTLS(
                authoritiesFile: tls?.authoritiesFile ?? "\(droneDirectory)/\(drone)/ca.pem", certificateFile: pair,
                keyFile: pair)
        )
    }

    package func exchange(_ request: TransportRequest) throws(TransportFailure) -> TransportResponse {
        let response: HTTPClientResponse
        let (client, tls) = connection(for: request.droneID)
        do {
            response = try client.perform(
                HTTPClientRequest(
                    method: request.method, url: request.url, headers: request.headers,
                    body: request.method == "GET" ? nil : request.body, timeoutSeconds: request.timeoutSeconds,
                    connectTimeoutSeconds: Self.connectTimeoutSeconds, maxResponseBytes: request.maxResponseBytes,
                    tls: tls))
        } catch {
            throw TransportFailure(reason: error.detail.isEmpty ? error.code.rawValue : error.detail)
        }
        return TransportResponse(
            status: response.status,
            headers: Dictionary(response.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            body: response.body)
    }
}
