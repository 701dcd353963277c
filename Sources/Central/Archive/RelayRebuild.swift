// What is settled of every relay, from rows: the last resort of a start. The notes in the log are gone where it has
// been cleaned, and the deduplicator's snapshots that replaced them may be damaged. Rows and the vault's quarantine
// have every record number that was archived or rejected; only numbers that the intake of a central alone turned away
// are missing, and a relay that sends those again is told so again.

import FoundationEssentials
import ObjectStore
import SyncProtocol

struct RelayRebuild {
    let tables: ArchiverTables
    let vault: any ObjectStore
    let engine: any ArchiveEngine
    /// Where the lake's life before the cluster ended.
    var begunAfter: Int64 = 0

    /// `position`: what `reports` reaches. Rows of a call that crashed before it got there are decided again.
    ///
    /// `partition`: of a cluster, which has settled the numbers of other partitions' rows as well. Here they are taken
    /// from those rows, wherever those partitions are: their records are archived. Numbers of records that are still
    /// under way there are missing, and asked of their relays again.
    func relays(
        through position: Int64, of partition: DronePartition? = nil
    ) throws -> [RecordSource: RelayProgress] {
        var notes: [RecordSource: RelayNote] = [:]
        var others: [RecordSource: IntervalSet] = [:]
        for table in [tables.reports, tables.duplicates, tables.alerts] {
            let files = table.snapshot.files.values
            let own = files.filter { isOwn($0, of: partition) }
            for found in try records(own.filter { $0.position ?? 0 <= position }, table) {
                count(found, table.schema, &notes)
            }
            for found in try records(files.filter { !isOwn($0, of: partition) }, table) {
                others[found.source, default: IntervalSet()].insert(found.range)
            }
        }
        // A record may be in several files.
        var rejected: [RecordSource: IntervalSet] = [:]
        for object in try vault.list(ArchiveCommitter.quarantineFolder) {
            let owner = ArchiveCommitter.quarantinePartition(ofKey: object.key)
            let isOwn = partition == nil || owner == partition?.index || owner == nil && partition?.index == 0
            for line in try quarantined(object.key) where line.position <= position || !isOwn {
                guard let n = line.n else { continue }
                let source = RecordSource(relayID: line.relay_id, epoch: line.epoch)
                guard isOwn else {
                    others[source, default: IntervalSet()].insert(n)
                    continue
                }
                guard rejected[source, default: IntervalSet()].insert(n) else { continue }
                change(&notes, source) { note in
                    note.reject(RejectedRecord(n: n, code: line.code))
                    note.ranges.append(NotedRange(first: n, last: n, lastReceivedAtMicroseconds: 0))
                }
            }
        }
        return progress(notes, others, partition)
    }

    /// Rows of before the cluster are counted once: by partition 0.
    private func isOwn(_ file: DeltaFile, of partition: DronePartition?) -> Bool {
        guard let partition else { return true }
        if file.position ?? 0 <= begunAfter { return partition.index == 0 }
        return file.mayHold(partition)
    }

    private func records(_ files: [DeltaFile], _ table: DeltaTable) throws -> [SettledRecords] {
        let objects = files.map { table.object($0) }.sorted { $0.key < $1.key }
        var settled: [SettledRecords] = []
        try table.store.withLocalFiles(objects) { settled += try engine.settledRecords(in: $0, of: table.schema) }
        return settled
    }

    private func count(_ found: SettledRecords, _ table: TableSchema, _ notes: inout [RecordSource: RelayNote]) {
        change(&notes, found.source) { note in
            note.ranges.append(
                NotedRange(
                    first: found.range.lowerBound, last: found.range.upperBound,
                    lastReceivedAtMicroseconds: found.lastReceivedAt))
            switch table.name {
            case TableSchema.reports.name: note.reports += found.rows
            case TableSchema.alerts.name: note.alerts += found.rows
            default:
                note.duplicates += found.rows - found.conflicts
                note.conflicts += found.conflicts
            }
        }
    }

    private func progress(
        _ notes: [RecordSource: RelayNote], _ others: [RecordSource: IntervalSet], _ partition: DronePartition?
    ) -> [RecordSource: RelayProgress] {
        var relays = notes.mapValues { note in
            var note = note
            note.partition = partition?.index
            var progress = RelayProgress()
            progress.add(note)
            // Rows beyond the numbers share one with another row; of which, nobody notes outside the log.
            let rows = note.reports + note.alerts + note.duplicates + note.conflicts + note.rejectedCount
            progress.recordConflicts = max(0, rows - progress.settled.count)
            return progress
        }
        for (source, settled) in others {
            var note = RelayNote(relayID: source.relayID, epoch: source.epoch, partition: partition?.index)
            note.ranges = settled.ranges.map {
                NotedRange(first: $0.lowerBound, last: $0.upperBound, lastReceivedAtMicroseconds: 0)
            }
            relays[source, default: RelayProgress()].add(note)
        }
        return relays
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

    private func quarantined(_ key: String) throws -> [QuarantinedRecord] {
        let decoder = JSONDecoder()
        return try (vault.get(key) ?? []).split(separator: 0x0a).compactMap { line in
            try? decoder.decode(QuarantinedRecord.self, from: Data(line))
        }
    }
}
