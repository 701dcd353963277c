// `columba fly`: simulated drones as a reference client. Nearest relay first, the next one if it fails, resending the
// same bytes until they are acknowledged.
import DroneClient
import Models
import Simulation
import System

enum FlyCommand {
    static let specification = CommandSpecification(
        name: "fly", summary: "Flies simulated drones that report to the nearest relay and resend until acknowledged.",
        operands: "",
        options: [
            OptionSpecification("relay", "URL[,URL…]", "The relays; their own positions decide which is nearest"),
            OptionSpecification("drones", "N", "Number of drones (default 10)"),
            OptionSpecification("rate", "R", "Reports per second in all (default: as fast as the answers come)"),
            OptionSpecification("reports", "N", "Stop after N reports (default: at Ctrl-C)"),
            OptionSpecification("seed", "S", "Seed of the simulation (default 1)"),
            OptionSpecification("boot", "B", "The drones' boot (default: one that no run before had)"),
            OptionSpecification("resend-share", "X", "Share of acknowledged reports to send once more, 0 to 1"),
            OptionSpecification("connections", "C", "Connections, each a thread (default: one per drone, at most 16)"),
            OptionSpecification("ledger", "FILE", "Append a line «drone boot seq sha256 status» per acknowledgement"),
            OptionSpecification("json", nil, "Prints one JSON object at the end"),
            OptionSpecification("certs", "DIR", "DIR/DRONE/identity.pem is each drone's certificate with its key"),
        ] + TLSOptions.specifications,
        examples: ["columba fly --relay http://127.0.0.1:8080 --drones 50 --reports 1000"])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let tls = try TLSOptions.read(arguments)
        let certificates = arguments.string("certs")
        let addresses = try arguments.addresses("relay")
        guard arguments.operands.isEmpty else { throw UsageError("fly takes no operands") }
        var plan = FlightPlan(relays: [], fleet: try fleet(arguments, defaultDrones: 10))
        plan.reports = try arguments.integer("reports", in: 1...Int(Int32.max))
        plan.reportsPerSecond = try arguments.number("rate", in: 0.001...1_000_000)
        plan.resendShare = try arguments.number("resend-share", in: 0...1) ?? 0
        plan.connections = try arguments.integer("connections", in: 1...1_024) ?? plan.connections
        let scout = DroneSimulator(plan.fleet).drones.first?.droneID
        plan.relays = addresses.map {
            RelayDirectory.endpoint(
                url: $0, transport: HTTPTransport(tls: tls, droneDirectory: certificates), droneID: scout)
        }
        let recorder = FlightRecorder(ledger: try arguments.string("ledger").map(Ledger.init), console: console)
        let isInterrupted = Monitor(false)
        let interrupt = Interruption { isInterrupted.update { $0 = true } }
        let flight = Flight(
            plan, observer: recorder, transport: { HTTPTransport(tls: tls, droneDirectory: certificates) })
        let elapsed = watch(flight, isInterrupted, console)
        interrupt.dismiss()
        let figures = flight.figures
        if arguments.has("json") {
            console.data(json(figures, elapsedSeconds: elapsed).text)
        } else {
            console.data(summary(figures, elapsedSeconds: elapsed))
        }
        if let problem = recorder.ledger?.problem {
            throw CommandFailure("the ledger could not be written: \(problem)")
        }
        // Without a number of reports, Ctrl-C is the way to end: what was under way then is no failure.
        let isComplete = figures.acknowledged == figures.sent || plan.reports == nil
        return figures.refused == 0 && isComplete ? .ok : .failed
    }

    static func fleet(
        _ arguments: ParsedArguments, defaultDrones: Int
    ) throws(UsageError) -> DroneSimulator.Configuration {
        let drones = try arguments.integer("drones", in: 1...1_000_000) ?? defaultDrones
        let seed = try arguments.integer("seed", in: 0...Int.max) ?? 1
        let boot = arguments.string("boot") ?? DroneSimulator.uniqueBoot()
        guard Identifier.isValidBoot(boot) else { throw UsageError("--boot is 1 to 32 of A-Z a-z 0-9 . _ -") }
        return DroneSimulator.Configuration(drones: drones, seed: UInt64(seed), boot: boot)
    }

    /// Shows the flight's progress until it has ended; the seconds it took.
    private static func watch(_ flight: Flight, _ isInterrupted: Monitor<Bool>, _ console: Console) -> Double {
        let time = SystemTime()
        let start = MonotonicInstant(nanoseconds: time.monotonicNanoseconds())
        var progress = ProgressDisplay(console, ProgressBar(label: "flying", total: flight.plan.reports), now: start)
        while !flight.wait(timeoutSeconds: 0.2) {
            if isInterrupted.withLock({ $0 }) { flight.stop() }
            let figures = flight.figures
            progress.show(
                done: figures.acknowledged, note: "\(ProgressBar.grouped(figures.acknowledged)) acknowledged",
                now: MonotonicInstant(nanoseconds: time.monotonicNanoseconds()))
        }
        progress.end()
        return MonotonicInstant(nanoseconds: time.monotonicNanoseconds()).seconds(since: start)
    }

    private static func json(_ figures: FlightFigures, elapsedSeconds: Double) -> OrderedJSON {
        .object([
            "sent": .count(figures.sent), "acknowledged": .count(figures.acknowledged),
            "stored": .count(figures.stored), "duplicates": .count(figures.duplicates),
            "conflicts": .count(figures.conflicts), "refused": .count(figures.refused),
            "resent": .count(figures.resent), "with_alert": .count(figures.withAlert),
            "acknowledgement_ms": figures.acknowledgement.json, "elapsed_s": .figure(elapsedSeconds),
            "reports_per_s": .figure(Double(figures.acknowledged) / max(elapsedSeconds, 0.001)),
        ])
    }

    private static func summary(_ figures: FlightFigures, elapsedSeconds: Double) -> String {
        var text =
            "\(ProgressBar.grouped(figures.sent)) sent, \(ProgressBar.grouped(figures.acknowledged)) acknowledged "
        text += "(\(figures.duplicates) duplicate, \(figures.conflicts) conflict), \(figures.refused) refused, "
        text += "\(figures.resent) resent, in \(OrderedJSON.figure(elapsedSeconds).text) s"
        if let failure = figures.lastFailure { text += "\nlast trouble: \(TerminalText.neutralised(failure))" }
        return text
    }
}

extension LatencyHistogram {
    /// `{"p50":…,"p99":…}` in milliseconds; null without samples.
    var json: OrderedJSON {
        .object([
            "p50": .figure(quantile(0.5).map { $0 * 1_000 }), "p99": .figure(quantile(0.99).map { $0 * 1_000 }),
        ])
    }
}

/// Writes acknowledgements to the ledger, and says what was refused (once: a wrong client refuses every report).
final class FlightRecorder: FlightObserver {
    let ledger: Ledger?
    private let console: Console
    private let hasComplained = Monitor(false)

    init(ledger: Ledger?, console: Console) {
        self.ledger = ledger
        self.console = console
    }

    func willSend(_ report: SimulatedReport, monotonicNanoseconds: UInt64) {}

    func acknowledged(_ report: SimulatedReport, status: String) {
        ledger?.acknowledged(report, status: status)
    }

    func refused(_ report: SimulatedReport, httpStatus: Int, answer: [UInt8]) {
        let isFirst = hasComplained.update { complained in
            defer { complained = true }
            return !complained
        }
        guard isFirst else { return }
        let why = ProblemText.line(TransportResponse(status: httpStatus, body: answer))
        console.message("columba: refused: \(report.identity.droneID) \(report.identity.seq): \(why)")
    }
}
