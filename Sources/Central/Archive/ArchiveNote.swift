// What a commit of `reports` says beside its files, inside Delta's commitInfo: which record numbers of which relays it
// settled. With these notes the archived ranges of alerts, duplicates and rejected records need no table scan.

package import SyncProtocol

/// A closed range of record numbers and when the relay received the last of them: `[first, last, microseconds]`.
package struct NotedRange: Codable, Hashable, Sendable {
    package var first: Int64
    package var last: Int64
    package var lastReceivedAtMicroseconds: Int64

    package init(first: Int64, last: Int64, lastReceivedAtMicroseconds: Int64) {
        self.first = first
        self.last = last
        self.lastReceivedAtMicroseconds = lastReceivedAtMicroseconds
    }

    package init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        first = try values.decode(Int64.self)
        last = try values.decode(Int64.self)
        lastReceivedAtMicroseconds = try values.decode(Int64.self)
        guard first <= last else {
            throw DecodingError.dataCorruptedError(in: values, debugDescription: "a range ends before it begins")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var values = encoder.unkeyedContainer()
        try values.encode(first)
        try values.encode(last)
        try values.encode(lastReceivedAtMicroseconds)
    }
}

/// What one commit settled of one life of one relay. Counts are of records this commit settled for the first time.
package struct RelayNote: Codable, Hashable, Sendable {
    package var relayID: String
    package var epoch: String
    package var ranges: [NotedRange]
    package var rejected: [RejectedRecord]
    package var reports: Int
    package var duplicates: Int
    package var conflicts: Int
    package var alerts: Int

    package init(relayID: String, epoch: String) {
        self.relayID = relayID
        self.epoch = epoch
        ranges = []
        rejected = []
        reports = 0
        duplicates = 0
        conflicts = 0
        alerts = 0
    }

    enum CodingKeys: String, CodingKey {
        case relayID = "relay_id"
        case epoch, ranges, rejected, reports, duplicates, conflicts, alerts
    }
}

package struct ArchiveNote: Codable, Hashable, Sendable {
    /// Everything up to this stream position is settled.
    package var position: Int64
    package var relays: [RelayNote]

    package init(position: Int64, relays: [RelayNote] = []) {
        self.position = position
        self.relays = relays
    }
}
