// Reads records from the buffer and makes a batch of them: NDJSON lines, zstd, digest (contract §4). The records of a
// batch need not be neighbours: alerts travel without the reports between them.

package import SegmentedLog
package import SyncProtocol
import Compression
import Crypto
import Models
import FoundationEssentials

/// What the reader asks of a log: `SegmentedLog`, or the simulator's.
package protocol RecordLog {
    func read(from: Int64, through: Int64, maxEntries: Int, maxBytes: Int) throws -> [LogEntry]
}

extension SegmentedLog: RecordLog {}

package struct EncodedBatch {
    package let name: BatchName
    package let numbers: IntervalSet
    /// Compressed.
    package let bytes: [UInt8]
    /// Before compression.
    package let lineBytes: Int
    /// `Content-Digest` of exactly these bytes.
    package let digest: String
}

/// One a thread: keeps its memory from batch to batch.
package final class BatchReader {
    /// Telemetry compresses about 5× at level 1; higher levels cost more time than bandwidth they save here.
    private static let compressionLevel: Int32 = 1
    /// Holes up to this many records are read over: cheaper than another search in the segment.
    private static let readOverRecords: Int64 = 32
    private static let entriesPerRead = 2_048
    /// Newest first means backwards, so in small steps: each is read forwards.
    private static let entriesPerStepBack: Int64 = 256
    /// `{"n":…,"received_at":"…","kind":"…","body":…}` around a body.
    private static let envelopeBytes = 96

    private let relayID: String
    private var encoder = BatchEncoder()

    package init(relayID: String) { self.relayID = relayID }

    /// The batch, nil where nothing could be read, and the numbers that the buffer no longer has.
    package func read(
        _ order: ForwarderStateMachine.Batch, from log: any RecordLog
    ) throws -> (EncodedBatch?, missing: IntervalSet) {
        var selection = Selection(order)
        if order.newestFirst {
            try readBackwards(&selection, log)
        } else {
            try readForwards(&selection, log)
        }
        guard !selection.entries.isEmpty else { return (nil, selection.missing) }
        return (try encode(selection, epoch: order.epoch), selection.missing)
    }

    // MARK: Which records

    private struct Selection {
        let wanted: IntervalSet
        let maxBytes: Int
        var entries: [LogEntry] = []
        var missing = IntervalSet()
        var bytes = 0
        var isFull = false

        init(_ order: ForwarderStateMachine.Batch) {
            wanted = order.numbers
            maxBytes = order.maxBytes
        }

        /// False when it does not fit. One record larger than the limit still travels, alone.
        mutating func add(_ entry: LogEntry) -> Bool {
            let size = entry.payload.count + BatchReader.envelopeBytes
            if !entries.isEmpty, bytes + size > maxBytes || entries.count >= SyncLimits.recordsPerBatch {
                isFull = true
                return false
            }
            bytes += size
            entries.append(entry)
            return true
        }
    }

    /// The wanted ranges with small holes between them read over.
    private static func spans(_ numbers: IntervalSet) -> [ClosedRange<Int64>] {
        var spans: [ClosedRange<Int64>] = []
        numbers.forEachRange { range in
            if let last = spans.last, range.lowerBound - last.upperBound - 1 <= readOverRecords {
                spans[spans.count - 1] = last.lowerBound...range.upperBound
            } else {
                spans.append(range)
            }
        }
        return spans
    }

    private func readForwards(_ selection: inout Selection, _ log: any RecordLog) throws {
        for span in Self.spans(selection.wanted) {
            var next = span.lowerBound
            while next <= span.upperBound {
                let room = max(1, selection.maxBytes - selection.bytes)
                let entries: [LogEntry]
                do {
                    entries = try log.read(
                        from: next, through: span.upperBound, maxEntries: Self.entriesPerRead, maxBytes: room)
                } catch  where !selection.entries.isEmpty {
                    // What was read before travels; the trouble comes first in a batch of its own.
                    return
                }
                let readTo = entries.last?.position ?? span.upperBound
                var found = IntervalSet()
                for entry in entries where selection.wanted.contains(entry.position) {
                    guard isReadable(entry) else { continue }
                    guard selection.add(entry) else {
                        return note(&selection, from: next, through: entry.position - 1, found)
                    }
                    found.insert(entry.position)
                }
                note(&selection, from: next, through: readTo, found)
                next = readTo + 1
            }
        }
    }

    private func readBackwards(_ selection: inout Selection, _ log: any RecordLog) throws {
        for span in Self.spans(selection.wanted).reversed() {
            var end = span.upperBound
            var step = Self.entriesPerStepBack
            while end >= span.lowerBound, !selection.isFull {
                let from = max(span.lowerBound, end - step + 1)
                let entries: [LogEntry]
                do {
                    entries = try log.read(
                        from: from, through: end, maxEntries: Int(end - from + 1),
                        maxBytes: max(4_096, 2 * (selection.maxBytes - selection.bytes)))
                } catch  where !selection.entries.isEmpty {
                    return
                }
                if let last = entries.last, last.position < end, end > from {
                    // Perhaps cut off by the limit: a shorter step tells.
                    step = max(1, (end - from + 1) / 2)
                    continue
                }
                var found = IntervalSet()
                for entry in entries.reversed() where selection.wanted.contains(entry.position) {
                    guard isReadable(entry) else { continue }
                    guard selection.add(entry) else {
                        return note(&selection, from: entry.position + 1, through: end, found)
                    }
                    found.insert(entry.position)
                }
                note(&selection, from: from, through: end, found)
                end = from - 1
            }
            if selection.isFull { return }
        }
    }

    /// What was looked at and not found is missing.
    private func note(_ selection: inout Selection, from: Int64, through: Int64, _ found: IntervalSet) {
        guard from <= through else { return }
        let gone = selection.wanted.lowest(in: from...through, numbers: .max, ranges: .max).subtracting(found)
        selection.missing.formUnion(gone)
    }

    /// A record whose kind or header cannot be read counts as missing and is reported.
    private func isReadable(_ entry: LogEntry) -> Bool {
        BufferKind.kind(entry.kind) != nil
            && (entry.kind != BufferKind.report || RecordHeader(entry.header) != nil)
    }

    // MARK: The lines

    private func encode(_ selection: Selection, epoch: String) throws -> EncodedBatch? {
        encoder.removeAll()
        var numbers = IntervalSet()
        for entry in selection.entries.sorted(by: { $0.position < $1.position }) {
            guard let kind = BufferKind.kind(entry.kind) else { continue }
            if encoder.recordCount > 0, !encoder.hasRoom(forBodyBytes: entry.payload.count) { break }
            encoder.append(
                n: entry.position, receivedAt: Timestamp(microseconds: entry.timeMicroseconds), kind: kind,
                body: entry.payload, assigned: Self.assigned(entry))
            numbers.insert(entry.position)
        }
        guard let first = encoder.first, let last = encoder.last else { return nil }
        let bytes = try Zstd.compress(encoder.bytes, level: Self.compressionLevel)
        return EncodedBatch(
            name: BatchName(relayID: relayID, epoch: epoch, first: first, last: last), numbers: numbers, bytes: bytes,
            lineBytes: encoder.bytes.count, digest: SHA256.hash(bytes).withBytes { ContentDigest.format($0) })
    }

    private static func assigned(_ entry: LogEntry) -> BatchEncoder.AssignedIdentity? {
        guard entry.kind == BufferKind.report, let header = RecordHeader(entry.header), header.isAssigned else {
            return nil
        }
        return .init(boot: header.identity.boot, seq: header.identity.seq)
    }
}

extension Acknowledgement {
    /// Nil unless the bytes are an acknowledgement.
    init?(json: [UInt8]) {
        guard let decoded = try? JSONDecoder().decode(Acknowledgement.self, from: Data(json)) else { return nil }
        self = decoded
    }
}
