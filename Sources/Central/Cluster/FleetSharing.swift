// What one node hears of relays and the others should know: relays' reports about themselves and rule sets. A thread
// writes what is new to the board and takes over what other nodes wrote. The board is a bucket, so a node that comes up
// later finds everything; losing the bucket loses nothing that relays don't tell again within seconds, but rule sets,
// which each node also keeps in its `fleet.db`.
//
// Not shared, and said so in docs/central/cluster.md: incidents and their closing, retirements, quarantine.

import Crypto
import FoundationEssentials
package import Log
import Models
import NATS
package import SyncProtocol
import Synchronization
import System

package final class FleetSharing: Sendable {
    private static let secondsBetweenLooks = 3.0
    private static let retrySeconds = 1.0
    /// A relay with more to tell (tens of thousands of separate gaps) is known in full by the node it tells.
    private static let maxReportBytes = 400 << 10

    private struct State {
        /// By relay; the newest only.
        var untold: [String: RelayReport] = [:]
        var seen: [String: UInt64] = [:]
        var own: [String: RelayReport] = [:]
        var isStopping = false
        var trouble = false
    }

    private struct SharedRules: Codable {
        var message: RulesMessage
        var putAtMicroseconds: Int64
    }

    private let board: any ClusterBoard
    private let log: Log
    private let state = Monitor(State())

    /// Who wants to know what other nodes heard.
    package struct Listener: Sendable {
        /// A relay told it to another node.
        package var report: @Sendable (RelayReport) -> Void
        /// Put at another node, or at this one in an earlier life.
        package var rules: @Sendable (FleetStore.StoredRules) -> Void

        package init(
            report: @escaping @Sendable (RelayReport) -> Void,
            rules: @escaping @Sendable (FleetStore.StoredRules) -> Void
        ) {
            self.report = report
            self.rules = rules
        }
    }

    package init(board: any ClusterBoard, log: Log) {
        self.board = board
        self.log = log
    }

    /// A relay has told this node. Returns at once.
    package func tell(_ report: RelayReport) {
        state.update { state in
            state.untold[report.relayID] = report
            state.own[report.relayID] = report
        }
    }

    /// Before a rule set counts as put: on the board when it returns.
    package func put(_ rules: FleetStore.StoredRules) throws {
        let value = [UInt8](
            try JSONEncoder().encode(
                SharedRules(message: rules.message, putAtMicroseconds: rules.putAt.microseconds)))
        guard try !board.putIfAbsent("rules.\(rules.message.version)", value) else { return }
        let there = try board.entries(under: "rules").first { $0.key == "rules.\(rules.message.version)" }
        let known = there.flatMap { try? JSONDecoder().decode(SharedRules.self, from: Data($0.value)) }
        guard known?.message == rules.message else {
            throw Problem(
                status: 409, code: "version_not_higher",
                detail: "Another node was given another rule set with version \(rules.message.version).",
                field: "version")
        }
    }

    /// The thread's body.
    package func run(_ listener: Listener) {
        while !state.withLock({ $0.isStopping }) {
            let isDone = step(listener)
            // What could not be told does not wake us at once again.
            _ = state.wait(timeoutSeconds: isDone ? Self.secondsBetweenLooks : Self.retrySeconds) { state in
                state.isStopping || isDone && !state.untold.isEmpty ? true : nil
            }
        }
    }

    package func stop() { state.update { $0.isStopping = true } }

    /// Writes what is new, reads what others wrote. False: the board cannot be reached.
    @discardableResult
    package func step(_ listener: Listener) -> Bool {
        let untold = state.withLock { state in
            defer { state.untold = [:] }
            return state.untold
        }
        do {
            for report in untold.values { try share(report) }
            try takeReports(listener)
            try takeRules(listener)
            state.withLock { $0.trouble = false }
            return true
        } catch {
            let isNews = state.withLock { state in
                // Told again with the next look, unless the relay has told something newer.
                state.untold.merge(untold) { newer, _ in newer }
                defer { state.trouble = true }
                return !state.trouble
            }
            if isNews { log.warning("fleet_not_shared", ["error": .string("\(error)")]) }
            return false
        }
    }

    /// Relays' names may hold dots in any place, keys may not.
    private static func key(_ relayID: String) -> String { "report.\(Hex.encode(Array(relayID.utf8)))" }

    private func share(_ report: RelayReport) throws {
        let value = [UInt8](try JSONEncoder().encode(report))
        guard value.count <= Self.maxReportBytes else {
            return log.warning("report_too_large_to_share", ["relay_id": .string(report.relayID)])
        }
        try board.put(Self.key(report.relayID), value)
    }

    private func takeReports(_ listener: Listener) throws {
        for entry in try news(under: "report") {
            guard let report = try? JSONDecoder().decode(RelayReport.self, from: Data(entry.value)) else { continue }
            // What this node told itself is no news to it.
            if state.withLock({ $0.own[report.relayID] == report }) { continue }
            listener.report(report)
        }
    }

    private func takeRules(_ listener: Listener) throws {
        let sets = try news(under: "rules").compactMap {
            try? JSONDecoder().decode(SharedRules.self, from: Data($0.value))
        }
        for shared in sets.sorted(by: { $0.message.version < $1.message.version }) {
            listener.rules(
                FleetStore.StoredRules(
                    message: shared.message, putAt: Timestamp(microseconds: shared.putAtMicroseconds)))
        }
    }

    private func news(under prefix: String) throws -> [KeyValueEntry] {
        let entries = try board.entries(under: prefix)
        return state.withLock { state in
            entries.filter { entry in
                defer { state.seen[entry.key] = entry.revision }
                return state.seen[entry.key] != entry.revision
            }
        }
    }
}
