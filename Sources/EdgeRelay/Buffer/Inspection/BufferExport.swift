// Turns records of the buffer into lines: the sync protocol's (contract §4) with the epoch in front, or the drones'
// bodies alone, which `columba send` can post again.

package import Models
package import SegmentedLog
import SyncProtocol

package struct BufferExport {
    package var epoch: String
    /// Nil: every kind.
    package var kind: RecordKind?
    package var bodiesOnly: Bool
    package private(set) var exported = 0
    /// Records of a kind or with a header that this program does not know: left out.
    package private(set) var unknown = 0
    private var encoder = BatchEncoder()

    package init(epoch: String, kind: RecordKind?, bodiesOnly: Bool) {
        self.epoch = epoch
        self.kind = kind
        self.bodiesOnly = bodiesOnly
    }

    /// The lines of these records, each with its LF.
    package mutating func lines(_ entries: [LogEntry]) -> [UInt8] {
        var output: [UInt8] = []
        for entry in entries {
            guard let found = BufferKind.kind(entry.kind), let assigned = Self.assigned(entry) else {
                unknown += 1
                continue
            }
            if let kind, kind != found { continue }
            if bodiesOnly {
                // A line break inside a body can only be white space between its tokens: JSON strings hold none.
                output += entry.payload.map { $0 == 0x0a || $0 == 0x0d ? 0x20 : $0 } + [0x0a]
            } else {
                encoder.removeAll()
                encoder.append(
                    n: entry.position, receivedAt: Timestamp(microseconds: entry.timeMicroseconds), kind: found,
                    body: entry.payload, assigned: assigned.identity)
                output += Array(#"{"epoch":"\#(epoch)","#.utf8) + encoder.bytes.dropFirst()
            }
            exported += 1
        }
        return output
    }

    private struct Assigned { let identity: BatchEncoder.AssignedIdentity? }

    private static func assigned(_ entry: LogEntry) -> Assigned? {
        guard entry.kind == BufferKind.report else { return Assigned(identity: nil) }
        guard let header = RecordHeader(entry.header) else { return nil }
        guard header.isAssigned else { return Assigned(identity: nil) }
        return Assigned(identity: .init(boot: header.identity.boot, seq: header.identity.seq))
    }
}
