// What central remembers of one relay beside the archive: which lives it has had and how far each came, what it told
// about itself, what it lost. Pure and persisted: a restart of central still knows what waits at a relay that is
// offline. The archive and the stream stay the truth about what is durable; the ledger is told (`observe`).
//
// A life (epoch) is *held* while the relay's reports list it. One that a later report no longer lists is over: what
// central does not have of it by then will not come any more, it is lost for good. Were that wrong (a copy of the
// relay still runs), its numbers come all the same and the loss shrinks: it is derived, never stored.

package import Models
package import SyncProtocol

/// What the stream and the archive have of one life.
package struct LifeFacts: Sendable {
    package var epoch: String
    /// Durable: archived or in the stream.
    package var durable: IntervalSet
    package var archived: IntervalSet
    /// For the last number of each archived range: when the relay received it, in microseconds.
    package var lastReceivedAt: [Int64: Int64]

    package init(
        epoch: String, durable: IntervalSet, archived: IntervalSet = IntervalSet(), lastReceivedAt: [Int64: Int64] = [:]
    ) {
        self.epoch = epoch
        self.durable = durable
        self.archived = archived
        self.lastReceivedAt = lastReceivedAt
    }
}

package struct RelayLedger: Codable, Sendable {
    package struct Life: Codable, Sendable {
        package var epoch: String
        /// The highest number known to exist: told or received.
        package var through: Int64 = 0
        /// As the last report that listed this life told it.
        package var told: Int64 = 0
        package var waiting = 0
        package var missing = IntervalSet()
        package var missingCount = 0
        package var isHeld = false
        package var isOver = false
        /// The highest number that was durable here when the last report came: the next report cannot know fewer.
        package var durableAtReport: Int64 = 0
        /// What the relay must have known before its last report. (`through` may be ahead: records go on coming, the
        /// newest first, after each report.)
        package var known: Int64 = 0
        /// It was there at an earlier report: one that has only begun may be missing from a report that came late.
        package var isFamiliar = false
        /// What central has told the relay it received.
        package var saidReceived = IntervalSet()
        package var gaps = GapCohorts()

        init(epoch: String) { self.epoch = epoch }
    }

    package var relayID: String
    /// Oldest first.
    package var lives: [Life] = []
    package private(set) var report: RelayReport?
    /// Central's clock.
    package private(set) var reportedAtMicroseconds: Int64?
    package var lastContactMicroseconds: Int64?
    /// Epochs of the processes that reported, oldest first; the last one is the present.
    package private(set) var processes: [String] = []
    package internal(set) var retirement: Retirement?
    /// Conflicts that an incident was raised for already.
    package var conflictsRaised = 0
    package var recordConflictsRaised = 0
    /// Lost records that are counted in an incident; falls when the loss does.
    package var lostRaised = 0
    /// Events of other kinds that incidents were raised for, by code.
    var othersRaised: [String: Int]?
    /// At the look before: a loss that the next batch makes good is none.
    package var lostSuspected = 0
    /// Reports in a row whose counters did not add up.
    package private(set) var reportsNotAddingUp = 0

    private static let processesKept = 16

    package init(relayID: String) { self.relayID = relayID }

    package var reportedAt: Timestamp? { reportedAtMicroseconds.map { Timestamp(microseconds: $0) } }
    package var lastContact: Timestamp? {
        [lastContactMicroseconds, reportedAtMicroseconds].compactMap { $0 }.max().map { Timestamp(microseconds: $0) }
    }
    package var isRetired: Bool { retirement.map { !$0.isOver } ?? false }

    package func life(_ epoch: String) -> Life? { lives.first { $0.epoch == epoch } }

    // MARK: Facts

    /// What is durable and archived now. True if the ledger has changed and is to be kept.
    package mutating func observe(_ facts: [LifeFacts], at now: Timestamp) -> Bool {
        var isChanged = false
        for fact in facts.sorted(by: { ($0.firstKnown, $0.epoch) < ($1.firstKnown, $1.epoch) }) {
            let known = lives.count
            let index = index(of: fact.epoch)
            if lives.count > known { isChanged = true }
            let highest = fact.durable.max ?? 0
            if highest > lives[index].through {
                lives[index].through = highest
                isChanged = true
            }
            if fact.durable != lives[index].saidReceived, lives[index].saidReceived.subtracting(fact.durable).isEmpty {
                lives[index].saidReceived = fact.durable
                isChanged = true
            }
            let holes = lives[index].isOver ? IntervalSet() : holes(lives[index], fact)
            if lives[index].gaps.look(holes, at: now) { isChanged = true }
        }
        return isChanged
    }

    /// Numbers below the highest one central has, or said to have, that are not durable and not known to be lost.
    private func holes(_ life: Life, _ fact: LifeFacts) -> IntervalSet {
        let highest = max(fact.durable.max ?? 0, life.saidReceived.max ?? 0)
        guard highest > 0 else { return IntervalSet() }
        return IntervalSet(fact.durable.gaps(in: 1...highest)).subtracting(life.missing)
    }

    package enum Event: Hashable, Sendable {
        /// The relay knows less of its own past than central.
        case rollback
        /// Two processes report in turn.
        case cloned
        /// The relay's own counters do not add up, in reports one after another.
        case counters(received: Int, accounted: Int)
        /// A retired relay is back.
        case returned
        case rulesRefused(version: Int, reason: String)
        case rulesSettled
    }

    /// A report has come. Nil: it is older than the last one and was not taken.
    /// - Parameters:
    ///   - isSecondHand: another node of a cluster heard it, and counts what it shows of the relay's past.
    ///   - now: when it was heard, by the clock of the node that heard it.
    package mutating func reported(
        _ report: RelayReport, durable: (_ epoch: String) -> IntervalSet, isSecondHand: Bool = false, at now: Timestamp
    ) -> [Event]? {
        if let last = self.report, report.sentAt < last.sentAt, report.epoch != processes.last,
            processes.contains(report.epoch)
        {
            return nil
        }
        var events: [Event] = []
        let isClone = processes.dropLast().contains(report.epoch)
        if isClone, !isSecondHand { events.append(.cloned) }
        if processes.last != report.epoch {
            processes.removeAll { $0 == report.epoch }
            processes = (processes + [report.epoch]).suffix(Self.processesKept)
        }
        if take(report.epochs, durable: durable), !isClone, !isSecondHand { events.append(.rollback) }
        let counters = report.counters
        let accounted = counters.archived + counters.waiting + counters.lost
        let isRight = counters.received + counters.carriedOver == accounted
        reportsNotAddingUp = isRight ? 0 : reportsNotAddingUp + 1
        if reportsNotAddingUp >= AccountBook.reportsBeforeMismatch {
            events.append(.counters(received: counters.received + counters.carriedOver, accounted: accounted))
        }
        self.report = report
        reportedAtMicroseconds = now.microseconds
        if endRetirement(isHeardHere: !isSecondHand) { events.append(.returned) }
        events.append(
            report.rules.state == .refused
                ? .rulesRefused(version: report.rules.version, reason: report.rules.reason ?? "") : .rulesSettled)
        return events
    }

    /// True if the relay knows less than it must.
    private mutating func take(_ epochs: [RelayReport.Epoch], durable: (String) -> IntervalSet) -> Bool {
        var isRollback = false
        let listed = Set(epochs.map(\.epoch))
        for told in epochs {
            let index = index(of: told.epoch)
            // Numbers that were here when the last report came were on the relay's disk before it; and a life that
            // the relay had released cannot come back.
            let known = max(lives[index].known, lives[index].durableAtReport)
            let isOlder = lives[index].told < lives[index].known
            if (told.through < known && !isOlder) || lives[index].isOver { isRollback = true }
            lives[index].known = max(known, told.through)
            lives[index].told = told.through
            lives[index].through = max(lives[index].through, told.through)
            lives[index].waiting = told.waiting
            lives[index].missing = told.missing
            lives[index].missingCount = max(told.missingCount, told.missing.count)
            lives[index].isHeld = true
            lives[index].isOver = false
        }
        for index in lives.indices {
            if !listed.contains(lives[index].epoch), lives[index].isFamiliar {
                lives[index].isHeld = false
                lives[index].isOver = true
                lives[index].waiting = 0
            }
            lives[index].isFamiliar = true
            lives[index].durableAtReport = max(lives[index].durableAtReport, durable(lives[index].epoch).max ?? 0)
        }
        return isRollback
    }

    mutating func index(of epoch: String) -> Int {
        if let index = lives.lastIndex(where: { $0.epoch == epoch }) { return index }
        lives.append(Life(epoch: epoch))
        return lives.count - 1
    }

    // MARK: What follows

    /// Numbers of a life that will not come any more.
    package func lost(_ life: Life, durable: IntervalSet) -> IntervalSet {
        guard life.through > 0 else { return IntervalSet() }
        if life.isOver { return IntervalSet(durable.gaps(in: 1...life.through)) }
        var lost = life.missing.subtracting(durable)
        if life.isHeld, life.told < life.known {
            // An older state of the relay came back: it cannot send what it no longer knows of.
            lost.formUnion(IntervalSet(durable.gaps(in: (life.told + 1)...life.known)))
        }
        return lost
    }

    /// Whether the relay itself counts these holes among what waits there.
    package func knowsOfHoles(_ life: Life, _ fact: LifeFacts, at now: Timestamp) -> Bool {
        guard life.isHeld, let reportedAt, now.seconds(since: reportedAt) < Self.silentSeconds else { return false }
        let inStream = fact.durable.count - fact.archived.count
        return life.waiting >= holes(life, fact).count + inStream
    }

    /// Not heard for so long, a relay is called silent.
    package static let silentSeconds = 12 * SyncLimits.relayReportSeconds
    /// So long a hole may be open before its numbers are asked for again.
    package static let askAfterSeconds = 20.0
    /// So long before it is an incident (F81).
    package static let gapIncidentSeconds = 3_600.0

    /// Numbers to ask the relay for again.
    package func wanted(_ fact: LifeFacts, at now: Timestamp) -> IntervalSet {
        guard let life = life(fact.epoch), !life.isOver else { return IntervalSet() }
        // What central had said to have and has no more: the relay believes it safe and would never send it by itself.
        let broken = life.saidReceived.subtracting(fact.durable).subtracting(life.missing)
        var wanted = broken
        if !knowsOfHoles(life, fact, at: now) {
            wanted.formUnion(life.gaps.open(forSeconds: Self.askAfterSeconds, at: now))
        }
        guard wanted.rangeCount > SyncLimits.wantedRanges else { return wanted }
        return IntervalSet(wanted.ranges.prefix(SyncLimits.wantedRanges))
    }

    /// Records that nobody sends although central asked for more than an hour.
    package func overdue(_ fact: LifeFacts, at now: Timestamp) -> IntervalSet {
        guard let life = life(fact.epoch), !life.isOver, !knowsOfHoles(life, fact, at: now) else {
            return IntervalSet()
        }
        return life.gaps.open(forSeconds: Self.gapIncidentSeconds, at: now)
    }
}

extension LifeFacts {
    /// For the order of lives that came up together, at the first start with an older archive.
    fileprivate var firstKnown: Int64 { lastReceivedAt.values.min() ?? .max }
}
