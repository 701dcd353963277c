// Central's figures at one moment: `/v1/status`, `/v1/relays`, the view `relays`, the metrics. Per relay they add up:
//
//   received = archived + duplicates + conflicts − record_conflicts + waiting + rejected
//
// in records: reports, alerts and state changes. `AccountBook` checks it from numbers counted apart.

import JSON
import Models
import SyncProtocol

struct RelayFigures: Sendable {
    var relayID: String
    var lastContact: Timestamp?
    var completeThrough: Timestamp?
    /// Records durable at central.
    var received = 0
    /// Rows in the archive: new reports, alerts, state changes.
    var archived = 0
    /// Rows of `duplicates` with reason `duplicate`, and with reason `conflict`.
    var duplicates = 0
    var conflicts = 0
    /// Of the conflicts and the rejected, those under a number that was settled before.
    var recordConflicts = 0
    var rejected = 0
    /// Durable in the stream, not yet in a committed version.
    var waiting = 0
    /// As the relay last told, or as gaps show.
    var waitingAtRelay = 0
    var lost = 0
    var isSilent = false
    var isRetired = false
    /// Their codes.
    var openIncidents: [String] = []
    var epochs: [RelayView.EpochView] = []
}

struct CentralFigures: Sendable {
    var startedAt: Timestamp
    var now: Timestamp
    var archive: ArchiveStatistics
    var relays: [RelayFigures]
    var intake: IntakeCounters
    var progress: ArchiveProgress
    var streamBytes = 0
    var waitingBatches = 0
    var waitingRecords = 0
    var runningQueries = 0
    var completeness = FleetCompleteness([])
    var openIncidents: [IncidentCode: Int] = [:]
    var quarantined = 0
    var rulesVersion = 0

    /// Every record that any relay received before this is archived; nil while one relay has nothing.
    var completeThrough: Timestamp? { completeness.completeThrough }

    static func relays(
        _ views: [RelayView], _ archive: ArchiveStatistics, _ completeness: FleetCompleteness
    ) -> [RelayFigures] {
        completeness.relays.map { complete in
            let view = views.first { $0.relayID == complete.relayID }
            var figures = RelayFigures(
                relayID: complete.relayID, lastContact: complete.lastContact, epochs: view?.epochs ?? [])
            for state in archive.relays where state.relayID == complete.relayID {
                figures.rejected += state.rejectedCount
                figures.duplicates += state.duplicates
                figures.conflicts += state.conflicts
                figures.archived += state.reports + state.alerts
                figures.recordConflicts += state.recordConflicts
            }
            figures.waiting = complete.waitingHere
            figures.received = view?.epochs.reduce(0) { $0 + $1.received.count } ?? 0
            figures.waitingAtRelay = complete.waitingAtRelay
            figures.lost = complete.lost
            figures.completeThrough = complete.completeThrough
            figures.isSilent = complete.isSilent
            figures.isRetired = complete.isRetired
            return figures
        }
    }

    func statusJSON() -> [UInt8] {
        var output = JSONWriter(reservedBytes: 1_024)
        output.object {
            $0.member("version", CentralService.version)
            $0.member("started_at", startedAt)
            $0.member("now", now)
            $0.member("complete_through", completeThrough)
            $0.object("archive") {
                $0.member("reports", archive.reports)
                $0.member("duplicates", archive.duplicates)
                $0.member("conflicts", archive.conflicts)
                $0.member("alerts", archive.alerts)
                $0.member("rejected", archive.rejected)
                $0.member("files", archive.files)
                $0.member("bytes", archive.bytes)
                $0.member("version", archive.version)
                $0.member("last_commit", progress.lastCommitAt)
                $0.member("failed_commits", progress.failures)
            }
            $0.object("stream") {
                $0.member("waiting_batches", waitingBatches)
                $0.member("waiting_records", waitingRecords)
                $0.member("bytes", streamBytes)
            }
            $0.object("intake") {
                $0.member("batches", intake.batches)
                $0.member("repeated_batches", intake.repeatedBatches)
                $0.member("refused_batches", intake.refusedBatches)
                $0.member("records", intake.records)
                $0.member("rejected_records", intake.rejectedRecords)
                $0.member("bytes", intake.bytes)
            }
            $0.member("quarantined", quarantined)
            $0.object("incidents") {
                for code in IncidentCode.allCases { $0.member(code.rawValue, openIncidents[code] ?? 0) }
            }
            $0.object("queries") { $0.member("running", runningQueries) }
            $0.member("relays", relays.count)
        }
        return output.bytes
    }

    func relaysJSON() -> [UInt8] {
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.key("relays")
            output.array { output in for relay in relays { relay.append(to: &output) } }
        }
        return output.bytes
    }
}

extension RelayFigures {
    fileprivate func append(to output: inout JSONWriter) {
        output.object { output in
            output.member("relay_id", relayID)
            output.member("last_contact", lastContact)
            output.member("received", received)
            output.member("archived", archived)
            output.member("duplicates", duplicates)
            output.member("conflicts", conflicts)
            output.member("record_conflicts", recordConflicts)
            output.member("rejected", rejected)
            output.member("waiting", waiting)
            output.member("waiting_at_relay", waitingAtRelay)
            output.member("lost", lost)
            output.member("state", isRetired ? "retired" : isSilent ? "silent" : "live")
            output.member("open_incidents", raw: Self.list(openIncidents))
            output.member("complete_through", completeThrough)
            output.key("epochs")
            output.array { output in
                for epoch in epochs {
                    output.object { output in
                        output.member("epoch", epoch.epoch)
                        output.member("last_contact", epoch.lastContact)
                        output.member("received", raw: epoch.received.json)
                        output.member("archived", raw: epoch.archived.json)
                    }
                }
            }
        }
    }

    private static func list(_ codes: [String]) -> [UInt8] {
        var output = JSONWriter()
        output.array { output in for code in codes { output.string(code) } }
        return output.bytes
    }

    var row: RelayRow {
        RelayRow(
            relayID: relayID, lastContact: lastContact, received: Int64(received), archived: Int64(archived),
            duplicates: Int64(duplicates), rejected: Int64(rejected), waiting: Int64(waiting),
            completeThrough: completeThrough)
    }
}

extension IntervalSet {
    fileprivate var json: [UInt8] {
        var bytes: [UInt8] = []
        appendJSON(to: &bytes)
        return bytes
    }
}
