// The buffer's folder: one log per epoch, `buffer/<counter>-<epoch>/`. The current epoch's log is written; those of
// earlier lives are only read, until central has archived them and their hold time is over, then their folder goes
// (I2).

package import Log
package import SegmentedLog
import SyncProtocol
import Crypto
import Models
import Synchronization
import System

package final class EpochLog: Sendable {
    package let epoch: String
    package let directory: String
    package let log: SegmentedLog
    package let isCurrent: Bool

    init(epoch: String, directory: String, log: SegmentedLog, isCurrent: Bool) {
        self.epoch = epoch
        self.directory = directory
        self.log = log
        self.isCurrent = isCurrent
    }
}

package final class BufferStore: Sendable {
    package let current: EpochLog
    private let earlier: Mutex<[EpochLog]>
    private let log: Log

    /// Opens the logs of earlier lives and begins a new epoch (I3).
    package init(directory: String, segmentBytes: Int, log: Log) throws {
        self.log = log
        try FileSystem.makeDirectories(directory)
        var opened: [EpochLog] = []
        var counter = 0
        for name in try FileSystem.list(directory).sorted() {
            guard let parsed = Self.parse(name) else { continue }
            counter = max(counter, parsed.counter)
            let path = "\(directory)/\(name)"
            let existing = try SegmentedLog(
                directory: path, configuration: .init(segmentBytes: segmentBytes),
                incidents: Self.reporter(log, epoch: parsed.epoch))
            if existing.lastPosition == nil {
                // A life that stored nothing: its folder says nothing.
                existing.close()
                try FileSystem.removeTree(path)
            } else {
                opened.append(EpochLog(epoch: parsed.epoch, directory: path, log: existing, isCurrent: false))
            }
        }
        let epoch = Random.epoch()
        let number = String(counter + 1)
        let padded = String(repeating: "0", count: max(0, 8 - number.utf8.count)) + number
        let path = "\(directory)/\(padded)-\(epoch)"
        try FileSystem.makeDirectories(path)
        try FileSystem.syncDirectory(directory)
        current = EpochLog(
            epoch: epoch, directory: path,
            log: try SegmentedLog(
                directory: path, configuration: .init(segmentBytes: segmentBytes),
                incidents: Self.reporter(log, epoch: epoch)),
            isCurrent: true)
        earlier = Mutex(opened)
    }

    private static func parse(_ name: String) -> (counter: Int, epoch: String)? {
        let parts = name.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let counter = Int(parts[0]), Identifier.isValidEpoch(String(parts[1])) else {
            return nil
        }
        return (counter, String(parts[1]))
    }

    private static func reporter(_ log: Log, epoch: String) -> @Sendable (LogIncident) -> Void {
        { incident in
            let values: KeyValuePairs<String, LogValue> = ["epoch": .string(epoch), "incident": .string("\(incident)")]
            // A transaction cut off by a crash was never acknowledged: nothing is lost.
            if incident.kind == .incompleteTail {
                log.info("buffer_tail_cut", values)
            } else {
                log.error("buffer_incident", values)
            }
        }
    }

    /// Oldest first; the current one last.
    package var all: [EpochLog] { earlier.withLock { $0 } + [current] }

    package func epochLog(_ epoch: String) -> EpochLog? {
        epoch == current.epoch ? current : earlier.withLock { $0.first { $0.epoch == epoch } }
    }

    package var totalBytes: Int { all.reduce(0) { $0 + $1.log.totalBytes } }
    package var segmentCount: Int { all.reduce(0) { $0 + $1.log.segments.count } }

    /// Removes the folder of an earlier life whose last segment is gone.
    package func remove(_ epoch: EpochLog) throws {
        precondition(!epoch.isCurrent, "the current epoch is being written")
        earlier.withLock { $0.removeAll { $0.epoch == epoch.epoch } }
        epoch.log.close()
        try FileSystem.removeTree(epoch.directory)
    }

    package func close() {
        for epoch in all { epoch.log.close() }
    }
}
