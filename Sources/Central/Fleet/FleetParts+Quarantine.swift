// The quarantine of a cluster's node among the parts that keep and decide about the fleet.

import Log
import System

extension FleetParts {
    /// nil: a central alone, which has its own.
    static func sharedQuarantine(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ fleet: Fleet, time: any TimeSource, log: Log
    ) throws -> SharedQuarantine? {
        guard configuration.cluster.isCluster else { return nil }
        let data = configuration.dataDirectory
        let quarantine = try SharedQuarantine(
            vault: stores.vault, indexPath: "\(data)/quarantine-index.db", time: time, log: log.component("quarantine")
        ) { record in
            if let n = record.n { fleet.retried(n, relayID: record.relayID, epoch: record.epoch) }
        }
        try quarantine.takeOver(stores.vaultDirectory, oldPath: "\(data)/quarantine.db")
        do {
            try quarantine.look()
        } catch {
            // Its thread looks again, and again.
            log.warning("quarantine_not_reached", ["error": .string("\(error)")])
        }
        return quarantine
    }
}

extension SharedQuarantine.Duties {
    /// A stream that is far behind has what was put into it already.
    private static let maxWaitingBatches = 1_000

    init(
        _ backbone: any Backbone, publish: @escaping @Sendable (QuarantinedRecord, [UInt8]) throws -> Void
    ) {
        self.init(
            isOnDuty: { backbone.doesUpkeep },
            canRetry: { backbone.stream.batches(after: backbone.archived) < Self.maxWaitingBatches }, publish: publish)
    }
}
