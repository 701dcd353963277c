// Reads a run of records from the buffer and makes a batch of them: NDJSON lines, zstd, digest (contract §4).

import Compression
import Crypto
import Models
import SegmentedLog
import SyncProtocol
import FoundationEssentials

struct EncodedBatch {
    let name: BatchName
    /// Compressed.
    let bytes: [UInt8]
    /// `Content-Digest` of exactly these bytes.
    let digest: String
}

/// One a thread: keeps its memory from batch to batch.
final class BatchReader {
    /// Records read at once; a batch seldom holds more.
    private static let entriesPerRead = 4_096
    /// Telemetry compresses about 5× at level 1; higher levels cost more time than bandwidth they save here.
    private static let compressionLevel: Int32 = 1

    private let relayID: String
    private var encoder = BatchEncoder()

    init(relayID: String) { self.relayID = relayID }

    /// The batch, nil where nothing could be read, and the numbers within it that the buffer no longer has.
    func read(
        _ order: ForwarderStateMachine.Batch, from log: SegmentedLog
    ) throws -> (EncodedBatch?, missing: [ClosedRange<Int64>]) {
        let entries = try log.read(
            from: order.from, through: order.through, maxEntries: Self.entriesPerRead, maxBytes: order.maxBytes)
        guard !entries.isEmpty else { return (nil, [order.from...order.through]) }
        encoder.removeAll()
        var missing: [ClosedRange<Int64>] = []
        var next = order.from
        for entry in entries {
            // One record larger than maxBytes still travels, alone.
            if encoder.recordCount > 0, !encoder.hasRoom(forBodyBytes: entry.payload.count) { break }
            guard let kind = BufferKind.kind(entry.kind), let assigned = Self.assigned(entry) else { continue }
            if entry.position > next { missing.append(next...entry.position - 1) }
            next = entry.position + 1
            encoder.append(
                n: entry.position, receivedAt: Timestamp(microseconds: entry.timeMicroseconds), kind: kind,
                body: entry.payload, assigned: assigned.identity)
        }
        guard let first = encoder.first, let last = encoder.last else { return (nil, [order.from...order.through]) }
        let bytes = try Zstd.compress(encoder.bytes, level: Self.compressionLevel)
        let digest = SHA256.hash(bytes).withBytes { ContentDigest.format($0) }
        return (
            EncodedBatch(
                name: BatchName(relayID: relayID, epoch: order.epoch, first: first, last: last), bytes: bytes,
                digest: digest),
            missing
        )
    }

    private struct Assigned { let identity: BatchEncoder.AssignedIdentity? }

    /// Nil where a report's header is unreadable: such a record counts as missing and is reported.
    private static func assigned(_ entry: LogEntry) -> Assigned? {
        guard entry.kind == BufferKind.report else { return Assigned(identity: nil) }
        guard let header = RecordHeader(entry.header) else { return nil }
        guard header.isAssigned else { return Assigned(identity: nil) }
        return Assigned(identity: .init(boot: header.identity.boot, seq: header.identity.seq))
    }
}

extension Acknowledgement {
    /// Nil unless the bytes are an acknowledgement.
    init?(json: [UInt8]) {
        guard let decoded = try? JSONDecoder().decode(Acknowledgement.self, from: Data(json)) else { return nil }
        self = decoded
    }
}
