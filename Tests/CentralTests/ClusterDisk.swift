// A cluster's lake and vault in memory, with archivers that share them, and what the tables hold at any moment.

import Central
import Crypto
import FoundationEssentials
import Log
import Models
import ObjectStore
import SyncProtocol
import Synchronization
import System
import WorldSimulation
import Simulation

/// What happens to one archiver at its next steps.
final class FaultPlan: Sendable {
    private let actions = Mutex<[ArchiveStep: @Sendable () throws -> Void]>([:])

    func arm(_ step: ArchiveStep, _ action: @escaping @Sendable () throws -> Void) {
        actions.withLock { $0[step] = action }
    }

    func disarm() { actions.withLock { $0 = [:] } }

    func pass(_ step: ArchiveStep) throws {
        let action = actions.withLock { $0.removeValue(forKey: step) }
        try action?()
    }
}

struct ClusterCrash: Error {}

final class ClusterDisk: Sendable {
    let faults: StepFaults
    let disk: MemoryDisk
    let lake: MemoryStore
    let vault: MemoryStore
    let time = ManualTime()
    /// Read on, not read again, at each look.
    private let tables = Mutex<[String: DeltaTable]>([:])

    init(seed: UInt64) {
        faults = StepFaults(random: SeededRandom(seed: seed))
        disk = MemoryDisk(faults: faults)
        lake = MemoryStore("lake", on: disk)
        vault = MemoryStore("vault", on: disk)
        time.setWall(microseconds: ArchiveFixture.start)
    }

    func configuration(_ name: String, plan: FaultPlan = FaultPlan()) -> ArchiverConfiguration {
        var configuration = ArchiverConfiguration(
            lake: lake, vault: vault, engine: MemoryEngine(disk: disk, scratch: name),
            hmacKey: Array("a key for tests, 32 bytes long..".utf8))
        configuration.parsesAhead = false
        configuration.commitsPerSnapshot = 3
        configuration.failurePoint = { try plan.pass($0) }
        return configuration
    }

    func archiver(
        _ name: String, owning owned: some Sequence<Int>, of partitions: Int, plan: FaultPlan = FaultPlan()
    ) throws -> Archiver {
        var configuration = configuration(name, plan: plan)
        configuration.scope = ArchiverScope(owned: owned, of: partitions)
        return try Archiver(configuration, time: time)
    }

    func follower(of partitions: Int) throws -> ArchiveFollower {
        try ArchiveFollower(
            .init(
                lake: lake, vault: vault, engine: MemoryEngine(disk: disk, scratch: "follower"),
                partitions: partitions), log: Log(component: "test", sink: .none))
    }

    /// The newest version's rows of one table.
    func rows(_ schema: TableSchema) throws -> [ArchivedRow] {
        let store = schema.name == "identities" ? vault : lake
        let known = tables.withLock { $0[schema.name] }
        let table = try known ?? DeltaTable(schema, in: store, createdAt: nil)
        tables.withLock { $0[schema.name] = table }
        return try table.refresh().files.keys.sorted().flatMap { path in
            store.localPath("\(schema.name)/\(path)").flatMap { disk.rows($0) }?.rows ?? []
        }
    }

    func archivedRows() throws -> [ExpectedRow] {
        try [TableSchema.reports, .duplicates, .alerts].flatMap { schema in
            try rows(schema).map { row in
                ExpectedRow(
                    table: schema.name, relayID: row.relayID, n: row.n,
                    identity: schema.name == "alerts" ? "" : "\(row.droneID) \(row.boot) \(row.seq)",
                    digest: row.digest?.hex ?? "", reason: row.reason)
            }
        }
        .sorted()
    }

    /// Record numbers with a line in the archivers' quarantine, bytes included.
    func quarantined() -> Set<RecordNumber> {
        var found: Set<RecordNumber> = []
        for path in disk.paths where path.hasPrefix("vault/_columba/quarantine/") {
            for line in (disk.bytes(path) ?? []).split(separator: 0x0a) {
                guard let row = try? JSONDecoder().decode(QuarantineLine.self, from: Data(line)) else { continue }
                found.insert(
                    RecordNumber(source: RecordSource(relayID: row.relay_id, epoch: row.epoch), n: row.n))
            }
        }
        return found
    }
}

private struct QuarantineLine: Decodable {
    var relay_id: String
    var epoch: String
    var n: Int64
    var line_base64: String
}
