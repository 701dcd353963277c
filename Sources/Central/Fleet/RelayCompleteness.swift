// How far the archive is complete (contract §6, `/v1/completeness`). Pure: from what is archived, and from what each
// relay last told about itself.
//
// A relay is *complete through T*: every record it received before T, by its own clock, is archived; what is lost for
// good is not waited for and is counted apart. Two lower bounds for T, the higher one holds:
//
//   told      The relay said at S that what it received before S has numbers up to `through`. Once all of these are
//             archived or lost, T = S; before that T is the time of the oldest record waiting there.
//   archived  The unbroken run from a life's first number: the time of its last record. A life that is whole carries
//             on to the next one. This needs no report, and holds while batches come newest first: holes end the run.

package import Models
import SyncProtocol

package struct RelayCompleteness: Sendable {
    package struct Gap: Sendable, Equatable {
        package enum State: String, Sendable { case waiting, lost, wanted }

        package var epoch: String
        package var range: ClosedRange<Int64>
        package var state: State
        /// The records were received by the relay between these; nil: unknown.
        package var after: Timestamp?
        package var before: Timestamp?
    }

    package var relayID: String
    /// nil: nothing is known to be complete.
    package var completeThrough: Timestamp?
    /// Numbers that are not at central, oldest first; at most `maxGaps`.
    package var gaps: [Gap] = []
    package var gapCount = 0
    /// Records not archived yet: at the relay (as it last said, or as far as gaps show), and in central's stream.
    package var waitingAtRelay = 0
    package var waitingHere = 0
    package var lost = 0
    package var oldestWaiting: Timestamp?
    package var lastContact: Timestamp?
    package var reportedAt: Timestamp?
    package var isSilent = false
    package var isRetired = false

    package static let maxGaps = 1_000

    package init(_ ledger: RelayLedger, _ facts: [LifeFacts], at now: Timestamp) {
        relayID = ledger.relayID
        lastContact = ledger.lastContact
        reportedAt = ledger.reportedAt
        isRetired = ledger.isRetired
        isSilent = lastContact.map { now.seconds(since: $0) > RelayLedger.silentSeconds } ?? true
        let byEpoch = Dictionary(facts.map { ($0.epoch, $0) }) { $1 }
        let lives = ledger.lives.map { life in
            LifeAccount(ledger, life, byEpoch[life.epoch] ?? LifeFacts(epoch: life.epoch, durable: IntervalSet()))
        }
        for life in lives {
            waitingHere += life.fact.durable.count - life.fact.archived.count
            waitingAtRelay += life.openAtRelay.count
            lost += life.lostCount
            addGaps(life, ledger, at: now)
        }
        if waitingAtRelay > 0 { oldestWaiting = ledger.report?.oldestWaiting }
        completeThrough = [Self.told(ledger, lives), Self.archived(lives)].compactMap { $0 }.max()
    }

    private mutating func addGaps(_ life: LifeAccount, _ ledger: RelayLedger, at now: Timestamp) {
        let wanted = ledger.wanted(life.fact, at: now)
        let parts: [(IntervalSet, Gap.State)] = [
            (life.lost, .lost), (life.openAtRelay.intersection(wanted), .wanted),
            (life.openAtRelay.subtracting(wanted), .waiting),
        ]
        let found = parts.flatMap { set, state in set.ranges.map { ($0, state) } }
            .sorted { $0.0.lowerBound < $1.0.lowerBound }
        gapCount += found.count
        for (range, state) in found.prefix(max(0, Self.maxGaps - gaps.count)) {
            let bounds = life.bounds(of: range)
            gaps.append(
                Gap(epoch: life.fact.epoch, range: range, state: state, after: bounds.after, before: bounds.before))
        }
    }

    private static func told(_ ledger: RelayLedger, _ lives: [LifeAccount]) -> Timestamp? {
        guard let report = ledger.report else { return nil }
        var isAllArchived = true
        for life in lives where life.life.isHeld {
            let open = life.unarchived(through: life.life.told)
            if open > 0 { isAllArchived = false }
            // Central misses records that the relay believes archived: then its oldest waiting one says nothing.
            if open > life.life.waiting { return nil }
        }
        if isAllArchived { return report.settledBefore }
        guard let oldest = report.oldestWaiting else { return nil }
        return min(oldest, report.settledBefore)
    }

    private static func archived(_ lives: [LifeAccount]) -> Timestamp? {
        var through: Timestamp?
        for life in lives {
            if let end = life.endOfRun { through = max(through ?? end, end) }
            if !life.isWhole { return through }
        }
        return through
    }
}

/// One life with what follows from the ledger.
private struct LifeAccount {
    let life: RelayLedger.Life
    let fact: LifeFacts
    let lost: IntervalSet
    let lostCount: Int
    /// Known to exist, not durable here, not lost.
    let openAtRelay: IntervalSet

    init(_ ledger: RelayLedger, _ life: RelayLedger.Life, _ fact: LifeFacts) {
        self.life = life
        self.fact = fact
        lost = ledger.lost(life, durable: fact.durable)
        // Where the relay's list was cut short, its count is the better one.
        let unlisted = max(0, life.missingCount - life.missing.count)
        lostCount = lost.count + (life.isOver ? 0 : unlisted)
        let all = life.through > 0 ? IntervalSet(1...life.through) : IntervalSet()
        openAtRelay = all.subtracting(fact.durable).subtracting(lost)
    }

    var isWhole: Bool { life.through == 0 || unarchived(through: life.through) == 0 }

    /// Missing records that the relay counts and does not list are somewhere among these: they are not waited for.
    func unarchived(through: Int64) -> Int {
        guard through > 0 else { return 0 }
        let open = IntervalSet(1...through).subtracting(fact.archived).subtracting(lost).count
        return max(0, open - (lostCount - lost.count))
    }

    /// When the last archived record of the unbroken run from 1 was received; nil where there is none.
    var endOfRun: Timestamp? {
        let run = fact.archived.union(lost).end(ofRunFrom: 1) ?? 0
        let last = fact.archived.ranges.last { $0.upperBound <= run }
        return last.flatMap { time(of: $0.upperBound) }
    }

    private func time(of end: Int64) -> Timestamp? {
        fact.lastReceivedAt[end].map { Timestamp(microseconds: $0) }
    }

    /// The end of the range before is a lower bound; the end of the one after an upper bound.
    func bounds(of gap: ClosedRange<Int64>) -> (after: Timestamp?, before: Timestamp?) {
        var after: Timestamp?
        for range in fact.archived.ranges {
            if range.upperBound < gap.lowerBound { after = time(of: range.upperBound) }
            if range.lowerBound > gap.upperBound { return (after, time(of: range.upperBound)) }
        }
        return (after, nil)
    }
}

/// The whole fleet.
package struct FleetCompleteness: Sendable {
    package var relays: [RelayCompleteness]

    package init(_ relays: [RelayCompleteness]) { self.relays = relays }

    /// Relays that are asked for: not retired ones, whose data is as complete as it will ever be.
    private var counted: [RelayCompleteness] { relays.filter { !$0.isRetired } }

    /// Every record that any relay received before this is archived; nil while nothing of one relay is.
    package var completeThrough: Timestamp? {
        guard !counted.isEmpty, counted.allSatisfy({ $0.completeThrough != nil }) else {
            return counted.isEmpty ? relays.compactMap(\.completeThrough).max() : nil
        }
        return counted.compactMap(\.completeThrough).min()
    }

    /// The relays at which the whole fleet's time stands.
    package var heldBackBy: [String] {
        let through = completeThrough
        return counted.filter { $0.completeThrough == nil || $0.completeThrough == through }.map(\.relayID)
    }

    package func relay(_ relayID: String) -> RelayCompleteness? { relays.first { $0.relayID == relayID } }
}
