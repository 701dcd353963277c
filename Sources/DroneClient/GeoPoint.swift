// A place on the globe, as far as choosing the nearest relay needs it.
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
