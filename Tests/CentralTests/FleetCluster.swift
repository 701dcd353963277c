// Nodes of a cluster as far as they know the fleet: each with a keeper, a file and a clock of its own, one archive and
// one board for all.

import Central
import Log
import Models
import SyncProtocol
import System

/// The archive and the board of a few nodes.
final class FleetCluster {
    let archive: ArchiveFixture
    let archiver: Archiver
    let board = MemoryBoard()
    private var position: Int64 = 0

    init() throws {
        archive = try ArchiveFixture()
        archiver = try archive.archiver()
    }

    /// - Parameter disk: another name than before is an empty disk.
    func node(_ name: String, disk: String? = nil, skewSeconds: Double = 0) throws -> FleetNode {
        let time = ManualTime(
            wallMicroseconds: archive.time.wallMicroseconds() + Int64(skewSeconds * 1e6))
        return try FleetNode(name, self, path: "\(archive.directory)/\(disk ?? name).db", time: time)
    }

    func archive(_ makers: BatchMaker...) throws {
        let batches = makers.map { maker in
            position += 1
            return maker.batch(at: position)
        }
        _ = try archiver.archive(batches)
    }

    /// Two reports under one identity, `count` times.
    func conflict(_ first: Int64, count: Int64 = 1) throws {
        var maker = BatchMaker()
        for n in first..<(first + count) {
            maker.add(2 * n, BatchMaker.report(seq: n))
            maker.add(2 * n + 1, BatchMaker.report(seq: n, name: "Bob Stone"))
        }
        try archive(maker)
    }
}

final class FleetNode {
    let name: String
    let time: ManualTime
    let fleet: Fleet
    let keeper: FleetKeeper
    let rules: RuleSets
    private let cluster: FleetCluster
    private let sharing: FleetSharing
    /// What this node has read of the archive; nil: all.
    private let frozen = Monitor<ArchiveStatistics?>(nil)

    /// As a central starts: what others know is read before the first look.
    init(_ name: String, _ cluster: FleetCluster, path: String, time: ManualTime) throws {
        self.name = name
        self.cluster = cluster
        self.time = time
        let archiver = cluster.archiver
        let fleet = Fleet(archived: { archiver.archivedRanges(relayID: $0, epoch: $1) })
        self.fleet = fleet
        let log = Log(component: "test", sink: .none)
        let store = try FleetStore(path: path)
        rules = try RuleSets(store: store)
        let frozen = frozen
        keeper = try FleetKeeper(
            fleet: fleet, store: store, time: time, log: log,
            archive: { frozen.withLock { $0 } ?? archiver.statistics })
        sharing = FleetSharing(board: cluster.board.seen(by: name), log: log)
        share()
        look()
    }

    func share() {
        let (keeper, rules) = (keeper, rules)
        sharing.step(
            FleetSharing.Listener(
                adopt: { keeper.adopt($0) }, words: { keeper.words(all: $0) },
                rules: { _ = try? rules.adopt($0) },
                ruleSets: { rules.versions.compactMap { rules.set(version: $0) } }))
    }

    func put(_ rules: FleetStore.StoredRules) throws {
        try sharing.put(rules)
        _ = try self.rules.adopt(rules)
    }

    func look(seconds: Int = 1) {
        for relay in cluster.archiver.statistics.relays where frozen.withLock({ $0 }) == nil {
            fleet.known(relayID: relay.relayID, epoch: relay.epoch)
        }
        for _ in 0..<seconds {
            time.advance(seconds: 1)
            keeper.look()
        }
    }

    /// Hears nothing of the archive for a while.
    func fallBehind(_ isBehind: Bool) {
        let statistics = cluster.archiver.statistics
        frozen.update { $0 = isBehind ? statistics : nil }
    }

    /// A relay tells this node.
    func hear(_ report: RelayReport) {
        if keeper.take(report) { sharing.tell(report, heardAt: now) }
    }

    var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    /// Everything is on disk, as after an orderly stop.
    func stop() {
        let thread = keeper.start()
        keeper.stop()
        thread.join()
    }

    func incident(_ code: IncidentCode, _ relayID: String = ArchiveFixture.relay) -> Incident? {
        keeper.incidents.first { $0.id == Incident.id(code, relayID) }
    }

    func isOpen(_ code: IncidentCode, _ relayID: String = ArchiveFixture.relay) -> Bool? {
        incident(code, relayID)?.isOpen
    }

    func close(_ code: IncidentCode, _ relayID: String = ArchiveFixture.relay) throws -> Incident? {
        try keeper.close(Incident.id(code, relayID), by: name, note: "seen")
    }

    func isRetired(_ relayID: String) -> Bool? { keeper.ledgers[relayID]?.isRetired }
}
