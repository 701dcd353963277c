// `map {tiles, attribution}` of relay.json5 and central.json5: a station's own tile server. Without it the pages draw
// the packaged coastline, and nothing they show comes from another machine.

package import Configuration
import Models

package struct MapSettings: Sendable, Equatable {
    /// `https://tiles.station.example/{z}/{x}/{y}.png`
    package let tiles: String
    package let attribution: String
    /// Scheme, host and port of `tiles`: what the Content-Security-Policy lets pictures come from.
    package let origin: String

    private static let attributionCharacters = 200

    /// Nil where no tile server is named.
    package static func read(
        _ reader: inout ConfigurationReader
    ) throws(ConfigurationError) -> MapSettings? {
        var section = try reader.object("map")
        let tiles = try section.string("tiles")
        let attribution = try section.string("attribution") ?? ""
        try section.finish()
        guard let tiles else { return nil }
        guard let origin = origin(of: tiles), ["{z}", "{x}", "{y}"].allSatisfy({ tiles.contains($0) }) else {
            throw ConfigurationError(
                key: "map.tiles", problem: "must be like https://tiles.station.example/{z}/{x}/{y}.png")
        }
        guard attribution.unicodeScalars.count <= attributionCharacters else {
            throw ConfigurationError(key: "map.attribution", problem: "has at most 200 characters")
        }
        return MapSettings(tiles: tiles, attribution: attribution, origin: origin)
    }

    /// It stands in a header: letters, digits and what a host and port consist of, nothing else.
    private static func origin(of url: String) -> String? {
        for scheme in ["https://", "http://"] where url.hasPrefix(scheme) {
            let host = url.dropFirst(scheme.count).prefix { $0 != "/" }
            let isPlain = host.utf8.allSatisfy { byte in
                byte < 0x80 && (Character(UnicodeScalar(byte)).isLetter || Character(UnicodeScalar(byte)).isNumber)
                    || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]")]
                        .contains(byte)
            }
            return isPlain && !host.isEmpty ? scheme + host : nil
        }
        return nil
    }

    /// `/pages/settings.json`: `{"map": {"url", "attribution"} or null}`.
    static func json(_ map: MapSettings?) -> [UInt8] {
        var output: [UInt8] = Array(#"{"map":"#.utf8)
        if let map {
            output += #"{"url":"#.utf8
            JSONText.appendString(map.tiles, to: &output)
            output += #","attribution":"#.utf8
            JSONText.appendString(map.attribution, to: &output)
            output += "}".utf8
        } else {
            output += "null".utf8
        }
        return output + "}\n".utf8
    }
}
