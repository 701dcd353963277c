// Turns stream batches into committed archive versions, each report exactly once (I5), whatever crashes in between.
//
// One `archive` call, in order (each arrow may be the last thing that happens; the next start repairs it):
//
//   parse, decide → look up digests → rows to scratch files → DuckDB: Parquet → files into the stores (durable)
//   → quarantine → commit identities → commit alerts → commit duplicates → commit reports → publish → snapshot
//
// Every commit carries `txn(archiver-pNN, stream position)`. `reports` comes last and is the master: a start reads
// the position of `reports` and decides everything after it again. The decisions depend on the records and their
// order alone, so they come out as before; a secondary table takes only rows of positions after its own txn. A name
// is known if the vault has it. So every table has every row once, and orphaned Parquet files are all a crash leaves.
//
// One archiver for a lake. A second one that wins a commit makes the first throw `.anotherWriter`: its state is
// stale. After any error the state in memory is half a call ahead, so the next call begins with a recovery.

import Crypto
import DuckDB
import Models
import ObjectStore
package import SyncProtocol
import Synchronization
package import System

// Safety: `archive` is for one thread at a time (checked by `isArchiving`) and alone touches the working state; what
// other threads read is in `published`.
package final class Archiver: @unchecked Sendable {
    private let configuration: ArchiverConfiguration
    private let time: any TimeSource
    private let key: HMACSHA256
    private let tables: ArchiverTables
    private let committer: ArchiveCommitter
    private let recovery: ArchiverRecovery
    private let engine: any ArchiveEngine
    private let lookup: DigestLookup

    /// nil after a failed call.
    private var working: RecoveredState?
    private var preparer: BatchPreparer
    private var helperPreparer: Monitor<BatchPreparer>?
    private var commitsSinceSnapshot = 0
    private let isArchiving = Mutex(false)
    private let published: Mutex<Published>

    private struct Published: Sendable {
        var position: Int64
        var relays: [RecordSource: RelayProgress]
        var snapshotFailures = 0
    }

    /// Creates the tables if the lake is empty, else recovers from them. Empties the scratch directory.
    package init(_ configuration: ArchiverConfiguration, time: any TimeSource) throws {
        precondition((1...100).contains(configuration.partitions), "an archive has 1 to 100 partitions")
        precondition(configuration.hmacKey.count >= 16, "the key of the pseudonyms has at least 16 bytes")
        self.configuration = configuration
        self.time = time
        key = HMACSHA256(key: configuration.hmacKey)
        engine = configuration.engine
        try engine.reset()
        let now = Timestamp(microseconds: time.wallMicroseconds())
        tables = try ArchiverTables(
            lake: configuration.lake, vault: configuration.vault, createdAt: now, checkpoints: engine.checkpoints)
        recovery = ArchiverRecovery(
            tables: tables, lake: configuration.lake, vault: configuration.vault, engine: engine)
        lookup = DigestLookup(engine: engine)
        committer = ArchiveCommitter(
            tables: tables, vault: configuration.vault, partitions: configuration.partitions,
            failurePoint: configuration.failurePoint)
        preparer = BatchPreparer(key: key)
        helperPreparer = configuration.parsesAhead ? Monitor(BatchPreparer(key: key)) : nil
        let recovered = try recovery.recover()
        _ = try recovery.removeOrphans(now: now, graceSeconds: configuration.orphanGraceSeconds)
        working = recovered
        published = Mutex(Published(position: recovered.position, relays: recovered.relays))
    }

    // MARK: - For any thread

    /// Read the stream from the next position on.
    package var committedPosition: Int64 { published.withLock { $0.position } }

    /// As of the last commit.
    package func archivedRanges(relayID: String, epoch: String) -> IntervalSet {
        published.withLock { $0.relays[RecordSource(relayID: relayID, epoch: epoch)]?.settled ?? IntervalSet() }
    }

    /// As of the last commit; nil if nothing of this life of the relay is archived.
    package func relayState(relayID: String, epoch: String) -> RelayArchiveState? {
        let source = RecordSource(relayID: relayID, epoch: epoch)
        return published.withLock { $0.relays[source] }?.state(source)
    }

    package var statistics: ArchiveStatistics {
        let published = published.withLock { $0 }
        let reports = tables.reports.snapshot
        let duplicates = tables.duplicates.snapshot
        let alerts = tables.alerts.snapshot
        let relays = published.relays.map { $0.value.state($0.key) }
            .sorted { ($0.relayID, $0.epoch) < ($1.relayID, $1.epoch) }
        return ArchiveStatistics(
            position: published.position, version: reports.version, reports: reports.rows, duplicates: duplicates.rows,
            conflicts: relays.reduce(0) { $0 + $1.conflicts }, alerts: alerts.rows,
            rejected: relays.reduce(0) { $0 + $1.rejectedCount },
            files: reports.files.count + duplicates.files.count + alerts.files.count,
            bytes: reports.bytes + duplicates.bytes + alerts.bytes, relays: relays,
            snapshotFailures: published.snapshotFailures)
    }

    // MARK: - Archiving

    /// Archives batches, whose positions ascend from after `committedPosition`, as one version. Throws with nothing
    /// or a part committed; calling it again with the same (or more, or fewer) batches from `committedPosition` on is
    /// always right.
    package func archive(_ batches: [StreamedBatch]) throws -> ArchiveCommit {
        let isFree = isArchiving.withLock { busy in
            defer { busy = true }
            return !busy
        }
        precondition(isFree, "one thread at a time archives")
        defer { isArchiving.withLock { $0 = false } }
        let isRepeated = working == nil
        var state = try working ?? recoverAfterFailure()
        working = nil
        // A call that failed behind its commit (the store did it and could not say so) is not repeated.
        let batches = isRepeated ? batches.filter { $0.position > state.position } : batches
        if isRepeated, batches.isEmpty {
            working = state
            return ArchiveCommit(
                position: state.position, version: tables.reports.snapshot.version, relays: [], files: 0,
                parquetBytes: 0)
        }
        try checkPositions(batches, after: state.position)
        let position = batches.last?.position ?? state.position
        try engine.beginCall()
        let isLarge =
            batches.reduce(0) { $0 + $1.ndjson.count } >= configuration.partitions * configuration.bytesPerPartition
        let call = ArchiveCall(
            batches, rows: RowBuffers(engine: engine), partitions: isLarge ? configuration.partitions : 1,
            alertsThrough: ArchiverTables.position(tables.alerts),
            duplicatesThrough: ArchiverTables.position(tables.duplicates))
        let names = try decide(call, &state)
        try resolve(call, &state)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        try addIdentities(names, call)
        try configuration.failurePoint(.convert)
        let files = try convert(call, now)
        let commit = try committer.commit(files, call, position: position, now: now)
        try engine.endCall()
        state.deduplicator.committed()
        state.position = position
        for note in commit.relays {
            state.relays[RecordSource(relayID: note.relayID, epoch: note.epoch), default: .init()].add(note)
        }
        try configuration.failurePoint(.publish)
        publish(state)
        working = state
        saveSnapshot(state, version: commit.version)
        return commit
    }

    private func recoverAfterFailure() throws -> RecoveredState {
        preparer = BatchPreparer(key: key)
        helperPreparer = configuration.parsesAhead ? Monitor(BatchPreparer(key: key)) : nil
        let recovered = try recovery.recover()
        publish(recovered)
        return recovered
    }

    private func publish(_ state: RecoveredState) {
        published.withLock { published in
            published.position = state.position
            published.relays = state.relays
        }
    }

    private func checkPositions(_ batches: [StreamedBatch], after position: Int64) throws {
        var last = position
        for batch in batches {
            precondition(
                Identifier.isValidRelayID(batch.relayID) && Identifier.isValidEpoch(batch.epoch),
                "intake lets only valid relay ids and epochs into the stream")
            guard batch.position > last else {
                throw ArchiveError.wrongPosition(expectedAfter: last, found: batch.position)
            }
            last = batch.position
        }
    }

    /// This thread decides, in the stream's order, and parses; with `parsesAhead` another one parses as well.
    private func decide(_ call: ArchiveCall, _ state: inout RecoveredState) throws -> [SeenName] {
        var names: [SeenName] = []
        let pipeline = PreparationPipeline(call.batches)
        let thread = helperPreparer.map { helper in
            WorkerThread(name: "archive-parse") { helper.withLock { pipeline.help($0) } }
        }
        defer {
            pipeline.stop()
            thread?.join()
        }
        for index in call.batches.indices {
            let prepared = pipeline.take(index, preparer)
            try call.decide(prepared, batch: index, &state.deduplicator)
            for name in prepared.names where state.knownPersons.insert(name.person).inserted { names.append(name) }
        }
        return names
    }

    private func resolve(_ call: ArchiveCall, _ state: inout RecoveredState) throws {
        let identities = call.identityQuestions
        let records = call.recordQuestions
        guard !identities.isEmpty || !records.isEmpty else { return }
        // A compaction may have replaced files long enough ago for the old ones to be gone.
        try recovery.refreshExpecting(position: state.position)
        let foundIdentities = try lookup.identities(identities, in: tables.reports, through: state.position)
        let foundRecords = try lookup.records(
            records, in: [tables.reports, tables.duplicates, tables.alerts], through: state.position)
        try call.resolve(foundIdentities, foundRecords, &state.deduplicator) { preparer.prepare($0) }
    }

    private func addIdentities(_ names: [SeenName], _ call: ArchiveCall) throws {
        guard !names.isEmpty else { return }
        let buffer = try call.rows.buffer(.identities, day: "")
        for name in names {
            var row = Array(#"{"person_id":""#.utf8)
            name.person.appendHex(to: &row)
            row.append(contentsOf: #"","name":"#.utf8)
            row.append(contentsOf: name.token)
            row.append(contentsOf: #","first_seen":\#(name.receivedAt)}"#.utf8)
            try row.withUnsafeBytes { try buffer.append($0, "", nil) }
        }
    }

    private func convert(_ call: ArchiveCall, _ now: Timestamp) throws -> [ConvertedFile] {
        do {
            return try files(of: call, now)
        } catch let error as DuckDBError {
            guard error.kind == .rejected else { throw ArchiveError.conversion(type: error.type) }
        }
        for buffer in call.rows.all {
            let bad = try engine.badRows(buffer, archivedAt: now)
            guard !bad.isEmpty else { continue }
            for origin in try buffer.drop(bad) { call.rejectRow(origin, of: buffer.schema) }
        }
        do {
            return try files(of: call, now)
        } catch let error as DuckDBError {
            throw ArchiveError.conversion(type: error.type)
        }
    }

    /// Those that are to be committed.
    private func files(of call: ArchiveCall, _ now: Timestamp) throws -> [ConvertedFile] {
        let buffers = call.rows.all
        return zip(buffers, try engine.convert(buffers, archivedAt: now)).filter { !$0.0.isCommitted }.map(\.1)
    }

    /// Only a shortcut for the next start: a failure is counted and tried again at the next commit.
    private func saveSnapshot(_ state: RecoveredState, version: Int64) {
        commitsSinceSnapshot += 1
        guard commitsSinceSnapshot >= configuration.commitsPerSnapshot else { return }
        do {
            try configuration.failurePoint(.snapshot)
            var snapshot = DeduplicatorSnapshot(version: version, position: state.position)
            snapshot.identities = state.deduplicator.identities
            snapshot.relays = state.relays
            try snapshot.save(to: configuration.lake)
            commitsSinceSnapshot = 0
        } catch {
            published.withLock { $0.snapshotFailures += 1 }
        }
    }
}
