// Geohash (Gustavo Niemeyer, 2008): the archive's `cell`. Neighbouring places share prefixes; 7 characters are about
// 153 m × 153 m at the equator.

package enum Geohash {
    private static let alphabet: StaticString = "0123456789bcdefghjkmnpqrstuvwxyz"
    package static let cellCharacters = 7
    package static let maxCharacters = 12

    package static func encode(latitude: Double, longitude: Double, length: Int = cellCharacters) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        append(latitude: latitude, longitude: longitude, length: length, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Places outside −90…90 and −180…180 fall into the outermost cells.
    package static func append(
        latitude: Double, longitude: Double, length: Int = cellCharacters, to output: inout [UInt8]
    ) {
        precondition((1...maxCharacters).contains(length), "a geohash has 1 to 12 characters")
        precondition(latitude.isFinite && longitude.isFinite, "a place is made of finite numbers")
        var south = -90.0
        var north = 90.0
        var west = -180.0
        var east = 180.0
        var isLongitude = true
        for _ in 0..<length {
            var index = 0
            for _ in 0..<5 {
                index <<= 1
                if isLongitude {
                    let middle = (west + east) / 2
                    if longitude >= middle {
                        index |= 1
                        west = middle
                    } else {
                        east = middle
                    }
                } else {
                    let middle = (south + north) / 2
                    if latitude >= middle {
                        index |= 1
                        south = middle
                    } else {
                        north = middle
                    }
                }
                isLongitude.toggle()
            }
            alphabet.withUTF8Buffer { output.append($0[index]) }
        }
    }
}
