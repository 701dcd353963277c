// One archive call while its records are decided: rows go to their files, what must be looked up is put aside, and
// notes are gathered of what is settled. `Archiver` then converts and commits.

import Crypto
import Models
import SyncProtocol

/// A record that will not be stored; its line goes to the vault's quarantine, for it may hold names.
struct QuarantinedLine {
    var batch: Int
    var n: Int64?
    var code: String
    var line: Range<Int>
}

final class ArchiveCall {
    /// A record whose decision waits for digests from the tables.
    private struct Undecided {
        var batch: Int
        var record: Int
        var fact: RecordFact
        var isIdentityQuestion: Bool
        var isRetry = false
        var observedAt: Int64
        var receivedAt: Int64
    }

    let batches: [StreamedBatch]
    let rows: RowBuffers
    /// What the secondary tables already hold, from a call that crashed before it committed `reports`.
    private let alertsThrough: Int64
    private let duplicatesThrough: Int64
    private var undecided: [Undecided] = []
    private var notes: [RecordSource: RelayNoteBuilder] = [:]
    private(set) var quarantine: [QuarantinedLine] = []
    private var dayTexts: [Int: String] = [:]
    private var reportBuffers: [ReportBuffer: RowBuffer] = [:]
    /// Files of `reports` for each day: one, or one for each partition of drones.
    private let partitions: Int

    private struct ReportBuffer: Hashable {
        var day: Int
        var partition: Int
    }

    init(
        _ batches: [StreamedBatch], rows: RowBuffers, partitions: Int, alertsThrough: Int64, duplicatesThrough: Int64
    ) {
        self.partitions = partitions
        self.batches = batches
        self.rows = rows
        self.alertsThrough = alertsThrough
        self.duplicatesThrough = duplicatesThrough
    }

    /// Decides the records of batch `index` in their order.
    func decide(_ prepared: PreparedBatch, batch index: Int, _ deduplicator: inout Deduplicator) throws {
        let batch = batches[index]
        let source = RecordSource(relayID: batch.relayID, epoch: batch.epoch)
        var note = notes[source] ?? RelayNoteBuilder(source)
        notes[source] = nil
        for range in batch.skip.ranges {
            for n in range where deduplicator.settle(source, n) {
                note.settled(n, receivedAt: batch.centralReceivedAt.microseconds)
                // Its line is in the quarantine since intake.
                note.note.reject(RejectedRecord(n: n, code: batch.skipCodes[n] ?? "rejected"))
            }
        }
        for (position, record) in prepared.records.enumerated() where !batch.skip.contains(record.n) {
            switch record.content {
            case .unnumbered(let code):
                quarantine.append(QuarantinedLine(batch: index, n: nil, code: code, line: record.line))
            case .rejected(let code):
                guard deduplicator.settle(source, record.n) else { continue }
                note.settled(record.n, receivedAt: record.receivedAt)
                reject(record, code, index, &note)
            case .alert, .report:
                let fact = RecordFact(source: source, n: record.n, identity: record.identity, digest: record.digest)
                if batch.isRetry {
                    undecided.append(
                        Undecided(
                            batch: index, record: position, fact: fact, isIdentityQuestion: false, isRetry: true,
                            observedAt: record.observedAt ?? record.receivedAt, receivedAt: record.receivedAt))
                    continue
                }
                let decision = deduplicator.decide(fact)
                if decision == .needsIdentityDigest || decision == .needsRecordDigests {
                    let isIdentity = decision == .needsIdentityDigest
                    undecided.append(
                        Undecided(
                            batch: index, record: position, fact: fact, isIdentityQuestion: isIdentity,
                            observedAt: record.observedAt ?? record.receivedAt, receivedAt: record.receivedAt))
                    if isIdentity { note.settled(record.n, receivedAt: record.receivedAt) }
                } else {
                    if decision != .alreadySettled { note.settled(record.n, receivedAt: record.receivedAt) }
                    try store(record, prepared, decision, index, &note)
                }
            }
        }
        notes[source] = note
    }

    // MARK: - Questions

    var identityQuestions: [IdentityQuestion] {
        undecided.compactMap { item in
            guard item.isIdentityQuestion || item.isRetry, let identity = item.fact.identity else { return nil }
            return IdentityQuestion(identity: identity, observedAt: item.observedAt)
        }
    }

    var recordQuestions: [RecordQuestion] {
        undecided.filter { !$0.isIdentityQuestion }.map {
            RecordQuestion(
                number: RecordNumber(source: $0.fact.source, n: $0.fact.n), digest: $0.fact.digest,
                receivedAt: $0.receivedAt)
        }
    }

    /// Decides what was put aside. `prepare` parses a batch again: its rows were not kept.
    func resolve(
        _ identities: [ReportIdentity: SHA256Digest], _ records: [RecordNumber: [SHA256Digest]],
        _ deduplicator: inout Deduplicator, prepare: (StreamedBatch) -> PreparedBatch
    ) throws {
        var prepared: (batch: Int, rows: PreparedBatch)?
        for item in undecided {
            let decision: Deduplicator.Decision
            let number = RecordNumber(source: item.fact.source, n: item.fact.n)
            if item.isRetry {
                decision = deduplicator.resolveRetry(
                    item.fact, stored: records[number] ?? [], archived: item.fact.identity.flatMap { identities[$0] })
            } else if item.isIdentityQuestion {
                decision = deduplicator.resolveIdentity(
                    item.fact, archived: item.fact.identity.flatMap { identities[$0] })
            } else {
                decision = deduplicator.resolveRecord(item.fact, stored: records[number] ?? [])
            }
            guard decision != .alreadySettled else { continue }
            if prepared?.batch != item.batch { prepared = (item.batch, prepare(batches[item.batch])) }
            guard let prepared = prepared?.rows else { continue }
            var note = notes[item.fact.source] ?? RelayNoteBuilder(item.fact.source)
            if item.isRetry { note.note.retried.append(item.fact.n) }
            try store(prepared.records[item.record], prepared, decision, item.batch, &note)
            notes[item.fact.source] = note
        }
        undecided = []
    }

    // MARK: - Rows

    private func store(
        _ record: PreparedRecord, _ prepared: PreparedBatch, _ decision: Deduplicator.Decision, _ batch: Int,
        _ note: inout RelayNoteBuilder
    ) throws {
        switch (record.content, decision) {
        case (_, .alreadySettled): return
        case (.report(let report), .new):
            note.note.reports += 1
            try appendReport(record, report, prepared, batch)
        case (.report(let report), let copy):
            let isDuplicate = copy == .duplicate
            if isDuplicate { note.note.duplicates += 1 } else { note.note.conflicts += 1 }
            if copy == .recordConflict { note.note.recordConflicts += 1 }
            let buffer = try rows.buffer(
                .duplicates, day: dayText(report.day), isCommitted: batches[batch].position <= duplicatesThrough)
            try append(
                record, prepared, isDuplicate ? #","reason":"duplicate"}"# : #","reason":"conflict"}"#, to: buffer,
                batch, copy)
            buffer.reportRanges.include(report, record, batches[batch])
        case (.alert(let day, let at), .new):
            note.note.alerts += 1
            let buffer = try rows.buffer(
                .alerts, day: dayText(day), isCommitted: batches[batch].position <= alertsThrough)
            try append(record, prepared, "}", to: buffer, batch)
            buffer.alertRanges.include(record, at: at, batches[batch])
        case (.alert, _):
            // The same record number with another alert: there is no table for copies of alerts.
            note.note.recordConflicts += 1
            reject(record, "record_number_reused", batch, &note)
        case (.rejected, _), (.unnumbered, _):
            preconditionFailure("a record that cannot be stored has no decision")
        }
    }

    private func appendReport(
        _ record: PreparedRecord, _ report: PreparedReport, _ prepared: PreparedBatch, _ batch: Int
    ) throws {
        let buffer: RowBuffer
        let key = ReportBuffer(
            day: report.day, partition: DronePartition.index(ofDrone: report.identity.droneID, count: partitions))
        if let known = reportBuffers[key] {
            buffer = known
        } else {
            let partition = partitions > 1 ? DronePartition(index: key.partition, count: partitions) : nil
            buffer = try rows.buffer(.reports, day: dayText(report.day), partition: partition)
            reportBuffers[key] = buffer
        }
        try append(record, prepared, "}", to: buffer, batch)
        buffer.reportRanges.include(report, record, batches[batch])
    }

    private func append(
        _ record: PreparedRecord, _ prepared: PreparedBatch, _ end: StaticString, to buffer: RowBuffer, _ batch: Int,
        _ decision: Deduplicator.Decision = .new
    ) throws {
        try prepared.rows.withUnsafeBytes { rows in
            try buffer.append(
                UnsafeRawBufferPointer(rebasing: rows[record.row]), end,
                RowOrigin(batch: batch, record: record, decision: decision))
        }
    }

    private func dayText(_ day: Int) -> String {
        if let text = dayTexts[day] { return text }
        let text = RowEncoder.dayText(day)
        dayTexts[day] = text
        return text
    }

    // MARK: - Rejections

    private func reject(_ record: PreparedRecord, _ code: String, _ batch: Int, _ note: inout RelayNoteBuilder) {
        note.note.reject(RejectedRecord(n: record.n, code: code))
        quarantine.append(QuarantinedLine(batch: batch, n: record.n, code: code, line: record.line))
    }

    /// Rows DuckDB does not take: they leave their file's counts and become rejected records.
    func rejectRow(_ origin: RowOrigin, of table: TableSchema) {
        let batch = batches[origin.batch]
        let source = RecordSource(relayID: batch.relayID, epoch: batch.epoch)
        var note = notes[source] ?? RelayNoteBuilder(source)
        switch table.name {
        case TableSchema.reports.name: note.note.reports -= 1
        case TableSchema.alerts.name: note.note.alerts -= 1
        case TableSchema.duplicates.name where origin.decision == .duplicate: note.note.duplicates -= 1
        case TableSchema.duplicates.name: note.note.conflicts -= 1
        default: break
        }
        note.note.reject(RejectedRecord(n: origin.n, code: "not_storable"))
        quarantine.append(
            QuarantinedLine(batch: origin.batch, n: origin.n, code: "not_storable", line: origin.line))
        notes[source] = note
    }

    func finishedNotes() -> [RelayNote] {
        notes.keys.sorted { ($0.relayID, $0.epoch) < ($1.relayID, $1.epoch) }.compactMap { source in
            notes[source]?.finished()
        }
    }
}

extension PreparedRecord {
    var identity: ReportIdentity? {
        if case .report(let report) = content { report.identity } else { nil }
    }

    var observedAt: Int64? {
        if case .report(let report) = content { report.observedAt } else { nil }
    }
}
