// Central's metrics after Prometheus' naming rules. Relays are few and known, so figures per relay are in /v1/relays;
// no drone, name or word is ever a label (I9).

import Metrics
import Models
import Synchronization

final class CentralMetrics: Sendable {
    private let registry = MetricsRegistry()
    /// One look at central per scrape, so that the numbers of one answer belong together.
    private let latest: Mutex<CentralFigures>
    private let figures: @Sendable () -> CentralFigures

    init(_ figures: @escaping @Sendable () -> CentralFigures) {
        self.figures = figures
        latest = Mutex(figures())
        registerArchive()
        registerIntake()
        registerFleet()
    }

    func render() -> [UInt8] {
        let now = figures()
        latest.withLock { $0 = now }
        return registry.render() + Self.relayText(now)
    }

    func gauge(
        _ name: String, _ help: String, labels: [(String, String)] = [],
        _ value: @escaping @Sendable (CentralFigures) -> Double
    ) {
        registry.gaugeCallback(name, help: help, labels: labels) { [unowned self] in value(latest.withLock { $0 }) }
    }

    private func counter(_ name: String, _ help: String, _ value: @escaping @Sendable (CentralFigures) -> Int) {
        registry.counterCallback(name, help: help) { [unowned self] in Double(value(latest.withLock { $0 })) }
    }

    private func registerArchive() {
        gauge("columba_central_archive_reports", "Rows of the table reports.") { Double($0.archive.reports) }
        gauge("columba_central_archive_duplicates", "Rows of the table duplicates, conflicts among them.") {
            Double($0.archive.duplicates)
        }
        gauge("columba_central_archive_conflicts", "Copies with the identity of another report and other bytes.") {
            Double($0.archive.conflicts)
        }
        gauge("columba_central_archive_alerts", "Rows of the table alerts.") { Double($0.archive.alerts) }
        gauge("columba_central_archive_rejected", "Records in quarantine.") { Double($0.archive.rejected) }
        gauge("columba_central_archive_files", "Parquet files of the current versions.") { Double($0.archive.files) }
        gauge("columba_central_archive_bytes", "Their bytes.") { Double($0.archive.bytes) }
        gauge("columba_central_archive_version", "Delta version of the table reports.") { Double($0.archive.version) }
        gauge("columba_central_archive_last_commit_timestamp_seconds", "When the last version was committed.") {
            $0.progress.lastCommitAt.map { Double($0.microseconds) / 1e6 } ?? 0
        }
        counter("columba_central_archive_commits_total", "Committed versions in this life.") { $0.progress.commits }
        counter("columba_central_archive_failures_total", "Failed attempts to commit.") { $0.progress.failures }
        gauge(
            "columba_central_complete_through_timestamp_seconds", "Everything relays received until then is archived."
        ) {
            $0.completeThrough.map { Double($0.microseconds) / 1e6 } ?? 0
        }
    }

    private func registerIntake() {
        counter("columba_central_batches_total", "Batches taken into the stream.") { $0.intake.batches }
        counter("columba_central_repeated_batches_total", "Batches that were durable already.") {
            $0.intake.repeatedBatches
        }
        counter("columba_central_refused_batches_total", "Batches refused as a whole.") { $0.intake.refusedBatches }
        counter("columba_central_records_total", "Records in the batches taken.") { $0.intake.records }
        counter("columba_central_rejected_records_total", "Records set aside at intake.") { $0.intake.rejectedRecords }
        counter("columba_central_received_bytes_total", "Bytes of the batches taken, compressed.") { $0.intake.bytes }
        gauge("columba_central_stream_waiting_batches", "Durable batches not yet archived.") {
            Double($0.waitingBatches)
        }
        gauge("columba_central_stream_waiting_records", "Their records.") { Double($0.waitingRecords) }
        gauge("columba_central_stream_bytes", "Bytes the stream takes on disk.") { Double($0.streamBytes) }
        gauge("columba_central_queries_running", "Queries running now.") { Double($0.runningQueries) }
        gauge("columba_central_relays", "Relays heard of.") { Double($0.relays.count) }
    }
}
