// What the forwarder knows of one epoch's record numbers (1…committedThrough), as sets of intervals:
//
//   archived   central committed them to the archive: they need nothing any more (I2, I4)
//   received   durable at central; not sent again unless central says that it no longer has them. Holds what is
//              archived too
//   setAside   refused again and again on their own: kept, counted, not sent for an hour (one bad record never blocks
//              the rest; it may have been the link that spoilt it, so it is tried again)
//   missing    not in the buffer and not known to be archived: lost to damage, or dropped by the operator's rule
//   unsent     in none of these and in no request right now: what the next orders take from
//
// A number in a request is in none of unsent, received (unless another answer named it meanwhile) and archived: so no
// number is ever in two requests at once.

package import SyncProtocol

package struct ForwarderEpoch: Sendable {
    package let name: String
    package let isCurrent: Bool
    package internal(set) var committedThrough: Int64 = 0
    package internal(set) var archived = IntervalSet()
    package internal(set) var received = IntervalSet()
    package internal(set) var rejected = IntervalSet()
    package internal(set) var setAside = IntervalSet()
    package internal(set) var missing = IntervalSet()
    package private(set) var unsent = IntervalSet()
    /// Numbers of alerts and alert states that are not archived, as far as they are known.
    package private(set) var alerts = IntervalSet()
    package private(set) var unsentAlerts = IntervalSet()
    /// When the newest records were committed; only of the current epoch.
    var clock = CommitClock()
    /// Central was asked in this life, about all of it: perhaps it has archived what seems to be missing or was never
    /// noted.
    private(set) var wasAsked = false
    /// Where the next question begins.
    private(set) var askFrom: Int64 = 1
    /// Numbers that central wanted lately and that were made unsent for it: not again before this is emptied.
    private var wantedLately = IntervalSet()
    private var wantedSince: UInt64 = 0
    /// Central gets this long to take a wanted number before its repeated wish counts again.
    private static let wantedPauseNanoseconds: UInt64 = 30_000_000_000
    private var unreadable = IntervalSet()
    private var unreadableSince: UInt64 = 0
    private static let unreadablePauseNanoseconds: UInt64 = 30_000_000_000
    private var setAsideSince: UInt64 = 0
    private static let setAsidePauseNanoseconds: UInt64 = 3_600_000_000_000

    init(name: String, isCurrent: Bool, through: Int64, archived: IntervalSet, missing: IntervalSet) {
        self.name = name
        self.isCurrent = isCurrent
        committedThrough = through
        clock = CommitClock(through: through)
        guard through > 0 else { return }
        let all = IntervalSet(1...through)
        self.archived = archived.intersection(all)
        self.missing = missing.intersection(all).subtracting(self.archived)
        unsent = all.subtracting(self.archived).subtracting(self.missing)
    }

    /// Records that central has not archived yet, in flight or not.
    package var waiting: Int { Int(committedThrough) - archived.count - missing.count }
    /// Nobody waits for these: their place on disk may be released.
    package var settled: IntervalSet { missing.isEmpty ? archived : archived.union(missing) }

    /// The first number behind the newest that central has received: how far behind central's picture is.
    package var firstBehindNewestReceived: Int64? {
        let newest = max(received.max ?? 0, archived.max ?? 0)
        return newest < committedThrough ? newest + 1 : nil
    }

    /// The first number that is neither archived nor received nor given up.
    package var firstUndelivered: Int64? {
        var next: Int64 = 1
        // Each turn leaves a range of one of the sets behind; in practice two or three turns.
        while next <= committedThrough {
            guard
                let end = [received, archived, missing, setAside].compactMap({ $0.end(ofRunFrom: next) }).max()
            else { return next }
            next = end + 1
        }
        return nil
    }

    // MARK: Facts

    mutating func committed(through: Int64, alerts new: IntervalSet, at now: UInt64) {
        precondition(through >= committedThrough, "record numbers only grow (I3)")
        guard through > committedThrough else { return }
        unsent.insert(committedThrough + 1...through)
        committedThrough = through
        clock.committed(through: through, at: now)
        if !new.isEmpty { add(new) }
    }

    mutating func alertsFound(_ numbers: IntervalSet) {
        guard !numbers.isEmpty, committedThrough > 0 else { return }
        add(numbers.intersection(IntervalSet(1...committedThrough)).subtracting(archived).subtracting(missing))
    }

    private mutating func add(_ new: IntervalSet) {
        alerts.formUnion(new)
        // Those in a request now join unsentAlerts if the request fails.
        unsentAlerts.formUnion(unsent.isEmpty ? IntervalSet() : Self.common(new, unsent))
    }

    /// `few` ∩ `many`, at the cost of `few`.
    private static func common(_ few: IntervalSet, _ many: IntervalSet) -> IntervalSet {
        if few.rangeCount * 16 > many.rangeCount { return few.intersection(many) }
        var result = IntervalSet()
        few.forEachRange { range in
            result.formUnion(many.lowest(in: range, numbers: .max, ranges: .max))
        }
        return result
    }

    /// What the next batch of a lane takes, at most so many numbers.
    func next(_ lane: ForwarderLane, live: ClosedRange<Int64>?, count: Int64, ranges: Int) -> IntervalSet {
        let all = 1...max(1, committedThrough)
        switch lane {
        case .alerts: return unsentAlerts.highest(in: all, numbers: count, ranges: ranges)
        case .live: return unsent.highest(in: live ?? all, numbers: count, ranges: ranges)
        case .backlog:
            let old = live.map { 1...max(1, $0.lowerBound - 1) } ?? all
            // A little more than expected: what does not fit is given back.
            return unsent.lowest(in: old, numbers: count + count / 4 + 1, ranges: ranges)
        }
    }

    /// Takes numbers into a request.
    mutating func take(_ numbers: IntervalSet) {
        unsent.removeAll(of: numbers)
        if !unsentAlerts.isEmpty { unsentAlerts.removeAll(of: numbers) }
    }

    /// A request is over: what central did not take is unsent again.
    mutating func giveBack(_ numbers: IntervalSet) {
        var back = numbers
        for settled in [archived, received, missing, setAside] where !settled.isEmpty && !back.isEmpty {
            back = back.subtracting(Self.common(back, settled))
        }
        guard !back.isEmpty else { return }
        unsent.formUnion(back)
        if !alerts.isEmpty { unsentAlerts.formUnion(Self.common(back, alerts)) }
    }

    /// The relay's own disk did not give these: another try later, without holding up the rest.
    mutating func couldNotRead(_ numbers: IntervalSet, at now: UInt64) {
        if unreadable.isEmpty { unreadableSince = now }
        unreadable.formUnion(numbers)
    }

    mutating func retryUnreadable(at now: UInt64) {
        guard !unreadable.isEmpty, now >= unreadableSince + Self.unreadablePauseNanoseconds else { return }
        let numbers = unreadable
        unreadable = IntervalSet()
        giveBack(numbers)
    }

    /// Numbers whose rows are gone (a damaged segment) can never be sent: the buffer reported them as lost (I2, I3).
    mutating func lost(_ numbers: IntervalSet) {
        guard !numbers.isEmpty else { return }
        missing.formUnion(numbers.subtracting(archived))
        forget(numbers)
    }

    mutating func setAside(_ n: Int64, at now: UInt64) {
        if setAside.isEmpty { setAsideSince = now }
        setAside.insert(n)
        forget(IntervalSet(n...n))
    }

    /// A link that spoils what it carries makes good records look bad: nobody should have to mend that (I11).
    mutating func retrySetAside(at now: UInt64) {
        guard !setAside.isEmpty, now >= setAsideSince + Self.setAsidePauseNanoseconds else { return }
        let numbers = setAside
        setAside = IntervalSet()
        giveBack(numbers)
    }

    private mutating func forget(_ numbers: IntervalSet) {
        unsent.removeAll(of: numbers)
        unsentAlerts.removeAll(of: numbers)
        alerts.removeAll(of: numbers)
    }

    /// Central's answer. An answer about numbers this relay never gave out is not believed: it must not make room for
    /// them.
    ///
    /// - Parameters:
    ///   - had: what central had said to have received when it was asked; nil if this does not answer a question.
    ///   - inFlight: the numbers in requests now.
    mutating func answered(_ answer: Acknowledgement, had: IntervalSet?, inFlight: IntervalSet, at now: UInt64) {
        guard committedThrough > 0 else { return }
        let existing = IntervalSet(1...committedThrough)
        let archivedNow = answer.archived.intersection(existing)
        let receivedNow = answer.received.intersection(existing)
        archived.formUnion(archivedNow)
        received.formUnion(receivedNow)
        if !setAside.isEmpty { setAside.subtract(archived) }
        if !missing.isEmpty { missing.subtract(archived) }
        unsent.removeAll(of: archivedNow)
        unsent.removeAll(of: receivedNow)
        alerts.removeAll(of: archivedNow)
        unsentAlerts.removeAll(of: archivedNow)
        unsentAlerts.removeAll(of: receivedNow)
        for rejection in answer.rejected where existing.contains(rejection.n) { rejected.insert(rejection.n) }
        // What central had when it was asked and no longer lists, it has lost.
        if var had {
            if let complete = answer.complete { had = had.intersection(IntervalSet(complete)) }
            sendAgain(had.subtracting(receivedNow), except: inFlight)
        }
        if !answer.wanted.isEmpty { wanted(answer.wanted.intersection(existing), except: inFlight, at: now) }
    }

    /// A question was answered, completely for these numbers.
    mutating func wasTold(_ complete: ClosedRange<Int64>?) {
        guard let complete, complete.upperBound < committedThrough else {
            askFrom = 1
            return wasAsked = true
        }
        askFrom = complete.upperBound + 1
    }

    private mutating func wanted(_ numbers: IntervalSet, except inFlight: IntervalSet, at now: UInt64) {
        if now >= wantedSince + Self.wantedPauseNanoseconds {
            wantedLately = IntervalSet()
            wantedSince = now
        }
        let new = numbers.intersection(received).subtracting(wantedLately)
        wantedLately.formUnion(new)
        sendAgain(new, except: inFlight)
    }

    private mutating func sendAgain(_ numbers: IntervalSet, except inFlight: IntervalSet) {
        let lost = numbers.subtracting(archived)
        guard !lost.isEmpty else { return }
        received.subtract(lost)
        giveBack(lost.subtracting(inFlight))
    }
}

/// Which record numbers are how old, to a quarter of a second, for as long as that matters.
struct CommitClock: Sendable {
    private static let slotNanoseconds: UInt64 = 250_000_000
    /// Enough for a live window of a minute.
    private static let marksKept = 256

    /// Numbers up to `through`, beyond the mark before, were committed at `at` or a slot later; ascending.
    private var marks: [(through: Int64, at: UInt64)] = []
    private var before: Int64

    init(through: Int64 = 0) { before = through }

    mutating func committed(through: Int64, at now: UInt64) {
        if let last = marks.last, now < last.at + Self.slotNanoseconds {
            marks[marks.count - 1].through = through
            return
        }
        marks.append((through, now))
        if marks.count > Self.marksKept { before = marks.removeFirst().through }
    }

    /// The lowest number committed at `instant` or later.
    func first(since instant: UInt64) -> Int64 {
        var low = 0
        var high = marks.count
        while low < high {
            let middle = (low + high) / 2
            if marks[middle].at < instant { low = middle + 1 } else { high = middle }
        }
        return (low == 0 ? before : marks[low - 1].through) + 1
    }
}
