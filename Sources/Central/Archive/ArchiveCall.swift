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
    /// nil: too long for the stream; intake has put it into the vault.
    var line: Range<Int>?
}

/// What a call knows of one of its partitions, or of the whole lake, before it begins.
struct CallPart {
    /// nil: the whole lake.
    var partition: DronePartition?
    /// What the secondary tables already hold, from a call that crashed before it committed `reports`.
    var alertsThrough: Int64
    var duplicatesThrough: Int64
}

final class ArchiveCall {
    /// A record whose decision waits for digests from the tables.
    private struct Undecided {
        var slot: Int
        var batch: Int
        var record: Int
        var fact: RecordFact
        var isIdentityQuestion: Bool
        var isRetry = false
        var observedAt: Int64
        var receivedAt: Int64
    }

    private struct NoteKey: Hashable {
        var slot: Int
        var source: RecordSource
    }

    let batches: [StreamedBatch]
    let rows: RowBuffers
    let parts: [CallPart]
    /// By batch, which of the parts it belongs to.
    private let slots: [Int]
    private var undecided: [Undecided] = []
    private var notes: [NoteKey: RelayNoteBuilder] = [:]
    private(set) var quarantine: [QuarantinedLine] = []
    private var dayTexts: [Int: String] = [:]
    private var reportBuffers: [ReportBuffer: RowBuffer] = [:]
    /// Files of `reports` for each day: one, or one for each partition of drones.
    private let partitions: Int

    private struct ReportBuffer: Hashable {
        var day: Int
        var partition: Int
    }

    init(_ batches: [StreamedBatch], rows: RowBuffers, partitions: Int, parts: [CallPart]) {
        self.partitions = partitions
        self.batches = batches
        self.rows = rows
        self.parts = parts
        slots = batches.map { batch in
            let slot = parts.firstIndex { $0.partition?.index == batch.partition }
            guard let slot else { preconditionFailure("an archiver is given batches of its own partitions") }
            return slot
        }
    }

    /// Decides the records of batch `index` in their order.
    func decide(_ prepared: PreparedBatch, batch index: Int, _ states: inout [ArchivedPart]) throws {
        let batch = batches[index]
        let source = RecordSource(relayID: batch.relayID, epoch: batch.epoch)
        let slot = slots[index]
        let key = NoteKey(slot: slot, source: source)
        var note = notes[key] ?? newNote(key)
        notes[key] = nil
        for range in batch.skip.ranges {
            for n in range where states[slot].deduplicator.settle(source, n) {
                note.settled(n, receivedAt: batch.centralReceivedAt.microseconds)
                // Its line is in the quarantine since intake.
                note.note.reject(RejectedRecord(n: n, code: batch.skipCodes[n] ?? "rejected"))
            }
        }
        if batch.partition != nil { setAside(prepared, batch: index) }
        for (position, record) in prepared.records.enumerated() where !batch.skip.contains(record.n) {
            switch record.content {
            case .unnumbered(let code):
                quarantine.append(QuarantinedLine(batch: index, n: nil, code: code, line: record.line))
            case .rejected(let code):
                // A retry's number is settled; what is refused again must not be lost.
                let isFirst = states[slot].deduplicator.settle(source, record.n)
                guard isFirst || batch.isRetry else { continue }
                if isFirst { note.settled(record.n, receivedAt: record.receivedAt) }
                reject(record, code, index, &note)
            case .report(let report) where !(parts[slot].partition?.mayHold(drone: report.identity.droneID) ?? true):
                // Nobody here knows what was archived of this drone: kept aside rather than perhaps archived twice.
                let isFirst = states[slot].deduplicator.settle(source, record.n)
                guard isFirst || batch.isRetry else { continue }
                if isFirst { note.settled(record.n, receivedAt: record.receivedAt) }
                reject(record, "wrong_partition", index, &note)
            case .alert, .report:
                let fact = RecordFact(source: source, n: record.n, identity: record.identity, digest: record.digest)
                if batch.isRetry {
                    undecided.append(
                        Undecided(
                            slot: slot, batch: index, record: position, fact: fact, isIdentityQuestion: false,
                            isRetry: true,
                            observedAt: record.observedAt ?? record.receivedAt, receivedAt: record.receivedAt))
                    continue
                }
                let decision = states[slot].deduplicator.decide(fact)
                if decision == .needsIdentityDigest || decision == .needsRecordDigests {
                    let isIdentity = decision == .needsIdentityDigest
                    undecided.append(
                        Undecided(
                            slot: slot, batch: index, record: position, fact: fact, isIdentityQuestion: isIdentity,
                            observedAt: record.observedAt ?? record.receivedAt, receivedAt: record.receivedAt))
                    if isIdentity { note.settled(record.n, receivedAt: record.receivedAt) }
                } else {
                    if decision != .alreadySettled { note.settled(record.n, receivedAt: record.receivedAt) }
                    try store(record, prepared, decision, index, &note)
                }
            }
        }
        if let cover = batch.cover { note.covered(states[slot].deduplicator.settle(source, covering: cover)) }
        notes[key] = note
    }

    private func newNote(_ key: NoteKey) -> RelayNoteBuilder {
        RelayNoteBuilder(key.source, partition: parts[key.slot].partition?.index)
    }

    // MARK: - Questions

    var identityQuestions: [IdentityQuestion] {
        undecided.compactMap { item in
            guard item.isIdentityQuestion || item.isRetry, let identity = item.fact.identity else { return nil }
            return IdentityQuestion(identity: identity, observedAt: item.observedAt)
        }
    }

    /// Of the records of one of the parts.
    func recordQuestions(slot: Int) -> [RecordQuestion] {
        undecided.filter { $0.slot == slot && !$0.isIdentityQuestion }.map {
            RecordQuestion(
                number: RecordNumber(source: $0.fact.source, n: $0.fact.n), digest: $0.fact.digest,
                receivedAt: $0.receivedAt)
        }
    }

    /// Decides what was put aside. `records`: the answers for each part. `prepare` parses a batch again: its rows were
    /// not kept.
    func resolve(
        _ identities: [ReportIdentity: SHA256Digest], _ records: [[RecordNumber: [SHA256Digest]]],
        _ states: inout [ArchivedPart], prepare: (StreamedBatch) -> PreparedBatch
    ) throws {
        var prepared: (batch: Int, rows: PreparedBatch)?
        for item in undecided {
            let decision: Deduplicator.Decision
            let stored = records[item.slot][RecordNumber(source: item.fact.source, n: item.fact.n)] ?? []
            let archived = item.fact.identity.flatMap { identities[$0] }
            if item.isRetry {
                decision = states[item.slot].deduplicator.resolveRetry(item.fact, stored: stored, archived: archived)
            } else if item.isIdentityQuestion {
                decision = states[item.slot].deduplicator.resolveIdentity(item.fact, archived: archived)
            } else {
                decision = states[item.slot].deduplicator.resolveRecord(item.fact, stored: stored)
            }
            guard decision != .alreadySettled else { continue }
            if prepared?.batch != item.batch { prepared = (item.batch, prepare(batches[item.batch])) }
            guard let prepared = prepared?.rows else { continue }
            let key = NoteKey(slot: item.slot, source: item.fact.source)
            var note = notes[key] ?? newNote(key)
            if item.isRetry { note.note.retried.append(item.fact.n) }
            try store(prepared.records[item.record], prepared, decision, item.batch, &note)
            notes[key] = note
        }
        undecided = []
    }

    // MARK: - Rows

    private func store(
        _ record: PreparedRecord, _ prepared: PreparedBatch, _ decision: Deduplicator.Decision, _ batch: Int,
        _ note: inout RelayNoteBuilder
    ) throws {
        let part = parts[slots[batch]]
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
                .duplicates, day: dayText(report.day), partition: part.partition,
                isCommitted: batches[batch].position <= part.duplicatesThrough)
            try append(
                record, prepared, isDuplicate ? #","reason":"duplicate"}"# : #","reason":"conflict"}"#, to: buffer,
                batch, copy)
            buffer.reportRanges.include(report, record, batches[batch])
        case (.alert(let day, let at), .new):
            note.note.alerts += 1
            let buffer = try rows.buffer(
                .alerts, day: dayText(day), partition: part.partition,
                isCommitted: batches[batch].position <= part.alertsThrough)
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
        let owned = parts[slots[batch]].partition
        let index = owned?.index ?? DronePartition.index(ofDrone: report.identity.droneID, count: partitions)
        let key = ReportBuffer(day: report.day, partition: index)
        if let known = reportBuffers[key] {
            buffer = known
        } else {
            let partition = owned ?? (partitions > 1 ? DronePartition(index: index, count: partitions) : nil)
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

    /// A cluster's intake keeps nothing itself: what it could not read came along. Also of a number that is settled
    /// already, for it may have come under another record; a resend is told by its id.
    private func setAside(_ prepared: PreparedBatch, batch index: Int) {
        let batch = batches[index]
        var leftOut = batch.skip
        for record in prepared.records where batch.skip.contains(record.n) {
            _ = leftOut.remove(record.n...record.n)
            let code = batch.skipCodes[record.n] ?? "rejected"
            quarantine.append(QuarantinedLine(batch: index, n: record.n, code: code, line: record.line))
        }
        leftOut.forEachRange { range in
            for n in range {
                let code = batch.skipCodes[n] ?? "rejected"
                quarantine.append(QuarantinedLine(batch: index, n: n, code: code, line: nil))
            }
        }
    }

    /// What became of the record that was tried again, where this call is for one.
    var retryOutcome: RetryOutcome? {
        guard batches.contains(where: \.isRetry) else { return nil }
        return quarantine.first { batches[$0.batch].isRetry }.map { .refused(code: $0.code) } ?? .archived
    }

    private func reject(_ record: PreparedRecord, _ code: String, _ batch: Int, _ note: inout RelayNoteBuilder) {
        note.note.reject(RejectedRecord(n: record.n, code: code), isRetry: batches[batch].isRetry)
        quarantine.append(QuarantinedLine(batch: batch, n: record.n, code: code, line: record.line))
    }

    /// Rows DuckDB does not take: they leave their file's counts and become rejected records.
    func rejectRow(_ origin: RowOrigin, of table: TableSchema) {
        let batch = batches[origin.batch]
        let key = NoteKey(
            slot: slots[origin.batch], source: RecordSource(relayID: batch.relayID, epoch: batch.epoch))
        var note = notes[key] ?? newNote(key)
        switch table.name {
        case TableSchema.reports.name: note.note.reports -= 1
        case TableSchema.alerts.name: note.note.alerts -= 1
        case TableSchema.duplicates.name where origin.decision == .duplicate: note.note.duplicates -= 1
        case TableSchema.duplicates.name: note.note.conflicts -= 1
        default: break
        }
        note.note.reject(RejectedRecord(n: origin.n, code: "not_storable"), isRetry: batch.isRetry)
        quarantine.append(
            QuarantinedLine(batch: origin.batch, n: origin.n, code: "not_storable", line: origin.line))
        notes[key] = note
    }

    func finishedNotes() -> [RelayNote] {
        let keys = notes.keys.sorted {
            ($0.source.relayID, $0.source.epoch, $0.slot) < ($1.source.relayID, $1.source.epoch, $1.slot)
        }
        // In a cluster a resend would leave a note that says nothing for every partition.
        return keys.compactMap { notes[$0]?.finished() }.filter { $0.partition == nil || $0.saysSomething }
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
