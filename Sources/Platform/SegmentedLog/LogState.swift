// What the log's threads share, and how each event changes it. Pure: no I/O.

/// Work for the sealing thread.
enum HousekeepingJob: Sendable {
    /// Checkpoint a sealed segment, with its own connection if that is still open.
    case seal(SegmentName, SegmentWriter?)
    /// Move a damaged segment to the quarantine and put a copy of its good entries in its place.
    case repair(SegmentName, reason: String)
}

struct LogState: Sendable {
    /// Segments that have entries, ascending and disjoint; only the last one can be unsealed.
    private(set) var segments: [SegmentFacts]
    private(set) var nextPosition: Int64
    /// The highest number of a segment that is prepared or has entries.
    private var lastNumber: Int64

    /// A segment ready for the next roll.
    private var prepared: SegmentWriter?
    private(set) var preparationWanted = false
    private var preparationFailure: SegmentedLogError?
    /// Segments whose first append failed: the preparing thread removes them before it uses their number again.
    private var discarded: [SegmentWriter] = []

    private(set) var jobs: [HousekeepingJob] = []
    private(set) var isWorking = false
    /// A thread of the owner works off the jobs of a log without threads of its own.
    private var isWorkedOff = false
    /// Sealed segments that could not be checkpointed, for example on a full disk.
    private var postponed: [SegmentName] = []
    /// Those that were reported as postponed: once is enough.
    private var reportedPostponed: Set<SegmentName> = []

    /// Segments readers found damaged.
    private(set) var repairsWanted: Set<SegmentName> = []
    /// Segments whose repair failed: not tried again before the next opening.
    private(set) var unrepairable: Set<SegmentName> = []

    var failure: SegmentedLogError?
    private(set) var isClosed = false

    init(_ recovered: RecoveredLog) {
        segments = recovered.segments
        nextPosition = recovered.nextPosition
        lastNumber = recovered.nextPosition - 1
        jobs = segments.filter { !$0.checkpointed }.map { .seal($0.name, nil) }
        preparationWanted = true
        for (earlier, later) in zip(segments, segments.dropFirst()) {
            precondition(earlier.last < later.first, "segments have disjoint, ascending ranges")
        }
    }

    var isIdle: Bool { jobs.isEmpty && !isWorking }

    func checkWritable() throws(SegmentedLogError) {
        if let failure { throw failure }
        if isClosed { throw SegmentedLogError(code: .closed, detail: "the log is closed") }
    }

    func segment(_ name: SegmentName) -> SegmentFacts? { segments.first { $0.name == name } }

    /// The segment that holds `position` or else the next one behind it.
    func segment(atOrAfter position: Int64) -> SegmentFacts? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].last < position { low = middle + 1 } else { high = middle }
        }
        return low < segments.count ? segments[low] : nil
    }

    // MARK: - Appending

    mutating func requestPreparation() {
        if prepared == nil { preparationWanted = true }
    }

    /// The prepared segment, or why there is none; nil while it is being made.
    mutating func takePrepared() -> Result<SegmentWriter, SegmentedLogError>? {
        if let writer = prepared {
            prepared = nil
            return .success(writer)
        }
        if isClosed { return .failure(SegmentedLogError(code: .closed, detail: "the log is closed")) }
        guard !preparationWanted, let failure = preparationFailure else { return nil }
        return .failure(failure)
    }

    mutating func appended(
        _ positions: ClosedRange<Int64>, to name: SegmentName, isFirst: Bool, bytes: Int, firstTime: Int64,
        lastTime: Int64
    ) {
        precondition(positions.lowerBound == nextPosition, "positions are given in order, without a hole")
        precondition(name.number <= positions.lowerBound, "a segment's number is not above its first position (S4)")
        if isFirst {
            precondition(segments.last?.sealed ?? true, "only the last segment is written")
            segments.append(
                SegmentFacts(
                    name: name, first: positions.lowerBound, last: positions.upperBound, firstTime: firstTime,
                    lastTime: lastTime, bytes: bytes, sealed: false))
            nextPosition = positions.upperBound + 1
            // Only now is the next number certainly above this segment's (S4).
            requestPreparation()
        } else {
            let index = segments.count - 1
            precondition(segments[index].name == name && !segments[index].sealed, "appends go to the active segment")
            segments[index].last = positions.upperBound
            segments[index].lastTime = lastTime
            segments[index].bytes = bytes
            nextPosition = positions.upperBound + 1
        }
    }

    mutating func sealed(_ writer: SegmentWriter) {
        let index = segments.count - 1
        precondition(segments[index].name == writer.name && !segments[index].sealed, "a segment is sealed once")
        segments[index].sealed = true
        jobs.append(.seal(writer.name, writer))
        if repairsWanted.contains(writer.name) {
            jobs.append(.repair(writer.name, reason: "a reader found damage while it was written"))
        }
    }

    mutating func discard(_ writer: SegmentWriter) {
        precondition(!writer.hasEntries, "a segment with entries is sealed, not discarded")
        lastNumber = min(lastNumber, writer.name.number - 1)
        discarded.append(writer)
    }

    // MARK: - Preparing

    /// The segment to prepare now and those to remove before; nil if none is wanted.
    mutating func takePreparation() -> (name: SegmentName, discarded: [SegmentWriter])? {
        guard preparationWanted, prepared == nil, !isClosed, failure == nil else { return nil }
        defer { discarded = [] }
        return (SegmentName(max(nextPosition, lastNumber + 1)), discarded)
    }

    /// - Parameter kept: what was to be removed and still exists.
    mutating func preparationEnded(
        _ name: SegmentName, _ result: Result<SegmentWriter, SegmentedLogError>, kept: [SegmentWriter]
    ) {
        discarded += kept
        preparationWanted = false
        switch result {
        case .success(let writer):
            prepared = writer
            lastNumber = name.number
            preparationFailure = nil
        case .failure(let failure): preparationFailure = failure
        }
    }

    // MARK: - Housekeeping

    mutating func takeJob() -> HousekeepingJob? {
        guard !isClosed, !jobs.isEmpty else { return nil }
        isWorking = true
        return jobs.removeFirst()
    }

    mutating func jobEnded() { isWorking = false }

    /// For a log without threads: true for the one thread that may take its jobs now, until it finds none.
    mutating func beginWorkingOff() -> Bool {
        guard !isWorkedOff, !isClosed, !jobs.isEmpty else { return false }
        isWorkedOff = true
        return true
    }

    mutating func takeJobOrEnd() -> HousekeepingJob? {
        let job = takeJob()
        if job == nil { isWorkedOff = false }
        return job
    }

    mutating func checkpointed(_ name: SegmentName, bytes: Int) {
        guard let index = segments.firstIndex(where: { $0.name == name }) else { return }
        segments[index].bytes = bytes
        segments[index].checkpointed = true
    }

    /// True the first time.
    mutating func postpone(_ name: SegmentName) -> Bool {
        if !postponed.contains(name) { postponed.append(name) }
        return reportedPostponed.insert(name).inserted
    }

    mutating func retryPostponed() {
        jobs += postponed.map { .seal($0, nil) }
        postponed = []
    }

    mutating func released(_ name: SegmentName) -> SegmentName {
        segments.removeAll { $0.name == name }
        postponed.removeAll { $0 == name }
        reportedPostponed.remove(name)
        return name
    }

    // MARK: - Repairing

    /// A reader found damage. A segment still written is repaired after it is sealed.
    mutating func wantRepair(_ name: SegmentName, reason: String) {
        guard let facts = segment(name), !unrepairable.contains(name) else { return }
        guard repairsWanted.insert(name).inserted else { return }
        if facts.sealed { jobs.append(.repair(name, reason: reason)) }
    }

    mutating func repaired(_ name: SegmentName, _ facts: SegmentFacts?) {
        repairsWanted.remove(name)
        guard let index = segments.firstIndex(where: { $0.name == name }) else { return }
        if let facts { segments[index] = facts } else { segments.remove(at: index) }
    }

    mutating func repairFailed(_ name: SegmentName) {
        repairsWanted.remove(name)
        unrepairable.insert(name)
    }

    // MARK: - Closing

    mutating func close() {
        isClosed = true
    }

    mutating func dropConnections() {
        prepared = nil
        discarded = []
        jobs = []
    }
}
