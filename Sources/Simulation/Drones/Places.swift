// Where simulated drones fly: cities in two regions, one station each.
import Glibc

package struct GeoPoint: Hashable, Sendable {
    package var latitude: Double
    package var longitude: Double

    package init(latitude: Double, longitude: Double) {
        self.latitude = latitude
        self.longitude = longitude
    }

    /// Great-circle distance by the haversine formula on a sphere of 6,371 km: good to 0.5 %.
    package func metres(to other: GeoPoint) -> Double {
        let radians = Double.pi / 180
        let halfLatitude = sin((other.latitude - latitude) * radians / 2)
        let halfLongitude = sin((other.longitude - longitude) * radians / 2)
        let chord =
            halfLatitude * halfLatitude
            + cos(latitude * radians) * cos(other.latitude * radians) * halfLongitude * halfLongitude
        return 2 * 6_371_000 * asin(min(1, chord.squareRoot()))
    }

    /// The direction in which `other` lies, 0…360, clockwise from north; flat-earth, for distances within a city.
    package func headingDegrees(to other: GeoPoint) -> Double {
        let east = (other.longitude - longitude) * cos(latitude * .pi / 180)
        let degrees = atan2(east, other.latitude - latitude) * 180 / .pi
        return degrees < 0 ? degrees + 360 : degrees
    }

    /// The point `metres` away in the direction of `heading`; flat-earth, for distances within a city.
    package func moved(metres: Double, headingDegrees: Double) -> GeoPoint {
        let radians = headingDegrees * .pi / 180
        let north = metres * cos(radians) / 111_320
        let east = metres * sin(radians) / (111_320 * max(cos(latitude * .pi / 180), 0.01))
        return GeoPoint(latitude: latitude + north, longitude: longitude + east)
    }
}

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
