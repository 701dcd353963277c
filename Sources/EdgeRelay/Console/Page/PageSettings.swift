// What relay.json5 says about the console: `map {tiles, attribution}` and `console {expected_drones, silent_s}`.

import Configuration
package import PageFiles

package struct PageSettings: Sendable, Equatable {
    package var map: MapSettings?
    /// How many drones the station has; 0: as many as were heard.
    package var expectedDrones = 0
    /// A drone that has been silent for longer is shown as a ghost.
    package var silentSeconds = 180.0

    package init() {}

    static func read(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> PageSettings {
        var settings = PageSettings()
        settings.map = try MapSettings.read(&reader)
        var section = try reader.object("console")
        settings.expectedDrones = try section.integer("expected_drones", in: 0...1_000_000) ?? 0
        settings.silentSeconds = try section.number("silent_s", in: 5...86_400) ?? settings.silentSeconds
        try section.finish()
        return settings
    }
}
