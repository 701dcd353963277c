// The vault's files of records set aside: `_columba/quarantine/….ndjson`, one record a line with its bytes, and
// `….numbers.ndjson`, the same without the bytes: what stays of a record that is archived or dropped. They are the
// truth; a central alone moves the bytes into its `quarantine.db`, a cluster's nodes keep indexes of them only
// (`SharedQuarantine`).
//
// Archivers name theirs `p03-<first>-<last>.ndjson` after stream positions; every other file's name holds a hash of
// what is in it, so that none is ever replaced by something else:
//
//   p03-17-42.ndjson ──some records are decided──▶ p03-17-42.<hash>.numbers.ndjson  those that are, without bytes
//                                                  p03-17-42.<hash>.ndjson          the others
//
// A record may be in several files (a call of the archiver that was repeated, a relay's resend): its `id` is the same.

import Crypto
import FoundationEssentials
import JSON
package import Models
import ObjectStore

package struct QuarantineEntry: Sendable, Equatable {
    /// nil: nobody knows its bytes here, only its number.
    package var id: String?
    package var relayID: String
    package var epoch: String
    /// nil: the line had no number that could be read.
    package var n: Int64?
    /// In the stream; nil: it did not come through it.
    package var position: Int64?
    package var code: String
    /// Central's clock.
    package var receivedAt: Timestamp
    package var bytes: Int
    /// nil: it is decided.
    package var line: [UInt8]?

    package init(
        relayID: String, epoch: String, n: Int64?, position: Int64?, code: String, receivedAt: Timestamp,
        line: [UInt8]?
    ) {
        id = line.map { Quarantine.id(relayID, epoch, n, $0) }
        self.relayID = relayID
        self.epoch = epoch
        self.n = n
        self.position = position
        self.code = code
        self.receivedAt = receivedAt
        self.line = line
        bytes = line?.count ?? 0
    }

    package var withoutLine: QuarantineEntry {
        var entry = self
        entry.line = nil
        return entry
    }

    func append(to output: inout [UInt8]) {
        var json = JSONWriter(reservedBytes: 256 + bytes * 2)
        json.beginObject()
        if let id { json.member("id", id) }
        json.member("relay_id", relayID)
        json.member("epoch", epoch)
        if let n { json.member("n", n) }
        if let position { json.member("position", position) }
        json.member("code", code)
        if id != nil {
            json.member("received_at_us", receivedAt.microseconds)
            json.member("bytes", bytes)
        }
        if let line { json.member("line_base64", Base64.encode(line)) }
        json.endObject()
        output += json.bytes + [0x0a]
    }

    private struct Line: Decodable {
        var id: String?
        var relay_id: String
        var epoch: String
        var n: Int64?
        var position: Int64?
        var code: String
        var received_at_us: Int64?
        var bytes: Int?
        var line_base64: String?
    }

    /// - Parameter modified: when its file was written: stands where an earlier version did not say when it came.
    init?(json: some Sequence<UInt8>, modified: Int64) {
        guard let line = try? JSONDecoder().decode(Line.self, from: Data(json)) else { return nil }
        let bytes = line.line_base64.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) }
        self.init(
            relayID: line.relay_id, epoch: line.epoch, n: line.n, position: line.position, code: line.code,
            receivedAt: Timestamp(microseconds: line.received_at_us ?? modified), line: bytes)
        if bytes == nil {
            id = line.id
            self.bytes = line.bytes ?? 0
        }
    }
}

package enum QuarantineFiles {
    package static let folder = ArchiveCommitter.quarantineFolder
    private static let suffix = ".ndjson"
    private static let numbersSuffix = ".numbers.ndjson"

    static func holdsBytes(_ key: String) -> Bool { key.hasSuffix(suffix) && !key.hasSuffix(numbersSuffix) }
    static func isOne(_ key: String) -> Bool { key.hasSuffix(suffix) }

    /// One line each, with what it says; nil: unreadable, and kept as it is.
    static func lines(
        _ content: [UInt8], modified: Int64
    ) -> [(raw: ArraySlice<UInt8>, entry: QuarantineEntry?)] {
        content.split(separator: 0x0a).map { ($0, QuarantineEntry(json: $0, modified: modified)) }
    }

    /// `…/p03-17-42` of any file that came of `…/p03-17-42.ndjson`.
    static func stem(_ key: String) -> String {
        let name = key.dropFirst(folder.count + 1).prefix { $0 != "." }
        return "\(folder)/\(name)"
    }

    static func key(_ stem: String, _ content: [UInt8], numbers: Bool) -> String {
        "\(stem).\(hash(content))\(numbers ? numbersSuffix : suffix)"
    }

    static func hash(_ content: [UInt8]) -> String { Hex.encode(Array(SHA256.hash(content).bytes.prefix(8))) }
}

/// One step in a record's life; the vault has an object for each, and the first to write one has decided.
package struct QuarantineDecision: Sendable, Equatable, Codable {
    package static let folder = "_columba/quarantine-decisions"

    /// After it.
    package var state: QuarantinedRecord.State
    package var atMicroseconds: Int64
    package var by: String?
    package var note: String?
    /// Why it was refused again.
    package var code: String?
    /// No two nodes write the same bytes: the store may tell apart whose are there.
    package var token: String

    package init(
        _ state: QuarantinedRecord.State, by: String? = nil, note: String? = nil, code: String? = nil, at: Timestamp
    ) {
        self.state = state
        self.by = by
        self.note = note
        self.code = code
        atMicroseconds = at.microseconds
        token = Random.hex(bytes: 8)
    }

    /// nil: unreadable.
    init?(json: [UInt8]) {
        guard let decision = try? JSONDecoder().decode(Self.self, from: Data(json)) else { return nil }
        self = decision
    }

    func json() throws -> [UInt8] { [UInt8](try JSONEncoder().encode(self)) }

    /// `…/<id>.2.json`: the record's second decision.
    static func key(_ id: String, _ step: Int) -> String { "\(folder)/\(id).\(step).json" }

    static func place(ofKey key: String) -> (id: String, step: Int)? {
        let parts = key.dropFirst(folder.count + 1).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2] == "json", let step = Int(parts[1]), step > 0 else { return nil }
        return (String(parts[0]), step)
    }
}
