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
// One archiver for a lake; in a cluster one for each partition (`ArchiverScope`), and one commit for all that an
// archiver owns. A second one that wins a commit makes the first throw `.anotherWriter`: its state is stale. After any
// error the state in memory is half a call ahead, so the next call begins with a recovery; in a cluster that mends
// `.anotherWriter` as well. There the identities come first, by themselves (`IdentityRegistration`).

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
    private let identities: IdentityRegistration

    /// nil after a failed call.
    private var working: RecoveredState?
    private var preparer: BatchPreparer
    private var helperPreparer: Monitor<BatchPreparer>?
    private var commitsSinceSnapshot = 0
    private let isArchiving = Mutex(false)
    private let published: Mutex<Published>

    private struct Published: Sendable {
        struct Part: Sendable {
            var partition: Int?
            var position: Int64
            var relays: [RecordSource: RelayProgress]
        }

        var position: Int64
        /// Of the partitions, or of the whole lake.
        var parts: [Part]
        var isWhole: Bool
        /// By partition (nil: the whole lake).
        var interrupted: [Int?: Int64]
        var snapshotFailures = 0

        init(_ state: RecoveredState, _ scope: ArchiverScope?) {
            interrupted = state.interrupted
            position = scope == nil ? state.position : state.parts.map(\.position).min() ?? 0
            parts = state.parts.map {
                Part(partition: $0.partition?.index, position: $0.position, relays: $0.relays)
            }
            isWhole = scope?.isWhole ?? true
        }

        func state(_ source: RecordSource) -> RelayArchiveState? {
            let progress = parts.map { $0.relays[source] }
            guard isWhole, progress.contains(where: { $0 != nil }) else { return nil }
            guard parts.count == 1, parts[0].partition == nil else { return .merged(source, progress) }
            return progress[0]?.state(source)
        }

        /// Nothing that another partition might still miss.
        var relays: [RelayArchiveState] {
            Set(parts.flatMap(\.relays.keys)).compactMap { state($0) }
                .sorted { ($0.relayID, $0.epoch) < ($1.relayID, $1.epoch) }
        }
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
        recovery = try ArchiverRecovery(
            tables: tables, lake: configuration.lake, vault: configuration.vault, engine: engine,
            scope: configuration.scope)
        lookup = DigestLookup(engine: engine)
        committer = ArchiveCommitter(
            tables: tables, vault: configuration.vault, failurePoint: configuration.failurePoint)
        identities = IdentityRegistration(table: tables.identities, engine: engine, committer: committer)
        preparer = BatchPreparer(key: key)
        helperPreparer = configuration.parsesAhead ? Monitor(BatchPreparer(key: key)) : nil
        let recovered = try recovery.recover()
        // In a cluster partitions move often, and the lake's upkeep does this anyway.
        if configuration.scope == nil {
            _ = try recovery.removeOrphans(now: now, graceSeconds: configuration.orphanGraceSeconds)
        }
        working = recovered
        published = Mutex(Published(recovered, configuration.scope))
    }

    // MARK: - For any thread

    /// Read the stream from the next position on. In a cluster: the smallest of the owned partitions' (`positions`).
    package var committedPosition: Int64 { published.withLock { $0.position } }

    /// In a cluster: read each partition from the next position on.
    package var positions: [Int: Int64] {
        let parts = published.withLock { $0.parts }
        return Dictionary(uniqueKeysWithValues: parts.compactMap { part in part.partition.map { ($0, part.position) } })
    }

    /// How far a call that was cut short has brought the secondary tables, by partition (nil: the whole lake); empty
    /// where none was. The next call should reach it: a question about a record number must find the rows of all calls
    /// before, and of no call that is being decided again, and a file says only up to where its rows reach.
    package var interrupted: [Int?: Int64] { published.withLock { $0.interrupted } }

    /// As of the last commit; nothing, where another partition, which this archiver does not own, has a say.
    package func archivedRanges(relayID: String, epoch: String) -> IntervalSet {
        relayState(relayID: relayID, epoch: epoch)?.archived ?? IntervalSet()
    }

    /// As of the last commit; nil if nothing of this life of the relay is archived.
    package func relayState(relayID: String, epoch: String) -> RelayArchiveState? {
        published.withLock { $0 }.state(RecordSource(relayID: relayID, epoch: epoch))
    }

    package var statistics: ArchiveStatistics {
        let published = published.withLock { $0 }
        let reports = tables.reports.snapshot
        let duplicates = tables.duplicates.snapshot
        let alerts = tables.alerts.snapshot
        let relays = published.relays
        return ArchiveStatistics(
            position: published.position, version: reports.version, reports: reports.rows, duplicates: duplicates.rows,
            conflicts: relays.reduce(0) { $0 + $1.conflicts }, alerts: alerts.rows,
            rejected: relays.reduce(0) { $0 + $1.rejectedCount },
            files: reports.files.count + duplicates.files.count + alerts.files.count,
            bytes: reports.bytes + duplicates.bytes + alerts.bytes, relays: relays,
            snapshotFailures: published.snapshotFailures)
    }

    // MARK: - Archiving

    /// Archives batches, whose positions ascend from after `committedPosition` (of each partition: from after its own),
    /// as one version. Throws with nothing or a part committed; calling it again with the same (or more, or fewer)
    /// batches from there on is right, and exact to the last count where they reach `interrupted`.
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
        // A call that failed behind its commit (the store did it and could not say so) is not repeated; nor is what
        // another archiver of the partition has committed.
        let isCluster = configuration.scope != nil
        let batches = isRepeated || isCluster ? batches.filter { !state.has($0) } : batches
        if isRepeated || isCluster, batches.isEmpty {
            working = state
            return ArchiveCommit(
                position: state.position, version: tables.reports.snapshot.version, relays: [], files: 0,
                parquetBytes: 0)
        }
        let positions = try checkPositions(batches, state)
        if isCluster { try recovery.checkNothingIsMissing(state) }
        let transactions = transactions(positions, batches.last?.position ?? state.position)
        try engine.beginCall()
        let call = newCall(batches, state)
        var names = try decide(call, &state)
        try resolve(call, &state, transactions)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        if isCluster {
            try identities.register(names, known: &state.persons, transactions, now: now)
            names = []
        }
        try addIdentities(names, call)
        try configuration.failurePoint(.convert)
        let files = try convert(call, now)
        let commit = try committer.commit(files, call, transactions, now: now)
        try engine.endCall()
        state.committed(commit, positions)
        try configuration.failurePoint(.publish)
        publish(state)
        working = state
        saveSnapshot(state, version: commit.version)
        return commit
    }

    private func transactions(_ positions: [Int?: Int64], _ last: Int64) -> ArchiveTransactions {
        guard let scope = configuration.scope else {
            return ArchiveTransactions(tables, partitions: configuration.partitions, position: last)
        }
        let known = positions.compactMap { partition, position in partition.map { ($0, position) } }
        return ArchiveTransactions(tables, scope: scope, positions: Dictionary(uniqueKeysWithValues: known))
    }

    private func newCall(_ batches: [StreamedBatch], _ state: RecoveredState) -> ArchiveCall {
        let isLarge =
            batches.reduce(0) { $0 + $1.ndjson.count } >= configuration.partitions * configuration.bytesPerPartition
        let parts = state.parts.map { part in
            CallPart(
                partition: part.partition, alertsThrough: recovery.position(tables.alerts, part.partition),
                duplicatesThrough: recovery.position(tables.duplicates, part.partition))
        }
        return ArchiveCall(
            batches, rows: RowBuffers(engine: engine), partitions: isLarge ? configuration.partitions : 1, parts: parts)
    }

    private func recoverAfterFailure() throws -> RecoveredState {
        preparer = BatchPreparer(key: key)
        helperPreparer = configuration.parsesAhead ? Monitor(BatchPreparer(key: key)) : nil
        let recovered = try recovery.recover()
        publish(recovered)
        return recovered
    }

    private func publish(_ state: RecoveredState) {
        let new = Published(state, configuration.scope)
        published.withLock { published in
            let failures = published.snapshotFailures
            published = new
            published.snapshotFailures = failures
        }
    }

    /// How far the batches bring each partition (nil: the whole lake).
    private func checkPositions(_ batches: [StreamedBatch], _ state: RecoveredState) throws -> [Int?: Int64] {
        var reached: [Int?: Int64] = [:]
        for batch in batches {
            guard let part = state.part(batch.partition) else {
                throw ArchiveError.wrongCluster(
                    detail: "a batch of partition \(batch.partition.map(String.init) ?? "none") was given to an "
                        + "archiver that does not own it")
            }
            let last = reached[batch.partition] ?? part.position
            precondition(
                Identifier.isValidRelayID(batch.relayID) && Identifier.isValidEpoch(batch.epoch),
                "intake lets only valid relay ids and epochs into the stream")
            guard batch.position > last else {
                throw ArchiveError.wrongPosition(expectedAfter: last, found: batch.position)
            }
            reached[batch.partition] = batch.position
        }
        return reached
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
            try call.decide(prepared, batch: index, &state.parts)
            for name in prepared.names where state.persons.known.insert(name.person).inserted { names.append(name) }
        }
        return names
    }

    private func resolve(
        _ call: ArchiveCall, _ state: inout RecoveredState, _ transactions: ArchiveTransactions
    ) throws {
        let identities = call.identityQuestions
        let records = state.parts.indices.map { call.recordQuestions(slot: $0) }
        guard !identities.isEmpty || records.contains(where: { !$0.isEmpty }) else { return }
        // A compaction may have replaced files long enough ago for the old ones to be gone.
        try recovery.refreshExpecting(transactions, position: state.position)
        // In a cluster a file may hold rows of a call that was cut short, up to a position that another archiver has
        // stopped before: all committed rows count then. Those that are being decided again are left out anyway.
        let isCluster = configuration.scope != nil
        let foundIdentities = try lookup.identities(
            identities, in: tables.reports, through: isCluster ? .max : state.position)
        let foundRecords = try zip(state.parts, records).map { part, questions in
            try lookup.records(
                questions, in: [tables.reports, tables.duplicates, tables.alerts],
                through: isCluster ? .max : part.position, partition: part.partition)
        }
        try call.resolve(foundIdentities, foundRecords, &state.parts) { preparer.prepare($0) }
    }

    private func addIdentities(_ names: [SeenName], _ call: ArchiveCall) throws {
        guard !names.isEmpty else { return }
        let buffer = try call.rows.buffer(.identities, day: "")
        for name in names { try buffer.append(name) }
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
            for part in state.parts {
                var snapshot = DeduplicatorSnapshot(version: version, position: part.position)
                snapshot.identities = part.deduplicator.identities
                snapshot.relays = part.relays
                try snapshot.save(to: configuration.lake, partition: part.partition?.index)
            }
            commitsSinceSnapshot = 0
        } catch {
            published.withLock { $0.snapshotFailures += 1 }
        }
    }
}
