// The last hour in figures: what arrived at central, minute by minute. Pure: times go in, a summary comes out, so a
// test can run an hour in a millisecond.
//
// Memory is bounded whatever arrives: 61 minutes; at most `maxRelays` relays, `maxRules` rules, `maxCells` cells and
// `maxDrones` drones are told apart, and what goes beyond is counted under "(other)", or, for drones, not at all. That
// is some 20 MB at the very most, and less than one with a fleet of hundreds.

package import Models

/// What the window needs of a report.
package struct LiveReport: Sendable {
    package var relayID: String
    package var droneID: String
    package var cell: String
    /// Seconds from observation to arrival at central; nil where the drone's clock is suspect.
    package var latenessSeconds: Double?
    /// The persons' scores, each with a number that stands for the person.
    package var scores: [(person: UInt64, peacescore: Double)]

    package init(
        relayID: String, droneID: String, cell: String, latenessSeconds: Double?,
        scores: [(person: UInt64, peacescore: Double)]
    ) {
        self.relayID = relayID
        self.droneID = droneID
        self.cell = cell
        self.latenessSeconds = latenessSeconds
        self.scores = scores
    }
}

package struct LiveWindow: Sendable {
    package static let minutes = 60
    package static let maxRelays = 1_000
    package static let maxRules = 500
    package static let maxCells = 8_192
    package static let maxDrones = 100_000
    package static let other = "(other)"
    /// Later than this is late, as in the archive's column `late`.
    package static let lateSeconds = 300.0

    struct RuleKey: Hashable, Sendable {
        var rule: String
        var severity: AlertSeverity
    }

    struct RelayMinute: Sendable {
        var reports = 0
        var alerts = 0
    }

    struct Minute: Sendable {
        /// Minutes since 1970.
        let number: Int64
        var reports = 0
        var late = 0
        var alerts = 0
        var relays: [String: RelayMinute] = [:]
        var rules: [RuleKey: Int] = [:]
        var cells: [String: Int] = [:]
        var lateness = LogHistogram()
        var scores = ScoreBands()

        init(_ number: Int64) { self.number = number }
    }

    /// Oldest first; minutes without anything are not there.
    private(set) var recent: [Minute] = []
    private(set) var cells: [String: Int] = [:]
    /// Minute in which a drone was heard last.
    private(set) var drones: [String: Int64] = [:]
    private(set) var lastArrival: [String: Timestamp] = [:]
    private var pruned: Int64 = 0

    package init() {}

    private static func number(_ time: Timestamp) -> Int64 { time.microseconds / 60_000_000 }

    // MARK: Going in

    package mutating func add(_ report: LiveReport, at arrival: Timestamp) {
        guard let index = minute(at: arrival) else { return }
        let relay = relayName(report.relayID, at: arrival)
        recent[index].reports += 1
        recent[index].relays[relay, default: RelayMinute()].reports += 1
        if let lateness = report.latenessSeconds {
            recent[index].lateness.add(lateness)
            if lateness > Self.lateSeconds { recent[index].late += 1 }
        }
        for (person, peacescore) in report.scores { recent[index].scores.add(peacescore, person: person) }
        let cell = cells[report.cell] != nil || cells.count < Self.maxCells ? report.cell : Self.other
        cells[cell, default: 0] += 1
        recent[index].cells[cell, default: 0] += 1
        if drones[report.droneID] != nil || drones.count < Self.maxDrones {
            drones[report.droneID] = recent[index].number
        }
    }

    package mutating func addAlert(rule: String, severity: AlertSeverity, relayID: String, at arrival: Timestamp) {
        guard let index = minute(at: arrival) else { return }
        let relay = relayName(relayID, at: arrival)
        recent[index].alerts += 1
        recent[index].relays[relay, default: RelayMinute()].alerts += 1
        var key = RuleKey(rule: rule, severity: severity)
        if recent[index].rules[key] == nil, recent[index].rules.count >= Self.maxRules { key.rule = Self.other }
        recent[index].rules[key, default: 0] += 1
    }

    private mutating func relayName(_ relayID: String, at arrival: Timestamp) -> String {
        let name = lastArrival[relayID] != nil || lastArrival.count < Self.maxRelays ? relayID : Self.other
        lastArrival[name] = max(lastArrival[name] ?? arrival, arrival)
        return name
    }

    /// The minute of a time, made if need be; nil where it is over an hour before the newest.
    private mutating func minute(at time: Timestamp) -> Int? {
        let number = Self.number(time)
        if let last = recent.last, number <= last.number {
            guard number > last.number - Int64(Self.minutes) else { return nil }
            // Arrivals come in order but for a clock that was set back.
            if let index = recent.lastIndex(where: { $0.number == number }) { return index }
            let index = recent.firstIndex { $0.number > number } ?? recent.count
            recent.insert(Minute(number), at: index)
            return index
        }
        advance(to: time)
        recent.append(Minute(number))
        return recent.count - 1
    }

    /// Forgets what is over an hour old.
    package mutating func advance(to now: Timestamp) {
        let oldest = Self.number(now) - Int64(Self.minutes) + 1
        while let first = recent.first, first.number < oldest {
            for (cell, count) in first.cells {
                let left = (cells[cell] ?? 0) - count
                cells[cell] = left > 0 ? left : nil
            }
            recent.removeFirst()
        }
        guard oldest > pruned else { return }
        pruned = oldest
        drones = drones.filter { $0.value >= oldest }
        lastArrival = lastArrival.filter { Self.number($0.value) >= oldest }
    }

    // MARK: Coming out

    /// The last `count` minutes, the one that runs included.
    func last(_ count: Int, now: Timestamp) -> ArraySlice<Minute> {
        let oldest = Self.number(now) - Int64(count) + 1
        return recent[(recent.firstIndex { $0.number >= oldest } ?? recent.count)...]
    }

    func dronesHeard(inLast minutes: Int, now: Timestamp) -> Int {
        let oldest = Self.number(now) - Int64(minutes) + 1
        return drones.count { $0.value >= oldest }
    }

    /// The busiest cells first.
    func busiestCells(_ count: Int) -> [(cell: String, reports: Int)] {
        cells.filter { $0.key != Self.other }.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(count)
            .map { ($0.key, $0.value) }
    }
}
