// SegmentedLog: the durable, append-only log under the relay's buffer and central's embedded stream.
//
// CONSTRAINTS
//   One process owns the directory (it holds the `DirectoryLock`); one thread of it appends, any thread reads and
//   releases. Positions are consecutive numbers from 1 up, given by the log, never given twice (I3), also not across
//   restarts, with holes only where segments were released or damaged. An append is durable when it returns (I1):
//   SQLite, WAL, synchronous=FULL, on a file system that keeps its fsync promise.
//   Work on an append's path does not grow with the log: no checkpoint, no file creation, no DELETE.
//   A full disk loses nothing: appends fail, reads and releases work, and releasing needs no free space.
//   Whatever the files contain, the log opens; an entry is handed out as it was written or not at all (checksums).
//
// FORMAT
//   A directory of SQLite databases, the segments (see `SegmentFile`), with disjoint, ascending ranges of positions:
//     entries(position INTEGER PRIMARY KEY, time, kind, header, payload, checksum)   checksum: see `EntryChecksum`
//     meta(key, value)   format; first, previous (with the first entry); last (when sealed); holes (after a repair)
//
// LIFE OF A SEGMENT
//   preparing ─▶ prepared ─first append─▶ active ─full, asked, failed, restart─▶ sealed ─▶ checkpointed ─▶ released
//                    │                                        damage found │            │ damage found
//                    └─ unused at restart: removed                         └────────────┴─▶ quarantine/ + a sealed copy
//   preparing     by the preparing thread: files get their names only when their empty content is on disk
//   prepared      its WAL exists and holds the schema: an unsealed segment without a WAL has lost entries
//   active        appended to by the writer thread; everything is in its WAL, which is never reset
//   sealed        never appended to again. After a crash every segment is: nothing is written behind a torn tail
//   checkpointed  by the sealing thread with the segment's own connection: `last` is noted, the WAL emptied and dropped
//   released      its files are unlinked. Readers that have it open finish; later ones find nothing there
//
// INVARIANTS (cited as S1–S5)
//   S1 A segment has at most one connection that writes or checkpoints; the next one, if any, is opened after the first
//      is closed (SQLite's WAL-reset bug).
//   S2 A WAL has one generation, and no append follows a failed one in it (only the note made when sealing may). So a
//      whole commit behind what SQLite replays is lost data (an incident), and anything else there a torn tail
//      (normal).
//   S3 Readers see committed, fsynced entries only: SQLite publishes a transaction after its fsync, and reads stop at
//      the last acknowledged position besides.
//   S4 Numbers in file names ascend and are not above the segment's first position.
//   S5 `state` is held for moments, never across I/O.

import Synchronization
import System

package final class SegmentedLog: Sendable {
    package let directory: String
    package let configuration: Configuration
    let incidents: @Sendable (LogIncident) -> Void
    let state: Monitor<LogState>
    let readers: ReaderPool
    private let writer: WriterThreadState
    private let threads: Mutex<[WorkerThread]>

    /// Opens the log, repairing what a crash or damage left. Takes time for the number of segments and for WALs a
    /// crash left, not for the number of entries.
    ///
    /// - Parameter incidents: called from any thread, with no lock held.
    /// - Throws: `SystemError` if the directory itself cannot be used. Damaged content never makes it fail, nor does a
    ///   disk without room for a new log's directory.
    package init(
        directory: String, configuration: Configuration = Configuration(),
        incidents: @escaping @Sendable (LogIncident) -> Void
    ) throws {
        self.directory = directory
        self.configuration = configuration
        self.incidents = incidents
        let recovered = try Recovery(directory, configuration, incidents).run()
        // Only a log that grows keeps a reserve: many small logs of earlier lives would hold as many of them.
        if !configuration.appends, !configuration.readOnly {
            try? FileSystem.remove(SegmentFile.reserve(in: directory))
        }
        state = Monitor(LogState(recovered))
        readers = ReaderPool(directory: directory, capacity: configuration.idleReaders)
        writer = WriterThreadState()
        threads = Mutex([])
        if !configuration.appends { return }
        let housekeeping = Housekeeping(self)
        let started = [
            WorkerThread(name: "log-prepare") { housekeeping.prepareSegments() },
            WorkerThread(name: "log-seal") { housekeeping.sealAndRepair() },
        ]
        threads.withLock { $0 = started }
    }

    /// A log that is let go without `close` ends its threads too, but does not wait for them.
    deinit { state.update { $0.close() } }

    // MARK: - Writing: one thread

    /// Appends the entries in one transaction and returns their positions. Durable on return; after an error nothing is
    /// acknowledged, and nothing of it can be read later unless the process ends before the disk's answer is known.
    ///
    /// - Throws: `SegmentedLogError`: `diskFull` and `unavailable` may pass, so call again; `fatal` never passes.
    package func append(_ entries: [NewLogEntry]) throws -> ClosedRange<Int64> {
        precondition(!entries.isEmpty, "an append has at least one entry")
        precondition(configuration.appends, "a log opened for reading or keeping is not appended to")
        return try writer.exclusively { held in
            let position = try state.withLock { state throws(SegmentedLogError) in
                try state.checkWritable()
                return state.nextPosition
            }
            if held.sealRequested(by: state) { seal(&held) }
            let active = try held.active ?? takePrepared()
            held.active = active
            do {
                try active.append(entries, from: position, previous: held.previous)
            } catch {
                throw abandon(&held, after: error)
            }
            let appended = position...(position + Int64(entries.count) - 1)
            let bytes = active.bytes
            let first = active.first ?? position
            state.withLock(notify: first == position) {
                $0.appended(
                    appended, to: active.name, isFirst: first == position, bytes: bytes,
                    firstTime: entries[0].timeMicroseconds, lastTime: entries[entries.count - 1].timeMicroseconds)
            }
            if bytes >= configuration.segmentBytes { seal(&held) }
            return appended
        }
    }

    /// Ends the active segment, so that it can be released once nobody needs its entries. Nothing happens if it is
    /// empty.
    package func sealActiveSegment() throws {
        writer.exclusively { seal(&$0) }
    }

    /// Ends all work: no append is running and none follows. The active segment is sealed at the next opening.
    package func close() {
        let open = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        state.update { $0.close() }
        for thread in open { thread.join() }
        _ = state.wait { $0.isWorking ? nil : true }
        writer.exclusively { $0.active = nil }
        state.withLock { $0.dropConnections() }
        readers.evict(nil)
    }

    /// Waits for the segment the preparing thread makes; asks for one if there is none.
    private func takePrepared() throws -> SegmentWriter {
        state.update { $0.requestPreparation() }
        let answer: Result<SegmentWriter, SegmentedLogError>? = state.wait { $0.takePrepared() }
        guard let answer else { preconditionFailure("a wait without a time limit ends with an answer") }
        return try answer.get()
    }

    private func seal(_ held: inout WriterThreadState.Held) {
        guard let active = held.active, active.hasEntries else { return }
        held.active = nil
        held.previous = active.name
        state.update { $0.sealed(active) }
    }

    /// After a failed append the segment is not written any more (S2).
    private func abandon(_ held: inout WriterThreadState.Held, after error: any Error) -> SegmentedLogError {
        let failure = SegmentedLogError.classify(error, in: directory)
        guard let active = held.active else { return failure }
        if failure.code == .fatal {
            // The connection stays as it is: whatever it would do now is built on pages nobody knows.
            state.update { $0.failure = failure }
        } else if active.hasEntries {
            seal(&held)
        } else {
            held.active = nil
            state.update { $0.discard(active) }
        }
        return failure
    }

    // MARK: - State: any thread

    /// The position the next appended entry will get.
    package var nextPosition: Int64 { state.withLock { $0.nextPosition } }
    /// The first position that can be read; nil if the log is empty.
    package var firstPosition: Int64? { state.withLock { $0.segments.first?.first } }
    /// The last durable position that can be read; nil if the log is empty.
    package var lastPosition: Int64? { state.withLock { $0.segments.last?.last } }
    /// Bytes of all segments on disk.
    package var totalBytes: Int { state.withLock { $0.segments.reduce(0) { $0 + $1.bytes } } }
    /// Why the log accepts nothing any more; nil as long as it does.
    package var failure: SegmentedLogError? { state.withLock { $0.failure } }

    /// All segments that have entries, in order.
    package var segments: [SegmentSummary] {
        state.withLock { $0.segments }.map {
            SegmentSummary(
                firstPosition: $0.first, lastPosition: $0.last, entries: $0.entries, bytes: $0.bytes, sealed: $0.sealed,
                firstTimeMicroseconds: $0.firstTime, lastTimeMicroseconds: $0.lastTime, holes: $0.holes)
        }
    }

    // MARK: - Releasing: any thread

    /// Removes a whole sealed segment and gives its space back. Nothing happens if there is none that starts there.
    /// Its entries are gone for readers when this returns, except for a read that has begun.
    package func release(segmentStartingAt first: Int64) throws {
        precondition(!configuration.readOnly, "a log opened for reading releases nothing")
        let name = state.withLock { state -> SegmentName? in
            guard let facts = state.segments.first(where: { $0.first == first }) else { return nil }
            precondition(facts.sealed, "the segment from \(first) on is still written: seal it before its release")
            return state.released(facts.name)
        }
        guard let name else { return }
        readers.evict(name)
        try SegmentFile.remove(name, in: directory)
        // Space was freed: what a full disk held up goes on.
        state.update { $0.retryPostponed() }
    }

    /// Waits until sealed segments are checkpointed and repairs are done, for tests and a tidy shutdown; false if the
    /// time was over.
    package func waitForHousekeeping(timeoutSeconds: Double) -> Bool {
        state.wait(timeoutSeconds: timeoutSeconds) { $0.isIdle || $0.isClosed ? true : nil } ?? false
    }
}

/// What only the writer thread touches.
// Safety: `held` is touched only by the thread that has set `isBusy`; a second one is stopped.
private final class WriterThreadState: @unchecked Sendable {
    struct Held {
        var active: SegmentWriter?
        /// The segment sealed before the active one.
        var previous: SegmentName?

        /// A reader found damage in the active segment: it can only be repaired once it is sealed.
        func sealRequested(by state: Monitor<LogState>) -> Bool {
            guard let active else { return false }
            return state.withLock { $0.repairsWanted.contains(active.name) }
        }
    }

    private var held = Held()
    private let isBusy = Atomic(false)

    func exclusively<Result>(_ body: (inout Held) throws -> Result) rethrows -> Result {
        let wasBusy = isBusy.exchange(true, ordering: .acquiring)
        precondition(!wasBusy, "a log is appended to by one thread at a time")
        defer { isBusy.store(false, ordering: .releasing) }
        return try body(&held)
    }
}
