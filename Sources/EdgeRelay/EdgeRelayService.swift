// The edge relay from top to bottom: read this first. Stages in the order of the flow; shutdown is the reverse.
//
//   drone ──POST──▶ RelayRoutes ─▶ ReportIngest ─▶ Alerting ─▶ AlertBook ─▶ followers          fails open  (I6)
//                                       │                 └─▶ AlertDelivery ─▶ webhooks, MQTT, CoT
//   drone ─PUBLISH─▶ MQTTReports ──▶────┤
//                                       └─▶ BufferWriter ─▶ SegmentedLog (fsync) ─▶ 202, PUBACK  fails closed (I1)
//                                                               │
//                                                               └─▶ Forwarder ─▶ central ─▶ archived: unlinked (I2)

import AlertRules
package import Log
import Configuration
package import System
import HTTPServer
import Models
import SegmentedLog

package final class EdgeRelayService: Sendable {
    package static let version = "0.1.0"

    private let relayID: String
    private let log: Log
    private let storage: RelayStorage
    private let alerting: Alerting
    private let delivery: AlertDelivery
    private let forwarder: Forwarder?
    private let writer: BufferWriter
    private let writerThread: WorkerThread
    private let identity: RelayIdentity
    private let console: Console
    private let servers: [HTTPServer]
    private let mqtt: MQTTListener?
    private let maintenance: Maintenance
    private let reporter: RelayReporter?
    private let operations: RelayOperations
    private let threads: [WorkerThread]

    /// Opens the data directory, takes over what an earlier life left, and serves. Returns when reports are accepted.
    /// - Parameters:
    ///   - notifier: the service manager, where there is one.
    ///   - reload: reads the configuration anew for `reload()`.
    ///   - onFatal: called once when the disk can no longer be trusted; the program must end (F35).
    package init(
        _ own: RelayConfiguration, time: any TimeSource, log: Log,
        notifier: ServiceNotifier = ServiceNotifier(environment: [:]),
        reload: @escaping @Sendable () throws -> RelayConfiguration,
        onFatal: @escaping @Sendable (String) -> Void
    ) throws {
        self.log = log
        relayID = own.relayID
        let startedAt = Timestamp(microseconds: time.wallMicroseconds())
        let link = try FleetLink(own, log: log)
        let (rules, configuration) = (link.ruleSet, link.configuration)

        // 1. What is on disk.
        storage = try RelayStorage(configuration, time: time, startedAt: startedAt, log: log)
        let (store, recovered) = (storage.store, storage.recovered)
        let certificates = try RelayIdentity(configuration, time: time, log: log)
        identity = certificates

        // 2. Alerts: they need nothing of what follows (I6).
        (delivery, alerting) = try Self.alerting(
            configuration, rules, recovered: recovered.alerts, time: time, log: log)
        let board = DroneBoard(configuration.limits, recovered.sightings, time: time)

        // 3. The uplink.
        let wake = MaintenanceWake()
        forwarder = Self.forwarder(configuration, storage, link.bell, time: time, log: log) { wake.ring() }

        // 4. The buffer's writer: what it commits, the uplink hears of.
        let gauge = BufferGauge(configuration, storage)
        let progress = WriterProgress(time: time)
        writer = Self.writer(store, gauge, forwarder, progress, log: log, onFatal: onFatal)
        let keeper = BufferKeeper(
            settings: configuration.buffer, time: time, log: log.component("buffer"), storage: storage,
            forwarder: forwarder, writer: writer, gauge: gauge)
        writerThread = writer.start(recent: recovered.recent)

        // 5. What is asked from outside.
        let ingest = ReportIngest(
            relayID: relayID, time: time, board: board, alerting: alerting, writer: writer,
            unsequenced: recovered.unsequenced, level: { gauge.level }, onImpersonation: certificates.impersonation)
        mqtt = try MQTTListener(configuration, ingest: ingest, identity: certificates, time: time, log: log)
        let mqtt = mqtt
        operations = RelayOperations(
            configuration, time: time, log: log, notifier: notifier, alerting: alerting, board: board, writer: writer,
            identity: certificates, mqtt: mqtt, rules: link.rules, load: reload)
        let figures = FiguresSource(
            configuration: configuration, startedAt: startedAt, time: time, store: store, writer: writer,
            forwarder: forwarder, ingest: ingest, board: board, alerting: alerting, gauge: gauge,
            recovered: recovered, keeper: keeper, durability: storage.durability, operations: operations)
        let page = OperatorPage(
            configuration, store, time: time, board, alerting.book, delivery, log: log, figures: figures, mqtt: mqtt)
        console = Console(
            relayID: relayID, time: time, board: board, book: alerting.book, delivery: delivery, writer: writer,
            page: page, figures: { figures.now().with(mqtt) }, readiness: { gauge.canStore && !progress.isStuck },
            moreMetrics: { certificates.metrics() })
        servers = try Self.serve(configuration, ingest, console, certificates)
        operations.endpoints.open(servers, configuration)

        // 6. What happens by itself.
        reporter = link.reporter(storage, forwarder, operations, writer, time: time) { figures.now() }
        maintenance = Maintenance(
            time: time, log: log.component("maintenance"), keeper: keeper, book: alerting.book, board: board,
            alerting: alerting, writer: writer, gauge: gauge, wake: wake,
            eachRound: operations.eachRound { figures.now().summary })
        store.startBackground()
        threads =
            (forwarder?.start() ?? []) + (reporter.map { [$0.start()] } ?? [])
            + [maintenance.start(), operations.supervisionThread()] + console.threads()
        announce(configuration, rulesVersion: rules.version, status: figures.now().summary)
    }

    private static func alerting(
        _ configuration: RelayConfiguration, _ rules: RuleSet, recovered: [AlertEntry], time: any TimeSource, log: Log
    ) throws -> (AlertDelivery, Alerting) {
        let book = AlertBook(foldSeconds: configuration.alerts.foldSeconds)
        book.restore(recovered)
        let delivery = try AlertDelivery(configuration, time: time, log: log.component("delivery"))
        let alerting = Alerting(
            relayID: configuration.relayID, rules: rules, book: book, wallMicroseconds: { time.wallMicroseconds() },
            onRaised: { delivery.offer($0, rule: $1) })
        try delivery.start(recovered: recovered, rules: rules)
        return (delivery, alerting)
    }

    private func announce(_ configuration: RelayConfiguration, rulesVersion: Int, status: String) {
        log.info(
            "relay_ready",
            [
                "relay_id": .string(relayID), "epoch": .string(storage.store.current.epoch), "port": .int(port),
                "console_port": .int(consolePort), "carried_over": .int(storage.recovered.carriedOver),
                "rules_version": .int(rulesVersion), "central": .string(configuration.central.first ?? "none"),
            ])
        operations.notifier.ready(status: status)
    }

    private static func forwarder(
        _ configuration: RelayConfiguration, _ storage: RelayStorage, _ bell: ReporterBell, time: any TimeSource,
        log: Log, onArchived: @escaping @Sendable () -> Void
    ) -> Forwarder? {
        guard !configuration.central.isEmpty else { return nil }
        return Forwarder(
            central: configuration.central, relayID: configuration.relayID, store: storage.store,
            limits: configuration.forward.limits,
            recovered: storage.recovered.epochs, tls: configuration.centralTLS, time: time,
            log: log.component("forwarder"), onAcknowledgement: { bell.acknowledged($0) }, onArchived: onArchived)
    }

    private static func writer(
        _ store: BufferStore, _ gauge: BufferGauge, _ forwarder: Forwarder?, _ progress: WriterProgress, log: Log,
        onFatal: @escaping @Sendable (String) -> Void
    ) -> BufferWriter {
        let epoch = store.current.epoch
        return BufferWriter(log: store.current.log, progress: progress) { through, alerts in
            forwarder?.committed(epoch: epoch, through: through, alerts: alerts)
            gauge.committed()
        } onFailure: { error in
            log.error("buffer_write_failed", ["error": .string("\(error)")])
            gauge.failed(diskFull: (error as? SegmentedLogError)?.code == .diskFull)
            // After a failed flush nobody knows what is on disk: never go on and acknowledge (F35).
            if let error = error as? SegmentedLogError, error.code == .fatal { onFatal("\(error)") }
        }
    }

    /// The drones' port.
    package var port: UInt16 { servers[0].port }
    /// The operators' port; the same where there is only one.
    package var consolePort: UInt16 { servers[servers.count - 1].port }

    private static func serve(
        _ configuration: RelayConfiguration, _ ingest: ReportIngest, _ console: Console, _ identity: RelayIdentity
    ) throws -> [HTTPServer] {
        func server(_ address: ListenAddress, reports: Bool, operators: Bool) throws -> HTTPServer {
            try identity.serve(
                configuration.limits.server(address.host, address.port),
                RelayRoutes(ingest: ingest, console: console, takesReports: reports, servesConsole: operators),
                always: reports)
        }
        guard let consoleAddress = configuration.consoleListen else {
            return [try server(configuration.listen, reports: true, operators: true)]
        }
        return [
            try server(configuration.listen, reports: true, operators: false),
            try server(consoleAddress, reports: false, operators: true),
        ]
    }

    /// Reads the configuration again and puts rules, limits and certificates in force; keeps the old ones where one
    /// thing is wrong.
    package func reload() { operations.runReload() }

    /// Stops taking reports, answers what was taken, leaves the buffer closed. Nothing acknowledged is lost.
    package func stop() {
        operations.notifier.stopping()
        operations.supervision.stop()
        for server in servers { server.stopAccepting() }
        mqtt?.stopAccepting()
        writer.close()
        writerThread.join()
        alerting.book.finishAll()
        // At the same time: each may wait for its slowest client.
        let stops = servers.map { server in WorkerThread(name: "http-stop") { server.stop() } }
        mqtt?.stop()
        for stop in stops { stop.join() }
        console.stop()
        forwarder?.stop()
        reporter?.stop()
        identity.stop()
        maintenance.stop()
        for thread in threads { thread.join() }
        delivery.stop()
        storage.store.close()
        log.info("relay_stopped", ["relay_id": .string(relayID)])
    }
}
