// Keeps the buffer in its limits: notes what is archived, then releases what may go (I2), gives up and takes back the
// disk's reserve, applies a stand-alone relay's retention rule. Runs on the maintenance thread.

import Log
import Models
import SegmentedLog
import Synchronization
import SyncProtocol
import System

package final class BufferKeeper: Sendable {
    /// What is counted over this life of the relay, with what an earlier one had dropped of the epochs still held.
    package struct Counters: Sendable, Equatable {
        package var dropped = 0
        package var releasedSegments = 0
    }

    private struct State {
        var counters = Counters()
        /// What was noted last, per epoch.
        var noted: [String: StateStore.EpochNote] = [:]
        var dropped: [String: IntervalSet] = [:]
        var retention: RetentionRule?
        var saidSuspended = false
        var isStateFailing = false
    }

    private let settings: RelayConfiguration.Buffer
    private let time: any TimeSource
    private let log: Log
    private let store: BufferStore
    private let state: SharedStateStore
    private let forwarder: Forwarder?
    private let writer: BufferWriter
    private let gauge: BufferGauge
    private let reserve: DiskReserve
    /// Per epoch of earlier lives, the highest record number that was ever on disk.
    private let earlierThrough: [String: Int64]
    private let held: Mutex<State>

    init(
        settings: RelayConfiguration.Buffer, time: any TimeSource, log: Log, storage: RelayStorage,
        forwarder: Forwarder?, writer: BufferWriter, gauge: BufferGauge
    ) {
        self.settings = settings
        self.time = time
        self.log = log
        store = storage.store
        state = storage.state
        reserve = storage.reserve
        self.forwarder = forwarder
        self.writer = writer
        self.gauge = gauge
        earlierThrough = storage.recovered.epochs.mapValues(\.through)
        var initial = State()
        for (epoch, known) in storage.recovered.epochs where !known.dropped.isEmpty {
            initial.dropped[epoch] = known.dropped
            initial.counters.dropped += known.dropped.count
        }
        initial.retention = settings.dropAfterHours.map {
            RetentionRule(
                dropAfterHours: $0, wallMicroseconds: time.wallMicroseconds(), monotonic: time.monotonicNanoseconds())
        }
        held = Mutex(initial)
    }

    package var counters: Counters { held.withLock { $0.counters } }

    // MARK: The disk's reserve

    /// After each look at the disk.
    package func keepReserve() {
        if gauge.takeFullDisk() {
            if reserve.giveUp() {
                log.warning(
                    "disk_full_reserve_given_up",
                    ["bytes": .int(reserve.bytes), "hint": "another program fills the disk: free some space"])
            }
        } else if !reserve.isHeld, gauge.level < .alertsOnly, let free = try? FileSystem.freeBytes(at: store.current.directory) {
            reserve.keep(freeBytes: free)
            if reserve.isHeld { log.info("disk_reserve_held", ["bytes": .int(reserve.bytes)]) }
        }
    }

    // MARK: Notes

    /// Notes how far each epoch came. The state store is a cache: what it fails to note is found out again from central
    /// and the buffer.
    ///
    /// - Returns: false if the disk refused.
    @discardableResult
    package func note(_ work: (StateStore) throws -> Void = { _ in }) -> Bool {
        let archived = Dictionary(
            uniqueKeysWithValues: (forwarder?.epochs ?? []).map { ($0.name, $0.archived) })
        let dropped = held.withLock { $0.dropped }
        do {
            try state.withStore { state in
                try work(state)
                for epoch in store.all {
                    let through = epoch.isCurrent ? epoch.log.nextPosition - 1 : earlierThrough[epoch.epoch] ?? 0
                    let note = StateStore.EpochNote(
                        archived: archived[epoch.epoch] ?? IntervalSet(), through: through,
                        dropped: dropped[epoch.epoch] ?? IntervalSet())
                    try save(note, of: epoch, to: state)
                }
            }
            if held.withLock({ Self.change(&$0.isStateFailing, to: false) }) { log.info("state_saved_again") }
            return true
        } catch {
            // Said once, not every second of a full disk.
            if held.withLock({ Self.change(&$0.isStateFailing, to: true) }) {
                log.warning("state_not_saved", ["error": .string("\(error)")])
            }
            return false
        }
    }

    private static func change(_ value: inout Bool, to new: Bool) -> Bool {
        defer { value = new }
        return value != new
    }

    private func save(_ note: StateStore.EpochNote, of epoch: EpochLog, to state: StateStore) throws {
        let before = held.withLock { $0.noted[epoch.epoch] }
        guard note != before, note.through > 0 else { return }
        if note.archived != before?.archived, forwarder != nil {
            try state.save(epoch: epoch.epoch, archived: note.archived)
        }
        if note.through != before?.through || note.dropped != before?.dropped {
            try state.save(epoch: epoch.epoch, through: note.through, dropped: note.dropped)
        }
        held.withLock { $0.noted[epoch.epoch] = note }
    }

    // MARK: Releasing

    /// Releases what may go, oldest first; more of it the fuller the buffer is.
    package func release() {
        if let forwarder { releaseArchived(forwarder) } else { dropExpired() }
    }

    private func releaseArchived(_ forwarder: Forwarder) {
        var excess = gauge.excessBytes
        var crowd = store.earlierCount - BufferStore.earlierEpochsHeld
        let known = Dictionary(uniqueKeysWithValues: forwarder.epochs.map { ($0.name, $0) })
        var isNoted = false
        for epoch in store.all {
            guard let machine = known[epoch.epoch] else { continue }
            let segments = epoch.log.segments
            // Too many earlier lives: those that are done go without their hold time (I7).
            var epochExcess = !epoch.isCurrent && crowd > 0 && machine.waiting == 0 ? Int.max : excess
            let before = epochExcess
            let positions = SegmentRelease.releasable(
                segments, settled: machine.settled, nowMicroseconds: time.wallMicroseconds(),
                holdSeconds: settings.holdHours * 3_600, excessBytes: &epochExcess)
            excess -= before - epochExcess
            // What is archived is noted before its segments go: otherwise a crash in between would make them look lost.
            if !positions.isEmpty, !isNoted {
                note()
                isNoted = true
            }
            release(positions, of: epoch)
            if !epoch.isCurrent, epoch.log.segments.isEmpty, machine.waiting == 0 {
                forget(epoch)
                crowd -= 1
            }
            if epoch.isCurrent, let last = segments.last,
                SegmentRelease.isWorthSealing(last, settled: machine.settled, excessBytes: excess)
            {
                writer.requestSeal()
            }
        }
    }

    private func release(_ positions: [Int64], of epoch: EpochLog) {
        guard !positions.isEmpty else { return }
        do {
            for position in positions {
                try epoch.log.release(segmentStartingAt: position)
                held.withLock { $0.counters.releasedSegments += 1 }
            }
            log.info("segments_released", ["epoch": .string(epoch.epoch), "segments": .int(positions.count)])
        } catch {
            log.error("release_failed", ["epoch": .string(epoch.epoch), "error": .string("\(error)")])
        }
        store.wakeBackground()
    }

    private func forget(_ epoch: EpochLog) {
        do {
            forwarder?.released(epoch: epoch.epoch)
            try store.remove(epoch)
            held.withLock { state in
                state.noted[epoch.epoch] = nil
                state.dropped[epoch.epoch] = nil
            }
            try state.withStore { try $0.forget(epoch: epoch.epoch) }
            log.info("epoch_released", ["epoch": .string(epoch.epoch)])
        } catch {
            log.warning("release_failed", ["epoch": .string(epoch.epoch), "error": .string("\(error)")])
        }
    }

    // MARK: A stand-alone relay's retention

    private func dropExpired() {
        for epoch in store.all {
            let segments = epoch.log.segments
            let (expired, isNews) = held.withLock { state -> ([SegmentSummary], Bool) in
                let expired = state.retention?.expired(
                    segments, wallMicroseconds: time.wallMicroseconds(), monotonic: time.monotonicNanoseconds())
                let isNews = state.retention?.isSuspended == true && !state.saidSuspended
                if isNews { state.saidSuspended = true }
                return (expired ?? [], isNews)
            }
            if isNews {
                log.warning(
                    "retention_suspended",
                    ["reason": "the wall clock jumped", "hint": "correct the clock and restart the relay"])
            }
            guard !expired.isEmpty else { continue }
            let records = expired.reduce(0) { $0 + $1.entries }
            held.withLock { state in
                for segment in expired {
                    state.dropped[epoch.epoch, default: IntervalSet()]
                        .insert(segment.firstPosition...segment.lastPosition)
                    for hole in segment.holes { _ = state.dropped[epoch.epoch]?.remove(hole) }
                }
                state.counters.dropped += records
            }
            note()
            log.warning(
                "records_dropped_by_retention",
                [
                    "epoch": .string(epoch.epoch), "records": .int(records),
                    "ranges": .string("\(expired.map { $0.firstPosition...$0.lastPosition })"),
                    "drop_after_hours": .double(settings.dropAfterHours ?? 0),
                ])
            release(expired.map(\.firstPosition), of: epoch)
            if !epoch.isCurrent, epoch.log.segments.isEmpty { forget(epoch) }
        }
    }
}
