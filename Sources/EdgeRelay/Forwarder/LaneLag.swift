// How far each lane is behind, in records and in seconds. The age of a record is read from the buffer: one record a
// lane and question.

import Models
import SegmentedLog
import SyncProtocol

struct LaneLag {
    let store: BufferStore
    let now: Timestamp

    /// - alerts: since the oldest alert that is known and not sent.
    /// - live: since the first record that came after the newest that central has received: 0 says that central's
    ///   picture is current.
    /// - backlog: since the oldest record that central has not received.
    func lanes(_ epochs: [ForwarderEpoch]) -> [ForwarderLane: UplinkStatus.Lane] {
        var lanes: [ForwarderLane: UplinkStatus.Lane] = [:]
        let alerts = epochs.reduce(0) { $0 + $1.unsentAlerts.count }
        let firstAlert = epochs.first { !$0.unsentAlerts.isEmpty }
        lanes[.alerts] = .init(
            unsent: alerts, lagSeconds: firstAlert.flatMap { age(of: $0.unsentAlerts.min, in: $0) } ?? 0)
        let current = epochs.last { $0.isCurrent }
        let behind = current?.firstBehindNewestReceived
        let unsentBehind = current.flatMap { epoch in
            behind.map { epoch.unsent.highest(in: $0...epoch.committedThrough, numbers: .max, ranges: 64).count }
        }
        lanes[.live] = .init(unsent: unsentBehind ?? 0, lagSeconds: current.flatMap { age(of: behind, in: $0) } ?? 0)
        let oldest = epochs.first { $0.firstUndelivered != nil }
        lanes[.backlog] = .init(
            unsent: epochs.reduce(0) { $0 + $1.unsent.count },
            lagSeconds: oldest.flatMap { age(of: $0.firstUndelivered, in: $0) } ?? 0)
        return lanes
    }

    private func age(of n: Int64?, in epoch: ForwarderEpoch) -> Double? {
        guard let n, let source = store.epochLog(epoch.name),
            let entry = try? source.log.read(from: n, maxEntries: 1, maxBytes: 1).first
        else { return nil }
        return max(0, now.seconds(since: Timestamp(microseconds: entry.timeMicroseconds)))
    }
}
