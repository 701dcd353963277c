// What a relay takes over from its earlier lives at start: which records central has archived, which reports came last
// (for the answers to resends), and alerts that the state store had not noted yet. Reads a bounded tail of the buffer,
// however much waits in it.

import Crypto
package import Models
package import SyncProtocol
package import SegmentedLog
import JSON

package struct Recovery {
    /// Records read back from the end of the buffer: a drone resends within minutes, not days.
    package static let tailRecords: Int64 = 50_000
    private static let recordsPerRead = 2_048

    /// What is known of an earlier life's records.
    package struct Epoch: Sendable, Equatable {
        package var archived = IntervalSet()
        /// The highest record number that was ever known to be on disk.
        package var through: Int64 = 0
        /// Numbers up to `through` that the buffer does not have and nobody is known to have archived: lost to damage,
        /// or dropped by the operator's retention rule.
        package var missing = IntervalSet()
        package var dropped = IntervalSet()

        /// - Parameter note: what the state store said; nil if it said nothing.
        package init(_ segments: [SegmentSummary], note: StateStore.EpochNote?) {
            let note = note ?? StateStore.EpochNote()
            through = max(segments.last?.lastPosition ?? 0, note.through)
            guard through > 0 else { return }
            let all = IntervalSet(1...through)
            var present = IntervalSet()
            for segment in segments {
                present.insert(segment.firstPosition...segment.lastPosition)
                for hole in segment.holes { _ = present.remove(hole) }
            }
            archived = note.archived.intersection(all)
            missing = all.subtracting(present).subtracting(archived)
            dropped = note.dropped.intersection(missing)
        }

        package var lost: IntervalSet { missing.subtracting(dropped) }
    }

    package var epochs: [String: Epoch] = [:]
    /// Epochs the state store knows of a folder that is gone, with the numbers nobody archived.
    package var vanished: [String: IntervalSet] = [:]
    /// Record numbers of earlier lives that are not archived, those that are lost among them.
    package var carriedOver = 0
    package var recent = RecentIdentities()
    package var unsequenced: UnsequencedReports
    package var alerts: [AlertEntry] = []
    package let sightings = RecoveredSightings()

    package static func read(
        _ store: BufferStore, relayID: String, state: StateStore, now: Timestamp, monotonic: UInt64
    ) throws -> Recovery {
        var recovery = Recovery(
            unsequenced: UnsequencedReports(relayID: relayID, epoch: store.current.epoch))
        var notes = try state.loadEpochs()
        var entries: [String: AlertEntry] = [:]
        for entry in try state.loadAlerts() { entries[entry.alert.alertID] = entry }
        var remaining = tailRecords
        var tails: [(EpochLog, Int64)] = []
        for epoch in store.all.reversed() where !epoch.isCurrent {
            let last = epoch.log.lastPosition ?? 0
            let known = Epoch(epoch.log.segments, note: notes.removeValue(forKey: epoch.epoch))
            recovery.epochs[epoch.epoch] = known
            recovery.carriedOver += Int(known.through) - known.archived.count
            if remaining > 0, last > 0 {
                tails.append((epoch, max(1, last - remaining + 1)))
                remaining -= min(remaining, last)
            }
        }
        for (epoch, note) in notes where note.through > 0 {
            let unaccounted = IntervalSet(1...note.through).subtracting(note.archived).subtracting(note.dropped)
            recovery.vanished[epoch] = unaccounted
        }
        // Oldest first, so that the first bytes seen for an identity are the reference again.
        for (epoch, from) in tails.reversed() {
            recovery.readTail(epoch, from: from, now: now, monotonic: monotonic, &entries)
        }
        recovery.alerts = Array(entries.values)
        return recovery
    }

    /// What cannot be read is passed over: it only makes an answer to a resend less exact, and the log reports it.
    private mutating func readTail(
        _ epoch: EpochLog, from: Int64, now: Timestamp, monotonic: UInt64, _ alerts: inout [String: AlertEntry]
    ) {
        var next = from
        while true {
            do {
                let entries = try epoch.log.read(
                    from: next, through: .max, maxEntries: Self.recordsPerRead, maxBytes: 16 << 20)
                guard let last = entries.last else { return }
                for entry in entries { note(entry, now: now, monotonic: monotonic, &alerts) }
                next = last.position + 1
            } catch let error as SegmentedLogError where error.code == .damaged {
                guard let unreadable = error.positions, unreadable.upperBound >= next else { return }
                next = unreadable.upperBound + 1
            } catch {
                return
            }
        }
    }

    private mutating func note(
        _ entry: LogEntry, now: Timestamp, monotonic: UInt64, _ alerts: inout [String: AlertEntry]
    ) {
        switch BufferKind.kind(entry.kind) {
        case .report:
            guard let header = RecordHeader(entry.header) else { return }
            sightings.note(header.identity, entry)
            _ = recent.stored(identity: header.identityHash, digest: header.digest.prefix64)
            let age = now.seconds(since: Timestamp(microseconds: entry.timeMicroseconds))
            guard header.isAssigned, (0..<ReportLimits.repeatWindowSeconds).contains(age) else { return }
            let ageNanoseconds = UInt64(age * 1e9)
            unsequenced.restore(
                header.identity, digest: header.digest,
                arrivedAt: monotonic > ageNanoseconds ? monotonic - ageNanoseconds : 0)
        case .alert:
            guard let alert = try? entry.payload.withUnsafeBytes(Alert.init(json:)), alerts[alert.alertID] == nil else {
                return
            }
            alerts[alert.alertID] = AlertEntry(alert: alert, eventID: alert.raisedAt.microseconds)
        case .alertState:
            guard let change = try? entry.payload.withUnsafeBytes(AlertStateChange.init(json:)),
                var known = alerts[change.alertID]
            else { return }
            if let last = known.lastChange, last.at >= change.at { return }
            known.decided(change)
            known.eventID = max(known.eventID, change.at.microseconds)
            alerts[change.alertID] = known
        case nil: return
        }
    }
}
