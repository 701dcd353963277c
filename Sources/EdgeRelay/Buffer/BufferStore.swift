// The buffer's folder: one log per epoch, `buffer/<counter>-<epoch>/`. The current epoch's log is written; those of
// earlier lives are only read, until central has archived them and their hold time is over, then their folder goes
// (I2). A relay that crashes again and again leaves many such folders: an earlier log costs neither a thread nor an
// open file, only its folder and a few facts in memory (F22).

package import Log
package import SegmentedLog
package import System
import Crypto
import Models
import Synchronization

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
    /// Earlier lives beyond this number are forgotten before their hold time once central has archived them (I7).
    package static let earlierEpochsHeld = 500
    private static let retrySeconds = 60.0

    package let current: EpochLog
    package let incidents = BufferIncidents()
    private let earlier: Mutex<[EpochLog]>
    private let log: Log
    private let background = Monitor(Background())
    private let thread: Mutex<WorkerThread?> = Mutex(nil)

    private struct Background { var isWanted = true; var isClosed = false }

    /// Opens the logs of earlier lives and begins a new epoch (I3). One that cannot be opened is left as it is and
    /// reported: the relay starts anyway.
    ///
    /// - Parameter leavesBytes: a checkpoint is put off while it would leave less free space than this.
    package init(directory: String, segmentBytes: Int, leavesBytes: Int, time: any TimeSource, log: Log) throws {
        self.log = log
        try FileSystem.makeDirectories(directory)
        let reporter = Reporter(log: log, incidents: incidents, time: time)
        var opened: [EpochLog] = []
        var counter = 0
        for (number, epoch, path) in try Self.folders(in: directory) {
            counter = max(counter, number)
            let configuration = SegmentedLog.Configuration(
                segmentBytes: segmentBytes, appends: false, checkpointLeavesBytes: leavesBytes)
            do {
                let existing = try SegmentedLog(
                    directory: path, configuration: configuration, incidents: reporter.reporting(epoch))
                opened.append(EpochLog(epoch: epoch, directory: path, log: existing, isCurrent: false))
            } catch {
                reporter.report(
                    LogIncident(kind: .unreadable, path: path, detail: "its folder cannot be opened: \(error)"), epoch)
            }
        }
        current = try Self.begin(
            counter + 1, in: directory,
            .init(segmentBytes: segmentBytes, checkpointLeavesBytes: leavesBytes), reporter)
        earlier = Mutex(opened)
    }

    /// The folders of earlier lives, oldest first.
    package static func folders(in directory: String) throws -> [(number: Int, epoch: String, path: String)] {
        try FileSystem.list(directory).compactMap { name in
            let parts = name.split(separator: "-", maxSplits: 1)
            guard parts.count == 2, let number = Int(parts[0]), Identifier.isValidEpoch(String(parts[1])) else {
                return nil
            }
            return (number, String(parts[1]), "\(directory)/\(name)")
        }.sorted { $0.number < $1.number }
    }

    private static func begin(
        _ counter: Int, in directory: String, _ configuration: SegmentedLog.Configuration, _ reporter: Reporter
    ) throws -> EpochLog {
        let epoch = Random.epoch()
        let number = String(counter)
        let padded = String(repeating: "0", count: max(0, 8 - number.utf8.count)) + number
        let path = "\(directory)/\(padded)-\(epoch)"
        // On a disk without a free block its folder is made later, when what earlier lives left has made room.
        let log = try SegmentedLog(
            directory: path, configuration: configuration, incidents: reporter.reporting(epoch))
        return EpochLog(epoch: epoch, directory: path, log: log, isCurrent: true)
    }

    private struct Reporter: Sendable {
        let log: Log
        let incidents: BufferIncidents
        let time: any TimeSource

        func reporting(_ epoch: String) -> @Sendable (LogIncident) -> Void {
            { report($0, epoch) }
        }

        func report(_ incident: LogIncident, _ epoch: String) {
            let values: KeyValuePairs<String, LogValue> = [
                "epoch": .string(epoch), "incident": .string("\(incident)"),
                "kept_records": .int(incident.salvagedEntries), "lost_records": .int(incident.lostEntries),
                "exact": .bool(incident.lossIsExact),
            ]
            switch incident.kind {
            // A transaction cut off by a crash was never acknowledged: nothing is lost.
            case .incompleteTail: log.info("buffer_tail_cut", values)
            case .postponed: log.warning("buffer_checkpoint_postponed", values)
            case .salvaged, .damaged, .overlap, .unreadable:
                log.error("buffer_incident", values)
                let now = Timestamp(microseconds: time.wallMicroseconds())
                incidents.record(BufferIncident(incident, epoch: epoch, at: now))
            }
        }
    }

    // MARK: What is there

    /// Oldest first; the current one last.
    package var all: [EpochLog] { earlier.withLock { $0 } + [current] }
    package var earlierCount: Int { earlier.withLock { $0.count } }

    package func epochLog(_ epoch: String) -> EpochLog? {
        epoch == current.epoch ? current : earlier.withLock { $0.first { $0.epoch == epoch } }
    }

    package var totalBytes: Int { all.reduce(0) { $0 + $1.log.totalBytes } }
    package var segmentCount: Int { all.reduce(0) { $0 + $1.log.segments.count } }
    /// Damaged segments kept for people; they do not count as the buffer's bytes.
    package var quarantinedBytes: Int { all.reduce(0) { $0 + SegmentedLog.quarantinedBytes(in: $1.directory) } }

    /// Removes the folder of an earlier life whose last segment is gone. What its quarantine holds is for people to
    /// look at and remove: it moves to `buffer/quarantine/`.
    package func remove(_ epoch: EpochLog) throws {
        precondition(!epoch.isCurrent, "the current epoch is being written")
        earlier.withLock { $0.removeAll { $0.epoch == epoch.epoch } }
        epoch.log.close()
        let quarantine = epoch.directory + "/quarantine"
        if FileSystem.isDirectory(quarantine), let slash = epoch.directory.lastIndex(of: "/") {
            let kept = "\(epoch.directory[..<slash])/quarantine"
            try FileSystem.makeDirectories(kept)
            try FileSystem.rename(quarantine, to: kept + String(epoch.directory[slash...]))
        }
        try FileSystem.removeTree(epoch.directory)
    }

    // MARK: In the background

    /// Starts the thread that checkpoints and repairs what earlier lives left, one segment after the other.
    package func startBackground() {
        let started = WorkerThread(name: "buffer-tidy") { self.tidy() }
        thread.withLock { $0 = started }
    }

    /// Space was freed, or a segment is to be repaired.
    package func wakeBackground() { background.update { $0.isWanted = true } }

    private func tidy() {
        WorkerThread.yieldToOthers()
        while true {
            let isClosed = background.wait(timeoutSeconds: Self.retrySeconds) { background -> Bool? in
                if background.isClosed { return true }
                guard background.isWanted else { return nil }
                background.isWanted = false
                return false
            }
            if isClosed == true { return }
            for epoch in all {
                // Woken by the clock: what a full disk held up may find room now.
                if isClosed == nil { epoch.log.resumePostponed() }
                epoch.log.runHousekeeping()
                if background.withLock({ $0.isClosed }) { return }
            }
        }
    }

    package func close() {
        background.update { $0.isClosed = true }
        thread.withLock { thread in
            defer { thread = nil }
            return thread
        }?.join()
        for epoch in all { epoch.log.close() }
    }
}
