// What happens when a log is opened: unfinished work of the last process is completed or undone, every segment is
// looked at (its ends, never all its entries), damaged ones are salvaged.

import SQLite
import System

struct RecoveredLog: Sendable {
    var segments: [SegmentFacts] = []
    var nextPosition: Int64
}

struct Recovery {
    private enum Finding {
        case good(SegmentFacts, SegmentMeta)
        case empty
        case damaged(String, SegmentMeta?)
        case unreadable(String, isFull: Bool)
    }

    private let directory: String
    private let configuration: SegmentedLog.Configuration
    private let incidents: @Sendable (LogIncident) -> Void

    init(
        _ directory: String, _ configuration: SegmentedLog.Configuration,
        _ incidents: @escaping @Sendable (LogIncident) -> Void
    ) {
        self.directory = directory
        self.configuration = configuration
        self.incidents = incidents
    }

    func run() throws -> RecoveredLog {
        if !configuration.readOnly {
            do {
                try SegmentFile.makeDirectory(directory)
            } catch let error as SystemError where error.isFull && configuration.appends {
                // Nothing can be in it. It is made with its first segment, once there is room.
                return RecoveredLog(nextPosition: configuration.firstPosition)
            }
            try tidy()
        }
        let names = try segmentNames()
        let findings = names.map { inspectWithReserve($0) }
        var result = RecoveredLog(nextPosition: configuration.firstPosition)
        // From the newest on: where a segment ends can be known from the one behind it.
        var behind: (name: SegmentName, facts: SegmentFacts, meta: SegmentMeta?)?
        for (index, (name, finding)) in zip(names, findings).enumerated().reversed() {
            var facts: SegmentFacts?
            var meta: SegmentMeta?
            switch finding {
            case .good(let found, let its): (facts, meta) = (found, its)
            case .empty:
                removeUnused(name)
                continue
            case .unreadable(let reason, _):
                report(.unreadable, name, reason)
                if behind == nil { skipPositions(&result, name, nil) }
            case .damaged(let reason, let its):
                meta = its
                var expected = ExpectedContent(first: its?.first, last: its?.last, holes: its?.holes ?? [])
                expected.possible = name.number...max(name.number, (behind?.facts.first ?? Int64.max) - 1)
                if let behind, behind.meta?.previous == name.number { expected.last = behind.facts.first - 1 }
                expected.behind = behind?.facts.first
                if index > 0, case .good(let before, _) = findings[index - 1] { expected.before = before.last }
                facts = salvage(name, reason, expected)
                if behind == nil && its?.last == nil { skipPositions(&result, name, facts) }
            }
            // Whatever a file held, no position up to its number is given again.
            result.nextPosition = max(result.nextPosition, (facts?.last ?? name.number - 1) + 1)
            guard let facts = clip(facts, behind: behind?.facts) else { continue }
            result.segments.insert(facts, at: 0)
            behind = (name, facts, meta)
        }
        precondition(result.nextPosition >= (result.segments.last?.last ?? 0) + 1, "no position is given twice (I3)")
        return result
    }

    /// The newest segment is damaged or unreadable and may have held entries behind those that are known: their
    /// positions stay unused.
    private func skipPositions(_ result: inout RecoveredLog, _ name: SegmentName, _ facts: SegmentFacts?) {
        let round: Int64 = 1_000_000
        let smallestEntryBytes = 16
        let bytes = max(configuration.segmentBytes, facts?.bytes ?? 0)
        let highest = max(facts?.last ?? 0, name.number) + Int64(bytes / smallestEntryBytes)
        result.nextPosition = max(result.nextPosition, (highest / round + 1) * round + 1)
    }

    // MARK: - Unfinished work

    /// Completes what was decided and removes what was not finished.
    private func tidy() throws {
        let files = try FileSystem.list(directory)
        for file in files where file.contains(".preparing") || file.contains(".salvaging") {
            try FileSystem.remove(directory + "/" + file)
        }
        for file in files {
            if let name = SegmentName(file: file, suffix: ".released") {
                try SegmentFile.remove(name, in: directory)
            }
            if let name = SegmentName(file: file, suffix: ".salvage") {
                try Salvage(name, in: directory, pageBytes: configuration.pageBytes).replaceOriginal()
            }
        }
    }

    /// All segments, also those of which only the WAL is left.
    private func segmentNames() throws -> [SegmentName] {
        var names: Set<SegmentName> = []
        for file in try FileSystem.list(directory) {
            for suffix in [".segment", ".segment-wal"] {
                if let name = SegmentName(file: file, suffix: suffix) { names.insert(name) }
            }
        }
        return names.sorted()
    }

    private func removeUnused(_ name: SegmentName) {
        if configuration.readOnly { return }
        do {
            try SegmentFile.remove(name, in: directory)
        } catch {
            report(.postponed, name, "the removal of an empty segment failed: \(error)")
        }
    }

    // MARK: - Looking at a segment

    /// Where a full disk keeps SQLite from opening a segment (an interrupted change of its journal mode), the reserve
    /// gives way.
    private func inspectWithReserve(_ name: SegmentName) -> Finding {
        let finding = inspect(name)
        let reserve = SegmentFile.reserve(in: directory)
        guard case .unreadable(_, isFull: true) = finding, !configuration.readOnly, FileSystem.exists(reserve) else {
            return finding
        }
        try? FileSystem.remove(reserve)
        return inspect(name)
    }

    private func inspect(_ name: SegmentName) -> Finding {
        let path = name.path(in: directory)
        var meta: SegmentMeta?
        do {
            let wal = try walState(path + "-wal")
            guard FileSystem.exists(path) else {
                // Left by a preparation or by a reader of a segment that was being released.
                guard let wal, wal.frames.contains(where: \.isCommit) else { return .empty }
                return wal.committedFrames == wal.frames.count && wal.frames.count <= preparedFrames
                    ? .empty : .damaged("its database file is missing", nil)
            }
            if let wal, isUnused(wal, databaseBytes: FileSystem.fileSize(path) ?? 0) { return .empty }
            let ends = try readEnds(name, &meta)
            guard let meta else { preconditionFailure("a segment's meta is read before its ends") }
            try check(meta, ends, wal, name)
            guard let ends else { return .empty }
            return .good(
                SegmentFacts(
                    name: name, first: ends.first, last: ends.last, holes: meta.holes, firstTime: ends.firstTime,
                    lastTime: ends.lastTime, bytes: SegmentFile.bytes(name, in: directory), sealed: true,
                    checkpointed: meta.isSealed && (wal?.frames.isEmpty ?? true)), meta)
        } catch {
            if let reason = DamagedSegment.reason(of: error) { return .damaged(reason, meta) }
            return .unreadable("\(error)", isFull: SegmentedLogError.classify(error, in: directory).code == .diskFull)
        }
    }

    /// A prepared segment that was never appended to, known without SQLite: its removal makes room for the next
    /// one.
    private func isUnused(_ wal: WriteAheadLogFile, databaseBytes: Int) -> Bool {
        let frames = wal.frames.count
        return (1...preparedFrames).contains(frames) && wal.committedFrames == frames && wal.partialBytes == 0
            && databaseBytes <= wal.pageBytes
    }

    /// The schema's transaction in a fresh WAL: page 1, the two tables, and room for one more.
    private var preparedFrames: Int { 4 }

    private func walState(_ path: String) throws -> WriteAheadLogFile? {
        guard let size = FileSystem.fileSize(path) else { return nil }
        return WriteAheadLogFile(size == 0 ? [] : try FileSystem.read(path), assumedPageBytes: configuration.pageBytes)
    }

    private typealias Ends = (first: Int64, last: Int64, firstTime: Int64, lastTime: Int64)

    /// The first and the last entry, by the primary key: independent of the number of entries.
    private func readEnds(_ name: SegmentName, _ meta: inout SegmentMeta?) throws -> Ends? {
        let database =
            configuration.readOnly
            ? try SegmentFile.openReader(name, in: directory) : try SegmentFile.openForRecovery(name, in: directory)
        let found = try SegmentMeta.read(database)
        meta = found
        var ends: [(position: Int64, time: Int64)] = []
        for order in ["ASC", "DESC"] {
            let select = try database.prepare("SELECT position, time FROM entries ORDER BY position \(order) LIMIT 1")
            if try select.step() { ends.append((select.int64(0), select.int64(1))) }
        }
        guard ends.count == 2 else { return nil }
        return (ends[0].position, ends[1].position, ends[0].time, ends[1].time)
    }

    /// Throws `DamagedSegment` if what the segment says about itself does not fit what is in it.
    private func check(_ meta: SegmentMeta, _ ends: Ends?, _ wal: WriteAheadLogFile?, _ name: SegmentName) throws {
        if let wal, wal.hasLostCommit { throw DamagedSegment("its WAL is damaged before its end") }
        if !meta.isSealed {
            guard let wal, !wal.frames.isEmpty else { throw DamagedSegment("its WAL is missing or empty") }
            if wal.hasUnfinishedTail {
                report(
                    .incompleteTail, name,
                    "\(wal.frames.count - wal.committedFrames) pages of an unfinished transaction are ignored")
            }
        }
        guard meta.first == ends?.first else { throw DamagedSegment("its first entry is missing") }
        if let last = meta.last, last != ends?.last { throw DamagedSegment("its last entry is missing") }
        if let ends, ends.first < name.number { throw DamagedSegment("it holds positions below its number") }
    }

    // MARK: - Damage

    private func salvage(_ name: SegmentName, _ reason: String, _ expected: ExpectedContent) -> SegmentFacts? {
        let salvage = Salvage(name, in: directory, pageBytes: configuration.pageBytes)
        do {
            if configuration.readOnly {
                incidents(try salvage.examine(expected).incident(reason, .damaged))
                return nil
            }
            let outcome = try salvage.run(expected)
            try salvage.replaceOriginal()
            incidents(outcome.incident(reason))
            return outcome.facts
        } catch {
            report(.damaged, name, "\(reason); its repair failed: \(SegmentedLogError.classify(error).detail)")
            return nil
        }
    }

    /// Of positions two segments hold (files copied together by hand), the newer segment's count.
    private func clip(_ facts: SegmentFacts?, behind: SegmentFacts?) -> SegmentFacts? {
        guard var facts, let behind, facts.last >= behind.first else { return facts }
        let both = max(facts.first, behind.first)...min(facts.last, max(behind.last, behind.first))
        report(.overlap, facts.name, "positions \(both) are also in \(behind.name.file())")
        guard facts.first < behind.first else { return nil }
        facts.last = behind.first - 1
        facts.holes = facts.holes.filter { $0.upperBound <= facts.last }
        // Sealing would note the clipped end as the segment's own: left as it is.
        facts.checkpointed = true
        return facts
    }

    private func report(_ kind: LogIncident.Kind, _ name: SegmentName, _ detail: String) {
        incidents(LogIncident(kind: kind, path: name.path(in: directory), detail: detail))
    }
}
