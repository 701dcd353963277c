// relay.json5 as a value: every key of contract §8 that a relay knows, with its default, unit and limits.

package import AlertRules
package import Configuration
package import Identity
import Models
import System

package struct RelayConfiguration: Sendable, Equatable {
    package var relayID: String
    package var latitude: Double?
    package var longitude: Double?
    package var listen: ListenAddress
    package var consoleListen: ListenAddress?
    package var dataDirectory: String
    package var rulesPath: String?
    package var central: [String] = []
    package var buffer = Buffer()
    package var forward = Forward()
    package var limits = Limits()
    package var alerts = AlertSettings()
    package var mqtt = MQTT()
    package var page = PageSettings()
    package var tls: TLSConfiguration?
}

extension RelayConfiguration {
    /// Reads relay.json5. A relative `data_dir` or `rules` is taken from the configuration file's folder.
    package static func load(
        path: String, environment: [String: String]
    ) throws -> RelayConfiguration {
        let node = try ConfigurationNode.parse(json5: try FileSystem.read(path))
        return try parse(node, environment: environment, relativeTo: try FileSystem.folder(of: path))
    }

    /// The rules in force; none where no file is named.
    package func loadRules() throws -> RuleSet {
        guard let rulesPath else { return .empty }
        do {
            let bytes = try FileSystem.read(rulesPath)
            return try RuleFile.parse(json5: bytes, targets: Set(alerts.targets.map(\.name)))
        } catch let error as ConfigurationError {
            let place = error.place.map { ":\($0.line):\($0.column)" } ?? ""
            throw ConfigurationError(key: "\(rulesPath)\(place): \(error.key)", problem: error.problem)
        }
    }

    package static func parse(
        _ node: ConfigurationNode, environment: [String: String], relativeTo directory: String
    ) throws(ConfigurationError) -> RelayConfiguration {
        var reader = try ConfigurationReader(node, environment: environment)
        let relayID = try reader.requiredString("relay_id")
        guard Identifier.isValidRelayID(relayID) else {
            throw ConfigurationError(key: "relay_id", problem: "must be 1…64 of A-Z a-z 0-9 . _ -")
        }
        var configuration = RelayConfiguration(
            relayID: relayID,
            listen: try ListenAddress(reader.requiredString("listen"), key: "listen"),
            dataDirectory: absolute(try reader.requiredString("data_dir"), relativeTo: directory))
        if let console = try reader.string("console_listen") {
            configuration.consoleListen = try ListenAddress(console, key: "console_listen")
        }
        configuration.rulesPath = try reader.string("rules").map { absolute($0, relativeTo: directory) }
        configuration.central = try centralURLs(reader.strings("central") ?? [])
        if reader.has("position") {
            var position = try reader.object("position")
            configuration.latitude = try position.number("lat", in: -90...90)
            configuration.longitude = try position.number("lon", in: -180...180)
            try position.finish()
        } else {
            _ = reader.node("position")
        }
        try configuration.readSections(&reader)
        configuration.alerts = try .read(reader.object("alerts"), relativeTo: directory)
        configuration.mqtt = try MQTT.read(&reader)
        configuration.page = try PageSettings.read(&reader)
        configuration.tls = try readTLS(&reader, relativeTo: directory)
        try reader.finish()
        try configuration.checkTLS()
        return configuration
    }

    private mutating func readSections(_ reader: inout ConfigurationReader) throws(ConfigurationError) {
        buffer = try Buffer.read(&reader, isStandAlone: central.isEmpty)
        forward = try Forward.read(&reader)
        var section = try reader.object("limits")
        limits = try Limits.read(&section)
    }

    private static func centralURLs(_ urls: [String]) throws(ConfigurationError) -> [String] {
        var trimmed: [String] = []
        for (index, url) in urls.enumerated() {
            let key = "central[\(index)]"
            guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
                throw ConfigurationError(key: key, problem: "must start with http:// or https://")
            }
            trimmed.append(url.hasSuffix("/") ? String(url.dropLast()) : url)
        }
        return trimmed
    }

    private static func absolute(_ path: String, relativeTo directory: String) -> String {
        path.hasPrefix("/") ? path : "\(directory)/\(path)"
    }
}
