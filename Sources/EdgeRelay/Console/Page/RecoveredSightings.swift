// The last report of each drone that an earlier life of the relay stored: after a restart the board shows these drones
// as silent since then, instead of nothing. Filled while the buffer's tail is read at start, emptied by the board.

package import Models
import JSON
import SegmentedLog
import Synchronization

package final class RecoveredSightings: Sendable {
    package struct Last: Sendable {
        package var identity: ReportIdentity
        package var receivedAt: Timestamp
        package var body: [UInt8]
    }

    /// Drones beyond this number appear when they report (I7).
    private static let maxDrones = 20_000

    private let last = Mutex<[String: Last]>([:])

    package init() {}

    func note(_ identity: ReportIdentity, _ entry: LogEntry) {
        last.withLock { last in
            guard last.count < Self.maxDrones || last[identity.droneID] != nil else { return }
            last[identity.droneID] = Last(
                identity: identity, receivedAt: Timestamp(microseconds: entry.timeMicroseconds), body: entry.payload)
        }
    }

    package func take() -> [Last] {
        last.withLock { last in
            defer { last = [:] }
            return Array(last.values)
        }
    }
}

extension RecoveredSightings.Last {
    /// Nil where the body is no report any more: it only is missing on the board then.
    func sighting(_ parser: ReportParser) -> DroneSighting? {
        body.withUnsafeBytes { bytes in
            guard let report = try? parser.parse(bytes) else { return nil }
            let observedAt = report.observedAt ?? receivedAt
            var sighting = DroneSighting(
                identity: identity, receivedAt: receivedAt, observedAt: observedAt, latitude: report.latitude,
                longitude: report.longitude, body: body.count <= DroneBoard.maxBodyBytes ? body : [], reports: 0)
            sighting.track.add(latitude: report.latitude, longitude: report.longitude, at: observedAt)
            return sighting
        }
    }
}
