// Makes the parts that keep and decide about the fleet, in one place; CentralService wires them to the flow.

import Log
import Models
import SyncProtocol
import System

struct FleetParts: Sendable {
    let fleet: Fleet
    let quarantine: any QuarantineBook
    private let sharedQuarantine: SharedQuarantine?
    private let duties: SharedQuarantine.Duties
    let keeper: FleetKeeper
    let desk = Desk()
    let quarantineDesk: QuarantineDesk
    /// The stream's entries up to there are in `fleet`.
    let recoveredThrough: Int64
    private let rules: RuleSets
    private let sharing: FleetSharing?
    private let time: any TimeSource
    private let log: Log

    /// Learns what relays may be told: derived from the stream and the archive, never from memory of an earlier life
    /// (I4).
    init(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ backbone: any Backbone,
        time: any TimeSource, log: Log
    ) throws {
        self.time = time
        self.log = log.component("fleet")
        let data = configuration.dataDirectory
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let knowledge = backbone.knowledge
        let fleet = Fleet(archived: { knowledge.archivedRanges(relayID: $0, epoch: $1) })
        self.fleet = fleet
        for relay in knowledge.statistics.relays { fleet.known(relayID: relay.relayID, epoch: relay.epoch) }
        var retries: Set<String> = []
        var last = backbone.recoverAfter
        try backbone.stream.recover(after: last) { entry in
            fleet.received(entry.header, name: nil, digest: nil, at: entry.receivedAt)
            if let retry = entry.header.retry { retries.insert(retry) }
            last = max(last, entry.position)
        }
        recoveredThrough = last
        let shared = try Self.sharedQuarantine(configuration, stores, fleet, time: time, log: log)
        let quarantine: any QuarantineBook
        if let shared {
            quarantine = shared
        } else {
            let own = try Quarantine(
                vault: stores.vaultDirectory, rejects: stores.vault, oldPath: "\(data)/quarantine.db")
            try own.takeInArchiveRejects(at: now)
            try own.settleRetries(archivedThrough: knowledge.committedPosition, inStream: retries, at: now)
            quarantine = own
        }
        self.quarantine = quarantine
        let store = try FleetStore(path: "\(data)/fleet.db")
        let sharing = backbone.fleetBoard.map { FleetSharing(board: $0, log: log.component("fleet")) }
        self.sharing = sharing
        rules = try RuleSets(store: store) { try sharing?.put($0) }
        keeper = try FleetKeeper(
            fleet: fleet, store: store, time: time, log: log.component("fleet"), archive: { knowledge.statistics },
            quarantined: { quarantine.counts }, onWord: { sharing?.wake() })
        quarantineDesk = QuarantineDesk(
            quarantine: quarantine, stream: backbone.stream, fleet: fleet, desk: desk, time: time,
            log: log.component("quarantine"))
        sharedQuarantine = shared
        duties = SharedQuarantine.Duties(backbone, publish: quarantineDesk.publish)
        // What other nodes have raised and closed is not raised again.
        sharing?.step(listener, onlyReads: true)
        keeper.look()
    }

    /// On the archiver's thread, after each version.
    var onCommit: @Sendable (ArchiveCommit, [String]) -> Void {
        { [quarantineDesk, keeper] commit, retried in
            quarantineDesk.committed(commit, retried: retried)
            keeper.wake()
        }
    }

    /// What other nodes of a cluster heard.
    private var listener: FleetSharing.Listener {
        FleetSharing.Listener(
            adopt: { [keeper] in keeper.adopt($0) },
            words: { [keeper] in keeper.words(all: $0) },
            rules: { [rules, fleet, log] in
                do {
                    if try rules.adopt($0) { fleet.wantRules(version: $0.message.version) }
                } catch {
                    log.error("rules_not_saved", ["error": .string("\(error)")])
                }
            },
            ruleSets: { [rules] in rules.versions.compactMap { rules.set(version: $0) } })
    }

    func fleetDesk(figures: @escaping @Sendable () -> CentralFigures) -> FleetDesk {
        FleetDesk(
            keeper: keeper, fleet: fleet, rules: rules, quarantine: quarantineDesk, desk: desk, time: time,
            figures: figures,
            onReport: { [sharing, time] in
                sharing?.tell($0, heardAt: Timestamp(microseconds: time.wallMicroseconds()))
            })
    }

    func start() -> [WorkerThread] {
        var threads = [keeper.start(), desk.start()]
        if let sharedQuarantine {
            threads.append(
                WorkerThread(name: "quarantine", stackBytes: 4 << 20) { [duties] in sharedQuarantine.run(duties) })
        }
        if let sharing {
            let listener = listener
            threads.append(WorkerThread(name: "sharing", stackBytes: 4 << 20) { sharing.run(listener) })
        }
        return threads
    }

    func stop() {
        sharedQuarantine?.stop()
        sharing?.stop()
        keeper.stop()
    }
}
