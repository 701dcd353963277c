// One run of the demo, from the first process to the last figure.
import DroneClient
import Models
import Simulation
import System

struct DemoRun {
    /// Without any change in the archive for this long while it should change, something is broken.
    private static let stallSeconds = 60.0
    /// The last alerts may still be on their way when the last report is acknowledged.
    private static let lastAlertsSeconds = 5.0
    private static let secondsBetweenLooks = 0.2
    private static let secondsBetweenPlainLines = 5.0

    let setup: DemoSetup
    let console: Console
    let isInterrupted: Monitor<Bool>
    let endsByItself: Bool
    private(set) var hasSummary = false

    private let time = SystemTime()
    private let servers = DemoProcesses()
    private var baseline = DemoObserver.Archive()

    init(setup: DemoSetup, console: Console, isInterrupted: Monitor<Bool>, endsByItself: Bool) {
        self.setup = setup
        self.console = console
        self.isInterrupted = isInterrupted
        self.endsByItself = endsByItself
    }

    mutating func run(fleet: DroneSimulator.Configuration, reports: Int?, rate: Double?) throws -> DemoSummary {
        defer { servers.stop() }
        try startServers()
        let watch = AlertWatch(recorder: FlightRecorder(ledger: nil, console: console))
        let subscribers = setup.relays.map { relay in
            AlertSubscriber(url: relay.url) { event, nanoseconds in watch.heard(event, at: nanoseconds) }
        }
        defer { for subscriber in subscribers { subscriber.stop() } }
        for (subscriber, relay) in zip(subscribers, setup.relays)
        where !subscriber.waitUntilConnected(timeoutSeconds: 10) {
            throw CommandFailure("\(relay.id) does not accept a subscription to its alerts")
        }
        let observer = DemoObserver(setup: setup, transport: HTTPTransport())
        try settle(observer)
        baseline = try observer.archive()
        announce()
        var plan = FlightPlan(
            relays: setup.relays.map { RelayEndpoint(url: $0.url, position: $0.position) }, fleet: fleet)
        plan.reports = reports
        plan.reportsPerSecond = rate
        let start = now
        let flight = Flight(plan, observer: watch, transport: { HTTPTransport() })
        defer { flight.stop() }
        let ending = try follow(flight, watch, observer)
        let elapsed = now.seconds(since: start)
        flight.stop()
        _ = flight.wait(timeoutSeconds: 10)
        _ = watch.waitForAll(timeoutSeconds: ending == .interrupted ? 0 : Self.lastAlertsSeconds)
        let figures = try look(flight, watch, observer)
        hasSummary = true
        return DemoSummary(
            figures: figures, flight: flight.figures, alertLatency: watch.latency, elapsedSeconds: elapsed,
            setup: setup,
            ending: ending, endsByItself: endsByItself, drones: fleet.drones)
    }

    private func startServers() throws {
        for stage in setup.stages { try servers.start(stage) }
    }

    /// With `--data`, an earlier run may have left reports in the relays: they must not count as this run's.
    private func settle(_ observer: DemoObserver) throws {
        let deadline = now.adding(seconds: Self.stallSeconds)
        while try observer.waiting() > 0, now < deadline, !wasInterrupted { Waiting.pause(seconds: 0.1) }
    }

    private func announce() {
        for url in setup.centralURLs { console.message("central    \(url)/") }
        if let cluster = setup.cluster {
            console.message("stream     \(cluster.natsURLs.joined(separator: " "))")
            console.message("storage    \(cluster.storeURL)  (S3)")
        }
        for relay in setup.relays {
            console.message("relay      \(relay.url)/  (\(relay.id))")
        }
        console.message("data       \(setup.folder)\(setup.isTemporary ? "  (removed at the end)" : "")")
        guard !endsByItself, let relay = setup.relays.first else { return }
        console.message(
            """
            try        curl -N \(relay.url)/v1/alerts/stream
                       columba alerts --relay \(relay.url) --follow
                       columba sql --central \(setup.centralURL) "SELECT drone_id, count(*) n FROM reports GROUP BY 1"
            Ctrl-C stops everything.
            """)
    }

    /// Shows the figures until the demo may end.
    private func follow(_ flight: Flight, _ watch: AlertWatch, _ observer: DemoObserver) throws -> DemoSummary.Ending {
        var last = DemoFigures()
        var changedAt = now
        var plainLineAt = now
        while true {
            if wasInterrupted { return .interrupted }
            try servers.check()
            let hasLanded = flight.wait(timeoutSeconds: 0)
            // One slow answer of a busy machine is no failure; a server that never answers again is a stall.
            let figures = (try? look(flight, watch, observer)) ?? last
            show(figures, &plainLineAt)
            if figures != last { changedAt = now }
            last = figures
            if endsByItself {
                let isArchived = figures.archived + figures.duplicates >= figures.acknowledged && figures.waiting == 0
                if hasLanded, isArchived { return .complete }
                // Drones that pause because of a low rate are not stuck: everything they sent has arrived.
                let shouldMove = hasLanded || figures.sent > figures.acknowledged || !isArchived
                if shouldMove, now.seconds(since: changedAt) > Self.stallSeconds { return .stalled }
            }
            _ = isInterrupted.wait(timeoutSeconds: Self.secondsBetweenLooks) { $0 ? true : nil }
        }
    }

    private func show(_ figures: DemoFigures, _ plainLineAt: inout MonotonicInstant) {
        if console.isInteractive {
            console.live(TerminalText.truncated(figures.line, columns: console.columns - 1))
        } else if now.seconds(since: plainLineAt) >= Self.secondsBetweenPlainLines {
            plainLineAt = now
            console.message(figures.line)
        }
    }

    private func look(_ flight: Flight, _ watch: AlertWatch, _ observer: DemoObserver) throws -> DemoFigures {
        let waiting = try observer.waiting()
        let archive = try observer.archive()
        let flown = flight.figures
        var figures = DemoFigures()
        figures.sent = flown.sent
        figures.acknowledged = flown.acknowledged
        figures.waiting = waiting
        figures.archived = archive.reports - baseline.reports
        figures.duplicates = archive.duplicates - baseline.duplicates
        figures.conflicts = archive.conflicts - baseline.conflicts
        figures.alerts = watch.alerts
        return figures
    }

    private var wasInterrupted: Bool { isInterrupted.withLock { $0 } }
    private var now: MonotonicInstant { MonotonicInstant(nanoseconds: time.monotonicNanoseconds()) }
}
