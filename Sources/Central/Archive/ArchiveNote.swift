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
    /// Records set aside, by intake or here; the first ones only where there are very many.
    package var rejected: [RejectedRecord]
    package var rejectedCount: Int
    package var reports: Int
    package var duplicates: Int
    package var conflicts: Int
    package var alerts: Int
    /// Records under a number that was settled with other bytes before: kept, counted among the conflicts or the
    /// rejected, and no numbers of their own.
    package var recordConflicts: Int
    /// Numbers that were rejected before and are no longer, after a person's retry.
    package var retried: [Int64]
    /// Of a cluster: who says this; the ranges hold what is settled in this partition. nil: it holds for all of them.
    package var partition: Int?

    package init(relayID: String, epoch: String, partition: Int? = nil) {
        self.relayID = relayID
        self.epoch = epoch
        self.partition = partition
        ranges = []
        rejected = []
        rejectedCount = 0
        recordConflicts = 0
        retried = []
        reports = 0
        duplicates = 0
        conflicts = 0
        alerts = 0
    }

    enum CodingKeys: String, CodingKey {
        case relayID = "relay_id"
        case epoch, ranges, rejected, reports, duplicates, conflicts, alerts, retried, partition
        case rejectedCount = "rejected_count"
        case recordConflicts = "record_conflicts"
    }

    private var counts: [(CodingKeys, Int)] {
        [(.reports, reports), (.duplicates, duplicates), (.conflicts, conflicts), (.alerts, alerts)]
    }

    /// The ranges alone.
    var withoutCounts: RelayNote {
        var note = RelayNote(relayID: relayID, epoch: epoch, partition: partition)
        note.ranges = ranges
        return note
    }

    var saysSomething: Bool {
        !ranges.isEmpty || rejectedCount != 0 || recordConflicts != 0 || !retried.isEmpty
            || counts.contains { $0.1 != 0 }
    }

    var source: RecordSource { RecordSource(relayID: relayID, epoch: epoch) }

    /// What a Delta commit may say of rejected records; all of them are in the quarantine.
    package static let rejectedListed = 1_000

    /// - Parameter isRetry: it was rejected before: counted once, and not lifted.
    package mutating func reject(_ record: RejectedRecord, isRetry: Bool = false) {
        guard !isRetry else { return retried.removeAll { $0 == record.n } }
        rejectedCount += 1
        if rejected.count < Self.rejectedListed { rejected.append(record) }
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(relayID, forKey: .relayID)
        try members.encode(epoch, forKey: .epoch)
        try members.encode(ranges, forKey: .ranges)
        // A commit of a cluster has as many notes as partitions: what is nothing is not said.
        let isShort = partition != nil
        try members.encodeIfPresent(partition, forKey: .partition)
        if !isShort || !rejected.isEmpty { try members.encode(rejected, forKey: .rejected) }
        for (key, count) in counts where !isShort || count != 0 { try members.encode(count, forKey: key) }
        // Rare: a commit's note says them only where there is something to say.
        if rejectedCount != rejected.count { try members.encode(rejectedCount, forKey: .rejectedCount) }
        if recordConflicts != 0 { try members.encode(recordConflicts, forKey: .recordConflicts) }
        if !retried.isEmpty { try members.encode(retried, forKey: .retried) }
    }

    /// Members that earlier versions did not write have their meaning then.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        relayID = try members.decode(String.self, forKey: .relayID)
        epoch = try members.decode(String.self, forKey: .epoch)
        ranges = try members.decode([NotedRange].self, forKey: .ranges)
        partition = try members.decodeIfPresent(Int.self, forKey: .partition)
        rejected = try members.decodeIfPresent([RejectedRecord].self, forKey: .rejected) ?? []
        rejectedCount = try members.decodeIfPresent(Int.self, forKey: .rejectedCount) ?? rejected.count
        reports = try members.decodeIfPresent(Int.self, forKey: .reports) ?? 0
        duplicates = try members.decodeIfPresent(Int.self, forKey: .duplicates) ?? 0
        conflicts = try members.decodeIfPresent(Int.self, forKey: .conflicts) ?? 0
        alerts = try members.decodeIfPresent(Int.self, forKey: .alerts) ?? 0
        recordConflicts = try members.decodeIfPresent(Int.self, forKey: .recordConflicts) ?? 0
        retried = try members.decodeIfPresent([Int64].self, forKey: .retried) ?? []
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
