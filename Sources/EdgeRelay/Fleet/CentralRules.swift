// The rule set that central put, as this relay keeps it: `rules-from-central.json5` in the data directory, byte for
// byte, and `settings-from-central.json` for the settings that go with it. Written only after the same checks as the
// relay's own file; the last good one stays through restarts, whatever central says meanwhile or cannot say.
//
// Of the relay's own file and central's the one with the higher version is in force; with equal ones the own file.

package import AlertRules
package import Configuration
import FoundationEssentials
package import SyncProtocol
import System

package struct CentralRules: Sendable, Equatable {
    package var message: RulesMessage
    package var rules: RuleSet

    private static func rulesPath(_ directory: String) -> String { "\(directory)/rules-from-central.json5" }
    private static func settingsPath(_ directory: String) -> String { "\(directory)/settings-from-central.json" }

    private struct StoredSettings: Codable {
        var version: Int
        var settings: RelaySettings
    }

    /// Checks a set as the relay's own file is checked.
    package init(
        checking message: RulesMessage, targets: Set<String>, limits: RelayConfiguration.Limits
    ) throws(ConfigurationError) {
        guard message.rules.utf8.count <= SyncLimits.rulesBytes else {
            throw ConfigurationError(key: "rules", problem: "more than \(SyncLimits.rulesBytes) bytes")
        }
        let rules = try RuleFile.parse(json5: Array(message.rules.utf8), targets: targets)
        guard rules.version == message.version, rules.version > 0 else {
            throw ConfigurationError(
                key: "version", problem: "is \(rules.version) in the file and \(message.version) in the message")
        }
        if let settings = message.settings { _ = try limits.changed(by: settings) }
        self.message = message
        self.rules = rules
    }

    /// The last good set; nil where there is none that this relay could use.
    package static func load(
        _ directory: String, targets: Set<String>, limits: RelayConfiguration.Limits
    ) -> CentralRules? {
        guard FileSystem.exists(rulesPath(directory)), let text = try? FileSystem.read(rulesPath(directory)),
            let version = try? RuleFile.parse(json5: text).version
        else { return nil }
        var message = RulesMessage(version: version, rules: String(decoding: text, as: UTF8.self))
        if let bytes = try? FileSystem.read(settingsPath(directory)),
            let stored = try? JSONDecoder().decode(StoredSettings.self, from: Data(bytes)), stored.version == version
        {
            message.settings = stored.settings
        }
        return try? CentralRules(checking: message, targets: targets, limits: limits)
    }

    /// The settings first: without the rules of the same version they mean nothing.
    package func save(_ directory: String) throws {
        let settings = Self.settingsPath(directory)
        if let chosen = message.settings {
            let stored = StoredSettings(version: message.version, settings: chosen)
            try FileSystem.writeAtomically(settings, [UInt8](try JSONEncoder().encode(stored)))
        }
        try FileSystem.writeAtomically(Self.rulesPath(directory), Array(message.rules.utf8))
        if message.settings == nil, FileSystem.exists(settings) { try FileSystem.remove(settings) }
    }
}

extension RelayConfiguration.Limits {
    /// These limits with central's in their place; only those that a reload can change.
    func changed(by settings: RelaySettings) throws(ConfigurationError) -> Self {
        var section = try ConfigurationReader(
            .object(settings.limits.mapValues { .number($0) }), path: "settings.limits")
        let changed = try Self.read(&section, over: self)
        if let key = changed.needsRestart(from: self).first {
            throw ConfigurationError(
                key: "settings.\(key)", problem: "takes a restart; it can only be set in the relay's own file")
        }
        return changed
    }
}

extension RelayConfiguration {
    func with(_ limits: Limits) -> RelayConfiguration {
        var configuration = self
        configuration.limits = limits
        return configuration
    }
}
