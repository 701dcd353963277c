// The live view: a second consumer of the stream, beside the archiver. It counts what is durable within milliseconds of
// its arrival and never asks the archive for figures; only the alerts' past comes from there, once, at the start.
//
// Counted once: a record that a relay sends again (per relay and epoch an interval set of record numbers). Not taken
// out: the same report through two relays; that is the archive's decision.
//
// After a restart: what arrived within the last hour and is still in the stream is counted again; batches whose segment
// the archiver has released already are not (`complete_since` says from when on the figures are whole). Which alert was
// folded into which is known of those still in the stream only: the archive does not keep it.

package import Log
package import System
import Compression
import Crypto
import HTTPServer
import JSON
package import Models
import Synchronization
import SyncProtocol

package final class LiveView: Sendable {
    /// Between two events of the live stream. What arrives in between is told at its end: half of what is promised.
    static let secondsBetweenEvents = 0.05
    static let secondsBetweenHeartbeats = 5.0
    private static let bytesPerRead = 8 << 20
    private static let windowMicroseconds = Int64(LiveWindow.minutes) * 60_000_000

    private struct State {
        var window = LiveWindow()
        var status: LiveStatus
        var position: Int64 = 0
        var isStopping = false
    }

    package let alerts: LiveAlerts
    package let followers = LiveFollowers()
    private let stream: any BatchStream
    private let handOver: LiveHandOver
    private let archived: ArchivedAlerts
    private let pseudonyms: HMACSHA256
    private let time: any TimeSource
    private let log: Log
    private let state: Mutex<State>

    /// - Parameter pseudonymKey: turns an alert's name into the archive's `person_id`.
    package init(
        stream: any BatchStream, queries: QueryService, pseudonymKey: [UInt8], time: any TimeSource, log: Log,
        alerts: LiveAlerts = LiveAlerts(), handOver: LiveHandOver = LiveHandOver()
    ) {
        self.handOver = handOver
        self.stream = stream
        self.alerts = alerts
        self.time = time
        self.log = log
        archived = ArchivedAlerts(queries: queries)
        pseudonyms = HMACSHA256(key: pseudonymKey)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        state = Mutex(State(status: LiveStatus(completeSince: now, smallestGroup: queries.smallestGroup)))
    }

    private var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    // MARK: Questions

    package func json() -> [UInt8] {
        let open = alerts.openBySeverity()
        let now = now
        return state.withLock { state in
            state.window.advance(to: now)
            var status = state.status
            status.openAlerts = open
            status.behindBatches = Int(max(0, stream.lastPosition - state.position))
            return state.window.json(now: now, status: status)
        }
    }

    /// Blocks where the archive has to be asked.
    package func list(
        _ filter: LiveAlertFilter, isCancelled: @escaping () -> Bool = { false }
    ) throws(Problem) -> [LiveAlert] {
        let (live, isComplete) = alerts.list(filter)
        if isComplete { return live }
        // The live one is newer where both know it; a state that has changed since must not come back from the archive.
        var unfiltered = filter
        unfiltered.state = nil
        unfiltered.limit = LiveAlerts.maxAlerts
        let known = Set(alerts.list(unfiltered).alerts.map(\.alert.alertID))
        let older = try archived.list(filter, isCancelled: isCancelled).filter { !known.contains($0.alert.alertID) }
        let merged = (live + older).sorted {
            ($0.alert.raisedAt, $0.alert.alertID) > ($1.alert.raisedAt, $1.alert.alertID)
        }
        return Array(merged.prefix(filter.limit))
    }

    // MARK: The thread

    package func start() -> WorkerThread { WorkerThread(name: "live", stackBytes: 4 << 20) { [self] in run() } }

    package func stop() { state.withLock { $0.isStopping = true } }

    package func finishFollowers() {
        alerts.finishAll()
        followers.finishAll()
    }

    /// The thread's body; ends within half a second of `stop`.
    package func run() {
        let started = now
        loadAlerts()
        let hourAgo = Timestamp(microseconds: started.microseconds - Self.windowMicroseconds)
        let (first, isWhole) = stream.firstPosition(since: hourAgo)
        state.withLock { state in
            state.position = first - 1
            state.status.completeSince = isWhole ? hourAgo : started
        }
        var counter = LiveCounter(pseudonyms: pseudonyms)
        var lastEvent: UInt64 = 0
        var hasNews = false
        while !state.withLock({ $0.isStopping }) {
            let position = state.withLock { $0.position }
            let untilEvent = Self.secondsBetweenEvents - Double(time.monotonicNanoseconds() - lastEvent) / 1e9
            if stream.wait(beyond: position, timeoutSeconds: hasNews ? max(0, untilEvent) : 0.5) {
                hasNews = take(after: position, &counter, since: hourAgo) || hasNews
            }
            let silent = Double(time.monotonicNanoseconds() - lastEvent) / 1e9
            guard silent >= (hasNews ? Self.secondsBetweenEvents : Self.secondsBetweenHeartbeats) else { continue }
            if silent >= Self.secondsBetweenHeartbeats { alerts.heartbeat() }
            lastEvent = time.monotonicNanoseconds()
            hasNews = false
            followers.push { json() }
        }
    }

    private func loadAlerts() {
        var filter = LiveAlertFilter()
        filter.limit = LiveAlerts.maxAlerts
        do throws(Problem) {
            let found = try archived.list(filter)
            alerts.restore(found, isAll: found.count < filter.limit)
        } catch {
            log.warning("live_alerts_not_loaded", ["code": .string(error.code)])
            alerts.restore([], isAll: false)
        }
    }

    /// Counts the next batches. True when there were any.
    private func take(after position: Int64, _ counter: inout LiveCounter, since: Timestamp) -> Bool {
        if let facts = handOver.take(position + 1) {
            add(counter.count(facts))
            state.withLock { $0.position = position + 1 }
            return true
        }
        let entries: [StreamEntry]
        do {
            entries = try stream.read(from: position + 1, maxBytes: Self.bytesPerRead)
        } catch {
            // The archiver meets the same damage and decides; here the batches are only not counted.
            log.warning("live_read_failed", ["error": .string("\(error)")])
            entries = []
        }
        let last = entries.last?.position ?? stream.lastPosition
        let missed = Int(last - position) - entries.count
        for entry in entries {
            // Older ones are only here because a segment holds more than an hour.
            guard entry.receivedAt >= since, let facts = counter.facts(of: entry) else { continue }
            add(counter.count(facts))
        }
        state.withLock { state in
            state.position = last
            state.status.missedBatches += max(0, missed)
        }
        handOver.drop(through: last)
        return true
    }

    private func add(_ batch: LiveBatch) {
        state.withLock { state in
            for report in batch.reports { state.window.add(report, at: batch.receivedAt) }
        }
        for record in batch.alerts {
            switch record {
            case .raised(let alert):
                guard alerts.raise(alert, at: now) else { continue }
                state.withLock {
                    $0.window.addAlert(
                        rule: alert.alert.rule, severity: alert.alert.severity, relayID: batch.relayID,
                        at: batch.receivedAt)
                }
            case .changed(let change): alerts.apply(change, at: now)
            }
        }
    }
}
