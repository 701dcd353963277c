// A person's word that a relay will not come back, and its end: a report that was heard after it. Nodes of a cluster
// write it to each other; the newest word holds at all of them.
//
// Which came first, a retirement here or a report at another node? Two clocks are asked and both must say "the report":
// that of the node that heard it, against that of the node where the relay was retired; and the relay's own, against
// the newest report that was known there. So neither a node whose clock is ahead nor a report on its way undoes a
// retirement. A node that knows of the retirement and then hears the relay itself needs no clock.

package import Models
import SyncProtocol

extension RelayLedger {
    package struct Retirement: Codable, Hashable, Sendable {
        /// By the clock of the node it was told, and after every earlier word that node knew.
        package var atMicroseconds: Int64
        package var by: String
        package var note: String
        /// When the newest report that was known there had been sent, by the relay's clock.
        package var lastSentMicroseconds: Int64?
        /// A report came after it.
        package var hasEnded: Bool?

        package init(atMicroseconds: Int64, by: String, note: String, lastSentMicroseconds: Int64? = nil) {
            self.atMicroseconds = atMicroseconds
            self.by = by
            self.note = note
            self.lastSentMicroseconds = lastSentMicroseconds
        }

        package var isOver: Bool { hasEnded ?? false }

        /// Every node that ends it writes the same word, newer than the retirement and older than the next one.
        package var ended: Retirement {
            var word = self
            word.hasEnded = true
            return word
        }

        /// A total order, so that nodes agree whatever comes first.
        package func isNewer(than other: Retirement) -> Bool {
            let mine = (atMicroseconds, by, note, lastSentMicroseconds ?? .min, isOver ? 1 : 0)
            let others = (
                other.atMicroseconds, other.by, other.note, other.lastSentMicroseconds ?? .min, other.isOver ? 1 : 0
            )
            return mine > others
        }
    }

    package mutating func retire(by: String, note: String, at now: Timestamp) {
        let earlier = retirement?.atMicroseconds ?? .min
        retirement = Retirement(
            atMicroseconds: max(now.microseconds, earlier < .max ? earlier + 1 : earlier), by: by, note: note,
            lastSentMicroseconds: report?.sentAt.microseconds)
    }

    /// Another node's word. True if this one did not know it.
    mutating func adopt(_ word: Retirement) -> Bool {
        if let retirement, !word.isNewer(than: retirement) { return false }
        retirement = word
        _ = endRetirement(isHeardHere: false)
        return true
    }

    /// - Parameter isHeardHere: the last report was heard by this node, which knew of the retirement.
    /// - Returns: whether the last report ended it.
    mutating func endRetirement(isHeardHere: Bool) -> Bool {
        guard let word = retirement, !word.isOver, let report, let reportedAtMicroseconds else { return false }
        let isAfter =
            reportedAtMicroseconds > word.atMicroseconds
            && report.sentAt.microseconds > word.lastSentMicroseconds ?? .min
        guard isHeardHere || isAfter else { return false }
        retirement = word.ended
        return true
    }
}
