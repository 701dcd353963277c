// Reading, from any thread. A read meets the writer, releases and repairs without holding any of them up.

import SQLite
import System

extension SegmentedLog {
    /// Entries from position `from` on, in order, at most `maxEntries`, at most `maxBytes` of headers and payloads (but
    /// at least one entry if there is one). Empty: nothing durable is there (yet, or any more). Holes are skipped.
    ///
    /// - Throws: `SegmentedLogError` `damaged` with the positions that cannot be read, `unavailable` on an I/O error.
    package func read(
        from: Int64, through: Int64 = .max, maxEntries: Int, maxBytes: Int
    ) throws -> [LogEntry] {
        precondition(maxEntries > 0 && maxBytes > 0, "a read asks for at least one entry and one byte")
        let limits = ReadLimits(through: through, entries: maxEntries, bytes: maxBytes)
        var collected: [LogEntry] = []
        var position = from
        var repairs = 0
        while true {
            let (segment, isClosed) = state.withLock { ($0.segment(atOrAfter: position), $0.isClosed) }
            if isClosed { throw SegmentedLogError(code: .closed, detail: "the log is closed") }
            guard let segment, segment.first <= through else { return collected }
            let count = collected.count
            do {
                try readers.withReader(segment.name) {
                    try $0.read(segment, from: position, limits: limits, into: &collected)
                }
            } catch {
                // Released or repaired meanwhile: look again. What was read is verified and stays.
                if !isCurrent(segment) {
                    position = collected.last.map { $0.position + 1 } ?? position
                    continue
                }
                // What comes before the damage first; the next read meets it again.
                let reason = try damage(of: segment, error)
                if !collected.isEmpty { return collected }
                repairs += 1
                try repair(segment, reason, from: position, isLastTry: repairs > 2)
                continue
            }
            // Full: an entry was left out or the number is reached.
            if collected.count >= maxEntries { return collected }
            let readTo = collected.count > count ? collected[collected.count - 1].position : position - 1
            if segment.expected(from: max(readTo + 1, position)).map({ $0 <= through }) ?? false { return collected }
            position = segment.last + 1
        }
    }

    private func isCurrent(_ segment: SegmentFacts) -> Bool {
        state.withLock { state in
            guard let now = state.segment(segment.name) else { return false }
            return now.holes == segment.holes && now.first == segment.first
        }
    }

    /// Why the segment counts as damaged; throws if it is the disk or a limit that fails, which may pass.
    private func damage(of segment: SegmentFacts, _ error: any Error) throws -> String {
        if let reason = DamagedSegment.reason(of: error) { return reason }
        if (error as? SQLiteError)?.isCannotOpen == true,
            !FileSystem.exists(segment.name.path(in: directory))
        {
            return "its file is missing"
        }
        throw SegmentedLogError.classify(error)
    }

    /// Has the damaged segment repaired and waits for it; throws if that cannot be done now.
    private func repair(_ segment: SegmentFacts, _ reason: String, from position: Int64, isLastTry: Bool) throws {
        let unreadable = SegmentedLogError(
            code: .damaged, detail: "\(segment.name.path(in: directory)): \(reason)",
            positions: max(position, segment.first)...segment.last)
        if configuration.readOnly { throw unreadable }
        let isRepairable = state.withLock(notify: true) { state -> Bool in
            state.wantRepair(segment.name, reason: reason)
            return state.repairsWanted.contains(segment.name) && segment.sealed
        }
        guard isRepairable, !isLastTry else { throw unreadable }
        if !configuration.appends { runHousekeeping() }
        _ = state.wait { state -> Bool? in
            !state.repairsWanted.contains(segment.name) || state.isClosed ? true : nil
        }
        if state.withLock({ $0.unrepairable.contains(segment.name) }) { throw unreadable }
    }
}
