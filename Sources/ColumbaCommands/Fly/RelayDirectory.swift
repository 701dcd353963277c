// Asks a relay where it stands, so that drones can choose the nearest one.
import Simulation

enum RelayDirectory {
    private static let timeoutSeconds = 3.0

    /// A relay that does not answer, or does not say, has no position: it then counts as the farthest.
    static func endpoint(url: String, transport: any Transport) -> RelayEndpoint {
        let request = TransportRequest("GET", url + "/v1/status", timeoutSeconds: timeoutSeconds)
        guard let response = try? transport.exchange(request), response.status == 200,
            let position = try? OrderedJSON.parse(response.body)["position"],
            let latitude = position["lat"]?.doubleValue, let longitude = position["lon"]?.doubleValue
        else { return RelayEndpoint(url: url, position: nil) }
        return RelayEndpoint(url: url, position: GeoPoint(latitude: latitude, longitude: longitude))
    }
}
