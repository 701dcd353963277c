// Where simulated drones fly: cities in two regions, one station each.
package import DroneClient

package struct Region: Sendable {
    package let name: String
    /// Where the region's relay stands.
    package let station: GeoPoint
    package let cities: [GeoPoint]

    package static let all = [
        Region(
            name: "north", station: GeoPoint(latitude: 59.3293, longitude: 18.0686),
            cities: [
                GeoPoint(latitude: 59.3293, longitude: 18.0686), GeoPoint(latitude: 59.9139, longitude: 10.7522),
                GeoPoint(latitude: 60.1699, longitude: 24.9384), GeoPoint(latitude: 55.6761, longitude: 12.5683),
                GeoPoint(latitude: 56.9496, longitude: 24.1052), GeoPoint(latitude: 63.4305, longitude: 10.3951),
            ]),
        Region(
            name: "south", station: GeoPoint(latitude: 41.9028, longitude: 12.4964),
            cities: [
                GeoPoint(latitude: 41.9028, longitude: 12.4964), GeoPoint(latitude: 40.4168, longitude: -3.7038),
                GeoPoint(latitude: 38.7223, longitude: -9.1393), GeoPoint(latitude: 37.9838, longitude: 23.7275),
                GeoPoint(latitude: 43.2965, longitude: 5.3698), GeoPoint(latitude: 40.8518, longitude: 14.2681),
            ]),
    ]
}
