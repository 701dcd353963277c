// A node of a cluster: the stream is JetStream's, the archive is everybody's, and what this node archives of it is what
// falls to it among the nodes that live.
//
//   intake of any node ──▶ NATSStream (partitions p00 …) ──┬─▶ PartitionOwner ─▶ lake      partitions this node owns
//                              │                           └─▶ LiveView                   on query nodes
//                              └ ledger (p00) ─▶ LedgerTail ─▶ Fleet ─▶ `received` on every node
//   lake's log ─▶ ArchiveFollower ─▶ `archived` on every node
//   board ◀─▶ ClusterMembership (who lives, who owns what) · FleetSharing (what relays told other nodes)

import Configuration
import Crypto
import DuckDB
import Log
import Models
import NATS
import SyncProtocol
import Synchronization
import System

final class ClusterNode: Backbone {
    private static let secondsBetweenLooks = 1.0
    /// A failure now and then is no reason to send relays elsewhere.
    private static let failuresBeforeTrouble = 3

    private let settings: ClusterSettings
    private let time: any TimeSource
    private let log: Log
    private let nats: NATSStream
    private let follower: ArchiveFollower
    private let membership: ClusterMembership
    private let owner: PartitionOwner?
    private let partitions: StreamPartitions
    private let listeners: CommitListeners
    private let threads = ThreadCrew()
    private let clock = Mutex(PositionClock())
    private let tail = Mutex<LedgerTail?>(nil)
    private let isEnding = Monitor(false)
    let maxStreamBytes: Int
    let fleetBoard: (any ClusterBoard)?

    /// Waits until stream and lake are there.
    /// - Parameter onFatal: called when only a fresh start can go on; the program must end.
    init(
        _ configuration: CentralConfiguration, _ streamSettings: ClusterStreamSettings, _ stores: CentralStores,
        _ duckDB: DuckDBExecutable, time: any TimeSource, log: Log, onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        settings = configuration.cluster
        self.time = time
        self.log = log
        maxStreamBytes = streamSettings.maxBytes
        let nodeID = configuration.cluster.nodeID
        let partitions = configuration.archive.partitions
        let listeners = CommitListeners()
        self.listeners = listeners
        let lake = try LakeIdentity.open(lake: stores.lake, vault: stores.vault)

        let engine = DuckDBEngine(executable: duckDB, scratchDirectory: "\(stores.scratch)/follower-\(nodeID)")
        let follower = try ArchiveFollower(
            ArchiveFollower.Configuration(
                lake: stores.lake, vault: stores.vault, engine: engine, partitions: partitions),
            log: log.component("follower"))
        self.follower = follower
        let nats = try NATSStream(
            streamSettings.streamConfiguration(nodeID: nodeID, partitions: partitions, lake: lake.id),
            archivedThrough: try ClusterLake.highestPosition(
                lake: stores.lake, vault: stores.vault, checkpoints: engine.checkpoints),
            time: time, log: log.component("stream"), onFatal: onFatal)
        self.nats = nats
        let (nodes, fleet) = try Self.boards(nats, replicas: streamSettings.replicas, time: time, log: log)
        fleetBoard = fleet
        let membership = ClusterMembership(
            NodeEntry(
                nodeID: nodeID, roles: configuration.cluster.roles, life: Random.hex(bytes: 8),
                startedMicroseconds: time.wallMicroseconds(), address: configuration.analystAddress,
                version: CentralService.version),
            partitions: partitions, board: nodes, time: time, log: log.component("cluster"))
        self.membership = membership
        self.partitions = StreamPartitions(stream: nats, log: log.component("archive"))
        guard configuration.cluster.roles.contains(.archive) else {
            owner = nil
            return
        }
        owner = PartitionOwner(
            PartitionOwner.Configuration(
                archiver: try ArchiverConfiguration(stores, duckDB, scratch: "scratch-\(nodeID)"),
                partitions: partitions, maxRows: configuration.archive.maxRows,
                maxWaitSeconds: configuration.archive.maxWaitSeconds),
            stream: self.partitions, owned: { membership.view.owned }, time: time,
            log: log.component("archive")
        ) { commit, retried in
            follower.wake()
            listeners.committed(commit, retried)
        }
    }

    /// A bucket whose servers are still electing a leader is tried again.
    private static func boards(
        _ stream: NATSStream, replicas: Int, time: any TimeSource, log: Log
    ) throws -> (nodes: KeyValueBucket, fleet: KeyValueBucket) {
        let deadline = time.monotonicNanoseconds() + UInt64(stream.configuration.startSeconds * 1e9)
        while true {
            do {
                return (
                    try KeyValueBucket(
                        stream.jetStream, name: "COLUMBA_NODES", replicas: replicas, inMemory: true),
                    try KeyValueBucket(stream.jetStream, name: "COLUMBA_FLEET", replicas: replicas)
                )
            } catch {
                guard error.code != .conflict, error.code != .refused, time.monotonicNanoseconds() < deadline else {
                    throw error
                }
                log.warning("nats_waits", ["reason": .string("\(error)")])
                Pause.seconds(1)
            }
        }
    }

    // MARK: What the rest of central asks

    var stream: any BatchStream { nats }
    var knowledge: any ArchiveKnowledge { follower }
    var recoverAfter: Int64 { 0 }
    var progress: ArchiveProgress { owner?.snapshot.archive ?? ArchiveProgress() }
    var doesUpkeep: Bool { membership.view.owned.contains(0) }

    var archived: StreamCursor {
        .partitions(Dictionary(uniqueKeysWithValues: follower.positions.enumerated().map { ($0.offset, $0.element) }))
    }

    var troubles: [String] {
        var troubles: [String] = []
        if !nats.connection.isConnected { troubles.append("intake: no connection to the stream") }
        if let owner, owner.snapshot.failuresInTurn >= Self.failuresBeforeTrouble {
            troubles.append("archive: commits fail (\(owner.snapshot.archive.lastError ?? "no reason known"))")
        }
        return troubles
    }

    func onCommit(_ body: @escaping @Sendable (ArchiveCommit, [String]) -> Void) { listeners.add(body) }

    func figures() -> ClusterFigures {
        let view = membership.view
        let now = time.monotonicNanoseconds()
        var figures = ClusterFigures(
            nodeID: settings.nodeID, roles: settings.roles, now: time.timestamp, view: view,
            isStreamConnected: nats.connection.isConnected, streamBytes: nats.totalBytes,
            streamMaxBytes: maxStreamBytes)
        figures.lostCommits = owner?.snapshot.contested ?? 0
        figures.partitions = follower.positions.enumerated().map { number, position in
            let waiting = nats.batches(after: .partitions([number: position]))
            let age = waiting == 0 ? 0 : clock.withLock { $0.secondsSince(beyond: position, atNanoseconds: now) }
            return ClusterFigures.Partition(
                number: number, owner: view.assignment.owner(of: number), position: position, waitingBatches: waiting,
                lagSeconds: age)
        }
        return figures
    }

    // MARK: Life

    func start(_ fleet: Fleet, recoveredThrough: Int64) {
        let (nats, follower, membership, owner) = (nats, follower, membership, owner)
        let audit = StreamAudit(
            fleet: fleet, settledThrough: { follower.positions.min() ?? 0 },
            archived: { follower.archivedRanges(relayID: $0, epoch: $1) }, time: time, log: log.component("ledger"))
        let tail = LedgerTail(
            stream: nats, fleet: fleet, audit: audit, after: recoveredThrough, log: log.component("ledger"))
        self.tail.withLock { $0 = tail }
        threads.start("stream-writer", stackBytes: 4 << 20) { nats.run() }
        threads.start("follower", stackBytes: 8 << 20) { follower.run() }
        threads.start("ledger", stackBytes: 4 << 20) { tail.run() }
        threads.start("membership") { membership.run() }
        threads.start("lag") { [self] in watchLag() }
        guard let owner else { return }
        let released = partitions
        threads.start("release") { released.run() }
        threads.start("archiver", stackBytes: 8 << 20) { owner.run() }
    }

    private func watchLag() {
        while isEnding.wait(timeoutSeconds: Self.secondsBetweenLooks, until: { $0 ? true : nil }) == nil {
            let settled = follower.positions.min() ?? 0
            clock.withLock {
                $0.look(
                    end: nats.lastPosition, settledThrough: settled, atNanoseconds: time.monotonicNanoseconds())
            }
        }
    }

    /// Its commit under way is finished, then the others are told that this node is gone: they need not wait for its
    /// silence. Batches that were taken meanwhile are answered last.
    func drain() {
        owner?.stop()
        threads.join("archiver")
        membership.stop()
        threads.join("membership")
        nats.close()
        threads.join("stream-writer")
    }

    func end() {
        isEnding.update { $0 = true }
        tail.withLock { $0 }?.stop()
        partitions.stop()
        follower.stop()
        threads.join()
        nats.closeLog()
    }
}

/// The stream as those see it who archive some of its partitions. What is archived is released by a thread of its own:
/// after the loss of a server JetStream may leave a purge unanswered for half a minute, and no commit waits for that.
final class StreamPartitions: PartitionStream {
    private struct Passed {
        var positions: [Int: Int64] = [:]
        var isStopping = false
    }

    private let stream: any BatchStream
    private let log: Log
    private let passed = Monitor(Passed())

    init(stream: any BatchStream, log: Log) {
        self.stream = stream
        self.log = log
    }

    func read(after positions: [Int: Int64], maxBytes: Int) throws -> [StreamEntry] {
        try stream.read(after: .partitions(positions), maxBytes: maxBytes)
    }

    func wait(beyond positions: [Int: Int64], timeoutSeconds: Double) -> Bool {
        stream.wait(beyond: .partitions(positions), timeoutSeconds: timeoutSeconds)
    }

    func records(after positions: [Int: Int64]) -> Int { stream.records(after: .partitions(positions)) }

    func release(_ positions: [Int: Int64]) { passed.update { $0.positions.merge(positions) { max($0, $1) } } }

    /// The thread's body.
    func run() {
        while true {
            let next = passed.wait { passed -> [Int: Int64]?? in
                if passed.isStopping { return .some(nil) }
                guard !passed.positions.isEmpty else { return nil }
                defer { passed.positions = [:] }
                return .some(passed.positions)
            }
            guard let next, let positions = next else { return }
            do {
                try stream.release(.partitions(positions))
            } catch {
                // The next commit's release covers this one.
                log.warning("stream_not_released", ["error": .string("\(error)")])
            }
        }
    }

    func stop() { passed.update { $0.isStopping = true } }
}

extension ClusterStreamSettings {
    func streamConfiguration(nodeID: String, partitions: Int, lake: String) throws -> NATSStreamConfiguration {
        var connection = NATSConfiguration(urls: urls, name: "columba-central \(nodeID)")
        connection.user = user
        connection.password = try passwordFile.map { path in
            let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
            return String(text.prefix { !$0.isNewline })
        }
        connection.credentialsFile = credentialsFile
        connection.tls = tls.map {
            NATSConfiguration.TLS(authoritiesFile: $0.authority, certificateFile: $0.certificate, keyFile: $0.key)
        }
        var configuration = NATSStreamConfiguration(nats: connection)
        configuration.replicas = replicas
        configuration.partitions = partitions
        configuration.lake = lake
        configuration.maxBytes = Int64(maxBytes)
        return configuration
    }
}

extension CentralConfiguration {
    /// Where people find this node's pages.
    fileprivate var analystAddress: String {
        let address = analystListen ?? listen
        return "\(address.host):\(address.port)"
    }
}
