// Asks a relay where it stands, so that drones can choose the nearest one.
import DroneClient
import Simulation

enum RelayDirectory {
    private static let timeoutSeconds = 3.0

    /// A relay that does not answer, or does not say, has no position: it then counts as the farthest.
    /// - Parameter droneID: who asks; over TLS a drone's certificate is shown.
    static func endpoint(url: String, transport: any Transport, droneID: String? = nil) -> RelayEndpoint {
        var request = TransportRequest("GET", url + "/v1/status", timeoutSeconds: timeoutSeconds)
        request.droneID = droneID
        guard let response = try? transport.exchange(request), response.status == 200,
            let position = try? OrderedJSON.parse(response.body)["position"],
            let latitude = position["lat"]?.doubleValue, let longitude = position["lon"]?.doubleValue
        else { return RelayEndpoint(url: url, position: nil) }
        return RelayEndpoint(url: url, position: GeoPoint(latitude: latitude, longitude: longitude))
    }
}
