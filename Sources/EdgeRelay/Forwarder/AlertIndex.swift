// Which record numbers of an epoch are alerts, noted beside the log so that a restart need not read a day of reports to
// find them: `alerts.index` in the epoch's folder.
//
// Constraints: a cache. It is written without fsync about once a second; what it lacks (a power cut, a full disk) is
// found by reading the records behind its last mark, and if that fails too, an alert still arrives with the backlog.
//
// Format: lines of text. `a 17 3` : records 17, 18 and 19 are alerts or alert states. `t 5000`: all such records up to
// 5000 are noted above. A last line without its LF is ignored.

import Log
import SegmentedLog
package import SyncProtocol
import System

package struct AlertIndex: Equatable, Sendable {
    package static let fileName = "alerts.index"

    package var alerts = IntervalSet()
    /// Everything up to here is known.
    package var through: Int64 = 0

    package init() {}

    package init(_ bytes: [UInt8]) {
        var ranges: [ClosedRange<Int64>] = []
        for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast() {
            let parts = String(decoding: line, as: UTF8.self).split(separator: " ")
            let numbers = parts.dropFirst().compactMap { Int64($0) }
            if parts.first == "a", numbers.count == 2, numbers[0] > 0, (1...1_000_000).contains(numbers[1]),
                numbers[0] < Int64.max - numbers[1]
            {
                ranges.append(numbers[0]...numbers[0] + numbers[1] - 1)
            } else if parts.first == "t", numbers.count == 1, numbers[0] >= through {
                through = numbers[0]
            } else {
                // Not as this program writes it: what follows is not believed.
                break
            }
        }
        alerts = IntervalSet(ranges)
    }

    /// The lines that add what is new.
    package static func lines(alerts: IntervalSet, through: Int64) -> [UInt8] {
        var text = ""
        alerts.forEachRange { range in
            var next = range.lowerBound
            while next <= range.upperBound {
                let count = min(1_000_000, range.upperBound - next + 1)
                text += "a \(next) \(count)\n"
                next += count
            }
        }
        return Array((text + "t \(through)\n").utf8)
    }
}

/// Writes the current epoch's index and finds the alerts of earlier ones, on a thread of its own.
final class AlertIndexKeeper: Sendable {
    private struct State {
        var alerts = IntervalSet()
        var through: Int64 = 0
        var marked: Int64 = 0
        var saidFailing = false
        var isClosed = false
    }

    private static let secondsBetweenWrites = 1.0
    private static let recordsBetweenMarks: Int64 = 1_000
    /// A scan reads so much at once, then lets others have the disk.
    private static let recordsPerRead = 512
    private static let secondsBetweenReads = 0.005

    private let log: Log
    private let pending = Monitor(State())

    init(log: Log) { self.log = log }

    func committed(through: Int64, alerts: IntervalSet) {
        pending.withLock { state in
            state.through = through
            if !alerts.isEmpty { state.alerts.formUnion(alerts) }
        }
    }

    func close() { pending.update { $0.isClosed = true } }

    /// - Parameter earlier: epochs of earlier lives, oldest first.
    func run(store: BufferStore, earlier: [ForwarderEpoch], found: (String, IntervalSet) -> Void) {
        WorkerThread.yieldToOthers()
        // The newest first: what happened last matters most.
        for epoch in earlier.reversed() {
            guard let source = store.epochLog(epoch.name) else { continue }
            scan(epoch, source, found)
            if write(store.current, afterSeconds: 0) { return }
        }
        while !write(store.current, afterSeconds: Self.secondsBetweenWrites) {}
    }

    /// True when the relay stops.
    private func write(_ epoch: EpochLog, afterSeconds: Double) -> Bool {
        let isClosed = pending.wait(timeoutSeconds: afterSeconds) { $0.isClosed ? true : nil } ?? false
        let (alerts, through) = pending.withLock { state in
            // A mark alone only shortens the next start's scan: not worth a write for each second's reports.
            let unmarked = state.through - state.marked
            guard !state.alerts.isEmpty || unmarked >= (isClosed ? 1 : Self.recordsBetweenMarks) else {
                return (IntervalSet(), Int64(0))
            }
            defer {
                state.alerts = IntervalSet()
                state.marked = state.through
            }
            return (state.alerts, state.through)
        }
        guard through > 0 else { return isClosed }
        do {
            try FileSystem.append(
                AlertIndex.lines(alerts: alerts, through: through), to: "\(epoch.directory)/\(AlertIndex.fileName)")
        } catch {
            // Without a mark that covers them these alerts are found by reading.
            pending.withLock { $0.alerts.formUnion(alerts) }
            if pending.withLock({ state in
                defer { state.saidFailing = true }
                return !state.saidFailing
            }) {
                log.warning("alert_index_not_written", ["error": .string("\(error)")])
            }
        }
        return isClosed
    }

    private func scan(_ epoch: ForwarderEpoch, _ source: EpochLog, _ found: (String, IntervalSet) -> Void) {
        let path = "\(source.directory)/\(AlertIndex.fileName)"
        var index = (try? FileSystem.read(path)).map { AlertIndex($0) } ?? AlertIndex()
        found(epoch.name, index.alerts)
        let known = index.through
        guard known < epoch.committedThrough else { return }
        var next = known + 1
        while next <= epoch.committedThrough, !isClosed(afterSeconds: Self.secondsBetweenReads) {
            // What cannot be read arrives with the backlog, or is reported as lost there.
            guard
                let entries = try? source.log.read(
                    from: next, maxEntries: Self.recordsPerRead, maxBytes: 4 << 20), let last = entries.last
            else { break }
            let alerts = IntervalSet(
                entries.filter { $0.kind != BufferKind.report }.map { $0.position...$0.position })
            if !alerts.isEmpty {
                index.alerts.formUnion(alerts)
                found(epoch.name, alerts)
            }
            next = last.position + 1
        }
    }

    private func isClosed(afterSeconds: Double) -> Bool {
        pending.wait(timeoutSeconds: afterSeconds) { $0.isClosed ? true : nil } ?? false
    }
}
