// Looks at a relay's buffer from outside, for `columba-relay buffer …`: beside the running relay or without one. It
// changes no file and takes no lock; what moves under its eyes (a segment released or checkpointed by the relay) is
// looked at again.

import Models
package import SegmentedLog
package import SyncProtocol
import Synchronization
import System

package struct BufferInspection: Sendable {
    /// A damage that is seen beside a running relay counts only if it is seen again.
    private static let looks = 3

    /// One life of the relay.
    package struct Epoch: Sendable {
        package var number: Int
        package var epoch: String
        package var directory: String
        package var segments: [SegmentSummary] = []
        /// Damaged and unreadable segments, found while opening or reading.
        package var incidents: [LogIncident] = []
        /// What the relay noted about it; nil where it noted nothing or its notes cannot be read.
        package var note: StateStore.EpochNote?
        /// Records whose checksum was verified.
        package var verified = 0

        package var records: Int { segments.reduce(0) { $0 + $1.entries } }
        package var bytes: Int { segments.reduce(0) { $0 + $1.bytes } }
        /// Numbers that were on disk once and are neither there, archived nor dropped, as far as the notes say.
        package var lost: IntervalSet { Recovery.Epoch(segments, note: note).lost }
        /// Records in the segments that the relay had not noted as archived.
        package var waiting: Int? {
            note.map { note in
                segments.reduce(0) { sum, segment in
                    let all = IntervalSet(segment.firstPosition...segment.lastPosition)
                    let holes = segment.holes.reduce(0) { $0 + $1.count }
                    return sum + all.subtracting(note.archived).count - holes
                }
            }
        }
    }

    package let dataDirectory: String

    package init(dataDirectory: String) { self.dataDirectory = dataDirectory }

    /// The relay that runs on this data directory now.
    package var runningProcess: Int32? { DirectoryLock.holder(of: dataDirectory) }

    private var buffer: String { dataDirectory + "/buffer" }

    /// All lives, oldest first, by the ends of their segments: no record is read.
    package func epochs() throws -> [Epoch] {
        let notes = StateStore.epochs(path: dataDirectory + "/state.db") ?? [:]
        return try BufferStore.folders(in: buffer).compactMap { number, epoch, path in
            try look(Epoch(number: number, epoch: epoch, directory: path, note: notes[epoch])) { _, _ in }
        }
    }

    /// Opens an epoch's log for reading and lets `body` use it; nil if its folder is gone by now.
    private func look(
        _ start: Epoch, _ body: (SegmentedLog, inout Epoch) throws -> Void
    ) throws -> Epoch? {
        for look in 1... {
            var epoch = start
            epoch.incidents = []
            let incidents = Mutex<[LogIncident]>([])
            do {
                let log = try SegmentedLog(
                    directory: epoch.directory, configuration: .init(readOnly: true)
                ) { incident in
                    // A transaction that is being written, or was cut off by a crash: nothing is wrong with it.
                    if incident.kind != .incompleteTail { incidents.withLock { $0.append(incident) } }
                }
                defer { log.close() }
                epoch.segments = log.segments
                try body(log, &epoch)
            } catch {
                if !FileSystem.isDirectory(epoch.directory) { return nil }
                if look < Self.looks, runningProcess != nil { continue }
                throw error
            }
            epoch.incidents = incidents.withLock { $0 } + epoch.incidents
            if epoch.incidents.isEmpty || look >= Self.looks || runningProcess == nil { return epoch }
        }
        return nil
    }

    /// Reads every record of an epoch and checks its checksum. `progress` gets the bytes of a record's parts.
    package func verify(_ epoch: Epoch, progress: (Int) -> Void) throws -> Epoch? {
        try look(epoch) { log, epoch in
            epoch.verified = 0
            for segment in epoch.segments {
                try Self.forEach(in: log, segment, onDamage: { epoch.incidents.append($0) }) { entries in
                    epoch.verified += entries.count
                    progress(entries.reduce(0) { $0 + $1.byteCount })
                }
            }
        }
    }

    /// Hands out the records of an epoch from `from` on, in order, a few thousand at a time. What is damaged is left
    /// out and is in the answer's incidents.
    package func read(
        _ epoch: Epoch, from: Int64, _ body: ([LogEntry]) throws -> Void
    ) throws -> Epoch? {
        var next = from
        return try look(epoch) { log, epoch in
            // Looked at again: go on behind what was handed out.
            for segment in epoch.segments where segment.lastPosition >= next {
                try Self.forEach(in: log, segment, from: next, onDamage: { epoch.incidents.append($0) }) { entries in
                    try body(entries)
                    if let last = entries.last { next = last.position + 1 }
                }
            }
        }
    }

    private static func forEach(
        in log: SegmentedLog, _ segment: SegmentSummary, from: Int64 = 1, onDamage: (LogIncident) -> Void,
        _ body: ([LogEntry]) throws -> Void
    ) throws {
        var position = max(from, segment.firstPosition)
        while position <= segment.lastPosition {
            do {
                let entries = try log.read(
                    from: position, through: segment.lastPosition, maxEntries: 4_096, maxBytes: 8 << 20)
                guard let last = entries.last else { return }
                try body(entries)
                position = last.position + 1
            } catch let error as SegmentedLogError where error.code == .damaged {
                if let incident = try log.examineDamage(at: position, reason: error.detail) { onDamage(incident) }
                return
            }
        }
    }
}
