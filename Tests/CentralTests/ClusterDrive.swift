// Drives archivers that share a lake, one turn after the other, from a seed: their partitions overlap and change, they
// are killed at any step, the store fails before or after it did what it was asked, and in the middle of one's call
// another one makes its own. After every turn what a follower says is held against what the tables really hold.

import Central
import Models
import SyncProtocol
import Synchronization
import TestSupport
import WorldSimulation

final class ClusterDrive {
    struct Violation: Error, CustomStringConvertible {
        var description: String
    }

    private final class Seat {
        let name: String
        let plan = FaultPlan()
        var scope: Set<Int> = []
        var archiver: Archiver?

        init(_ name: String) { self.name = name }
    }

    let cluster: ClusterDisk
    let traffic: ClusterTraffic
    let follower: ArchiveFollower
    private(set) var contested = 0
    private(set) var crashes = 0
    private(set) var commits = 0
    private var random: SeededGenerator
    private let seats: [Seat]
    /// What is left in the stream, by partition.
    private var stream: [[StreamedBatch]]
    private var known: [RecordSource: IntervalSet] = [:]

    init(seed: UInt64, traffic: ClusterTraffic, archivers: Int, cluster: ClusterDisk) throws {
        self.traffic = traffic
        self.cluster = cluster
        random = SeededGenerator(seed: seed ^ 0x5EED)
        follower = try cluster.follower(of: traffic.partitions)
        seats = (0..<archivers).map { Seat("archiver-\($0)") }
        stream = (0..<traffic.partitions).map { traffic.messages(of: $0) }
        for seat in seats { seat.scope = someScope() }
    }

    private func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }

    private func someScope() -> Set<Int> {
        let scope = Set((0..<traffic.partitions).filter { _ in chance(0.6) })
        return scope.isEmpty ? [Int.random(in: 0..<traffic.partitions, using: &random)] : scope
    }

    // MARK: - Turns

    func run(turns: Int) throws {
        for _ in 0..<turns { try turn() }
    }

    private func turn() throws {
        let seat = seats[Int.random(in: seats.indices, using: &random)]
        if chance(0.1) {
            seat.archiver = nil
            seat.scope = someScope()
        }
        cluster.faults.setStoreErrors(chance(0.3) ? 0.02 : 0)
        let step = ArchiveStep.allCases.randomElement(using: &random) ?? .convert
        if chance(0.3) {
            seat.plan.arm(step) { throw ClusterCrash() }
        } else if chance(0.4) {
            let others = seats.filter { $0 !== seat }
            if let other = others.randomElement(using: &random) { arm(seat, step, other) }
        }
        try archive(seat)
        seat.plan.disarm()
        cluster.faults.setStoreErrors(0)
        try check()
    }

    /// In the middle of one's call another one makes a whole one. Its batches are chosen now, so that the closure needs
    /// nothing of this object.
    private func arm(_ seat: Seat, _ step: ArchiveStep, _ other: Seat) {
        guard let archiver = try? open(other) else { return }
        let batches = choose(archiver.positions)
        // What it comes to is for the checks to see; the one in whose call it happens must not notice.
        seat.plan.arm(step) { _ = try? archiver.archive(batches) }
    }

    private func open(_ seat: Seat) throws -> Archiver {
        if let archiver = seat.archiver { return archiver }
        let archiver = try cluster.archiver(
            seat.name, owning: seat.scope, of: traffic.partitions, plan: seat.plan)
        seat.archiver = archiver
        return archiver
    }

    /// Some of what waits in each partition, in the stream's order.
    private func choose(_ positions: [Int: Int64]) -> [StreamedBatch] {
        positions.sorted { $0.key < $1.key }.flatMap { partition, position in
            let waiting = stream[partition].filter { $0.position > position }
            return waiting.prefix(Int.random(in: 0...6, using: &random))
        }
        .sorted { $0.position < $1.position }
    }

    private func archive(_ seat: Seat) throws {
        do {
            let archiver = try open(seat)
            _ = try archiver.archive(choose(archiver.positions))
            commits += 1
            if chance(0.5) { release(archiver.positions) }
        } catch ArchiveError.anotherWriter {
            contested += 1
        } catch let error as ArchiveError {
            throw Violation(description: "an archiver gave up: \(error)")
        } catch {
            crashes += 1
            // The process dies, or lives on with the error.
            if chance(0.5) { seat.archiver = nil }
        }
    }

    private func release(_ positions: [Int: Int64]) {
        for (partition, position) in positions { stream[partition].removeAll { $0.position <= position } }
    }

    // MARK: - At the end

    /// No more faults; one archiver takes what is left, of everything.
    func finish() throws {
        let archiver = try cluster.archiver("last", owning: 0..<traffic.partitions, of: traffic.partitions)
        while true {
            let batches = archiver.positions.flatMap { partition, position in
                stream[partition].filter { $0.position > position }.prefix(5)
            }
            guard !batches.isEmpty else { break }
            _ = try archiver.archive(batches.sorted { $0.position < $1.position })
        }
        try check()
    }

    // MARK: - Checks

    /// What is called archived is in the tables or in quarantine, and stays so (I4).
    private func check() throws {
        _ = try follower.look()
        let quarantined = cluster.quarantined()
        let rows = try cluster.archivedRows()
        for source in ClusterTraffic.sources {
            let archived = follower.archivedRanges(relayID: source.relayID, epoch: source.epoch)
            let before = known[source] ?? IntervalSet()
            guard before.subtracting(archived).isEmpty else {
                throw Violation(description: "\(before.subtracting(archived)) of \(source.relayID) is taken back")
            }
            known[source] = archived
            let there = Set(rows.filter { $0.relayID == source.relayID }.map(\.n))
            let aside = Set(quarantined.filter { $0.source == source }.map(\.n))
            for n in archived.ranges.joined() where !there.contains(n) && !aside.contains(n) {
                let sent = traffic.records.values.joined().filter { $0.source == source && $0.n == n }
                throw Violation(
                    description: "\(n) of \(source.relayID) is called archived and is nowhere: \(sent.map(\.kind))")
            }
        }
    }

    /// Every row the rules ask for is there once, and no other.
    func differences() throws -> [String] {
        let found = try cluster.archivedRows()
        let wanted = traffic.expectedRows()
        var counts: [ExpectedRow: Int] = [:]
        for row in found { counts[row, default: 0] += 1 }
        for row in wanted { counts[row, default: 0] -= 1 }
        return counts.filter { $0.value != 0 }.map { "\($0.value > 0 ? "too many" : "missing"): \($0.key)" }.sorted()
    }
}
