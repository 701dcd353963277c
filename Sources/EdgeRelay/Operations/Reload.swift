// Puts a changed configuration in force while the relay runs (SIGHUP): rules, limits, and what other parts hook in,
// such as certificates. Everything is read and checked before anything changes; where one thing is wrong, all of the
// old stays in force and the log, the metrics and `/v1/status` say why.

package import Log
package import Models
package import System
import Synchronization
import JSON

/// One part's share of a reload.
package struct ReloadStep: Sendable {
    /// Reads and checks what the new configuration names; throws where it cannot be used. Returns what puts it in
    /// force, which cannot fail any more.
    package let prepare: @Sendable (RelayConfiguration) throws -> @Sendable () -> Void

    package init(_ prepare: @escaping @Sendable (RelayConfiguration) throws -> @Sendable () -> Void) {
        self.prepare = prepare
    }
}

/// How the configuration in force came to be; part of `/v1/status`.
package struct ReloadFigures: Sendable, Equatable {
    /// When the configuration in force was read.
    package var loadedAt: Timestamp
    package var lastAttempt: Timestamp?
    /// Why the last attempt was refused; nil where it was not.
    package var lastError: String?
    package var succeeded = 0
    package var refused = 0
    /// Keys that differ in the file and take effect at the next start.
    package var needsRestart: [String] = []

    package init(loadedAt: Timestamp) { self.loadedAt = loadedAt }

    func appendJSON(to output: inout JSONWriter) {
        output.object("configuration") {
            $0.member("loaded_at", loadedAt)
            $0.member("last_reload", lastAttempt)
            $0.member("reload_error", lastError)
            $0.key("needs_restart")
            $0.array { list in for key in needsRestart { list.string(key) } }
        }
    }
}

package final class Reload: Sendable {
    private let inForce: Mutex<(configuration: RelayConfiguration, figures: ReloadFigures)>
    private let load: @Sendable () throws -> RelayConfiguration
    private let steps: [ReloadStep]
    private let time: any TimeSource
    private let log: Log

    /// - Parameter load: reads the configuration anew, from where it came.
    package init(
        _ configuration: RelayConfiguration, time: any TimeSource, log: Log, steps: [ReloadStep],
        load: @escaping @Sendable () throws -> RelayConfiguration
    ) {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        inForce = Mutex((configuration, ReloadFigures(loadedAt: now)))
        self.load = load
        self.steps = steps
        self.time = time
        self.log = log
    }

    package var figures: ReloadFigures { inForce.withLock { $0.figures } }

    /// One thread at a time. False when the old configuration stays in force.
    @discardableResult
    package func run() -> Bool {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        do {
            let next = try load()
            if let wrong = ConfigurationCheck(next, isReload: true).errors.first {
                throw ReloadRefused(reason: "\(wrong.key): \(wrong.text)")
            }
            let commits = try steps.map { try $0.prepare(next) }
            for commit in commits { commit() }
            let restart = next.needsRestart(from: inForce.withLock { $0.configuration })
            let figures = inForce.withLock { state in
                state.configuration.rulesPath = next.rulesPath
                state.configuration.limits = next.limits
                state.figures.loadedAt = now
                state.figures.lastAttempt = now
                state.figures.lastError = nil
                state.figures.needsRestart = restart
                state.figures.succeeded += 1
                return state.figures
            }
            log.info(
                "reloaded",
                ["reloads": .int(figures.succeeded), "needs_restart": .string(restart.joined(separator: ","))])
            return true
        } catch {
            let reason = "\(error)"
            inForce.withLock { state in
                state.figures.lastAttempt = now
                state.figures.lastError = reason
                state.figures.refused += 1
            }
            log.error("reload_refused", ["error": .string(reason), "hint": "the old configuration stays in force"])
            return false
        }
    }
}

struct ReloadRefused: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}

extension RelayConfiguration {
    /// The keys that differ from `old` and that only a restart puts in force.
    func needsRestart(from old: RelayConfiguration) -> [String] {
        var keys: [String] = []
        if relayID != old.relayID { keys.append("relay_id") }
        if latitude != old.latitude || longitude != old.longitude { keys.append("position") }
        if listen != old.listen { keys.append("listen") }
        if consoleListen != old.consoleListen { keys.append("console_listen") }
        if dataDirectory != old.dataDirectory { keys.append("data_dir") }
        if central != old.central { keys.append("central") }
        if tls != old.tls { keys.append("tls") }
        if alerts != old.alerts { keys.append("alerts") }
        if buffer != old.buffer { keys.append("buffer") }
        if forward != old.forward { keys.append("forward") }
        if page.map != old.page.map { keys.append("map") }
        if page.expectedDrones != old.page.expectedDrones || page.silentSeconds != old.page.silentSeconds {
            keys.append("console")
        }
        return keys + mqtt.needsRestart(from: old.mqtt) + limits.needsRestart(from: old.limits)
    }
}
