// What is settled of every relay, from rows: the last resort of a start. The notes in the log are gone where it has
// been cleaned, and the deduplicator's snapshots that replaced them may be damaged. Rows and the vault's quarantine
// have every record number that was archived or rejected; only numbers that intake itself turned away are missing, and
// a relay that sends those again is told so again.

import FoundationEssentials
import ObjectStore
import SyncProtocol

struct RelayRebuild {
    let tables: ArchiverTables
    let vault: any ObjectStore
    let engine: any ArchiveEngine

    /// `position`: what `reports` reaches. Rows of a call that crashed before it got there are decided again.
    func relays(through position: Int64) throws -> [RecordSource: RelayProgress] {
        var notes: [RecordSource: RelayNote] = [:]
        for table in [tables.reports, tables.duplicates, tables.alerts] {
            let files = table.snapshot.files.values.filter { $0.position ?? 0 <= position }
                .map { table.object($0) }.sorted { $0.key < $1.key }
            var settled: [SettledRecords] = []
            try table.store.withLocalFiles(files) { settled += try engine.settledRecords(in: $0, of: table.schema) }
            for found in settled {
                change(&notes, found.source) { note in
                    note.ranges.append(
                        NotedRange(
                            first: found.range.lowerBound, last: found.range.upperBound,
                            lastReceivedAtMicroseconds: found.lastReceivedAt))
                    switch table.schema.name {
                    case TableSchema.reports.name: note.reports += found.rows
                    case TableSchema.alerts.name: note.alerts += found.rows
                    default:
                        note.duplicates += found.rows - found.conflicts
                        note.conflicts += found.conflicts
                    }
                }
            }
        }
        for line in try quarantined() where line.position <= position {
            guard let n = line.n else { continue }
            change(&notes, RecordSource(relayID: line.relay_id, epoch: line.epoch)) { note in
                note.reject(RejectedRecord(n: n, code: line.code))
                note.ranges.append(NotedRange(first: n, last: n, lastReceivedAtMicroseconds: 0))
            }
        }
        return notes.mapValues { note in
            var progress = RelayProgress()
            progress.add(note)
            // Rows beyond the numbers share one with another row; of which, nobody notes outside the log.
            let rows = note.reports + note.alerts + note.duplicates + note.conflicts + note.rejectedCount
            progress.recordConflicts = max(0, rows - progress.settled.count)
            return progress
        }
    }

    private func change(
        _ notes: inout [RecordSource: RelayNote], _ source: RecordSource, _ body: (inout RelayNote) -> Void
    ) {
        body(&notes[source, default: RelayNote(relayID: source.relayID, epoch: source.epoch)])
    }

    private struct QuarantinedRecord: Decodable {
        var relay_id: String
        var epoch: String
        var n: Int64?
        var position: Int64
        var code: String
    }

    private func quarantined() throws -> [QuarantinedRecord] {
        let decoder = JSONDecoder()
        return try vault.list(ArchiveCommitter.quarantineFolder).flatMap { object in
            try (vault.get(object.key) ?? []).split(separator: 0x0a).compactMap { line in
                try? decoder.decode(QuarantinedRecord.self, from: Data(line))
            }
        }
    }
}
