// What can be known about a configuration before it is put in force: `columba-relay check`, systemd's ExecStartPre,
// and each reload ask here. Changes nothing on the machine.

package import AlertRules
import Configuration
import System

package struct CheckFinding: Sendable, Equatable {
    /// An error: the relay would not start, or would not keep its promises.
    package let isError: Bool
    /// The configuration's key.
    package let key: String
    package let text: String

    package static func error(_ key: String, _ text: String) -> Self { Self(isError: true, key: key, text: text) }
    package static func warning(_ key: String, _ text: String) -> Self { Self(isError: false, key: key, text: text) }
}

package struct ConfigurationCheck: Sendable {
    package private(set) var findings: [CheckFinding] = []
    /// As read, where they could be.
    package private(set) var rules: RuleSet?
    /// A relay runs on the data directory now: its ports are its own.
    package let isRunning: Bool

    /// Checks that other parts of the relay make of their own sections: TLS files, secrets.
    package typealias Part = @Sendable (RelayConfiguration) -> [CheckFinding]
    package static let parts: [Part] = [
        { configuration in
            do {
                try configuration.checkCertificates()
                return []
            } catch {
                return [.error("tls", "\(error)")]
            }
        },
        { configuration in
            do {
                try configuration.alerts.checkFiles()
                return []
            } catch {
                return [.error("alerts", "\(error)")]
            }
        },
    ]

    /// - Parameter isReload: asked by the relay that runs, about what it is to run with.
    package init(_ configuration: RelayConfiguration, isReload: Bool = false) {
        isRunning = isReload || DirectoryLock.isHeld(configuration.dataDirectory)
        do {
            rules = try configuration.loadRules()
        } catch {
            findings.append(.error("rules", "\(error)"))
        }
        checkDataDirectory(configuration)
        checkAddresses(configuration)
        checkOpenFiles(configuration)
        for part in Self.parts { findings += part(configuration) }
    }

    package var errors: [CheckFinding] { findings.filter(\.isError) }

    private mutating func checkDataDirectory(_ configuration: RelayConfiguration) {
        let directory = configuration.dataDirectory
        // What is not there yet will be made below the nearest folder that is.
        var existing = directory
        while !FileSystem.exists(existing), existing != "/", existing != "." {
            existing = FileSystem.parent(of: existing)
        }
        guard FileSystem.isDirectory(existing) else {
            return findings.append(.error("data_dir", "\(existing) is not a directory"))
        }
        guard FileSystem.isWritable(existing) else {
            return findings.append(
                .error("data_dir", "\(existing) cannot be written by this user: change its owner, or run as another"))
        }
        guard let free = try? FileSystem.freeBytes(at: existing) else { return }
        let limit = configuration.buffer.maxBytes
        let needed = limit + BufferAdmission.reserveBytes(forMaxBytes: limit)
        if !isRunning, !FileSystem.exists("\(directory)/buffer"), free < needed {
            findings.append(
                .warning(
                    "buffer.max_bytes",
                    "the disk of \(existing) has \(free) bytes free, the buffer may take \(needed): it will be full "
                        + "before its limit"))
        }
    }

    private mutating func checkAddresses(_ configuration: RelayConfiguration) {
        guard !isRunning else { return }
        let addresses = [
            ("listen", configuration.listen), ("console_listen", configuration.consoleListen),
            ("mqtt_listen", configuration.mqtt.listen),
        ]
        for case (let key, let address?) in addresses where address.port != 0 {
            guard let obstacle = ListeningSocket.obstacle(host: address.host, port: address.port) else { continue }
            findings.append(.error(key, "\(obstacle)"))
        }
    }

    private mutating func checkOpenFiles(_ configuration: RelayConfiguration) {
        let wanted = configuration.openFiles
        let granted = OpenFiles.raiseLimit(to: wanted)
        if granted < wanted {
            findings.append(
                .warning(
                    "limits.max_connections",
                    "needs \(wanted) open files, this process may have \(granted): raise LimitNOFILE in the unit"))
        }
    }
}

extension RelayConfiguration {
    package var openFiles: Int { limits.openFiles(ports: consoleListen == nil ? 1 : 2) + mqtt.openFiles }
}
