// From settings to channels: reads the secrets they name, so that a file that is missing is known at the start.

package import Configuration
import Crypto
import MQTTClient
import Models
import System

extension AlertSettings {
    /// An HMAC key shorter than this could be guessed.
    fileprivate static let minSecretBytes = 16

    /// In the order of `targets`. Each is made on the thread that will use it.
    func channels(
        relayID: String, time: any TimeSource
    ) throws(ConfigurationError) -> [@Sendable () -> any AlertChannel] {
        var channels: [@Sendable () -> any AlertChannel] = []
        for settings in webhooks {
            let key = try settings.key()
            channels.append { WebhookChannel(settings, key: key, time: time) }
        }
        for settings in mqtt {
            let configuration = try settings.configuration(relayID: relayID)
            let topic = settings.topic ?? "columba/\(relayID)/alerts"
            channels.append { MQTTChannel(configuration, topic: topic) }
        }
        for settings in cot { channels.append { CursorOnTargetChannel(settings, time: time) } }
        return channels
    }

    /// Reads every file that the settings name and throws their contents away: for `check`.
    package func checkFiles() throws(ConfigurationError) {
        for settings in webhooks { _ = try settings.key() }
        for settings in mqtt { _ = try settings.configuration(relayID: "check") }
    }

    fileprivate static func secret(
        _ path: String, _ target: TargetSettings, _ key: String
    ) throws(ConfigurationError) -> [UInt8] {
        do {
            var bytes = try FileSystem.read(path)
            while bytes.last == 0x0A || bytes.last == 0x0D { bytes.removeLast() }
            return bytes
        } catch {
            throw ConfigurationError(key: "alerts: \(target.name): \(key)", problem: "\(error)")
        }
    }

    fileprivate static func requireReadable(
        _ path: String?, _ target: TargetSettings, _ key: String
    ) throws(ConfigurationError) {
        if let path { _ = try secret(path, target, key) }
    }
}

extension WebhookSettings {
    fileprivate func key() throws(ConfigurationError) -> HMACSHA256? {
        try AlertSettings.requireReadable(authoritiesFile, target, "ca_file")
        guard let secretFile else { return nil }
        let secret = try AlertSettings.secret(secretFile, target, "secret_file")
        guard secret.count >= AlertSettings.minSecretBytes else {
            throw ConfigurationError(
                key: "alerts: \(target.name): secret_file",
                problem:
                    "holds \(secret.count) bytes; a secret needs at least \(AlertSettings.minSecretBytes); "
                    + "openssl rand -hex 32 makes a good one")
        }
        return HMACSHA256(key: secret)
    }
}

extension MQTTSettings {
    fileprivate func configuration(relayID: String) throws(ConfigurationError) -> MQTTConfiguration {
        for (file, key) in [(authoritiesFile, "ca_file"), (certificateFile, "cert_file"), (keyFile, "key_file")] {
            try AlertSettings.requireReadable(file, target, key)
        }
        let password = try passwordFile.map { path throws(ConfigurationError) in
            String(decoding: try AlertSettings.secret(path, target, "password_file"), as: UTF8.self)
        }
        let isSecure = url.scheme == "mqtts"
        return MQTTConfiguration(
            host: url.host, port: url.port, clientID: clientID ?? "columba-\(relayID)", user: user, password: password,
            tls: isSecure
                ? MQTTTLS(authoritiesFile: authoritiesFile, certificateFile: certificateFile, keyFile: keyFile) : nil)
    }
}
