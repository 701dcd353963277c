// What exact deduplication for ever costs (`make bench-state`): the state of 100,000 drones, 1,440 reports each, one in
// a hundred of which comes late, in memory and on disk, before the gaps close and after. Bytes do not depend on how the
// build is optimised.

import Central
import Foundation
import Models
import SyncProtocol
import System
import Testing
import TestSupport

@Suite("state", .enabled(if: Environment.variable("COLUMBA_MEASURE_STATE") != nil))
struct StateMeasurement {
    static let drones = 100_000
    static let reports: Int64 = 1_440

    private func kilobytes(_ bytes: Int) -> String { "\(bytes / 1_024) KiB" }

    private func show(_ moment: String, _ state: DeduplicatorSnapshot) throws {
        let encoded = try state.encoded()
        print(
            "\(moment): \(state.identities.reportCount) reports, \(state.identities.rangeCount) ranges; memory "
                + "\(kilobytes(state.identities.approximateBytes)) ; disk "
                + "\(kilobytes(encoded.count))")
        let read = try #require(DeduplicatorSnapshot(encoded: encoded))
        #expect(read.identities.reportCount == state.identities.reportCount)
    }

    @Test("the state of 144,000,000 reports")
    func measure() throws {
        var random = SeededGenerator(seed: 7)
        var state = DeduplicatorSnapshot(version: 1, position: 1)
        var late: [(drone: Int, seq: Int64)] = []
        for drone in 0..<Self.drones {
            let id = "pw-\(drone)"
            var next: Int64 = 1
            // On average every hundredth.
            var seq = Int64.random(in: 1...100, using: &random)
            while seq <= Self.reports {
                late.append((drone, seq))
                if seq > next { state.identities.insert(droneID: id, boot: "6f1c", range: next...(seq - 1)) }
                next = seq + 1
                seq += Int64.random(in: 1...199, using: &random)
            }
            if next <= Self.reports { state.identities.insert(droneID: id, boot: "6f1c", range: next...Self.reports) }
        }
        try show("with gaps   ", state)
        #expect(state.identities.reportCount + late.count == Self.drones * Int(Self.reports))
        for item in late.shuffled(using: &random) {
            let identity = ReportIdentity(droneID: "pw-\(item.drone)", boot: "6f1c", seq: item.seq)
            let isNew = state.identities.insert(identity)
            #expect(isNew)
        }
        late = []
        try show("gaps closed ", state)
        #expect(state.identities.rangeCount == Self.drones)
    }
}
