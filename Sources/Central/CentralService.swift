// Central from top to bottom: read this first. Stages in the order of the flow; shutdown is the reverse.
//
//   relay ──PUT batch──▶ CentralRoutes ─▶ BatchIntake ─▶ EmbeddedStream (fsync) ─▶ received           (I4)
//                                                              │
//                                          ArchiveLoop ─▶ Archiver ─▶ lake, vault ─▶ archived      (I4, I5)
//                                                                        │
//   analyst ──POST /v1/sql──▶ AnalystConsole ─▶ QueryService ◀───────────┘

package import Log
package import System
import Identity
import Configuration
import Crypto
import DuckDB
import HTTPServer
import Identity
import Models
import ObjectStore
import SyncProtocol
import Synchronization

package final class CentralService: Sendable {
    package static let version = "0.1.0"

    private let log: Log
    private let lock: DirectoryLock
    private let stream: EmbeddedStream
    private let loop: ArchiveLoop
    private let parts: FleetParts
    private let fleetThreads: [WorkerThread]
    private let identity: CentralIdentity
    private let servers: [HTTPServer]
    private let enrolmentServer: HTTPServer?
    private let streamThread: WorkerThread
    private let archiveThread: WorkerThread
    private let live: LiveView
    private let liveThread: WorkerThread
    private let upkeep: UpkeepLoop
    private let upkeepThread: WorkerThread
    private let jobs: JobService
    private let jobThread: WorkerThread
    private let queries: QueryService
    private let spareThread: WorkerThread

    /// Opens the stream and the archive, learns what is durable, and serves. Returns when batches are accepted.
    /// - Parameter onFatal: called when only a fresh start can go on; the program must end.
    package init(
        _ configuration: CentralConfiguration, time: any TimeSource, log: Log,
        onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.log = log
        let startedAt = Timestamp(microseconds: time.wallMicroseconds())
        let data = configuration.dataDirectory

        // 1. What is on disk.
        try FileSystem.makeDirectories(data)
        lock = try DirectoryLock(data)
        let duckDB = try DuckDBExecutable.locate()
        let stores = try CentralStores.checked(configuration, time: time)
        let archiver = try Self.archive(configuration, stores, duckDB, time: time)
        stream = try EmbeddedStream(
            directory: "\(data)/stream", archivedThrough: archiver.committedPosition, log: log.component("stream"))

        // 2. What relays may be told, and what is kept about them.
        let parts = try FleetParts(configuration, stores, archiver, stream, time: time, log: log)
        self.parts = parts
        let fleet = parts.fleet

        // 3. Intake, archive, query.
        let certificates = try CentralIdentity(configuration.security, time: time, log: log)
        identity = certificates
        let handOver = LiveHandOver()
        let intake = BatchIntake(
            stream: stream, fleet: fleet, quarantine: parts.quarantine, time: time,
            maxStreamBytes: configuration.limits.maxStreamBytes, live: handOver)
        loop = ArchiveLoop(
            archiver: archiver, stream: stream, configuration: configuration.archive, time: time,
            log: log.component("archive"), onFatal: onFatal, onCommit: parts.onCommit)
        upkeep = UpkeepLoop(
            UpkeepConfiguration(configuration, stores, duckDB: duckDB), compacts: configuration.archive.compacts,
            time: time, log: log.component("upkeep"))
        let (stream, loop, upkeep) = (stream, loop, upkeep)
        let base = FiguresBase(
            startedAt: startedAt, time: time, archiver: archiver, fleet: fleet, intake: intake, stream: stream,
            loop: loop, keeper: parts.keeper, quarantine: parts.quarantine)
        let queries = try Self.queries(configuration, stores, duckDB, time: time) { base.now() }
        let jobs = try JobService.make(
            configuration, stores, duckDB: duckDB, queries: queries, time: time, log: log)
        self.jobs = jobs
        let console = AnalystConsole(
            queries: queries, jobs: jobs,
            figures: {
                var figures = base.now()
                figures.runningQueries = queries.runningQueries
                return figures
            },
            readiness: { loop.snapshot.lastError == nil },
            moreMetrics: { certificates.metrics() + upkeep.metrics() + stores.metrics() })

        // 4. Threads, then the door.
        fleetThreads = parts.start()
        streamThread = WorkerThread(name: "stream-writer", stackBytes: 4 << 20) { stream.run() }
        archiveThread = WorkerThread(name: "archiver", stackBytes: 8 << 20) { loop.run() }
        live = try Self.live(stores, stream, queries, handOver, time: time, log: log)
        liveThread = live.start()
        let analysts = AnalystRoutes(queries, live, configuration.query, time: time)
        upkeepThread = WorkerThread(name: "upkeep", stackBytes: 8 << 20) { upkeep.run() }
        jobThread = WorkerThread(name: "jobs", stackBytes: 2 << 20) { jobs.run() }
        self.queries = queries
        spareThread = WorkerThread(name: "query-spare", stackBytes: 2 << 20) { queries.keepSpare() }
        servers = try Self.serve(
            configuration, intake, console, analysts, parts.fleetDesk { base.now() },
            ExplorerPage(map: configuration.map, log: log.component("page")), certificates)
        enrolmentServer = try configuration.security.enrollListen.flatMap { try certificates.serveEnrolment(at: $0) }
        announce(archiver.statistics)
    }

    private func announce(_ archive: ArchiveStatistics) {
        log.info(
            "central_ready",
            [
                "port": .int(port), "analyst_port": .int(analystPort), "version": .int(archive.version),
                "reports": .int(archive.reports), "waiting_batches": .int(stream.batches(after: 0)),
            ])
    }

    private static func archive(
        _ configuration: CentralConfiguration, _ stores: CentralStores, _ duckDB: DuckDBExecutable,
        time: any TimeSource
    ) throws -> Archiver {
        var settings = ArchiverConfiguration(
            lake: stores.lake, vault: stores.vault, scratchDirectory: "\(stores.scratch)/scratch", duckDB: duckDB,
            hmacKey: try PseudonymKey.load(vault: stores.vault))
        settings.partitions = configuration.archive.partitions
        return try Archiver(settings, time: time)
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

    private static func live(
        _ stores: CentralStores, _ stream: EmbeddedStream, _ queries: QueryService,
        _ handOver: LiveHandOver, time: any TimeSource, log: Log
    ) throws -> LiveView {
        LiveView(
            stream: stream, queries: queries,
            pseudonymKey: try PseudonymKey.load(vault: stores.vault), time: time,
            log: log.component("live"), handOver: handOver)
    }

    /// The relays' port.
    package var port: UInt16 { servers[0].port }
    /// The analysts' port; the same where there is only one.
    package var analystPort: UInt16 { servers[servers.count - 1].port }

    private static func serve(
        _ configuration: CentralConfiguration, _ intake: BatchIntake, _ console: AnalystConsole,
        _ routes: AnalystRoutes, _ desk: FleetDesk, _ explorer: ExplorerPage, _ identity: CentralIdentity
    ) throws -> [HTTPServer] {
        func server(_ address: ListenAddress, batches: Bool, analysts: Bool) throws -> HTTPServer {
            try identity.serve(
                HTTPServerConfiguration(
                    host: address.host, port: address.port, threads: configuration.limits.threads,
                    maxConnections: configuration.limits.maxConnections),
                CentralRoutes(
                    intake: intake, console: console, analysts: routes, desk: desk, explorer: explorer,
                    takesBatches: batches, servesAnalysts: analysts),
                always: batches)
        }
        guard let analysts = configuration.analystListen else {
            return [try server(configuration.listen, batches: true, analysts: true)]
        }
        return [
            try server(configuration.listen, batches: true, analysts: false),
            try server(analysts, batches: false, analysts: true),
        ]
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
        stream.close()
        streamThread.join()
        for server in servers { server.stop() }
        loop.stop()
        upkeep.stop()
        jobs.stop()
        queries.stopSpares()
        archiveThread.join()
        liveThread.join()
        upkeepThread.join()
        jobThread.join()
        spareThread.join()
        stream.closeLog()
        parts.keeper.stop()
        for thread in fleetThreads { thread.join() }
        identity.stop()
        log.info("central_stopped")
    }
}

/// Gathers the figures of one moment from central's parts.
private struct FiguresBase: Sendable {
    let startedAt: Timestamp
    let time: any TimeSource
    let archiver: Archiver
    let fleet: Fleet
    let intake: BatchIntake
    let stream: EmbeddedStream
    let loop: ArchiveLoop
    let keeper: FleetKeeper
    let quarantine: Quarantine

    func now() -> CentralFigures {
        let archive = archiver.statistics
        let views = fleet.relays()
        let completeness = keeper.completeness(views, archive)
        let open = keeper.incidents.filter(\.isOpen)
        var figures = CentralFigures(
            startedAt: startedAt, now: Timestamp(microseconds: time.wallMicroseconds()), archive: archive,
            relays: CentralFigures.relays(views, archive, completeness), intake: intake.counters,
            progress: loop.snapshot, streamBytes: stream.totalBytes,
            waitingBatches: stream.batches(after: archive.position),
            waitingRecords: stream.records(after: archive.position))
        figures.completeness = completeness
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
