// Makes the parts that keep and decide about the fleet, in one place; CentralService wires them to the flow.

import Log
import Models
import System

struct FleetParts: Sendable {
    let fleet: Fleet
    let quarantine: Quarantine
    let keeper: FleetKeeper
    let desk = Desk()
    let quarantineDesk: QuarantineDesk
    private let rules: RuleSets
    private let time: any TimeSource

    /// Learns what relays may be told: derived from the stream and the archive, never from memory of an earlier life
    /// (I4).
    init(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ archiver: any ArchiveKnowledge,
        _ stream: EmbeddedStream,
        time: any TimeSource, log: Log
    ) throws {
        self.time = time
        let data = configuration.dataDirectory
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let fleet = Fleet(archived: { archiver.archivedRanges(relayID: $0, epoch: $1) })
        self.fleet = fleet
        for relay in archiver.statistics.relays { fleet.known(relayID: relay.relayID, epoch: relay.epoch) }
        var retries: Set<String> = []
        try stream.recover(after: archiver.committedPosition) { entry in
            fleet.received(entry.header, name: nil, digest: nil, at: entry.receivedAt)
            if let retry = entry.header.retry { retries.insert(retry) }
        }
        let quarantine = try Quarantine(
            vault: stores.vaultDirectory, rejects: stores.vault, oldPath: "\(data)/quarantine.db")
        self.quarantine = quarantine
        try quarantine.takeInArchiveRejects(at: now)
        try quarantine.settleRetries(archivedThrough: archiver.committedPosition, inStream: retries, at: now)
        let store = try FleetStore(path: "\(data)/fleet.db")
        rules = try RuleSets(store: store)
        keeper = try FleetKeeper(
            fleet: fleet, store: store, time: time, log: log.component("fleet"), archive: { archiver.statistics },
            quarantined: { quarantine.counts })
        quarantineDesk = QuarantineDesk(
            quarantine: quarantine, stream: stream, fleet: fleet, desk: desk, time: time,
            log: log.component("quarantine"))
    }

    /// On the archiver's thread, after each version.
    var onCommit: @Sendable (ArchiveCommit, [String]) -> Void {
        { [quarantineDesk, keeper] commit, retried in
            quarantineDesk.committed(commit, retried: retried)
            keeper.wake()
        }
    }

    func fleetDesk(figures: @escaping @Sendable () -> CentralFigures) -> FleetDesk {
        FleetDesk(
            keeper: keeper, fleet: fleet, rules: rules, quarantine: quarantineDesk, desk: desk, time: time,
            figures: figures)
    }

    func start() -> [WorkerThread] { [keeper.start(), desk.start()] }
}
