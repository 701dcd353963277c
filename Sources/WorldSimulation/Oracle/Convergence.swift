// The second phase's questions: has everything come home, and does every account balance?

import Central
import EdgeRelay
import SyncProtocol

extension World {
    /// nil when everything has converged (I11), else what has not.
    func unfinished() -> String? {
        let waiting = drones.filter { !$0.isDone }
        if let drone = waiting.first {
            return "\(waiting.count) drones still hold reports, \(drone.id) \(drone.waitingCount) of them"
        }
        for relay in relays {
            guard let life = relay.life else { return "relay \(relay.number) is down" }
            if life.writing != nil || !life.waiting.isEmpty { return "relay \(relay.number) still writes" }
            for epoch in life.machine.epochs {
                let source = relay.source(epoch.name)
                let open = epoch.waiting - epoch.setAside.count
                if open > 0 {
                    return "relay \(relay.number) has \(open) records waiting in epoch \(epoch.name.prefix(6)): "
                        + "\(IntervalSet(1...max(1, epoch.committedThrough)).subtracting(epoch.settled)), received "
                        + "\(epoch.received), set aside \(epoch.setAside)"
                }
                let good = epoch.setAside.subtracting(ledger.poison(source))
                if !good.isEmpty { return "relay \(relay.number) has set aside the good records \(good)" }
            }
        }
        guard central.isUp else { return "central is down" }
        return central.stream.isEmpty ? nil : "\(central.stream.count) batches are not archived"
    }

    /// After convergence: nothing acknowledged is missing, and both ends count alike.
    func checkEverything() {
        central.watch.look()
        central.watch.check()
        for (number, report) in ledger.reports.enumerated() { check(number, report) }
        checkRecords()
        checkAccounts()
    }

    private func check(_ number: Int, _ report: Ledger.Report) {
        guard report.isAcknowledged, !report.isRejected else { return }
        let rows = report.reportRows + report.copyRows
        if rows == 0, !report.isExcused {
            ledger.fail("C1", "report \(number) of \(report.droneID) was acknowledged and is in no table")
        }
        let isOnce = report.reportRows == 1 || report.identity == nil || report.isContested || report.isUnstorable
        if rows > 0, !isOnce {
            ledger.fail("I5", "report \(number) of \(report.droneID) is \(report.reportRows) times in reports")
        }
        if let alertID = report.alertID, !report.alertIsExcused, !ledger.alertIDs.contains(alertID) {
            ledger.fail("C6", "the alert of report \(number) of \(report.droneID) is not in the archive")
        }
    }

    /// Every number that a relay gave out is settled, or a fault destroyed it, or it is set aside for its own fault.
    private func checkRecords() {
        for source in ledger.sources {
            guard let count = ledger.written[source]?.count, count > 0 else { continue }
            let open = IntervalSet(1...Int64(count)).subtracting(ledger.settled[source] ?? IntervalSet())
                .subtracting(ledger.destroyed[source] ?? IntervalSet()).subtracting(ledger.poison(source))
            if !open.isEmpty {
                ledger.fail("C5", "\(open) of \(source.relayID), \(source.epoch.prefix(6)) are nowhere")
            }
        }
    }

    /// received = archived + waiting + duplicates + rejected, and central counts what the tables hold.
    private func checkAccounts() {
        guard let statistics = central.life?.archiver.statistics else { return }
        for relay in statistics.relays {
            let source = RecordSource(relayID: relay.relayID, epoch: relay.epoch)
            let counted = Ledger.RowCounts(
                reports: relay.reports, duplicates: relay.duplicates, conflicts: relay.conflicts, alerts: relay.alerts)
            let expected = ledger.counts[source] ?? Ledger.RowCounts()
            if counted != expected {
                ledger.fail("accounting", "\(source.relayID) \(source.epoch.prefix(6)): \(counted), rows \(expected)")
            }
            let settled = ledger.settled[source] ?? IntervalSet()
            if relay.archived != settled {
                ledger.fail(
                    "accounting",
                    "central takes \(relay.archived) of \(source.relayID) for archived, and the tables have \(settled)")
            }
        }
    }
}

extension Ledger {
    /// In an order that does not depend on hashing.
    var sources: [RecordSource] {
        written.keys.sorted { ($0.relayID, $0.epoch) < ($1.relayID, $1.epoch) }
    }

    /// Records that central cannot take as they are.
    func poison(_ source: RecordSource) -> IntervalSet {
        var found = IntervalSet()
        for (index, record) in (written[source] ?? []).enumerated() {
            let isUnstorable = record.report >= 0 && reports[Int(record.report)].isUnstorable
            if record.isPoison || isUnstorable { found.insert(Int64(index + 1)) }
        }
        return found
    }
}
