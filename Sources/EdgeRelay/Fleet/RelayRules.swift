// Which rules are in force, and why: the relay's own file or central's, whichever has the higher version. Fetched when
// central names a version this relay has not settled yet; checked, written, put in force, and reported.

package import AlertRules
import Configuration
package import Log
import Models
import Synchronization
package import SyncProtocol

package final class RelayRules: Sendable {
    private struct State {
        var central: CentralRules?
        var localVersion = 0
        /// The relay's own limits, without central's changes.
        var limits: RelayConfiguration.Limits
        var refusal: (version: Int, reason: String)?
        /// The version of central that was dealt with last, whatever came of it.
        var settled = 0

        var isCentrals: Bool { (central?.message.version ?? 0) > localVersion }
    }

    private let directory: String
    private let targets: Set<String>
    private let log: Log
    private let state: Mutex<State>

    package init(_ configuration: RelayConfiguration, log: Log) {
        directory = configuration.dataDirectory
        targets = Set(configuration.alerts.targets.map(\.name))
        self.log = log
        let stored = CentralRules.load(
            configuration.dataDirectory, targets: Set(configuration.alerts.targets.map(\.name)),
            limits: configuration.limits)
        var initial = State(central: stored, limits: configuration.limits)
        initial.settled = stored?.message.version ?? 0
        state = Mutex(initial)
    }

    /// The rules in force with this configuration; throws where the relay's own file cannot be used.
    package func rules(_ configuration: RelayConfiguration) throws -> RuleSet {
        let local = try configuration.loadRules()
        return state.withLock { state in
            state.localVersion = local.version
            return state.isCentrals ? state.central?.rules ?? local : local
        }
    }

    /// The limits in force, given those of the relay's own configuration.
    package func limits(own: RelayConfiguration.Limits) -> RelayConfiguration.Limits {
        state.withLock { state in
            state.limits = own
            guard state.isCentrals, let settings = state.central?.message.settings else { return own }
            return (try? own.changed(by: settings)) ?? own
        }
    }

    /// Whether central's set of this version is still to be dealt with.
    package func isNews(_ version: Int) -> Bool {
        version > 0 && state.withLock { $0.settled } != version
    }

    /// What is to be put in force; nil where nothing changes.
    package func take(_ message: RulesMessage) -> (rules: RuleSet, limits: RelayConfiguration.Limits)? {
        let own = state.withLock { $0.limits }
        let checked: CentralRules
        do {
            checked = try CentralRules(checking: message, targets: targets, limits: own)
            try checked.save(directory)
        } catch {
            let place = (error as? ConfigurationError)?.place.map { " (line \($0.line), column \($0.column))" } ?? ""
            let reason = (error as? ConfigurationError).map { "\($0.key)\(place): \($0.problem)" } ?? "\(error)"
            state.withLock { state in
                state.refusal = (message.version, reason)
                // What the disk refused may go later; what is wrong stays wrong.
                if error is ConfigurationError { state.settled = message.version }
            }
            log.error("rules_refused", ["version": .int(message.version), "reason": .string(reason)])
            return nil
        }
        let change = state.withLock { state -> (RuleSet, RelayConfiguration.Limits)? in
            state.central = checked
            state.refusal = nil
            state.settled = message.version
            guard state.isCentrals else { return nil }
            return (checked.rules, message.settings.flatMap { try? own.changed(by: $0) } ?? own)
        }
        log.info(
            "rules_from_central",
            ["version": .int(message.version), "state": .string(change == nil ? "local" : "applied")])
        return change
    }

    /// For the report.
    package var report: RelayReport.Rules {
        state.withLock { state in
            if let refusal = state.refusal {
                return .init(version: refusal.version, state: .refused, reason: String(refusal.reason.prefix(1_000)))
            }
            guard state.isCentrals, let central = state.central else {
                return .init(version: state.localVersion, state: .local)
            }
            return .init(version: central.message.version, state: .applied)
        }
    }
}
