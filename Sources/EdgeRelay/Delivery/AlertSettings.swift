// `alerts {webhooks, mqtt, cot}` of relay.json5 (contract §8): where alerts go besides the relay's own list and stream.

package import Configuration
import HTTPClient
package import Models

/// What every target has, whatever its kind.
package struct TargetSettings: Sendable, Equatable {
    /// In metrics, logs, `deliveries` and rules' `channels`.
    package var name: String
    package var kind: ChannelKind
    package var minSeverity = AlertSeverity.info
    /// Whether the citizen's name goes out: an officer must know who, a chat group need not.
    package var includeNames = true
}

package struct WebhookSettings: Sendable, Equatable {
    package var target: TargetSettings
    package var url: TargetURL
    /// Bytes of the file are the HMAC's key; nil: not signed.
    package var secretFile: String?
    package var allowPrivate = false
    /// PEM of authorities to trust instead of the system's.
    package var authoritiesFile: String?
}

package struct MQTTSettings: Sendable, Equatable {
    package var target: TargetSettings
    package var url: TargetURL
    /// nil: `columba/<relay_id>/alerts`.
    package var topic: String?
    /// nil: `columba-<relay_id>`.
    package var clientID: String?
    package var user: String?
    package var passwordFile: String?
    package var authoritiesFile: String?
    package var certificateFile: String?
    package var keyFile: String?
}

package struct CursorOnTargetSettings: Sendable, Equatable {
    package var target: TargetSettings
    package var url: TargetURL
    /// After which a map forgets the event.
    package var staleSeconds = 3600.0
    /// Hops that multicast datagrams may take.
    package var multicastHops = 1
    package var types: [AlertSeverity: String] = [:]
}

package struct AlertSettings: Sendable, Equatable {
    /// Of one kind (I7: each has a thread and a queue).
    package static let maxTargets = 32

    package var webhooks: [WebhookSettings] = []
    package var mqtt: [MQTTSettings] = []
    package var cot: [CursorOnTargetSettings] = []
    package var foldSeconds = AlertBook.defaultFoldSeconds
    package var stormPerSecond = StormLimit.defaultPerSecond
    package var stormBurst = StormLimit.defaultBurst

    package init() {}

    package var targets: [TargetSettings] { webhooks.map(\.target) + mqtt.map(\.target) + cot.map(\.target) }
}

extension AlertSettings {
    /// - Parameter directory: what relative file names start from: the configuration file's folder.
    package static func read(
        _ section: ConfigurationReader, relativeTo directory: String
    ) throws(ConfigurationError) -> AlertSettings {
        var section = section
        var settings = AlertSettings()
        settings.foldSeconds = try section.number("fold_s", in: 0...86_400) ?? settings.foldSeconds
        settings.stormPerSecond = try section.number("storm_per_s", in: 0.01...10_000) ?? settings.stormPerSecond
        settings.stormBurst = try section.number("storm_burst", in: 1...1_000_000) ?? settings.stormBurst
        for (var reader, name) in try readers(&section, "webhooks", .webhook) {
            settings.webhooks.append(try webhook(&reader, name, directory))
        }
        for (var reader, name) in try readers(&section, "mqtt", .mqtt) {
            settings.mqtt.append(try mqtt(&reader, name, directory))
        }
        for (var reader, name) in try readers(&section, "cot", .cot) {
            settings.cot.append(try cursorOnTarget(&reader, name))
        }
        try section.finish()
        var names: Set<String> = []
        for target in settings.targets where !names.insert(target.name).inserted {
            throw ConfigurationError(key: section.path, problem: "two targets have the name \(target.name)")
        }
        return settings
    }

    /// A list of objects, or one object; with the name that a target has if it is given none.
    private static func readers(
        _ section: inout ConfigurationReader, _ key: String, _ kind: ChannelKind
    ) throws(ConfigurationError) -> [(ConfigurationReader, TargetSettings)] {
        guard let node = section.node(key) else { return [] }
        let path = section.keyPath(key)
        let nodes: [ConfigurationNode]
        var isList = false
        if case .array(let elements) = node {
            nodes = elements
            isList = true
        } else {
            nodes = [node]
        }
        guard nodes.count <= maxTargets else {
            throw ConfigurationError(key: path, problem: "\(nodes.count) targets; at most \(maxTargets)")
        }
        var readers: [(ConfigurationReader, TargetSettings)] = []
        for (index, node) in nodes.enumerated() {
            var reader = try ConfigurationReader(node, path: isList ? "\(path)[\(index)]" : path)
            let name = try reader.string("name") ?? "\(kind.rawValue)-\(index)"
            guard Identifier.isValidDroneID(name) else {
                throw ConfigurationError(key: reader.keyPath("name"), problem: "must be 1…64 of A-Z a-z 0-9 . _ -")
            }
            var target = TargetSettings(name: name, kind: kind)
            if let text = try reader.string("min_severity") {
                guard let severity = AlertSeverity(rawValue: text) else {
                    throw ConfigurationError(
                        key: reader.keyPath("min_severity"), problem: "must be info, warning or critical")
                }
                target.minSeverity = severity
            }
            target.includeNames = try reader.bool("include_names") ?? true
            readers.append((reader, target))
        }
        return readers
    }

    private static func webhook(
        _ reader: inout ConfigurationReader, _ target: TargetSettings, _ directory: String
    ) throws(ConfigurationError) -> WebhookSettings {
        let url = try TargetURL(reader.requiredString("url"), key: reader.keyPath("url"), schemes: ["https", "http"])
        var webhook = WebhookSettings(target: target, url: url)
        webhook.secretFile = try file("secret_file", &reader, directory)
        webhook.authoritiesFile = try file("ca_file", &reader, directory)
        webhook.allowPrivate = try reader.bool("allow_private") ?? false
        try requireSecure(url, &reader, secure: "https://")
        try reader.finish()
        if let kind = url.literalAddress, kind == .special, !webhook.allowPrivate {
            throw ConfigurationError(
                key: reader.keyPath("url"),
                problem: "is a private, link-local or reserved address; say allow_private: true if you mean it")
        }
        return webhook
    }

    private static func mqtt(
        _ reader: inout ConfigurationReader, _ target: TargetSettings, _ directory: String
    ) throws(ConfigurationError) -> MQTTSettings {
        let url = try TargetURL(reader.requiredString("url"), key: reader.keyPath("url"), schemes: ["mqtts", "mqtt"])
        var mqtt = MQTTSettings(target: target, url: url)
        mqtt.topic = try reader.string("topic")
        if let topic = mqtt.topic,
            topic.isEmpty || topic.utf8.count > 1_024 || topic.contains(where: { "+#\0".contains($0) })
        {
            throw ConfigurationError(
                key: reader.keyPath("topic"), problem: "must be 1…1024 bytes without the wildcards + and #")
        }
        mqtt.clientID = try reader.string("client_id")
        mqtt.user = try reader.string("user")
        mqtt.passwordFile = try file("password_file", &reader, directory)
        mqtt.authoritiesFile = try file("ca_file", &reader, directory)
        mqtt.certificateFile = try file("cert_file", &reader, directory)
        mqtt.keyFile = try file("key_file", &reader, directory)
        try requireSecure(url, &reader, secure: "mqtts://")
        try reader.finish()
        guard (mqtt.certificateFile == nil) == (mqtt.keyFile == nil) else {
            throw ConfigurationError(key: reader.path, problem: "cert_file and key_file go together")
        }
        return mqtt
    }

    private static func cursorOnTarget(
        _ reader: inout ConfigurationReader, _ target: TargetSettings
    ) throws(ConfigurationError) -> CursorOnTargetSettings {
        let url = try TargetURL(reader.requiredString("url"), key: reader.keyPath("url"), schemes: ["udp", "tcp"])
        var cot = CursorOnTargetSettings(target: target, url: url)
        cot.staleSeconds = try reader.number("stale_s", in: 1...31_536_000) ?? cot.staleSeconds
        cot.multicastHops = try reader.integer("multicast_hops", in: 1...255) ?? cot.multicastHops
        var types = try reader.object("types")
        for severity in AlertSeverity.allCases {
            guard let type = try types.string(severity.rawValue) else { continue }
            guard type.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) || (0x41...0x7A).contains($0) }),
                (1...64).contains(type.utf8.count)
            else {
                throw ConfigurationError(key: types.keyPath(severity.rawValue), problem: "is no CoT type, such as b-a")
            }
            cot.types[severity] = type
        }
        try types.finish()
        try reader.finish()
        return cot
    }

    private static func file(
        _ key: String, _ reader: inout ConfigurationReader, _ directory: String
    ) throws(ConfigurationError) -> String? {
        try reader.string(key).map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
    }

    /// Alerts name people: they cross a network in the clear only where that is said in so many words.
    private static func requireSecure(
        _ url: TargetURL, _ reader: inout ConfigurationReader, secure: String
    ) throws(ConfigurationError) {
        let isAllowed = try reader.bool("allow_plaintext") ?? false
        guard !url.isPlaintext || url.isLoopback || isAllowed else {
            throw ConfigurationError(
                key: reader.keyPath("url"),
                problem: "must be \(secure)…, except on loopback; say allow_plaintext: true if you mean it")
        }
    }
}
