// The thread that talks with central about the relay itself, beside the forwarder: every 10 s, at once when something
// was lost or central has new rules, and soon after the last waiting record was archived. It owns no decision:
// `ReportBuilder` says what, `RelayRules` what of central's rules is put in force. Losing the link here loses nothing:
// the next report says it all again.

import FoundationEssentials
import HTTPClient
import Log
import Models
import SyncProtocol
package import System

package final class RelayReporter: Sendable {
    private static let timeoutSeconds = 10.0
    /// Looks whether something was lost since.
    private static let tickSeconds = 1.0
    /// Reports that say no more than "all is archived" come no closer than this.
    private static let quietSeconds = 2.0
    /// A central that does not know reports is an older one: asked again from time to time.
    private static let unknownPauseSeconds = 60.0
    private static let maxAnswerBytes = 1 << 20

    /// What the reporter puts in force.
    struct Hooks: Sendable {
        let apply: @Sendable (RuleSetChange) -> Void
        let lost: @Sendable () -> Int
        /// Records so far, once none of them waits; nil while one does.
        let quiet: @Sendable () -> Int?
        let central: @Sendable () -> String
    }

    private let relayID: String
    private let builder: ReportBuilder
    private let rules: RelayRules
    private let hooks: Hooks
    private let tls: HTTPClientTLS?
    private let time: any TimeSource
    private let log: Log
    private let bell: ReporterBell

    init(
        relayID: String, builder: ReportBuilder, rules: RelayRules, bell: ReporterBell, hooks: Hooks,
        tls: HTTPClientTLS?, time: any TimeSource, log: Log
    ) {
        self.bell = bell
        self.relayID = relayID
        self.builder = builder
        self.rules = rules
        self.hooks = hooks
        self.tls = tls
        self.time = time
        self.log = log
    }

    package func start() -> WorkerThread { WorkerThread(name: "reporter", stackBytes: 1 << 20) { self.run() } }

    package func stop() { bell.stop() }

    private var isStopped: Bool { bell.isStopped }

    private func run() {
        let client = HTTPClient()
        var dueAt = time.monotonicNanoseconds()
        var lost = hooks.lost()
        var retryRulesAt: UInt64 = 0
        var saidQuietAt: Int?
        var reportedAt: UInt64 = 0
        while true {
            let isWanted = bell.wait(seconds: Self.tickSeconds)
            if isStopped { return }
            let now = time.monotonicNanoseconds()
            let lostNow = hooks.lost()
            let quiet = hooks.quiet()
            let isNewlyQuiet =
                quiet != nil && quiet != saidQuietAt && now >= reportedAt + UInt64(Self.quietSeconds * 1e9)
            let isUrgent = (isWanted && now >= retryRulesAt) || lostNow != lost || isNewlyQuiet
            guard isUrgent || now >= dueAt else { continue }
            (lost, saidQuietAt, reportedAt) = (lostNow, quiet, now)
            let (pause, version) = report(client)
            dueAt = time.monotonicNanoseconds() + UInt64(pause * 1e9)
            guard rules.isNews(version) else { continue }
            // A set that could not be fetched or written is tried again with the next report, not in a tight loop.
            if !fetchRules(client) { retryRulesAt = dueAt }
            _ = report(client)
        }
    }

    /// Seconds until the next one, and the version of the rules that central wants.
    private func report(_ client: HTTPClient) -> (pause: Double, rulesVersion: Int) {
        guard let body = try? JSONEncoder().encode(builder.report()) else {
            preconditionFailure("a report holds nothing that JSON cannot")
        }
        let request = HTTPClientRequest(
            method: "PUT", url: hooks.central() + RelayReport.path(relayID: relayID),
            headers: [("Content-Type", "application/json")], body: [UInt8](body),
            timeoutSeconds: Self.timeoutSeconds, maxResponseBytes: Self.maxAnswerBytes, tls: tls)
        guard let response = try? client.perform(request, isCancelled: { self.isStopped }) else {
            // The forwarder says that the uplink is down.
            return (SyncLimits.relayReportSeconds, 0)
        }
        guard response.status == 200 else {
            log.debug("report_not_taken", ["status": .int(response.status)])
            return (response.status == 404 ? Self.unknownPauseSeconds : SyncLimits.relayReportSeconds, 0)
        }
        let answer = try? JSONDecoder().decode(RelayReportAnswer.self, from: Data(response.body))
        return (SyncLimits.relayReportSeconds, answer?.rulesVersion ?? 0)
    }

    /// False where the set is still to be dealt with.
    private func fetchRules(_ client: HTTPClient) -> Bool {
        let request = HTTPClientRequest(
            url: hooks.central() + RulesMessage.path(relayID: relayID), timeoutSeconds: Self.timeoutSeconds,
            maxResponseBytes: 8 * SyncLimits.rulesBytes, tls: tls)
        guard let response = try? client.perform(request, isCancelled: { self.isStopped }), response.status == 200,
            let message = try? JSONDecoder().decode(RulesMessage.self, from: Data(response.body))
        else { return false }
        if let change = rules.take(message) { hooks.apply(RuleSetChange(rules: change.rules, limits: change.limits)) }
        return !rules.isNews(message.version)
    }
}
