// The small clocks and accounts of the forwarder, each a value of its own: pauses after failures, which address, how
// the lanes share the link, the bandwidth cap, the progress watchdog.

/// Full jitter: the pause after the k-th failure in a row is random between 0 and base · 2^k, at most the cap; at least
/// what central asked for, within the cap. While central cannot be reached at all the ceiling is also a third of the
/// outage so far (at least a second): a link that comes back after seconds is used within a second or two (F63), one
/// that is gone for hours is tried every few minutes.
struct Backoff: Sendable {
    private(set) var consecutiveFailures = 0
    private(set) var pausedUntil: UInt64 = 0
    private var firstFailureAt: UInt64 = 0
    private var lastFailureAt: UInt64 = 0
    private let baseSeconds: Double
    private let capSeconds: Double

    init(baseSeconds: Double, capSeconds: Double) {
        self.baseSeconds = baseSeconds
        self.capSeconds = capSeconds
    }

    mutating func succeeded() {
        consecutiveFailures = 0
        pausedUntil = 0
    }

    /// - Parameters:
    ///   - startedAt: when the request began: those that were under way together fail as one.
    ///   - rounds: addresses that are tried in turn; only a whole round counts as one failure more.
    /// - Returns: false if the failure belongs to one that is already counted.
    mutating func failed(
        startedAt: UInt64, retryAfterSeconds: Double?, isUnreachable: Bool, rounds: Int, at now: UInt64, jitter: Double
    ) -> Bool {
        precondition((0...1).contains(jitter), "jitter is a random number between 0 and 1")
        let asked = min(max(0, retryAfterSeconds ?? 0), capSeconds)
        if consecutiveFailures > 0, startedAt < lastFailureAt {
            pausedUntil = max(pausedUntil, now + seconds(asked))
            return false
        }
        if consecutiveFailures == 0 { firstFailureAt = now }
        lastFailureAt = now
        var ceiling = baseSeconds
        for _ in 0..<min(consecutiveFailures / rounds, 30) { ceiling *= 2 }
        ceiling = min(capSeconds, ceiling)
        if isUnreachable { ceiling = min(ceiling, max(1, Double(now - firstFailureAt) / 1e9 / 3)) }
        consecutiveFailures += 1
        pausedUntil = max(pausedUntil, now + seconds(asked + ceiling * jitter))
        return true
    }

    /// A pause that says nothing about the link.
    mutating func pause(until instant: UInt64) { pausedUntil = max(pausedUntil, instant) }
}

/// Which of central's addresses is used. After a failure the next one; the first is tried again every few minutes and
/// preferred as soon as it answers, since an operator lists the nearest first. The pause doubles while it does not.
struct CentralAddresses: Sendable {
    private static let longestPauseSeconds = 3_600.0

    let count: Int
    private(set) var current = 0
    private(set) var retryFirstAt: UInt64?
    private let firstPause: Double
    private var pause: Double

    init(count: Int, preferFirstAfterSeconds: Double) {
        precondition(count > 0, "a forwarder has an address to send to")
        self.count = count
        firstPause = preferFirstAfterSeconds
        pause = preferFirstAfterSeconds
    }

    mutating func worked(_ address: Int) {
        guard address == 0 else { return }
        current = 0
        retryFirstAt = nil
        pause = firstPause
    }

    /// True if that was only a look at the first address: the one in use works.
    mutating func failed(_ address: Int, at now: UInt64) -> Bool {
        guard address == current else { return address == 0 && retryFirstAt != nil }
        current = (current + 1) % count
        if current == 0 {
            retryFirstAt = nil
        } else if retryFirstAt == nil {
            retryFirstAt = now + seconds(pause)
        }
        return false
    }

    mutating func looksAtFirst(at now: UInt64) -> Bool {
        guard current != 0, let due = retryFirstAt, now >= due else { return false }
        pause = min(Self.longestPauseSeconds, pause * 2)
        retryFirstAt = now + seconds(pause)
        return true
    }
}

/// Shares the link between live reports and the rest by weighted fair queueing: each side's account grows by its bytes
/// divided by its share, and the one with the lower account is next. A side with nothing to send saves nothing up.
struct LaneShares: Sendable {
    private let liveShare: Double
    /// The live side's account minus the other's.
    private var lead = 0.0

    init(liveShare: Double) {
        precondition(liveShare > 0 && liveShare < 1, "both sides have a share")
        self.liveShare = liveShare
    }

    /// Where both have something to send.
    var liveIsNext: Bool { lead <= 0 }

    /// - Parameter limit: bytes that one side may be owed at most.
    mutating func charge(_ lane: ForwarderLane, bytes: Double, limit: Double) {
        lead += lane == .live ? bytes / liveShare : -bytes / (1 - liveShare)
        lead = min(limit / liveShare, max(-limit / (1 - liveShare), lead))
    }

    mutating func onlyLiveSends() { lead = min(lead, 0) }
    mutating func onlyTheRestSends() { lead = max(lead, 0) }
}

/// The bandwidth cap: bytes on the wire, one second's worth at once. A batch may begin while nothing is owed.
struct ByteBudget: Sendable {
    private let bytesPerSecond: Double?
    private var owed = 0.0
    private var at: UInt64 = 0

    init(bytesPerSecond: Int?) { self.bytesPerSecond = bytesPerSecond.map(Double.init) }

    /// The most that one batch should take, so that live reports wait no longer than that.
    var batchBytes: Double { bytesPerSecond ?? .infinity }

    mutating func spend(_ bytes: Double, at now: UInt64) {
        guard bytesPerSecond != nil else { return }
        settle(at: now)
        owed += bytes
    }

    /// The instant from which on a batch may begin; nil: now.
    mutating func pausedUntil(at now: UInt64) -> UInt64? {
        guard let bytesPerSecond else { return nil }
        settle(at: now)
        return owed > 0 ? now + max(1_000_000, seconds(owed / bytesPerSecond)) : nil
    }

    private mutating func settle(at now: UInt64) {
        guard let bytesPerSecond, now > at else { return }
        owed = max(-bytesPerSecond, owed - Double(now - at) / 1e9 * bytesPerSecond)
        at = now
    }
}

/// Notices that nothing moves although nothing fails: with something to send, no failure and no pause, and no newly
/// acknowledged number for too long.
struct ProgressWatchdog: Sendable {
    private let nanoseconds: UInt64
    private(set) var restarts = 0
    private(set) var lastProgressAt: UInt64?
    private var watchedSince: UInt64?
    private var lookedAt: UInt64 = 0

    init(seconds limit: Double) { nanoseconds = seconds(limit) }

    mutating func progressed(at now: UInt64) {
        lastProgressAt = now
        watchedSince = now
    }

    /// There is a reason why nothing moves: a failure, a pause, nothing to send.
    mutating func excused(at now: UInt64) { watchedSince = now }

    /// A request outlived its deadline by far.
    mutating func bitesNow(at now: UInt64) -> Bool {
        watchedSince = now
        restarts += 1
        return true
    }

    /// True if it is time to begin anew. To be asked often: after a long silence (a machine that slept) the time
    /// begins anew.
    mutating func bites(at now: UInt64) -> Bool {
        defer { lookedAt = now }
        guard let since = watchedSince, now < lookedAt + nanoseconds / 2 else {
            watchedSince = now
            return false
        }
        guard now >= since + nanoseconds else { return false }
        watchedSince = now
        restarts += 1
        return true
    }
}

func seconds(_ seconds: Double) -> UInt64 { UInt64(max(0, seconds) * 1e9) }
