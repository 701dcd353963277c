// What a drone has to say and nobody has acknowledged yet, and what to do next about it. Pure: the clock, chance and
// the network are its owner's.
//
// Newest first: after an hour out of reach the report that may raise an alert is the one of this minute, and relays
// take reports in any order. Memory is bounded: at a limit the oldest report goes, and the owner is told, because a
// drone that stops reporting what it sees now is of no use to anyone.

package struct OutgoingReport: Sendable, Equatable {
    /// The owner's name for it, given back with its outcome.
    package let id: UInt64
    /// The drone that speaks; over TLS it decides which certificate is shown.
    package let droneID: String
    /// The report as contract §1 has it; the same bytes at each attempt.
    package let body: [UInt8]

    package init(id: UInt64, droneID: String, body: [UInt8]) {
        self.id = id
        self.droneID = droneID
        self.body = body
    }
}

package struct ReportOutbox: Sendable {
    package struct Limits: Sendable {
        /// A day of one report a minute.
        package var reports = 1_440
        package var bytes = 16 << 20

        package init() {}
    }

    package enum Step: Sendable, Equatable {
        case send(OutgoingReport, relay: Int)
        /// Every relay was told to be left alone; the first may be tried again after this time.
        case wait(seconds: Double)
        /// Everything is acknowledged or refused.
        case nothing
    }

    private struct Waiting: Sendable {
        let report: OutgoingReport
        var attempts = 0
    }

    /// Oldest first; sent from the end.
    private var waiting: [Waiting] = []
    private var choice: RelayChoice
    private let limits: Limits
    package private(set) var bytes = 0

    /// - Parameter relays: how many there are to choose from.
    package init(relays: Int, limits: Limits = Limits(), backoff: Backoff = Backoff()) {
        precondition(limits.reports > 0 && limits.bytes > 0, "an outbox has room for one report")
        self.limits = limits
        choice = RelayChoice(relays: relays, backoff: backoff)
    }

    package var count: Int { waiting.count }

    /// Takes a report in.
    /// - Returns: the reports that had to go for it, oldest first; the new one itself if it alone is over the limit.
    package mutating func add(_ report: OutgoingReport) -> [OutgoingReport] {
        guard report.body.count <= limits.bytes else { return [report] }
        waiting.append(Waiting(report: report))
        bytes += report.body.count
        var dropped = 0
        while waiting.count - dropped > limits.reports || bytes > limits.bytes {
            bytes -= waiting[dropped].report.body.count
            dropped += 1
        }
        guard dropped > 0 else { return [] }
        defer { waiting.removeFirst(dropped) }
        return waiting.prefix(dropped).map(\.report)
    }

    /// - Parameter order: the relays, the preferred one first.
    package func next(order: [Int], nowSeconds: Double) -> Step {
        guard let newest = waiting.last else { return .nothing }
        switch choice.decide(order: order, nowSeconds: nowSeconds) {
        case .wait(let seconds): return .wait(seconds: seconds)
        case .use(let relay): return .send(newest.report, relay: relay)
        }
    }

    /// A relay answered, or nil: no answer came.
    /// - Returns: whether the report's story ends with this: false where it waits for another attempt, and where it had
    ///   to go for newer ones meanwhile.
    package mutating func answered(
        _ id: UInt64, relay: Int, _ verdict: Verdict?, nowSeconds: Double, random: inout some RandomNumberGenerator
    ) -> Bool {
        switch verdict {
        case .acknowledged, .refused:
            choice.answered(relay: relay)
            return remove(id)
        case .again(let seconds):
            choice.failed(relay: relay, askedForSeconds: seconds, nowSeconds: nowSeconds, random: &random)
        case nil:
            choice.failed(relay: relay, askedForSeconds: nil, nowSeconds: nowSeconds, random: &random)
        }
        if let index = waiting.lastIndex(where: { $0.report.id == id }) { waiting[index].attempts += 1 }
        return false
    }

    /// Attempts that failed so far.
    package func attempts(_ id: UInt64) -> Int { waiting.last { $0.report.id == id }?.attempts ?? 0 }

    private mutating func remove(_ id: UInt64) -> Bool {
        guard let index = waiting.lastIndex(where: { $0.report.id == id }) else { return false }
        bytes -= waiting[index].report.body.count
        waiting.remove(at: index)
        return true
    }
}
