// The relay's metrics after Prometheus' naming rules. No drone, name or word is ever a label (I9).

import Metrics
import Models
import Synchronization

final class RelayMetrics: Sendable {
    private let registry = MetricsRegistry()
    /// One look at the relay per scrape, so that the numbers of one answer belong together.
    private let latest: Mutex<RelayFigures>
    private let figures: @Sendable () -> RelayFigures

    init(_ figures: @escaping @Sendable () -> RelayFigures) {
        self.figures = figures
        latest = Mutex(figures())
        registerBuffer()
        registerStorage()
        registerReports()
        registerUplink()
        registerForwarder()
        registerMQTT()
        registerOperations(registry) { [unowned self] in latest.withLock { $0 } }
    }

    /// Series of a part that keeps its own instruments.
    func add(_ register: (MetricsRegistry) -> Void) { register(registry) }

    func render() -> [UInt8] {
        let now = figures()
        latest.withLock { $0 = now }
        return registry.render()
    }

    func gauge(
        _ name: String, _ help: String, labels: [(String, String)] = [],
        _ value: @escaping @Sendable (RelayFigures) -> Double
    ) {
        registry.gaugeCallback(name, help: help, labels: labels) { [unowned self] in value(latest.withLock { $0 }) }
    }

    func counter(
        _ name: String, _ help: String, labels: [(String, String)] = [],
        _ value: @escaping @Sendable (RelayFigures) -> Int
    ) {
        registry.counterCallback(name, help: help, labels: labels) { [unowned self] in
            Double(value(latest.withLock { $0 }))
        }
    }

    private func registerBuffer() {
        gauge("columba_relay_buffer_waiting_records", "Records that central has not archived yet.") {
            Double($0.waiting)
        }
        gauge("columba_relay_buffer_bytes", "Bytes the buffer's segments take on disk.") { Double($0.bufferBytes) }
        gauge("columba_relay_buffer_max_bytes", "Bytes the buffer may take.") { Double($0.bufferMaxBytes) }
        gauge("columba_relay_buffer_segments", "Segment files.") { Double($0.segments) }
        gauge("columba_relay_buffer_oldest_seconds", "Age of the oldest record that waits; 0 when none does.") {
            $0.oldestWaiting.map { [now = $0.now] in now.seconds(since: $0) } ?? 0
        }
        for level in BufferLevel.allCases {
            registry.gaugeCallback(
                "columba_relay_buffer_level", help: "1 for the step the buffer is at.",
                labels: [("level", level.rawValue)]
            ) { [unowned self] in latest.withLock { $0.level } == level ? 1 : 0 }
        }
        counter("columba_relay_transactions_total", "Transactions committed to the buffer.") { $0.writer.transactions }
        counter("columba_relay_failed_transactions_total", "Transactions that the disk refused.") { $0.writer.failures }
        counter("columba_relay_records_total", "Records committed: reports, alerts, state changes.") {
            $0.writer.records
        }
        counter("columba_relay_archived_records_total", "Records that central archived, in this life of the relay.") {
            max(0, $0.archived)
        }
        gauge("columba_relay_carried_over_records", "Unarchived records found at start.") { Double($0.carriedOver) }
    }

    private func registerReports() {
        let name = "columba_relay_reports_total"
        let help = "Reports by what became of them."
        counter(name, help, labels: [("result", "stored")]) { $0.writer.stored }
        counter(name, help, labels: [("result", "duplicate")]) { $0.writer.duplicates }
        counter(name, help, labels: [("result", "conflict")]) { $0.writer.conflicts }
        counter(name, help, labels: [("result", "rejected")]) { $0.ingest.rejectedReports }
        counter("columba_relay_throttled_total", "Reports refused because their drone sends too fast.") {
            $0.ingest.throttled
        }
        counter("columba_relay_alerts_total", "Alerts raised.") { $0.alertsRaised }
        counter("columba_relay_late_alerts_total", "Alerts of reports that came late: listed, pushed to nobody.") {
            $0.alertsLate
        }
        counter("columba_relay_folded_alerts_total", "Alerts folded into one that was open already.") {
            $0.alertsFolded
        }
        counter("columba_relay_reports_cut_short_total", "Reports that raised more alerts than one report may.") {
            $0.reportsCutShort
        }
        counter("columba_relay_alerts_not_stored_total", "Alerts pushed while their report found no place on disk.") {
            $0.ingest.alertsNotStored
        }
        gauge("columba_relay_alerts_open", "Alerts not closed.") { Double($0.alertsOpen) }
        gauge("columba_relay_alert_followers", "Open alert streams.") { Double($0.followers) }
        gauge("columba_relay_drones", "Drones heard in this life of the relay.") { Double($0.dronesHeard) }
        gauge("columba_relay_rules_version", "Version of the rules in force.") { Double($0.rulesVersion) }
    }

    private func registerUplink() {
        gauge("columba_relay_uplink_up", "1 while central answers, 0 while it does not or there is none.") {
            $0.uplinkState == "up" ? 1 : 0
        }
        gauge("columba_relay_uplink_failures_in_a_row", "Failed attempts since the last success.") {
            Double($0.uplink?.consecutiveFailures ?? 0)
        }
        gauge("columba_relay_uplink_last_success_timestamp_seconds", "When central last answered.") {
            $0.uplink?.lastSuccess.map { Double($0.microseconds) / 1e6 } ?? 0
        }
        gauge("columba_relay_set_aside_records", "Records that central refused again and again, kept here.") {
            Double($0.uplink?.setAside ?? 0)
        }
        counter("columba_relay_batches_total", "Batches that central acknowledged.") { $0.uplink?.batches ?? 0 }
        counter("columba_relay_sent_bytes_total", "Bytes of acknowledged batches on the wire.") {
            $0.uplink?.bytesSent ?? 0
        }
    }
}
