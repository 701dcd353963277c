// The log's configuration, what it tells about itself, and how it fails.

import SQLite
import System

extension SegmentedLog {
    package struct Configuration: Sendable {
        /// A segment is sealed once its files reach this size.
        package var segmentBytes: Int
        /// The lowest position a new entry may get. A log that has entries goes on after its last one.
        package var firstPosition: Int64
        /// Looks only: changes no file, repairs nothing, appends nothing. Works beside the owning process.
        package var readOnly: Bool
        /// SQLite's page size: a power of two from 4,096 to 32,768. See docs/decisions for the measurement.
        package var pageBytes: Int
        /// Idle read connections kept open; each holds up to three files.
        package var idleReaders: Int
        /// False for a log that only keeps what it has (an earlier life's): it needs no thread and no next segment; its
        /// owner calls `runHousekeeping`.
        package var appends: Bool
        /// A checkpoint writes a segment a second time: it is put off while it would leave less free space than this.
        package var checkpointLeavesBytes: Int

        package init(
            segmentBytes: Int = 64 << 20, firstPosition: Int64 = 1, readOnly: Bool = false,
            pageBytes: Int = 8_192, idleReaders: Int = 8, appends: Bool = true, checkpointLeavesBytes: Int = 0
        ) {
            precondition(segmentBytes >= 64 << 10, "a segment of \(segmentBytes) bytes would hold next to nothing")
            precondition(firstPosition >= 1, "positions count from 1, not \(firstPosition)")
            precondition(
                [4_096, 8_192, 16_384, 32_768].contains(pageBytes),
                "a page size of \(pageBytes) bytes is not supported")
            self.segmentBytes = segmentBytes
            self.firstPosition = firstPosition
            self.readOnly = readOnly
            self.pageBytes = pageBytes
            self.idleReaders = idleReaders
            self.appends = appends && !readOnly
            self.checkpointLeavesBytes = checkpointLeavesBytes
        }
    }
}

/// One segment as its owner sees it.
package struct SegmentSummary: Hashable, Sendable {
    package var firstPosition: Int64
    package var lastPosition: Int64
    package var entries: Int
    /// Bytes on disk: database and write-ahead log.
    package var bytes: Int
    /// Nothing is appended any more; it can be released.
    package var sealed: Bool
    package var firstTimeMicroseconds: Int64
    package var lastTimeMicroseconds: Int64
    /// Positions between first and last that were lost to damage, in order.
    package var holes: [ClosedRange<Int64>]

    package init(
        firstPosition: Int64, lastPosition: Int64, entries: Int, bytes: Int, sealed: Bool, firstTimeMicroseconds: Int64,
        lastTimeMicroseconds: Int64, holes: [ClosedRange<Int64>] = []
    ) {
        self.firstPosition = firstPosition
        self.lastPosition = lastPosition
        self.entries = entries
        self.bytes = bytes
        self.sealed = sealed
        self.firstTimeMicroseconds = firstTimeMicroseconds
        self.lastTimeMicroseconds = lastTimeMicroseconds
        self.holes = holes
    }
}

/// Something went wrong with stored data or with background work; the log goes on.
package struct LogIncident: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// A segment was damaged: what could be read was copied, the files are in `quarantine/`.
        case salvaged
        /// A segment is damaged and could not be repaired now.
        case damaged
        /// The last transaction before a crash is incomplete: it was never acknowledged. Normal after a crash.
        case incompleteTail
        /// Two segments hold the same positions: of each position the newer segment's entry counts.
        case overlap
        /// A file cannot be read now (I/O error, too many open files); it was left as it is.
        case unreadable
        /// Background work failed and will be tried again.
        case postponed
    }

    package var kind: Kind
    /// The segment's database file.
    package var path: String
    package var detail: String
    /// Entries that are still readable out of a damaged segment.
    package var salvagedEntries = 0
    /// Positions known to be lost, in order.
    package var lostPositions: [ClosedRange<Int64>] = []
    /// False if entries before or after the known ones may be lost too.
    package var lossIsExact = true

    package init(
        kind: Kind, path: String, detail: String, salvagedEntries: Int = 0, lostPositions: [ClosedRange<Int64>] = [],
        lossIsExact: Bool = true
    ) {
        self.kind = kind
        self.path = path
        self.detail = detail
        self.salvagedEntries = salvagedEntries
        self.lostPositions = lostPositions
        self.lossIsExact = lossIsExact
    }

    package var lostEntries: Int { lostPositions.reduce(0) { $0 + $1.count } }

    package var description: String {
        var text = "\(kind) \(path): \(detail)"
        if kind == .salvaged || kind == .damaged {
            let ranges = lostPositions.prefix(8).map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
            text += "; \(salvagedEntries) entries kept, \(lossIsExact ? "" : "at least ")\(lostEntries) lost"
            text += ranges.isEmpty ? "" : " (\(ranges)\(lostPositions.count > 8 ? ",…" : ""))"
        }
        return text
    }
}

/// Why the log could not do what it was asked. After any of them nothing of the request is acknowledged.
package struct SegmentedLogError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// The disk is full: the same call can succeed once space is freed.
        case diskFull = "disk_full"
        /// The disk refuses for another reason (read-only, too many open files…): may pass.
        case unavailable
        /// A flush failed: what is on disk is unknown. This log accepts nothing more; restart the process (F35).
        case fatal
        /// Entries in `positions` cannot be read (now).
        case damaged
        case closed
    }

    package var code: Code
    package var detail: String
    /// With `damaged`: what cannot be read. Reading can go on behind it.
    package var positions: ClosedRange<Int64>?

    package init(code: Code, detail: String, positions: ClosedRange<Int64>? = nil) {
        self.code = code
        self.detail = detail
        self.positions = positions
    }

    package var hint: String {
        switch code {
        case .diskFull: "free disk space; the log goes on by itself"
        case .unavailable: "check the disk, the permissions and the open-file limit"
        case .fatal: "check the disk (dmesg, smartctl) and restart: the log verifies itself when it opens"
        case .damaged: "read on behind these positions; restart to have them repaired"
        case .closed: "open the log again"
        }
    }

    package var description: String { "\(code.rawValue): \(detail) (\(hint))" }

    /// Sorts an error of a layer below into what the owner can do about it.
    ///
    /// - Parameter directory: where it happened; errors that do not say why are taken for a full disk if it is full.
    static func classify(_ error: any Error, in directory: String) -> SegmentedLogError {
        var result = classify(error)
        let nothing = 256 << 10
        if result.code == .unavailable, let free = try? FileSystem.freeBytes(at: directory), free < nothing {
            result.code = .diskFull
        }
        return result
    }

    static func classify(_ error: any Error) -> SegmentedLogError {
        switch error {
        case let error as SegmentedLogError: return error
        case let error as SQLiteError:
            // Never retry a failed flush and acknowledge: the kernel has marked the pages clean (F35).
            if error.isFlushFailure { return SegmentedLogError(code: .fatal, detail: error.description) }
            return SegmentedLogError(code: error.isFull ? .diskFull : .unavailable, detail: error.description)
        case let error as SystemError:
            return SegmentedLogError(code: error.isFull ? .diskFull : .unavailable, detail: error.description)
        default: return SegmentedLogError(code: .unavailable, detail: "\(error)")
        }
    }
}
