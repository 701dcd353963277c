// Several archivers on one lake, driven in turns with faults at every step: whatever they do to each other, every
// report is in the archive once, and nobody is told `archived` too early.

import Central
import Models
import SyncProtocol
import TestSupport
import Testing
import WorldSimulation

@Suite("archivers of a cluster") struct ClusterArchiveTests {
    private static func drive(_ seed: UInt64) throws -> ClusterDrive {
        var random = SeededGenerator(seed: seed)
        let traffic = ClusterTraffic(
            seed: seed, partitions: Int.random(in: 1...5, using: &random),
            batches: Int.random(in: 10...30, using: &random))
        return try ClusterDrive(
            seed: seed, traffic: traffic, archivers: Int.random(in: 1...3, using: &random),
            cluster: ClusterDisk(seed: seed))
    }

    @Test("overlapping archivers with faults at every step lose no report and archive none twice", arguments: 0..<4)
    func turns(block: Int) throws {
        var contested = 0
        var crashes = 0
        for seed in UInt64(block * 20)..<UInt64(block * 20 + 20) {
            let drive = try Self.drive(seed)
            do {
                try drive.run(turns: 60)
                try drive.finish()
            } catch {
                Issue.record("seed \(seed): \(error)")
                continue
            }
            let differences = try drive.differences()
            #expect(differences.isEmpty, "seed \(seed): \(differences.prefix(5).joined(separator: "; "))")
            contested += drive.contested
            crashes += drive.crashes
            try checkEnd(drive, seed)
        }
        #expect(contested > 0 && crashes > 0, "turns in which nobody gets in anybody's way prove nothing")
    }

    /// What the follower that saw everything says, and one that starts now; and the books balance.
    private func checkEnd(_ drive: ClusterDrive, _ seed: UInt64) throws {
        let late = try drive.cluster.follower(of: drive.traffic.partitions)
        let rows = try drive.cluster.archivedRows()
        for source in ClusterTraffic.sources {
            let sent = drive.traffic.numbers(source)
            let seen = drive.follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
            #expect(seen == sent, "seed \(seed): archived \(seen) of \(sent)")
            #expect(late.archivedRanges(relayID: source.relayID, epoch: source.epoch) == seen, "seed \(seed)")
            guard let state = late.relayState(relayID: source.relayID, epoch: source.epoch) else {
                #expect(sent.isEmpty, "seed \(seed)")
                continue
            }
            let own = rows.filter { $0.relayID == source.relayID }
            #expect(state.reports == own.count { $0.table == "reports" }, "seed \(seed)")
            #expect(state.alerts == own.count { $0.table == "alerts" }, "seed \(seed)")
            // A conflict whose call was cut short is not counted when it is met again; its row is there.
            #expect(state.duplicates + state.conflicts <= own.count { $0.table == "duplicates" }, "seed \(seed)")
            let accounted =
                state.reports + state.alerts + state.duplicates + state.conflicts - state.recordConflicts
                + state.rejectedCount
            if !drive.traffic.hasSimultaneousClones {
                #expect(accounted == state.archived.count, "seed \(seed): \(state)")
            }
            #expect(state.underWay == 0, "seed \(seed), \(source.relayID)")
        }
        let persons = try drive.cluster.rows(.identities).map(\.personID)
        #expect(Set(persons).count == persons.count, "seed \(seed): a person is in the vault twice")
    }
}
