// The network between two nodes: requests and answers that are late, lost, doubled, overtaken, cut one way or both,
// refused at once or swallowed without a word, or answered by somebody else.

import Simulation

/// An HTTP answer as far as anybody here looks at it.
struct HTTPAnswer {
    var status: Int
    var body: [UInt8] = []
    var retryAfterSeconds: Double?
}

/// An answer that came by a proxy.
struct SeenAnswer {
    var answer: HTTPAnswer
    var epoch: String
    var isBatch: Bool
}

/// One path, both ways. Times are virtual instants until which something holds.
final class Link {
    var requestsCutUntil: Instant = 0
    var answersCutUntil: Instant = 0
    /// Nothing comes through and nobody says so: a peer that vanished (F64).
    var silentUntil: Instant = 0
    /// A captive portal or a caching proxy answers instead (F68).
    var portalUntil: Instant = 0
    var corruptedUntil: Instant = 0
    var isSlow = false

    func heal() {
        requestsCutUntil = 0
        answersCutUntil = 0
        silentUntil = 0
        portalUntil = 0
        corruptedUntil = 0
        isSlow = false
    }
}

/// What goes one way at most once.
private final class Once<Value> {
    private var body: ((Value) -> Void)?
    init(_ body: @escaping (Value) -> Void) { self.body = body }
    func call(_ value: Value) {
        guard let body else { return }
        self.body = nil
        body(value)
    }
}

extension World {
    private func delay(_ link: Link) -> Double {
        let usual = random.between(0.002, 0.08)
        guard link.isSlow || random.unit() < 0.02 else { return usual }
        return random.between(0.1, 3)
    }

    private var isLost: Bool { faultsAreOn && random.unit() < options.faults.loss }

    /// - Parameters:
    ///   - isUp: whether somebody listens when the request arrives; if not, it is refused at once.
    ///   - deliver: the server's part; it answers when it likes, or never.
    ///   - done: the client's part, called once: nil when there was no answer in time. Never called if `timeout` is nil
    ///     and no answer comes.
    func request<Answer>(
        over link: Link, timeout: Double?, isUp: @escaping () -> Bool,
        deliver: @escaping (@escaping (Answer) -> Void) -> Void, done: @escaping (Answer?) -> Void
    ) {
        let finish = Once<Answer?>(done)
        if let timeout { after(timeout) { finish.call(nil) } }
        func answer(_ value: Answer) {
            guard now >= link.answersCutUntil, now >= link.silentUntil, !isLost else { return }
            after(delay(link)) { finish.call(value) }
        }
        guard now >= link.silentUntil, !isLost else { return }
        guard now >= link.requestsCutUntil else {
            // Half of the time the network says so, the other half nothing comes back.
            if random.unit() < 0.5 { after(delay(link)) { finish.call(nil) } }
            return
        }
        let copies = faultsAreOn && random.unit() < options.faults.duplication ? 2 : 1
        for copy in 0..<copies {
            after(delay(link) * Double(copy + 1)) {
                guard isUp() else { return finish.call(nil) }
                deliver(answer)
            }
        }
    }
}
