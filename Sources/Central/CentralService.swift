// Central from top to bottom: read this first. Stages in the order of the flow; shutdown is the reverse.
//
//   relay ──PUT batch──▶ CentralRoutes ─▶ BatchIntake ─▶ stream: durable ─▶ received                  (I4)
//                                                              │
//                                          archiver ─▶ lake, vault ─▶ archived                        (I4, I5)
//                                                                        │
//   analyst ──POST /v1/sql──▶ AnalystConsole ─▶ QueryService ◀───────────┘
//
// Stream and archiver are the backbone: of one process (`Stream/EmbeddedBackbone`), or shared by the nodes of a cluster
// (`Cluster/ClusterNode`).

package import Log
package import System
import Configuration
import DuckDB
import HTTPServer
import Identity
import Models
import ObjectStore
import SyncProtocol

package final class CentralService: Sendable {
    package static let version = "0.1.0"
    private static let secondsForStores = 60.0

    private let log: Log
    private let lock: DirectoryLock
    private let backbone: any Backbone
    private let parts: FleetParts
    private let fleetThreads: [WorkerThread]
    private let identity: CentralIdentity
    private let servers: [HTTPServer]
    private let enrolmentServer: HTTPServer?
    private let live: LiveView
    private let liveThread: WorkerThread?
    private let upkeep: UpkeepLoop
    private let jobs: JobService
    private let queries: QueryService
    private let upkeepThreads: [WorkerThread]

    /// Opens the stream and the archive, learns what is durable, and serves. Returns when batches are accepted.
    /// - Parameter onFatal: called when only a fresh start can go on; the program must end.
    package init(
        _ configuration: CentralConfiguration, time: any TimeSource, log: Log,
        onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.log = log
        let startedAt = Timestamp(microseconds: time.wallMicroseconds())
        let data = configuration.dataDirectory
        let roles = configuration.cluster.roles

        // 1. What is on disk.
        try FileSystem.makeDirectories(data)
        lock = try DirectoryLock(data)
        let duckDB = try DuckDBExecutable.locate()
        let stores = try Self.stores(configuration, time: time, log: log)
        let backbone = try Self.backbone(configuration, stores, duckDB, time: time, log: log, onFatal: onFatal)
        self.backbone = backbone

        // 2. What relays may be told, and what is kept about them.
        let parts = try FleetParts(configuration, stores, backbone, time: time, log: log)
        self.parts = parts
        backbone.onCommit(parts.onCommit)

        // 3. Intake, query, upkeep.
        let certificates = try CentralIdentity(configuration.security, time: time, log: log)
        identity = certificates
        // A cluster's batches come from all nodes, so the live view reads them all from the stream.
        let handOver = LiveHandOver(maxRecords: configuration.cluster.isCluster ? 0 : LiveHandOver.maxRecords)
        let intake = BatchIntake(
            stream: backbone.stream, fleet: parts.fleet, quarantine: parts.quarantine, time: time,
            maxStreamBytes: backbone.maxStreamBytes, live: handOver)
        let upkeep = UpkeepLoop(
            UpkeepConfiguration(configuration, stores, duckDB: duckDB), compacts: configuration.archive.compacts,
            time: time, log: log.component("upkeep"), isWanted: { backbone.doesUpkeep })
        self.upkeep = upkeep
        let figures = FiguresBase(
            startedAt: startedAt, time: time, backbone: backbone, fleet: parts.fleet, intake: intake,
            keeper: parts.keeper, quarantine: parts.quarantine)
        let queries = try Self.queries(configuration, stores, duckDB, time: time) { figures.now() }
        let jobs = try JobService.make(
            configuration, stores, duckDB: duckDB, queries: queries, time: time, log: log,
            isWanted: { backbone.doesUpkeep })
        self.jobs = jobs
        let console = AnalystConsole(
            queries: queries, jobs: jobs,
            figures: { figures.now(runningQueries: queries.runningQueries) },
            cluster: { backbone.figures() }, troubles: { backbone.troubles },
            moreMetrics: { certificates.metrics() + upkeep.metrics() + stores.metrics() })

        // 4. Threads, then the door.
        fleetThreads = parts.start()
        backbone.start(parts.fleet, recoveredThrough: parts.recoveredThrough)
        live = try Self.live(backbone, stores, queries, handOver, time: time, log: log)
        liveThread = roles.contains(.query) ? live.start() : nil
        upkeepThreads = [
            WorkerThread(name: "upkeep", stackBytes: 8 << 20) { upkeep.run() },
            WorkerThread(name: "jobs", stackBytes: 2 << 20) { jobs.run() },
            WorkerThread(name: "query-spare", stackBytes: 2 << 20) { queries.keepSpare() },
        ]
        self.queries = queries
        let analysts = AnalystRoutes(queries, live, configuration.query, time: time)
        servers = try Self.serve(
            configuration, intake, console, analysts, parts.fleetDesk { figures.now() },
            ExplorerPage(map: configuration.map, log: log.component("page")), certificates)
        enrolmentServer = try configuration.security.enrollListen.flatMap { try certificates.serveEnrolment(at: $0) }
        announce()
    }

    /// A cluster's node waits for an object store that is still starting, or not yet made.
    private static func stores(
        _ configuration: CentralConfiguration, time: any TimeSource, log: Log
    ) throws -> CentralStores {
        let deadline = time.monotonicNanoseconds() + UInt64(secondsForStores * 1e9)
        var hasTold = false
        while true {
            do {
                return try CentralStores.checked(configuration, time: time)
            } catch
                where configuration.cluster.isCluster && !(error is ConfigurationError)
                && time.monotonicNanoseconds() < deadline
            {
                if !hasTold { log.warning("object_store_waits", ["reason": .string("\(error)")]) }
                hasTold = true
                Pause.seconds(0.5)
            }
        }
    }

    private static func live(
        _ backbone: any Backbone, _ stores: CentralStores, _ queries: QueryService, _ handOver: LiveHandOver,
        time: any TimeSource, log: Log
    ) throws -> LiveView {
        LiveView(
            stream: backbone.stream, queries: queries, pseudonymKey: try PseudonymKey.load(vault: stores.vault),
            time: time, log: log.component("live"), handOver: handOver)
    }

    private static func backbone(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ duckDB: DuckDBExecutable,
        time: any TimeSource, log: Log, onFatal: @escaping @Sendable (String) -> Void
    ) throws -> any Backbone {
        guard let stream = configuration.cluster.stream else {
            return try EmbeddedBackbone(configuration, stores, duckDB, time: time, log: log, onFatal: onFatal)
        }
        return try ClusterNode(configuration, stream, stores, duckDB, time: time, log: log, onFatal: onFatal)
    }

    private static func queries(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ duckDB: DuckDBExecutable,
        time: any TimeSource, figures: @escaping @Sendable () -> CentralFigures
    ) throws -> QueryService {
        let directory = try CentralStores.directory(configuration.dataDirectory)
        return try QueryService(
            configuration: configuration.query.limits(duckDB: duckDB, scratchDirectory: "\(directory)/queries"),
            lake: stores.lake, time: time, relays: { figures().relays.map { $0.row } },
            completeThrough: { figures().completeThrough })
    }

    private func announce() {
        let archive = backbone.knowledge.statistics
        log.info(
            "central_ready",
            [
                "port": .int(port), "analyst_port": .int(analystPort), "version": .int(archive.version),
                "reports": .int(archive.reports),
                "waiting_batches": .int(backbone.stream.batches(after: backbone.archived)),
            ])
    }

    /// The relays' port.
    package var port: UInt16 { servers[0].port }
    /// The analysts' port; the same where there is only one.
    package var analystPort: UInt16 { servers[servers.count - 1].port }

    /// A node without the role `intake` does not open the relays' port: they go to the next address at once.
    private static func serve(
        _ configuration: CentralConfiguration, _ intake: BatchIntake, _ console: AnalystConsole,
        _ routes: AnalystRoutes, _ desk: FleetDesk, _ explorer: ExplorerPage, _ identity: CentralIdentity
    ) throws -> [HTTPServer] {
        let roles = configuration.cluster.roles
        func server(_ address: ListenAddress, batches: Bool, analysts: Bool) throws -> HTTPServer {
            try identity.serve(
                HTTPServerConfiguration(
                    host: address.host, port: address.port, threads: configuration.limits.threads,
                    maxConnections: configuration.limits.maxConnections),
                CentralRoutes(
                    intake: intake, console: console, analysts: routes, desk: desk, explorer: explorer,
                    takesBatches: batches, servesAnalysts: analysts, answersQueries: roles.contains(.query)),
                always: batches)
        }
        let takesBatches = roles.contains(.intake)
        guard let analysts = configuration.analystListen else {
            return [try server(configuration.listen, batches: takesBatches, analysts: true)]
        }
        let relays = takesBatches ? [try server(configuration.listen, batches: true, analysts: false)] : []
        return relays + [try server(analysts, batches: false, analysts: true)]
    }

    /// Certificate, key, authorities and deny-list are looked at now; otherwise that happens within seconds anyway.
    package func reloadCertificates() { identity.look() }

    /// Stops taking batches and answers what was taken. What is not archived yet stays in the stream.
    package func stop() {
        enrolmentServer?.stop()
        for server in servers { server.stopAccepting() }
        live.stop()
        live.finishFollowers()
        parts.desk.stop()
        backbone.drain()
        for server in servers { server.stop() }
        upkeep.stop()
        jobs.stop()
        queries.stopSpares()
        liveThread?.join()
        for thread in upkeepThreads { thread.join() }
        backbone.end()
        parts.stop()
        for thread in fleetThreads { thread.join() }
        identity.stop()
        log.info("central_stopped")
    }
}

/// Gathers the figures of one moment from central's parts.
private struct FiguresBase: Sendable {
    let startedAt: Timestamp
    let time: any TimeSource
    let backbone: any Backbone
    let fleet: Fleet
    let intake: BatchIntake
    let keeper: FleetKeeper
    let quarantine: any QuarantineBook

    func now(runningQueries: Int = 0) -> CentralFigures {
        let archive = backbone.knowledge.statistics
        let archived = backbone.archived
        let views = fleet.relays()
        let completeness = keeper.completeness(views, archive)
        let open = keeper.incidents.filter(\.isOpen)
        var figures = CentralFigures(
            startedAt: startedAt, now: Timestamp(microseconds: time.wallMicroseconds()), archive: archive,
            relays: CentralFigures.relays(views, archive, completeness), intake: intake.counters,
            progress: backbone.progress, streamBytes: backbone.stream.totalBytes,
            waitingBatches: backbone.stream.batches(after: archived),
            waitingRecords: backbone.stream.records(after: archived))
        figures.completeness = completeness
        figures.runningQueries = runningQueries
        figures.quarantined = quarantine.counts.values.reduce(0, +)
        figures.rulesVersion = fleet.rulesVersion
        for incident in open { figures.openIncidents[incident.code, default: 0] += 1 }
        for index in figures.relays.indices {
            let relayID = figures.relays[index].relayID
            figures.relays[index].openIncidents = open.filter { $0.relayID == relayID }.map(\.code.rawValue)
        }
        return figures
    }
}

extension CentralConfiguration.Query {
    fileprivate func limits(duckDB: DuckDBExecutable, scratchDirectory: String) -> QueryConfiguration {
        var limits = QueryConfiguration(duckDB: duckDB, scratchDirectory: scratchDirectory)
        limits.memoryBytes = memoryBytes
        limits.threads = threads
        limits.timeoutSeconds = timeoutSeconds
        limits.maxRows = maxRows
        limits.maxConcurrent = maxConcurrent
        limits.minGroup = minGroup
        limits.exportTimeoutSeconds = exportTimeoutSeconds
        limits.maxExportBytes = maxExportBytes
        return limits
    }
}
