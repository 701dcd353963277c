// Which reports have been seen, for ever, against plain sets.

import Models
import SyncProtocol
import Testing
import TestSupport

@Suite("The identity tracker")
struct IdentityTrackerTests {
    @Test("counts each report once, for ever, whatever the order and the repeats (I5)")
    func once() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var tracker = IdentityTracker()
        var seen: Set<ReportIdentity> = []
        for _ in 0..<10_000 {
            let identity = ReportIdentity(
                droneID: "pw-\(Int.random(in: 0...5, using: &random))",
                boot: "b\(Int.random(in: 0...2, using: &random))",
                seq: .random(in: 1...200, using: &random))
            let isNew = seen.insert(identity).inserted
            let answer = tracker.insert(identity)
            #expect(answer == isNew, "seed \(seed)")
        }
        #expect(tracker.reportCount == seen.count && tracker.keyCount == 18, "seed \(seed)")
        for identity in seen { #expect(tracker.contains(identity), "seed \(seed)") }
        #expect(!tracker.contains(ReportIdentity(droneID: "pw-0", boot: "b0", seq: 201)))
    }

    @Test("does not confuse a drone's name with its boot's")
    func keys() {
        var tracker = IdentityTracker()
        tracker.insert(ReportIdentity(droneID: "ab", boot: "c", seq: 1))
        #expect(!tracker.contains(ReportIdentity(droneID: "a", boot: "bc", seq: 1)))
        #expect(tracker.intervals(droneID: "ab", boot: "c").ranges == [1...1])
    }

    @Test("grows with drones and gaps, not with reports")
    func memory() {
        var tracker = IdentityTracker()
        for drone in 0..<1000 { tracker.insert(droneID: "pw-\(drone)", boot: "b", range: 1...10) }
        let before = tracker.approximateBytes
        for drone in 0..<1000 { tracker.insert(droneID: "pw-\(drone)", boot: "b", range: 11...1_000_000) }
        #expect(tracker.approximateBytes == before && before < 1000 * 200)
        #expect(tracker.reportCount == 1_000_000_000 && tracker.rangeCount == 1000)
    }

    @Test("merges with another")
    func merging() {
        var left = IdentityTracker()
        left.insert(droneID: "a", boot: "0", range: 1...5)
        var right = IdentityTracker()
        right.insert(droneID: "a", boot: "0", range: 6...9)
        right.insert(droneID: "b", boot: "0", range: 1...1)
        left.formUnion(right)
        #expect(left.intervals(droneID: "a", boot: "0").ranges == [1...9] && left.keyCount == 2)
        var total = 0
        left.forEach { _, set in total += set.count }
        #expect(total == 10)
    }
}
