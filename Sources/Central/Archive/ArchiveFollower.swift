// What a node of a cluster knows of the archive without owning any of it: it follows the log of `reports`, where every
// archiver says with every commit what it settled (`ArchiveNote`), and adds that up. A number is archived when every
// partition has settled it (I4); what this node has not read yet, it does not say.
//
// A start begins with the partitions' snapshots and the notes of the versions since: its cost grows with neither the
// archive nor the number of versions. Then the next version is asked for by its name, every half second, and at once
// where this node itself has committed (`wake`). Where the log was cleaned beyond what is known here (a node that was
// stopped for a day), it starts again.

package import Log
package import ObjectStore
package import SyncProtocol
import Models
import Synchronization
import System

package final class ArchiveFollower: ArchiveKnowledge {
    package struct Configuration: Sendable {
        package var lake: any ObjectStore
        package var vault: any ObjectStore
        /// For checkpoints of the logs, and for the rows where notes are gone; with a scratch space of its own.
        package var engine: any ArchiveEngine
        package var partitions: Int
        package var pollSeconds = 0.5
        /// While the lake does not answer.
        package var maxPauseSeconds = 10.0

        package init(
            lake: any ObjectStore, vault: any ObjectStore, engine: any ArchiveEngine, partitions: Int
        ) {
            self.lake = lake
            self.vault = vault
            self.engine = engine
            self.partitions = partitions
        }
    }

    /// One thread at a time has it.
    private struct Working: Sendable {
        var reports: DeltaSnapshot
        /// By partition.
        var states: [DeduplicatorSnapshot]
    }

    private struct Published: Sendable {
        var position: Int64 = 0
        var positions: [Int64] = []
        var relays: [RecordSource: RelayArchiveState] = [:]
        var version: Int64 = -1
        var rows = (reports: 0, duplicates: 0, alerts: 0)
        var files = 0
        var bytes = 0
    }

    private struct Signal {
        var isWoken = false
        var isStopped = false
    }

    private let configuration: Configuration
    private let log: Log
    private let cluster: ClusterLake
    private let scope: ArchiverScope
    private let tables: ArchiverTables
    private let working: Mutex<Working?>
    private let published = Mutex(Published())
    private let signal = Monitor(Signal())
    private let onChange: @Sendable () -> Void

    /// Reads the archive as it is. `onChange`: after each version, on the follower's thread.
    package init(
        _ configuration: Configuration, log: Log, onChange: @escaping @Sendable () -> Void = {}
    ) throws {
        self.configuration = configuration
        self.log = log
        self.onChange = onChange
        try configuration.engine.reset()
        tables = try ArchiverTables(
            lake: configuration.lake, vault: configuration.vault, createdAt: nil,
            checkpoints: configuration.engine.checkpoints)
        cluster = try ClusterLake.open(lake: configuration.lake, tables: tables, partitions: configuration.partitions)
        scope = ArchiverScope(owned: 0..<cluster.partitions, of: cluster.partitions)
        let start = try Self.start(configuration, tables, cluster)
        working = Mutex(start)
        publish(start, changed: nil)
    }

    private static func start(
        _ configuration: Configuration, _ tables: ArchiverTables, _ cluster: ClusterLake
    ) throws -> Working {
        for table in [tables.reports, tables.duplicates, tables.alerts] { _ = try table.refresh() }
        let reports = tables.reports.snapshot
        let recovery = PartitionRecovery(
            tables: tables, lake: configuration.lake, vault: configuration.vault, engine: configuration.engine,
            cluster: cluster)
        return Working(reports: reports, states: try recovery.progress(through: reports))
    }

    // MARK: - For any thread

    package var committedPosition: Int64 { published.withLock { $0.position } }
    /// By partition: everything up to there is in committed versions.
    package var positions: [Int64] { published.withLock { $0.positions } }

    package func archivedRanges(relayID: String, epoch: String) -> IntervalSet {
        relayState(relayID: relayID, epoch: epoch)?.archived ?? IntervalSet()
    }

    package func relayState(relayID: String, epoch: String) -> RelayArchiveState? {
        published.withLock { $0.relays[RecordSource(relayID: relayID, epoch: epoch)] }
    }

    package var statistics: ArchiveStatistics {
        let known = published.withLock { $0 }
        let relays = known.relays.values.sorted { ($0.relayID, $0.epoch) < ($1.relayID, $1.epoch) }
        return ArchiveStatistics(
            position: known.position, version: known.version, reports: known.rows.reports,
            duplicates: known.rows.duplicates, conflicts: relays.reduce(0) { $0 + $1.conflicts },
            alerts: known.rows.alerts, rejected: relays.reduce(0) { $0 + $1.rejectedCount }, files: known.files,
            bytes: known.bytes, relays: relays, snapshotFailures: 0)
    }

    /// There is something new: do not wait for the next look.
    package func wake() { signal.update { $0.isWoken = true } }

    // MARK: - Following

    /// The thread's body.
    package func run() {
        var pause = configuration.pollSeconds
        while !rest(pause) {
            do {
                _ = try look()
                pause = configuration.pollSeconds
            } catch {
                pause = min(pause * 2, configuration.maxPauseSeconds)
                log.warning("archive_not_followed", ["error": .string("\(error)"), "retry_s": .double(pause)])
            }
        }
    }

    package func stop() { signal.update { $0.isStopped = true } }

    /// True when it is to stop.
    private func rest(_ seconds: Double) -> Bool {
        let woken: Void? = signal.wait(timeoutSeconds: seconds) { $0.isWoken || $0.isStopped ? () : nil }
        guard woken != nil else { return false }
        return signal.update { signal in
            signal.isWoken = false
            return signal.isStopped
        }
    }

    /// Reads what is new. True if there was something; false also while another thread looks. What it throws leaves
    /// everything as it was.
    package func look() throws -> Bool {
        let taken = working.withLock { working in
            defer { working = nil }
            return working
        }
        guard let before = taken else { return false }
        var after = before
        defer { working.withLock { [after] in $0 = after } }
        guard let changed = try read(&after, before) else { return false }
        publish(after, changed: changed.isWhole ? changed.sources : nil)
        onChange()
        return true
    }

    /// Whose states have changed; not whole where the log had to be left. nil: nothing is new.
    private func read(
        _ state: inout Working, _ before: Working
    ) throws -> (sources: Set<RecordSource>, isWhole: Bool)? {
        var reports = before.reports
        var states = before.states
        var sources: Set<RecordSource> = []
        var next = reports.version + 1
        try tables.reports.reader.advance(&reports) { version, actions in
            guard version == next else { return }
            sources.formUnion(try cluster.fold(version, actions, into: &states, of: scope))
            next += 1
        }
        guard reports.version > before.reports.version else { return nil }
        if next == reports.version + 1 {
            for table in [tables.duplicates, tables.alerts] { _ = try table.refresh() }
            state = Working(reports: reports, states: states)
            return (sources, true)
        }
        state = try Self.start(configuration, tables, cluster)
        return ([], false)
    }

    /// `changed`: whose states; nil: all.
    private func publish(_ state: Working, changed: Set<RecordSource>?) {
        let positions = scope.owned.map { cluster.position(state.reports, partition: $0) }
        var relays: [RecordSource: RelayArchiveState] = [:]
        for source in changed ?? Set(state.states.flatMap(\.relays.keys)) {
            relays[source] = .merged(source, state.states.map { $0.relays[source] })
        }
        let duplicates = tables.duplicates.snapshot
        let alerts = tables.alerts.snapshot
        published.withLock { published in
            if changed == nil { published.relays = [:] }
            published.relays.merge(relays) { $1 }
            published.positions = positions
            published.position = positions.min() ?? 0
            published.version = state.reports.version
            published.rows = (state.reports.rows, duplicates.rows, alerts.rows)
            published.files = state.reports.files.count + duplicates.files.count + alerts.files.count
            published.bytes = state.reports.bytes + duplicates.bytes + alerts.bytes
        }
    }
}
