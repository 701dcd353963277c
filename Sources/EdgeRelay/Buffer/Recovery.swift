// What a relay takes over from its earlier lives at start: which records central has archived, which reports came last
// (for the answers to resends), and alerts that the state store had not noted yet. Reads a bounded tail of the buffer,
// however much waits in it.

import Crypto
package import Models
package import SyncProtocol
import JSON
import SegmentedLog

package struct Recovery {
    /// Records read back from the end of the buffer: a drone resends within minutes, not days.
    package static let tailRecords: Int64 = 50_000
    private static let recordsPerRead = 2_048

    package var archived: [String: IntervalSet] = [:]
    package var carriedOver = 0
    package var recent = RecentIdentities()
    package var unsequenced: UnsequencedReports
    package var alerts: [AlertEntry] = []

    package static func read(
        _ store: BufferStore, relayID: String, state: StateStore, now: Timestamp, monotonic: UInt64
    ) throws -> Recovery {
        var recovery = Recovery(
            unsequenced: UnsequencedReports(relayID: relayID, epoch: store.current.epoch))
        let archived = try state.loadEpochs()
        var entries: [String: AlertEntry] = [:]
        for entry in try state.loadAlerts() { entries[entry.alert.alertID] = entry }
        var remaining = tailRecords
        var tails: [(EpochLog, Int64)] = []
        for epoch in store.all.reversed() where !epoch.isCurrent {
            let last = epoch.log.lastPosition ?? 0
            let known = archived[epoch.epoch] ?? IntervalSet()
            recovery.archived[epoch.epoch] = known
            recovery.carriedOver += Int(last) - known.intersection(IntervalSet(1...max(1, last))).count
            if remaining > 0, last > 0 {
                tails.append((epoch, max(1, last - remaining + 1)))
                remaining -= min(remaining, last)
            }
        }
        // Oldest first, so that the first bytes seen for an identity are the reference again.
        for (epoch, from) in tails.reversed() {
            try recovery.readTail(epoch, from: from, now: now, monotonic: monotonic, &entries)
        }
        recovery.alerts = Array(entries.values)
        return recovery
    }

    private mutating func readTail(
        _ epoch: EpochLog, from: Int64, now: Timestamp, monotonic: UInt64, _ alerts: inout [String: AlertEntry]
    ) throws {
        var next = from
        while true {
            let entries = try epoch.log.read(
                from: next, through: .max, maxEntries: Self.recordsPerRead, maxBytes: 16 << 20)
            guard let last = entries.last else { return }
            for entry in entries { note(entry, now: now, monotonic: monotonic, &alerts) }
            next = last.position + 1
        }
    }

    private mutating func note(
        _ entry: LogEntry, now: Timestamp, monotonic: UInt64, _ alerts: inout [String: AlertEntry]
    ) {
        switch BufferKind.kind(entry.kind) {
        case .report:
            guard let header = RecordHeader(entry.header) else { return }
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
            known.alert.state = change.state
            known.lastChange = change
            known.eventID = max(known.eventID, change.at.microseconds)
            alerts[change.alertID] = known
        case nil: return
        }
    }
}
