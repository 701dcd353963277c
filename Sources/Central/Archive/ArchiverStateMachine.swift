// What a node that archives does next: which partitions to open, when to archive, when to wait. Pure; `PartitionOwner`
// is its shell.
//
//           owns nothing                         the owned set is another one
//   ┌──── resting ◀───────────── close ◀─────────────────┬──────────────┐
//   │        │ owns some, unchanged for a moment         │              │
//   │        ▼                                           │              │
//   │      open ──────── opened ───────────────────▶ archive ◀──┐  pausing (after a failure)
//   │        │ failed                                    │ │ └──┘       ▲
//   └────────┴───────────────────────────────────────────┘ └────────────┘
//
// There are no leases: two nodes may think for a moment that they own the same partition. Then one of them loses a
// commit (`.anotherWriter`), which costs it that call and nothing else. It pauses, looks whether the partition is still
// its own, and goes on from what the other one has committed (I5, I11).

package struct ArchiverStateMachine: Sendable {
    package enum Order: Equatable, Sendable {
        /// Nothing to do so long, unless the owned set changes.
        case rest(seconds: Double)
        /// Make an archiver of these partitions; `opened` or `failed` follows.
        case open([Int])
        /// The archiver is no longer wanted; `closed` follows.
        case close
        /// Archive what there is; `archived` or `failed` follows, or neither if there was nothing.
        case archive
    }

    package enum Failure: Equatable, Sendable {
        /// Somebody else has committed for an owned partition.
        case anotherWriter
        /// The stream does not answer.
        case stream
        /// The lake, the vault or DuckDB; the archiver begins its next call with a recovery.
        case archive
        /// Nothing that trying again soon could mend: a damaged log, a lake that is not this cluster's. Tried again all
        /// the same, for somebody may have mended it (I11).
        case lasting
    }

    /// How long the owned set must have been the same before its partitions are opened: while nodes come and go it
    /// changes several times, and opening reads the lake.
    static let settleSeconds = 0.5
    /// The owned set is looked at so often.
    static let lookSeconds = 0.25
    static let lastingSeconds = 30.0

    /// Of the archiver that is open.
    package private(set) var scope: [Int]?
    /// Failures since the last commit, or since the partitions were opened.
    package private(set) var failures = 0
    private var contested = 0
    private var wanted: Set<Int> = []
    private var wantedSince: UInt64?
    /// Nothing is tried before.
    private var pausedUntil: UInt64 = 0
    private var mustClose = false

    package init() {}

    /// `owned`: what this node owns now.
    package mutating func next(owned: Set<Int>, at now: UInt64) -> Order {
        if owned != wanted || wantedSince == nil {
            wanted = owned
            wantedSince = now
            // Whatever was wrong was wrong with other partitions.
            pausedUntil = now
        }
        if let scope, mustClose || Set(scope) != owned { return .close }
        if now < pausedUntil { return .rest(seconds: min(Self.lookSeconds, seconds(until: pausedUntil, now))) }
        guard !owned.isEmpty else { return .rest(seconds: Self.lookSeconds) }
        guard scope == nil else { return .archive }
        let settled = (wantedSince ?? now) + Self.nanoseconds(Self.settleSeconds)
        guard now >= settled else { return .rest(seconds: min(Self.lookSeconds, seconds(until: settled, now))) }
        return .open(owned.sorted())
    }

    package mutating func opened(_ partitions: [Int]) {
        precondition(scope == nil, "the archiver before is closed first")
        scope = partitions
        failures = 0
        contested = 0
    }

    package mutating func closed() {
        scope = nil
        mustClose = false
    }

    /// A version is committed.
    package mutating func archived() {
        failures = 0
        contested = 0
    }

    package mutating func failed(_ failure: Failure, at now: UInt64) {
        failures += 1
        let seconds: Double
        switch failure {
        case .anotherWriter:
            contested += 1
            seconds = Self.doubled(0.25, contested, limit: 4)
        case .stream: seconds = Self.doubled(0.25, failures, limit: 4)
        case .archive: seconds = Self.doubled(1, failures, limit: 30)
        case .lasting:
            seconds = Self.lastingSeconds
            mustClose = scope != nil
        }
        pausedUntil = now + Self.nanoseconds(seconds)
    }

    private static func doubled(_ seconds: Double, _ times: Int, limit: Double) -> Double {
        min(limit, seconds * Double(1 << max(0, min(times, 16) - 1)))
    }

    private func seconds(until deadline: UInt64, _ now: UInt64) -> Double { Double(deadline - now) / 1e9 }
    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }
}

extension ArchiverStateMachine.Failure {
    package init(_ error: ArchiveError) {
        switch error {
        case .anotherWriter: self = .anotherWriter
        case .damagedLog, .unsupportedTable, .wrongPosition, .wrongCluster: self = .lasting
        case .filesGone, .damagedData, .noRoom, .tooManyConflicts, .conversion: self = .archive
        }
    }
}
