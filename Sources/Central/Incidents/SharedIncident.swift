// Incidents of a cluster. One that closes by itself is judged by every node from the same facts: nothing to share. The
// others are about events, and a person's closing of one holds at every node.
//
// Each node writes its word on an incident; of two words the newer one holds, and `isNewer` is a total order, so that
// the merge (the maximum) is commutative, associative and idempotent: words may come in any order, late, twice, and
// all nodes end with the same one. No clock decides. `total` counts the events since ever, and a closing is of those
// counted by then (`closedThrough`), therefore:
//
//   - a closing is undone by one event more, and by nothing else: not by a node that had yet to hear of the closing,
//     or raises again, with an empty disk, what was raised and closed before;
//   - a node whose clock is behind closes like any other.
//
// Events that two nodes count within the seconds until they hear of each other are one in `count`, which is never too
// high by it. A closing is then of both; so it is where an operator closes before having seen the newest.

import Models

extension IncidentCode {
    /// Whether nodes of a cluster tell each other.
    package var isShared: Bool { !closesByItself }
}

extension Incident {
    private static let mostEvents = 1 << 53

    /// Of `total`, those that a person has closed.
    package var closedThrough: Int { isOpen ? total - count : total }

    /// Numbers that add up: what came from another node is looked at before it is taken.
    package var isPlausible: Bool {
        (1...Self.mostEvents).contains(count) && (count...Self.mostEvents).contains(total)
            && (0...Self.mostEvents).contains(level ?? 0)
    }

    /// Of two words on the same incident: whether this is the newer one. False for the same word.
    package func isNewer(than other: Incident) -> Bool {
        precondition(id == other.id, "words on different incidents have no order")
        let mine = (total, closedThrough, closedAt?.microseconds ?? .min)
        let others = (other.total, other.closedThrough, other.closedAt?.microseconds ?? .min)
        if mine != others { return mine > others }
        // What is left says nothing new; an order it must have all the same. The first sighting is the best one.
        let times = (other.openedAt.microseconds, lastSeen.microseconds, count, level ?? .min)
        let otherTimes = (openedAt.microseconds, other.lastSeen.microseconds, other.count, other.level ?? .min)
        if times != otherTimes { return times > otherTimes }
        let texts = (detail, closedBy == nil ? 0 : 1, closedBy ?? "", note == nil ? 0 : 1, note ?? "")
        let otherTexts = (
            other.detail, other.closedBy == nil ? 0 : 1, other.closedBy ?? "", other.note == nil ? 0 : 1,
            other.note ?? ""
        )
        return texts > otherTexts
    }

    package static func newest(_ left: Incident, _ right: Incident) -> Incident {
        right.isNewer(than: left) ? right : left
    }
}
