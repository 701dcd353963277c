// The rule sets that central hands to relays: checked as a relay checks its own file, every version kept, the newest
// one wanted on every relay (contract §3; each acknowledgement names its version). A relay that refuses one, or has a
// newer file of its own, says so in its next report.

package import Models
package import SyncProtocol
import AlertRules
import Configuration
import Synchronization

package final class RuleSets: Sendable {
    private let store: FleetStore
    private let sets: Mutex<[FleetStore.StoredRules]>
    private let publish: @Sendable (FleetStore.StoredRules) throws -> Void

    /// - Parameter publish: tells a cluster's other nodes; what it throws, nobody has put.
    package init(
        store: FleetStore, publish: @escaping @Sendable (FleetStore.StoredRules) throws -> Void = { _ in }
    ) throws {
        self.store = store
        self.publish = publish
        sets = Mutex(try store.ruleSets())
    }

    /// nil: none was ever put.
    package var newest: FleetStore.StoredRules? { sets.withLock { $0.last } }
    package var versions: [Int] { sets.withLock { $0.map(\.message.version) } }
    package func set(version: Int) -> FleetStore.StoredRules? {
        sets.withLock { $0.last { $0.message.version == version } }
    }

    /// Checks a set and keeps it: on disk when it returns. For one thread at a time (central's desk). The very same set
    /// again is no second one.
    package func put(_ text: [UInt8], settings: RelaySettings?, at now: Timestamp) throws -> FleetStore.StoredRules {
        guard text.count <= SyncLimits.rulesBytes else {
            throw Problem(
                status: 413, code: "too_large", detail: "A rule set has at most \(SyncLimits.rulesBytes) bytes.")
        }
        let version = try Self.checkedVersion(text)
        let message = RulesMessage(version: version, rules: String(decoding: text, as: UTF8.self), settings: settings)
        let last = newest
        if let last, last.message == message { return last }
        guard version > last?.message.version ?? 0 else {
            throw Problem(
                status: 409, code: "version_not_higher",
                detail: "The version must be higher than that of the last set, \(last?.message.version ?? 0).",
                field: "version")
        }
        let stored = FleetStore.StoredRules(message: message, putAt: now)
        try publish(stored)
        try store.add(stored)
        sets.withLock { $0.append(stored) }
        return stored
    }

    /// Put at another node. For the thread that listens to them; false: nothing newer than what is known here.
    package func adopt(_ rules: FleetStore.StoredRules) throws -> Bool {
        guard rules.message.version > newest?.message.version ?? 0 else { return false }
        try store.add(rules)
        sets.withLock { $0.append(rules) }
        return true
    }

    private static func checkedVersion(_ text: [UInt8]) throws -> Int {
        do {
            let version = try RuleFile.parse(json5: text).version
            guard version > 0 else {
                throw Problem(
                    status: 422, code: "invalid_rules", detail: "A rule set from central has a version of 1 or more.",
                    field: "version")
            }
            return version
        } catch let error as ConfigurationError {
            let place = error.place.map { " (line \($0.line), column \($0.column))" } ?? ""
            throw Problem(
                status: 422, code: "invalid_rules", detail: "\(error.key)\(place): \(error.problem)",
                field: error.key.isEmpty ? nil : error.key)
        }
    }
}
