// The edge relay from top to bottom: read this first. Stages in the order of the flow; shutdown is the reverse.
//
//   drone ──POST──▶ RelayRoutes ─▶ ReportIngest ─▶ Alerting ─▶ AlertBook ─▶ followers          fails open  (I6)
//                                       │
//                                       └─▶ BufferWriter ─▶ SegmentedLog (fsync) ─▶ 202          fails closed (I1)
//                                                               │
//                                                               └─▶ Forwarder ─▶ central ─▶ archived: unlinked (I2)

package import Log
import Configuration
package import System
import HTTPServer
import Models
import SegmentedLog
import Synchronization
import SyncProtocol

package final class EdgeRelayService: Sendable {
    package static let version = "0.1.0"

    private let configuration: RelayConfiguration
    private let time: any TimeSource
    private let log: Log
    private let lock: DirectoryLock
    private let store: BufferStore
    private let writer: BufferWriter
    private let forwarder: Forwarder?
    private let board: DroneBoard
    private let alerting: Alerting
    private let ingest: ReportIngest
    private let gauge: BufferGauge
    private let maintenance: Maintenance
    private let servers: [HTTPServer]
    private let threads: Mutex<[WorkerThread]>
    private let writerThread: WorkerThread

    /// Opens the data directory, takes over what an earlier life left, and serves. Returns when reports are accepted.
    /// - Parameter onFatal: called once when the disk can no longer be trusted; the program must end (F35).
    package init(
        _ configuration: RelayConfiguration, time: any TimeSource, log: Log,
        onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.configuration = configuration
        self.time = time
        self.log = log
        let startedAt = Timestamp(microseconds: time.wallMicroseconds())
        let rules = try configuration.loadRules()

        // 1. What is on disk.
        try FileSystem.makeDirectories(configuration.dataDirectory)
        lock = try DirectoryLock(configuration.dataDirectory)
        let state = try StateStore.openOrReplace(path: "\(configuration.dataDirectory)/state.db", log: log)
        store = try BufferStore(
            directory: "\(configuration.dataDirectory)/buffer", segmentBytes: configuration.buffer.segmentBytes,
            log: log)
        let epoch = store.current.epoch
        let recovered = try Recovery.read(
            store, relayID: configuration.relayID, state: state, now: startedAt, monotonic: time.monotonicNanoseconds())

        // 2. Alerts: they need nothing of what follows.
        let book = AlertBook()
        book.restore(recovered.alerts)
        let clock = time
        alerting = Alerting(
            relayID: configuration.relayID, rules: rules, book: book, wallMicroseconds: { clock.wallMicroseconds() })
        board = DroneBoard(
            maxDrones: configuration.limits.dronesOnBoard,
            ratePerSecond: configuration.limits.reportsPerDronePerSecond,
            burst: configuration.limits.reportBurstPerDrone)

        // 3. The uplink.
        let wake = MaintenanceWake()
        if configuration.central.isEmpty {
            forwarder = nil
        } else {
            forwarder = Forwarder(
                central: configuration.central, relayID: configuration.relayID, store: store,
                limits: .init(
                    maxInFlight: configuration.forward.maxInFlight, maxBatchBytes: configuration.forward.maxBatchBytes),
                archived: recovered.archived, time: time, log: log.component("forwarder"), onArchived: { wake.ring() })
        }

        // 4. The buffer's writer.
        gauge = BufferGauge(
            admission: BufferAdmission(maxBytes: configuration.buffer.maxBytes), store: store,
            directory: configuration.dataDirectory)
        let (forwarder, gauge) = (forwarder, gauge)
        writer = BufferWriter(log: store.current.log) { through in
            forwarder?.committed(epoch: epoch, through: through)
            gauge.committed()
        } onFailure: { error in
            log.error("buffer_write_failed", ["error": .string("\(error)")])
            gauge.failed()
            if let error = error as? SegmentedLogError, error.code == .fatal { onFatal("\(error)") }
        }
        let writer = writer
        writerThread = WorkerThread(name: "buffer-writer", stackBytes: 4 << 20) { writer.run(recent: recovered.recent) }

        // 5. What is asked from outside.
        ingest = ReportIngest(
            relayID: configuration.relayID, time: time, board: board, alerting: alerting, writer: writer,
            unsequenced: recovered.unsequenced, level: { gauge.level })
        let figures = FiguresSource(
            configuration: configuration, startedAt: startedAt, time: time, store: store, writer: writer,
            forwarder: forwarder, ingest: ingest, board: board, alerting: alerting, gauge: gauge,
            carriedOver: recovered.carriedOver)
        let console = Console(
            relayID: configuration.relayID, time: time, board: board, book: book, writer: writer,
            figures: { figures.now() }, readiness: { gauge.canStore })
        servers = try Self.serve(configuration, ingest, console)

        // 6. What happens by itself.
        maintenance = Maintenance(
            configuration: configuration, time: time, log: log.component("maintenance"), store: store, state: state,
            forwarder: forwarder, book: book, board: board, alerting: alerting, writer: writer, gauge: gauge, wake: wake
        )
        let maintenance = maintenance
        threads = Mutex(
            (forwarder?.start() ?? []) + [WorkerThread(name: "maintenance", stackBytes: 4 << 20) { maintenance.run() }])
        log.info(
            "relay_ready",
            [
                "relay_id": .string(configuration.relayID), "epoch": .string(epoch), "port": .int(port),
                "console_port": .int(consolePort), "carried_over": .int(recovered.carriedOver),
                "rules_version": .int(rules.version), "central": .string(configuration.central.first ?? "none"),
            ])
    }

    /// The drones' port.
    package var port: UInt16 { servers[0].port }
    /// The operators' port; the same where there is only one.
    package var consolePort: UInt16 { servers[servers.count - 1].port }

    private static func serve(
        _ configuration: RelayConfiguration, _ ingest: ReportIngest, _ console: Console
    ) throws -> [HTTPServer] {
        func server(_ address: ListenAddress, reports: Bool, operators: Bool) throws -> HTTPServer {
            try HTTPServer(
                HTTPServerConfiguration(
                    host: address.host, port: address.port, threads: configuration.limits.threads,
                    maxConnections: configuration.limits.maxConnections),
                handler: RelayRoutes(ingest: ingest, console: console, takesReports: reports, servesConsole: operators))
        }
        guard let consoleAddress = configuration.consoleListen else {
            return [try server(configuration.listen, reports: true, operators: true)]
        }
        return [
            try server(configuration.listen, reports: true, operators: false),
            try server(consoleAddress, reports: false, operators: true),
        ]
    }

    /// Stops taking reports, answers what was taken, leaves the buffer closed. Nothing acknowledged is lost.
    package func stop() {
        for server in servers { server.stopAccepting() }
        writer.close()
        writerThread.join()
        alerting.book.finishAll()
        for server in servers { server.stop() }
        forwarder?.stop()
        maintenance.stop()
        for thread in threads.withLock({ $0 }) { thread.join() }
        store.close()
        log.info("relay_stopped", ["relay_id": .string(configuration.relayID)])
    }
}
