// Remembers which reports were stored lately, to tell a drone that it resends ("duplicate") or that it reuses a number
// for other bytes ("conflict"). A courtesy with a bounded memory: the relay stores every copy, and central decides
// exactly, for ever (I5). So a forgotten identity, or two whose 64-bit hashes collide, cost nothing but a less exact
// word in the answer.

package struct RecentIdentities: Sendable {
    package enum Verdict: Sendable, Equatable {
        case stored
        case duplicate
        case conflict
    }

    /// Identities in each of the two generations; the older one is dropped when the younger is full.
    package static let generationSize = 262_144

    private let generationSize: Int
    private var younger: [UInt64: UInt64] = [:]
    private var older: [UInt64: UInt64] = [:]

    package init(generationSize: Int = RecentIdentities.generationSize) {
        precondition(generationSize > 0, "a memory of nothing tells nothing")
        self.generationSize = generationSize
    }

    package var count: Int { younger.count + older.count }

    /// Records that the report is stored and says what it is. `identity` and `digest` are 64-bit hashes.
    /// The first bytes seen for an identity stay the reference: a third copy is compared with them.
    package mutating func stored(identity: UInt64, digest: UInt64) -> Verdict {
        if let known = younger[identity] ?? older[identity] { return known == digest ? .duplicate : .conflict }
        if younger.count >= generationSize {
            older = younger
            younger = [:]
            younger.reserveCapacity(generationSize)
        }
        younger[identity] = digest
        return .stored
    }

    package func isDuplicate(identity: UInt64, digest: UInt64) -> Bool {
        (younger[identity] ?? older[identity]) == digest
    }
}
