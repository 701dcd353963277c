// Gathers the figures of one moment from the relay's parts.

import Models
import SegmentedLog
import Synchronization
import SyncProtocol
import System

final class FiguresSource: Sendable {
    /// Seconds over which the rate of incoming bytes is smoothed, for "hours left".
    private static let rateWindowSeconds = 300.0

    private struct Rate { var at: UInt64; var bytes: Int; var bytesPerSecond: Double? }

    private let configuration: RelayConfiguration
    private let startedAt: Timestamp
    private let time: any TimeSource
    private let store: BufferStore
    private let writer: BufferWriter
    private let forwarder: Forwarder?
    private let ingest: ReportIngest
    private let board: DroneBoard
    private let alerting: Alerting
    private let gauge: BufferGauge
    private let recovered: Recovery
    private let keeper: BufferKeeper
    private let durability: FileSystem.Durability
    private let operations: RelayOperations
    private let rate: Mutex<Rate>

    init(
        configuration: RelayConfiguration, startedAt: Timestamp, time: any TimeSource, store: BufferStore,
        writer: BufferWriter, forwarder: Forwarder?, ingest: ReportIngest, board: DroneBoard, alerting: Alerting,
        gauge: BufferGauge, recovered: Recovery, keeper: BufferKeeper, durability: FileSystem.Durability,
        operations: RelayOperations
    ) {
        self.configuration = configuration
        self.startedAt = startedAt
        self.time = time
        self.store = store
        self.writer = writer
        self.forwarder = forwarder
        self.ingest = ingest
        self.board = board
        self.alerting = alerting
        self.gauge = gauge
        self.recovered = recovered
        self.keeper = keeper
        self.durability = durability
        self.operations = operations
        rate = Mutex(Rate(at: time.monotonicNanoseconds(), bytes: 0))
    }

    func now() -> RelayFigures {
        // The writer's counters first: a record that the forwarder sees archived must be among them.
        let uplink = forwarder?.status
        let counters = writer.snapshot
        var figures = RelayFigures(
            relayID: configuration.relayID, epoch: store.current.epoch, version: EdgeRelayService.version,
            position: place, startedAt: startedAt, now: Timestamp(microseconds: time.wallMicroseconds()))
        figures.uplink = uplink
        figures.writer = counters
        figures.carriedOver = recovered.carriedOver
        figures.buffer = bufferFigures(uplink)
        figures.waiting = waiting(counters, figures.buffer)
        figures.ingest = ingest.counters
        figures.level = gauge.level
        figures.bufferBytes = gauge.usedBytes
        figures.bufferMaxBytes = configuration.buffer.maxBytes
        figures.segments = store.segmentCount
        figures.oldestWaiting = figures.waiting > 0 ? oldestWaiting() : nil
        figures.hoursLeft = hoursLeft(counters)
        figures.connections = operations.endpoints.counts
        figures.maxConnections = configuration.limits.maxConnections
        figures.reload = operations.reload.figures
        figures.stuckDisks = operations.supervision.stuckDisks
        figures.stalledSeconds = writer.progress.stalledSeconds
        figures.process = ProcessFigures(residentBytes: Environment.residentBytes, cpuSeconds: Environment.cpuSeconds)
        let alerts = alerting.book.counts
        figures.alertsRaised = alerts.raised
        figures.alertsOpen = alerts.open
        figures.alertsLate = alerts.late
        figures.alertsFolded = alerts.folded
        figures.reportsCutShort = alerting.reportsCutShort
        figures.followers = alerts.followers
        figures.dronesHeard = board.count
        figures.rulesVersion = alerting.rulesVersion
        return figures
    }

    private var place: Place? {
        guard let latitude = configuration.latitude, let longitude = configuration.longitude else { return nil }
        return Place(latitude: latitude, longitude: longitude)
    }

    /// Records not archived, counted against the same reading of the writer's counters, so that the figures add up.
    private func waiting(_ counters: BufferWriter.Counters, _ buffer: BufferFigures) -> Int {
        guard let forwarder else { return counters.records + recovered.carriedOver - buffer.lost - buffer.dropped }
        let current = store.current.epoch
        return forwarder.epochs.reduce(0) { sum, epoch in
            guard epoch.name == current else { return sum + epoch.waiting }
            return sum + max(0, counters.records - epoch.archived.count - epoch.missing.count)
        }
    }

    private func bufferFigures(_ uplink: UplinkStatus?) -> BufferFigures {
        let counters = keeper.counters
        var figures = BufferFigures()
        figures.dropped = counters.dropped
        figures.releasedSegments = counters.releasedSegments
        // A stand-alone relay finds out at its start what is lost; with central every read adds to it.
        let lostAtStart = recovered.epochs.values.reduce(0) { $0 + $1.lost.count }
        figures.lost = uplink.map { max(0, $0.missing - counters.dropped) } ?? lostAtStart
        figures.incidents = store.incidents.snapshot
        figures.epochs = store.earlierCount + 1
        figures.quarantinedBytes = store.quarantinedBytes
        figures.reserveBytes = gauge.reserveHeldBytes
        if case .doubtful(let name) = durability { figures.doubtfulFilesystem = name }
        return figures
    }

    private func oldestWaiting() -> Timestamp? {
        guard let forwarder else {
            return store.all.first?.log.segments.first.map { Timestamp(microseconds: $0.firstTimeMicroseconds) }
        }
        for epoch in forwarder.epochs where epoch.waiting > 0 {
            guard let gap = epoch.archived.gaps(in: 1...epoch.committedThrough).first,
                let source = store.epochLog(epoch.name),
                let entry = try? source.log.read(
                    from: gap.lowerBound, through: gap.upperBound, maxEntries: 1, maxBytes: 1
                ).first
            else { continue }
            return Timestamp(microseconds: entry.timeMicroseconds)
        }
        return nil
    }

    /// How long the buffer lasts at the recent rate if nothing is released; nil while nothing comes in.
    private func hoursLeft(_ counters: BufferWriter.Counters) -> Double? {
        let now = time.monotonicNanoseconds()
        let perSecond: Double? = rate.withLock { rate in
            let seconds = Double(now - min(now, rate.at)) / 1e9
            guard seconds >= 1 else { return rate.bytesPerSecond }
            let current = Double(counters.bytes - rate.bytes) / seconds
            let weight = min(1, seconds / Self.rateWindowSeconds)
            rate.bytesPerSecond = rate.bytesPerSecond.map { $0 + (current - $0) * weight } ?? current
            rate.at = now
            rate.bytes = counters.bytes
            return rate.bytesPerSecond
        }
        guard let perSecond, perSecond > 0 else { return nil }
        return Double(gauge.roomBytes) / perSecond / 3600
    }
}
