// The last thing heard from each drone: for `GET /v1/drones`, for lost-contact rules, and each drone's token bucket.

package import Models
import AlertRules
import JSON
package import System
import Synchronization

package struct DroneSighting: Sendable {
    package var identity: ReportIdentity
    package var receivedAt: Timestamp
    package var observedAt: Timestamp
    package var latitude: Double
    package var longitude: Double
    /// The report as it came.
    package var body: [UInt8]
    package var reports: Int
    /// Where it was in the last ten minutes.
    package var track = DroneTrack()
}

package final class DroneBoard: Sendable {
    package enum Hearing: Sendable, Equatable {
        /// Late: it was replayed after an outage, see `DroneClock`.
        case noted(isLate: Bool)
        case tooFast(retryAfterSeconds: Double)
    }

    /// A report larger than this is not kept here whole; the page then shows position and times only.
    package static let maxBodyBytes = 16 << 10
    /// Shards, so that the server's threads rarely wait for each other.
    private static let shards = 16

    fileprivate struct Drone {
        var sighting: DroneSighting
        var heardAt: UInt64
        var bucket: TokenBucket
        var clock = DroneClock()
        /// Names of the lost-contact rules that fired since the drone was last heard.
        var silences: Set<String> = []
        /// Heard in an earlier life of the relay only: shown, but no lost-contact rule counts from then.
        var isRestored = false
    }

    private final class Shard: Sendable { let drones = Mutex<[String: Drone]>([:]) }

    private let shards = (0..<DroneBoard.shards).map { _ in Shard() }
    private let maxDronesPerShard: Int
    private struct Rate { var perSecond: Double; var burst: Double }
    private let rate: Mutex<Rate>

    package init(maxDrones: Int, ratePerSecond: Double, burst: Double) {
        // The shards are never filled evenly: some more for each, so that so many drones do find their place.
        maxDronesPerShard = max(1, maxDrones / Self.shards) * 5 / 4 + 32
        rate = Mutex(Rate(perSecond: ratePerSecond, burst: burst))
    }

    /// From the next report on, for drones that are known already too (reload).
    package func update(_ limits: RelayConfiguration.Limits) {
        rate.withLock { $0 = Rate(perSecond: limits.reportsPerDronePerSecond, burst: limits.reportBurstPerDrone) }
    }

    package convenience init(
        _ limits: RelayConfiguration.Limits, _ recovered: RecoveredSightings, time: any TimeSource
    ) {
        self.init(
            maxDrones: limits.dronesOnBoard, ratePerSecond: limits.reportsPerDronePerSecond,
            burst: limits.reportBurstPerDrone)
        restore(
            recovered.take(), wall: Timestamp(microseconds: time.wallMicroseconds()), at: time.monotonicNanoseconds())
    }

    private func shard(_ droneID: String) -> Shard {
        shards[Int(UInt(bitPattern: droneID.hashValue) % UInt(Self.shards))]
    }

    /// Notes a report, unless the drone sends too fast: then it is to be refused.
    package func heard(
        _ identity: ReportIdentity, body: UnsafeRawBufferPointer, latitude: Double, longitude: Double,
        observedAt: Timestamp, receivedAt: Timestamp, at now: UInt64
    ) -> Hearing {
        let (ratePerSecond, burst) = rate.withLock { ($0.perSecond, $0.burst) }
        return shard(identity.droneID).drones.withLock { drones in
            var drone: Drone
            if let index = drones.index(forKey: identity.droneID) {
                // In place: a copy of the entry would copy the body.
                if let wait = drones.values[index].bucket.take(1, ratePerSecond: ratePerSecond, burst: burst, at: now) {
                    return .tooFast(retryAfterSeconds: wait)
                }
                let isLate = drones.values[index].note(
                    identity, body, latitude, longitude, observedAt, receivedAt, at: now)
                return .noted(isLate: isLate)
            }
            if drones.count >= maxDronesPerShard, let oldest = drones.min(by: { $0.value.heardAt < $1.value.heardAt }) {
                drones[oldest.key] = nil
            }
            drone = Drone(
                sighting: DroneSighting(
                    identity: identity, receivedAt: receivedAt, observedAt: observedAt, latitude: latitude,
                    longitude: longitude, body: [], reports: 0),
                heardAt: now, bucket: TokenBucket(burst: burst, at: now))
            _ = drone.bucket.take(1, ratePerSecond: ratePerSecond, burst: burst, at: now)
            let isLate = drone.note(identity, body, latitude, longitude, observedAt, receivedAt, at: now)
            drones[identity.droneID] = drone
            return .noted(isLate: isLate)
        }
    }

    /// Drones heard in this life of the relay.
    package var count: Int {
        shards.reduce(0) { $0 + $1.drones.withLock { $0.values.count { !$0.isRestored } } }
    }

    /// Takes over what an earlier life heard last.
    package func restore(_ recovered: [RecoveredSightings.Last], wall: Timestamp, at now: UInt64) {
        let parser = ReportParser()
        let burst = rate.withLock { $0.burst }
        for sighting in recovered.compactMap({ $0.sighting(parser) }) {
            let age = UInt64(max(0, wall.seconds(since: sighting.receivedAt)) * 1e9)
            var drone = Drone(
                sighting: sighting, heardAt: now - min(now, age), bucket: TokenBucket(burst: burst, at: now))
            drone.isRestored = true
            shard(sighting.identity.droneID).drones.withLock { drones in
                guard drones.count < maxDronesPerShard else { return }
                drones[sighting.identity.droneID] = drone
            }
        }
    }

    package func sighting(of droneID: String) -> DroneSighting? {
        shard(droneID).drones.withLock { $0[droneID]?.sighting }
    }

    /// All drones, or those heard at `since` and later, with the seconds since each was heard, the longest silent last.
    package func list(at now: UInt64, since: UInt64 = 0) -> [(sighting: DroneSighting, silentSeconds: Double)] {
        var all: [(sighting: DroneSighting, silentSeconds: Double)] = []
        for shard in shards {
            shard.drones.withLock { drones in
                for drone in drones.values where drone.heardAt >= since {
                    all.append((drone.sighting, Double(now - min(now, drone.heardAt)) / 1e9))
                }
            }
        }
        return all.sorted {
            ($0.silentSeconds, $0.sighting.identity.droneID) < ($1.silentSeconds, $1.sighting.identity.droneID)
        }
    }

    /// Drones that have been silent for longer than `seconds` and for which `rule` was not yet raised in this silence.
    package func newlySilent(rule: String, seconds: Double, at now: UInt64) -> [DroneSighting] {
        var found: [DroneSighting] = []
        for shard in shards {
            shard.drones.withLock { drones in
                for (id, drone) in drones
                where !drone.isRestored && Double(now - min(now, drone.heardAt)) / 1e9 > seconds {
                    guard drones[id]?.silences.insert(rule).inserted == true else { continue }
                    found.append(drone.sighting)
                }
            }
        }
        return found
    }
}

extension DroneBoard.Drone {
    fileprivate mutating func note(
        _ identity: ReportIdentity, _ body: UnsafeRawBufferPointer, _ latitude: Double, _ longitude: Double,
        _ observedAt: Timestamp, _ receivedAt: Timestamp, at now: UInt64
    ) -> Bool {
        heardAt = now
        isRestored = false
        let isLate = clock.isLate(observedAt: observedAt, receivedAt: receivedAt, boot: identity.boot)
        if !silences.isEmpty { silences = [] }
        sighting.reports += 1
        // A backlog replayed after an outage must not move the drone back in time.
        guard observedAt >= sighting.observedAt || sighting.reports == 1 else { return isLate }
        sighting.identity = identity
        sighting.receivedAt = receivedAt
        sighting.observedAt = observedAt
        sighting.latitude = latitude
        sighting.longitude = longitude
        sighting.track.add(latitude: latitude, longitude: longitude, at: observedAt)
        sighting.body.removeAll(keepingCapacity: true)
        if body.count <= DroneBoard.maxBodyBytes { sighting.body.append(contentsOf: body) }
        return isLate
    }
}
