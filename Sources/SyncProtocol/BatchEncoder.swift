// Writes a batch: one line of JSON per record, the drone's bytes unchanged (contract §4).
//
//   {"n":5001,"received_at":"2026-11-20T05:00:00.123Z","kind":"report","body":{…}}\n
//
// Two optional members stand before the body:
// - `boot` and `seq`: the identity a relay gave to a report that came without `seq`;
// - `body_text` instead of `body`: the same bytes as a JSON string, where they hold a raw CR or LF, which a line
//   cannot.

package import Models

package struct BatchEncoder: Sendable {
    /// The lines so far, each with its LF.
    package private(set) var bytes: [UInt8] = []
    package private(set) var recordCount = 0
    package private(set) var first: Int64?
    package private(set) var last: Int64?

    package init(reservedBytes: Int = 0) { bytes.reserveCapacity(reservedBytes) }

    /// The identity of a report whose drone did not number it.
    package struct AssignedIdentity: Hashable, Sendable {
        package var boot: String
        package var seq: Int64

        package init(boot: String, seq: Int64) {
            self.boot = boot
            self.seq = seq
        }
    }

    /// `body` is valid JSON without white space around it; numbers ascend.
    package mutating func append(
        n: Int64, receivedAt: Timestamp, kind: RecordKind, body: UnsafeRawBufferPointer,
        assigned: AssignedIdentity? = nil
    ) {
        precondition(n >= 1 && n > last ?? 0, "a batch's records ascend from 1")
        bytes.append(contentsOf: #"{"n":"#.utf8)
        JSONText.appendInteger(n, to: &bytes)
        bytes.append(contentsOf: #","received_at":"#.utf8)
        JSONText.appendTimestamp(receivedAt, to: &bytes)
        bytes.append(contentsOf: #","kind":""#.utf8)
        bytes.append(contentsOf: kind.rawValue.utf8)
        bytes.append(0x22)
        if let assigned {
            bytes.append(contentsOf: #","boot":"#.utf8)
            JSONText.appendString(assigned.boot, to: &bytes)
            bytes.append(contentsOf: #","seq":"#.utf8)
            JSONText.appendInteger(assigned.seq, to: &bytes)
        }
        if body.contains(where: { $0 == 0x0a || $0 == 0x0d }) {
            bytes.append(contentsOf: #","body_text":"#.utf8)
            JSONText.appendString(body, to: &bytes)
        } else {
            bytes.append(contentsOf: #","body":"#.utf8)
            bytes.append(contentsOf: body)
        }
        bytes.append(0x7d)
        bytes.append(0x0a)
        if first == nil { first = n }
        last = n
        recordCount += 1
    }

    package mutating func append(
        n: Int64, receivedAt: Timestamp, kind: RecordKind, body: [UInt8], assigned: AssignedIdentity? = nil
    ) {
        body.withUnsafeBytes { append(n: n, receivedAt: receivedAt, kind: kind, body: $0, assigned: assigned) }
    }

    /// True if a record with a body of this many bytes keeps the batch within the limit however it must be written.
    package func hasRoom(forBodyBytes count: Int) -> Bool {
        recordCount < SyncLimits.recordsPerBatch
            && bytes.count + SyncLimits.envelopeBytes + 2 * count <= SyncLimits.inflatedBatchBytes
    }

    /// Empties the batch and keeps its memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        recordCount = 0
        first = nil
        last = nil
    }
}
