// The quarantine of a cluster: one for all nodes, in the vault. No node holds anything that the others would miss.
//
//   intake ─▶ stream, part 0 ─▶ archiver of partition 0 ─▶ vault: _columba/quarantine/….ndjson          the records
//   intake ──────── a line too long for the stream ──────▶ the same, before `received` is said
//   people, archivers ─────── put-if-absent ─────────────▶ vault: _columba/quarantine-decisions/<id>.<k>.json
//                                                              │
//   every node: `look` reads what is new ─▶ QuarantineIndex ◀──┘
//
// A record's k-th decision is an object that one of several deciders can write; the others see that it is decided. A
// record is `retrying` until some archiver says what became of it. Whoever dies in between leaves it so: the node that
// does the upkeep puts it into the stream again, and archivers know a record that they have stored (`resolveRetry`).
// What is archived or dropped leaves its bytes: `clean` writes files without them, then removes the old ones, so that
// at every moment every record is in some file.

package import Log
package import Models
package import ObjectStore
package import System
import SyncProtocol
import Synchronization

package final class SharedQuarantine: Sendable {
    /// A pause is at least so long, and many times as long as the look before it took (S3 lists 1,000 names at once).
    private static let secondsBetweenLooks = 3.0
    private static let restPerLook = 20.0
    /// What was to be tried again and is in no archive after so long goes into the stream again; then after twice as
    /// long, and so on.
    private static let secondsUntilRetried = 60.0
    private static let maxSecondsUntilRetried = 3_600.0
    private static let retriesPerRound = 100
    private static let filesCleanedPerRound = 100
    /// Of lines too long for the stream, waiting for the vault (I7).
    private static let maxKeeping = 16
    private static let maxOutcomes = 10_000
    private static let attempts = 5

    private struct Keeping: Sendable {
        var entries: [QuarantineEntry]
        var then: @Sendable (Bool) -> Void
    }

    private struct Work {
        var keeping: [Keeping] = []
        var outcomes: [(id: String, outcome: RetryOutcome)] = []
        var isStopping = false
        /// What is being tried again, since when this node knows, and how often it put it into the stream.
        var retries: [String: (since: UInt64, count: Int)] = [:]
    }

    let vault: any ObjectStore
    private let index: QuarantineIndex
    private let time: any TimeSource
    let log: Log
    private let onArchived: @Sendable (QuarantinedRecord) -> Void
    private let work = Monitor(Work())
    /// Held over a look, by the quarantine's own thread and the desk's only.
    private let turn = Mutex(())

    /// - Parameters:
    ///   - indexPath: of this node's cache; made anew where it is missing or damaged.
    ///   - onArchived: some node archived a record that had been set aside.
    package init(
        vault: any ObjectStore, indexPath: String, time: any TimeSource, log: Log,
        onArchived: @escaping @Sendable (QuarantinedRecord) -> Void = { _ in }
    ) throws {
        self.vault = vault
        self.time = time
        self.log = log
        self.onArchived = onArchived
        index = try QuarantineIndex(path: indexPath)
    }

    // MARK: Reading

    /// Reads what is new in the vault.
    package func look() throws {
        try turn.withLock { _ in
            // First the decisions: the files of all records that these are about are then in the other list.
            let decisions = try vault.list(QuarantineDecision.folder).map(\.key)
            let files = try vault.list(QuarantineFiles.folder).filter { QuarantineFiles.isOne($0.key) }
            for file in try index.unread(files) {
                // Removed meanwhile: what was in it is in another one.
                guard let content = try vault.get(file.key) else { continue }
                let lines = QuarantineFiles.lines(content, modified: file.modifiedMicroseconds)
                let unreadable = lines.count { $0.entry == nil }
                if unreadable > 0 {
                    log.error("quarantine_file_damaged", ["key": .string(file.key), "lines": .int(unreadable)])
                }
                try index.took(file, lines.compactMap(\.entry))
            }
            for (key, id, step) in try index.unreadDecisions(decisions) {
                guard let content = try vault.get(key) else { continue }
                try took(QuarantineDecision(json: content), of: id, step)
            }
        }
    }

    private func took(_ decision: QuarantineDecision?, of id: String, _ step: Int) throws {
        try index.took(decision, of: id, step: step)
        if decision?.state == .archived, let record = try index.record(id)?.record { onArchived(record) }
    }

    /// The record's bytes, wherever they still are.
    private func line(_ id: String, in files: [String]) throws -> [UInt8]? {
        for file in files {
            guard let content = try vault.get(file) else { continue }
            for (_, entry) in QuarantineFiles.lines(content, modified: 0) where entry?.id == id {
                if let line = entry?.line { return line }
            }
        }
        return nil
    }

    // MARK: Deciding

    /// False if the record is in none of the states `from`, or somebody else was first.
    private func decide(
        _ id: String, from: Set<QuarantinedRecord.State>, _ decision: QuarantineDecision
    ) throws -> Bool {
        try look()
        guard let (record, step, _) = try index.record(id), from.contains(record.state) else { return false }
        let isOurs = try vault.putIfAbsent(QuarantineDecision.key(id, step + 1), decision.json())
        if isOurs { try took(decision, of: id, step + 1) } else { try look() }
        return isOurs
    }

    /// An archiver has said it, of a record that may have been decided again meanwhile: what is archived is archived.
    private func settle(_ id: String, _ outcome: RetryOutcome) throws {
        for _ in 0..<Self.attempts {
            let isDone =
                switch outcome {
                case .archived:
                    try decide(id, from: [.retrying, .waiting], QuarantineDecision(.archived, at: time.timestamp))
                case .refused(let code):
                    try decide(id, from: [.retrying], QuarantineDecision(.waiting, code: code, at: time.timestamp))
                }
            let state = try index.record(id)?.record.state
            if isDone || state != .retrying { return }
        }
    }

    // MARK: Its thread

    /// What this node does for all.
    package struct Duties: Sendable {
        /// Whether it is this one that does them.
        package var isOnDuty: @Sendable () -> Bool
        /// Whether the archive is near the stream's end.
        package var canRetry: @Sendable () -> Bool
        /// Puts a record into the stream again; throws where it cannot be archived.
        package var publish: @Sendable (QuarantinedRecord, [UInt8]) throws -> Void

        package init(
            isOnDuty: @escaping @Sendable () -> Bool, canRetry: @escaping @Sendable () -> Bool = { true },
            publish: @escaping @Sendable (QuarantinedRecord, [UInt8]) throws -> Void
        ) {
            self.isOnDuty = isOnDuty
            self.canRetry = canRetry
            self.publish = publish
        }
    }

    /// The thread's body.
    package func run(_ duties: Duties) {
        var hasTrouble = false
        while true {
            let started = time.monotonicNanoseconds()
            do {
                try step(duties)
                hasTrouble = false
            } catch {
                if !hasTrouble { log.warning("quarantine_not_reached", ["error": .string("\(error)")]) }
                hasTrouble = true
            }
            let took = Double(time.monotonicNanoseconds() - started) / 1e9
            let rest = max(Self.secondsBetweenLooks, took * Self.restPerLook)
            // What could not be done does not wake us at once again.
            let mayWake = !hasTrouble
            let isEnd = work.wait(timeoutSeconds: rest) { work -> Bool? in
                if work.isStopping { return true }
                return mayWake && !(work.keeping.isEmpty && work.outcomes.isEmpty) ? false : nil
            }
            if isEnd == true { break }
        }
        // What an archiver of this node has said may still be written; nobody is made to wait.
        try? settleOutcomes()
        for keeping in takeKeeping() { keeping.then(false) }
    }

    package func stop() { work.update { $0.isStopping = true } }

    /// One round.
    package func step(_ duties: Duties) throws {
        keepLongLines()
        try look()
        try settleOutcomes()
        guard duties.isOnDuty() else { return }
        try clean()
        if duties.canRetry() { try retryAgain(duties) }
    }

    private func takeKeeping() -> [Keeping] {
        work.withLock { work in
            defer { work.keeping = [] }
            return work.keeping
        }
    }

    private func keepLongLines() {
        for keeping in takeKeeping() {
            do {
                for entry in keeping.entries {
                    var content: [UInt8] = []
                    entry.append(to: &content)
                    let stem = "\(QuarantineFiles.folder)/long-\(entry.id ?? "")"
                    _ = try vault.putIfAbsent(QuarantineFiles.key(stem, content, numbers: false), content)
                }
                keeping.then(true)
            } catch {
                log.warning("quarantine_not_saved", ["error": .string("\(error)")])
                keeping.then(false)
            }
        }
    }

    private func settleOutcomes() throws {
        while let next = work.withLock({ $0.outcomes.first }) {
            try settle(next.id, next.outcome)
            work.withLock { work in if !work.outcomes.isEmpty { work.outcomes.removeFirst() } }
        }
    }

    /// Bytes of what is archived or dropped leave the vault; the numbers stay.
    private func clean() throws {
        for (file, decided) in try index.filesWithDecidedBytes(limit: Self.filesCleanedPerRound) {
            guard let content = try vault.get(file) else { continue }
            var numbers: [UInt8] = []
            var rest: [UInt8] = []
            for (raw, entry) in QuarantineFiles.lines(content, modified: 0) {
                let isDecided = entry?.id.map { decided.contains($0) } ?? (entry != nil)
                if isDecided { entry?.withoutLine.append(to: &numbers) } else { rest += raw + [0x0a] }
            }
            let stem = QuarantineFiles.stem(file)
            _ = try vault.putIfAbsent(QuarantineFiles.key(stem, numbers, numbers: true), numbers)
            if !rest.isEmpty { _ = try vault.putIfAbsent(QuarantineFiles.key(stem, rest, numbers: false), rest) }
            try vault.remove(file)
            log.info("quarantine_cleaned", ["key": .string(file), "records": .int(decided.count)])
        }
    }

    /// Whoever was to put it into the stream, or to say what became of it, may be gone.
    private func retryAgain(_ duties: Duties) throws {
        let retrying = try index.list(
            states: [.retrying], relayID: nil, after: nil, limit: Self.retriesPerRound)
        let now = time.monotonicNanoseconds()
        let due = work.withLock { work in
            work.retries = work.retries.filter { id, _ in retrying.contains { $0.id == id } }
            return retrying.filter { record in
                let known = work.retries[record.id] ?? (since: now, count: 0)
                let wait = min(
                    Self.secondsUntilRetried * Double(1 << min(known.count, 20)), Self.maxSecondsUntilRetried)
                let isDue = Double(now - known.since) / 1e9 >= wait
                work.retries[record.id] = isDue ? (since: now, count: known.count + 1) : known
                return isDue
            }
        }
        for record in due {
            guard let files = try index.record(record.id)?.files, let line = try line(record.id, in: files) else {
                log.error("quarantine_bytes_missing", ["id": .string(record.id)])
                continue
            }
            log.info("quarantine_retried_again", ["id": .string(record.id), "relay_id": .string(record.relayID)])
            do {
                try duties.publish(record, line)
            } catch let problem as Problem {
                try settle(record.id, .refused(code: problem.code))
            }
        }
    }
}

extension SharedQuarantine: QuarantineBook {
    package var counts: [String: Int] { index.counts }

    package func list(
        states: Set<QuarantinedRecord.State>, relayID: String?, after: String?, limit: Int
    ) throws -> [QuarantinedRecord] {
        try index.list(states: states, relayID: relayID, after: after, limit: limit)
    }

    package func record(
        _ id: String, withLine: Bool
    ) throws -> (record: QuarantinedRecord, line: [UInt8]?)? {
        guard let (record, _, files) = try index.record(id) else { return nil }
        return (record, withLine ? try line(id, in: files) : nil)
    }

    /// What the stream carries is durable with it, and in the vault before it counts as archived.
    package func keep(
        _ records: [BatchExamination.Rejected], relayID: String, epoch: String, at now: Timestamp,
        then: @escaping @Sendable (Bool) -> Void
    ) {
        let long = records.filter { $0.line.count > SyncLimits.lineBytes }
        guard !long.isEmpty else { return then(true) }
        let entries = long.map {
            QuarantineEntry(
                relayID: relayID, epoch: epoch, n: $0.n, position: nil, code: $0.code, receivedAt: now, line: $0.line)
        }
        let isTaken = work.update { work in
            guard !work.isStopping, work.keeping.count < Self.maxKeeping else { return false }
            work.keeping.append(Keeping(entries: entries, then: then))
            return true
        }
        if !isTaken { then(false) }
    }

    package func startRetry(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool {
        try decide(id, from: [.waiting], QuarantineDecision(.retrying, by: by, note: note, at: now))
    }

    package func drop(_ id: String, by: String, note: String, at now: Timestamp) throws -> Bool {
        try decide(id, from: [.waiting], QuarantineDecision(.dropped, by: by, note: note, at: now))
    }

    /// It is decided; the node on duty tries it again.
    package func retryNotQueued(_ id: String, at now: Timestamp) throws -> Bool { false }

    package func retryAppended(_ id: String, position: Int64?, at now: Timestamp) throws {}

    /// Nothing here waits for the vault: it is the archiver's thread.
    package func committed(
        _ commit: ArchiveCommit, retried: [String], at now: Timestamp
    ) throws -> [QuarantinedRecord] {
        guard let outcome = commit.retry else { return [] }
        work.update { work in
            // Beyond that a retry finds it out once more.
            guard work.outcomes.count < Self.maxOutcomes else { return }
            work.outcomes += retried.map { ($0, outcome) }
        }
        return []
    }
}
