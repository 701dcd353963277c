// What the fleet keeper judges by: what is durable and archived of each life, and its accounts. Pure.

import Models
import SyncProtocol

extension FleetKeeper {
    /// By relay.
    static func facts(_ views: [RelayView], _ archive: ArchiveStatistics) -> [String: [LifeFacts]] {
        // What is archived and its times from one reading: the views may know of a commit more.
        var states: [RecordSource: RelayArchiveState] = [:]
        for state in archive.relays { states[RecordSource(relayID: state.relayID, epoch: state.epoch)] = state }
        return Dictionary(
            uniqueKeysWithValues: views.map { view in
                (
                    view.relayID,
                    view.epochs.map { epoch in
                        let state = states[RecordSource(relayID: view.relayID, epoch: epoch.epoch)]
                        return LifeFacts(
                            epoch: epoch.epoch, durable: epoch.received, archived: state?.archived ?? IntervalSet(),
                            lastReceivedAt: state?.lastReceivedAt ?? [:])
                    }
                )
            })
    }

    static func accounts(
        _ facts: [String: [LifeFacts]], _ archive: ArchiveStatistics, _ ledgers: [String: RelayLedger]
    ) -> [(relayID: String, lives: [AccountBook.Life])] {
        var lives: [String: [AccountBook.Life]] = [:]
        for state in archive.relays {
            var life = AccountBook.Life(epoch: state.epoch, archivedNumbers: state.archived.count)
            (life.reports, life.alerts, life.duplicates) = (state.reports, state.alerts, state.duplicates)
            (life.conflicts, life.recordConflicts) = (state.conflicts, state.recordConflicts)
            (life.rejected, life.underWay) = (state.rejectedCount, state.underWay)
            let known = ledgers[state.relayID]?.life(state.epoch)
            if let known, known.isHeld {
                life.told = RelayReport.Epoch(
                    epoch: known.epoch, through: known.told, waiting: known.waiting, missing: known.missing,
                    missingCount: known.missingCount)
                life.archivedOfTold =
                    known.told > 0 ? state.archived.intersection(IntervalSet(1...known.told)).count : 0
            }
            lives[state.relayID, default: []].append(life)
        }
        return lives.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
