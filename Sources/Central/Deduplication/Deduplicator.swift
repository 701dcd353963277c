// Decides what a record that came from the stream is: new, a copy, or something that pretends to be a copy. Pure: no
// disk, no clock; what it cannot know from memory it asks for (`needs…`), and is told (`resolve…`).
//
// State, for ever and exact (I5): for every (drone, boot) the set of report numbers archived, for every (relay,
// epoch) the set of record numbers settled. Both are sets of intervals, so complete data costs one interval. Beside
// them a bounded cache of recent digests, which only saves look-ups: with or without it the decisions are the same.
//
// Rules, in this order, for a report n of a life (relay, epoch) of a relay:
// 1. n is settled, and a row with these bytes was stored for n  → `.alreadySettled` (the stream resent it; nothing to
// store)
// 2. n is settled, and only rows with other bytes were stored   → `.recordConflict` (a cloned relay, I3: kept,
// reported)
// 3. the identity (drone, boot, seq) was never archived         → `.new`
// 4. it was, with these bytes                                   → `.duplicate`
// 5. it was, with other bytes                                   → `.conflict`
//
// A settled n without any stored row was rejected before; whatever comes under it again is `.alreadySettled`. Not so in
// a cluster (`sharesNumbers`): there n may be settled because its record, of another drone, is another partition's to
// store, and nothing here tells that from a rejection. What comes under such an n is kept as a `.recordConflict`: a
// number used twice (a relay restored from a copy of its disk) costs a row in `duplicates`, never a report.
//
// The decisions depend on the records' order alone, not on how they are cut into calls: a crash between two commits
// is repaired by deciding again (`Archiver`). A failed call leaves half of its records in the state: throw the value
// away and recover it from the tables.

package import Crypto
package import Models
package import SyncProtocol

/// One life of a relay.
package struct RecordSource: Hashable, Sendable {
    package var relayID: String
    package var epoch: String

    package init(relayID: String, epoch: String) {
        self.relayID = relayID
        self.epoch = epoch
    }
}

/// A record without its body.
package struct RecordFact: Hashable, Sendable {
    package var source: RecordSource
    package var n: Int64
    /// nil for alerts and their state changes.
    package var identity: ReportIdentity?
    package var digest: SHA256Digest

    package init(source: RecordSource, n: Int64, identity: ReportIdentity?, digest: SHA256Digest) {
        self.source = source
        self.n = n
        self.identity = identity
        self.digest = digest
    }
}

package struct Deduplicator: Sendable {
    package enum Decision: Hashable, Sendable {
        case new
        case duplicate
        case conflict
        case recordConflict
        case alreadySettled
        /// Ask the `reports` table for the digest of this identity, then `resolveIdentity`.
        case needsIdentityDigest
        /// Ask all tables for the digests stored under this record number, then `resolveRecord`.
        case needsRecordDigests
    }

    package private(set) var identities: IdentityTracker
    package private(set) var settled: KeyedIntervalSets<RecordSource>
    private var identityDigests: DigestCache
    private var recordDigests: DigestCache
    /// Numbers are settled for the records of all partitions, identities known of one.
    private let sharesNumbers: Bool
    /// Conflicting bytes stored in this call; no table has them yet.
    private var conflictsOfThisCall: Set<StoredBytes> = []

    private struct StoredBytes: Hashable {
        var key: DigestKey
        var digest: SHA256Digest
    }

    /// `cachedDigests`: how many digests of each kind are kept over from earlier calls, at most about twice as many.
    package init(
        identities: IdentityTracker = IdentityTracker(), settled: KeyedIntervalSets<RecordSource> = .init(),
        cachedDigests: Int = 200_000, sharesNumbers: Bool = false
    ) {
        self.identities = identities
        self.settled = settled
        self.sharesNumbers = sharesNumbers
        identityDigests = DigestCache(capacity: cachedDigests)
        recordDigests = DigestCache(capacity: cachedDigests)
    }

    package mutating func decide(_ fact: RecordFact) -> Decision {
        let recordKey = DigestKey(fact.source, fact.n)
        guard settled.insert(fact.n, for: fact.source) else {
            if let stored = recordDigests[recordKey], stored == fact.digest { return .alreadySettled }
            let bytes = StoredBytes(key: recordKey, digest: fact.digest)
            return conflictsOfThisCall.contains(bytes) ? .alreadySettled : .needsRecordDigests
        }
        recordDigests[recordKey] = fact.digest
        guard let identity = fact.identity else { return .new }
        let identityKey = DigestKey(identity)
        guard !identities.insert(identity) else {
            identityDigests[identityKey] = fact.digest
            return .new
        }
        guard let archived = identityDigests[identityKey] else { return .needsIdentityDigest }
        return archived == fact.digest ? .duplicate : .conflict
    }

    /// A record that will never be stored (rejected, or in quarantine since intake): its number is done with.
    /// False if it was settled already.
    package mutating func settle(_ source: RecordSource, _ n: Int64) -> Bool {
        settled.insert(n, for: source)
    }

    /// Numbers whose records are other partitions' to store, after the batch's own lines are decided. Returns those
    /// that were not settled before.
    package mutating func settle(_ source: RecordSource, covering cover: IntervalSet) -> [ClosedRange<Int64>] {
        var added: [ClosedRange<Int64>] = []
        cover.forEachRange { range in
            added += settled[source].gaps(in: range)
            settled.insert(range, for: source)
        }
        return added
    }

    /// `archived`: the digest of the row in `reports`; nil if the row is gone, and then nothing shows the bytes are
    /// the same.
    package mutating func resolveIdentity(_ fact: RecordFact, archived: SHA256Digest?) -> Decision {
        if let identity = fact.identity, let archived { identityDigests[DigestKey(identity)] = archived }
        return archived == fact.digest ? .duplicate : .conflict
    }

    /// `stored`: the digests of all rows, of any table, with this record number, of earlier calls.
    package mutating func resolveRecord(_ fact: RecordFact, stored: [SHA256Digest]) -> Decision {
        let key = DigestKey(fact.source, fact.n)
        let known = recordDigests[key]
        if known == nil, let first = stored.first { recordDigests[key] = first }
        if stored.contains(fact.digest) { return .alreadySettled }
        if stored.isEmpty && known == nil && !sharesNumbers { return .alreadySettled }
        return conflictsOfThisCall.insert(StoredBytes(key: key, digest: fact.digest)).inserted
            ? .recordConflict : .alreadySettled
    }

    /// A record that was settled without a row and is tried again. In a call of its own: then the tables hold every
    /// earlier row, and what they say is all there is to know.
    package mutating func resolveRetry(
        _ fact: RecordFact, stored: [SHA256Digest], archived: SHA256Digest?
    ) -> Decision {
        if stored.contains(fact.digest) { return .alreadySettled }
        _ = settled.insert(fact.n, for: fact.source)
        recordDigests[DigestKey(fact.source, fact.n)] = fact.digest
        guard let identity = fact.identity else { return .new }
        // The set may hold the identity although its row was never written; the table decides.
        identities.insert(identity)
        identityDigests[DigestKey(identity)] = archived ?? fact.digest
        guard let archived else { return .new }
        return archived == fact.digest ? .duplicate : .conflict
    }

    /// The call's rows are in the tables: what was kept for its sake alone may go.
    package mutating func committed() {
        conflictsOfThisCall.removeAll()
        identityDigests.trim()
        recordDigests.trim()
    }
}
