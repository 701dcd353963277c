// What the relay tells central about itself, from its figures and the forwarder's sets. Reads at most two records of
// the buffer: the oldest that waits in the oldest life that has one, and in the present one.

import Models
import SegmentedLog
import SyncProtocol
import System

struct ReportBuilder: Sendable {
    /// Between its `received_at` and the writer's queue a record may be under way for so long; while the disk is busy,
    /// requests may wait for the group after the next as well.
    private static let underWaySeconds = 0.5
    private static let behindGroupSeconds = 2.0
    private static let attempts = 8

    let relayID: String
    let store: BufferStore
    let forwarder: Forwarder
    let rules: RelayRules
    let figures: @Sendable () -> RelayFigures
    let records: @Sendable () -> Int
    let time: any TimeSource

    func report() -> RelayReport {
        // Before anything else is read: what was received before this is among the numbers that follow.
        let now = Timestamp(microseconds: time.wallMicroseconds())
        var (figures, epochs) = (figures(), forwarder.epochs)
        // Of one moment: figures and sets without a commit between them. Under a load that never pauses, nearly so.
        for _ in 1..<Self.attempts where records() != figures.writer.records {
            (figures, epochs) = (self.figures(), forwarder.epochs)
        }
        var report = RelayReport(
            relayID: relayID, epoch: store.current.epoch, version: EdgeRelayService.version, sentAt: now,
            rules: rules.report)
        let stalled = figures.stalledSeconds
        let queued = stalled > 0 ? stalled + Self.behindGroupSeconds : 0
        report.settledBefore = now.adding(seconds: -Self.underWaySeconds - queued)
        report.summary = String(figures.summary.prefix(1_000))
        report.level = figures.level.rawValue
        report.counters = counters(figures, epochs)
        report.epochs = lives(epochs)
        report.oldestWaiting = oldestWaiting(epochs)
        report.newest = store.current.log.segments.last.flatMap {
            $0.entries > 0 ? Timestamp(microseconds: $0.lastTimeMicroseconds) : nil
        }
        report.incidents = incidents(figures)
        return report
    }

    /// `received` is the writer's own count and `waiting` follows from the log's numbers: they are counted apart.
    private func counters(_ figures: RelayFigures, _ epochs: [ForwarderStateMachine.Epoch]) -> RelayReport.Counters {
        var counters = RelayReport.Counters()
        counters.received = figures.writer.records
        counters.carriedOver = figures.carriedOver
        counters.waiting = epochs.reduce(0) { $0 + $1.waiting }
        counters.archived = figures.archived
        counters.duplicates = figures.writer.duplicates
        counters.conflicts = figures.writer.conflicts
        counters.rejected = figures.ingest.rejectedReports
        counters.quarantined = figures.uplink?.setAside ?? 0
        counters.lost = figures.buffer.lost + figures.buffer.dropped
        return counters
    }

    /// Those with something waiting or missing first, where there are more than a report may list.
    private func lives(_ epochs: [ForwarderStateMachine.Epoch]) -> [RelayReport.Epoch] {
        var listed = epochs
        if listed.count > SyncLimits.reportedEpochs {
            let open = epochs.filter { $0.waiting > 0 || !$0.missing.isEmpty || $0.name == store.current.epoch }
            let closed = epochs.filter { $0.waiting == 0 && $0.missing.isEmpty && $0.name != store.current.epoch }
            listed = Array((open + closed.reversed()).prefix(SyncLimits.reportedEpochs))
        }
        var room = SyncLimits.reportedMissingRanges
        return listed.map { epoch in
            let ranges = epoch.missing.ranges.prefix(room)
            room -= ranges.count
            return RelayReport.Epoch(
                epoch: epoch.name, through: epoch.committedThrough, waiting: epoch.waiting,
                missing: IntervalSet(ranges), missingCount: epoch.missing.count)
        }
    }

    /// nil where none waits, or where the record cannot be read: central then goes by the archive alone.
    private func oldestWaiting(_ epochs: [ForwarderStateMachine.Epoch]) -> Timestamp? {
        let open = epochs.filter { $0.waiting > 0 }
        guard let oldest = open.first, let newest = open.last else { return nil }
        guard let first = firstWaiting(oldest) else { return nil }
        guard newest.name != oldest.name else { return first }
        // A clock that was set back between two lives makes the later one older.
        return firstWaiting(newest).map { min($0, first) }
    }

    private func firstWaiting(_ epoch: ForwarderStateMachine.Epoch) -> Timestamp? {
        guard let gap = epoch.settled.gaps(in: 1...epoch.committedThrough).first,
            let log = store.epochLog(epoch.name)?.log,
            let entry = try? log.read(
                from: gap.lowerBound, through: gap.lowerBound, maxEntries: 1, maxBytes: 1
            ).first
        else { return nil }
        return Timestamp(microseconds: entry.timeMicroseconds)
    }

    private func incidents(_ figures: RelayFigures) -> [RelayReport.Incident] {
        var byCode: [String: RelayReport.Incident] = [:]
        for incident in figures.buffer.incidents.latest {
            let code = "buffer_\(incident.kind)"
            let known = byCode[code]
            byCode[code] = .init(
                code: code, count: (known?.count ?? 0) + 1, since: min(known?.since ?? incident.at, incident.at))
        }
        return byCode.values.sorted { $0.code < $1.code }
    }
}
