// `columba demo`: the whole path on one machine. Central and two relays as processes of their own, drones in this one.
import Models
import Simulation
import System

enum DemoCommand {
    static let specification = CommandSpecification(
        name: "demo", summary: "Runs central, two relays and simulated drones on this machine, until Ctrl-C.",
        operands: "",
        options: [
            OptionSpecification("drones", "N", "Number of drones (default 50)"),
            OptionSpecification("reports", "N", "Send N reports as fast as possible, then stay (default: go on)"),
            OptionSpecification("rate", "R", "Reports per second in all (default: 50, unlimited with --reports)"),
            OptionSpecification(
                "cluster", nil, "Three centrals on three NATS servers and an object store, not one central"),
            OptionSpecification("data", "DIR", "Keep the data there (default: a temporary folder, removed at the end)"),
            OptionSpecification("exit", nil, "End when all N reports are archived, and print a summary"),
            OptionSpecification("json", nil, "Print the summary as one JSON object"),
            OptionSpecification("seed", "S", "Seed of the simulation (default 1)"),
            OptionSpecification("boot", "B", "The drones' boot (default: one that no run before had)"),
        ],
        examples: ["columba demo", "columba demo --drones 50 --reports 20000 --exit --json", "columba demo --cluster"])

    private static let defaultReports = 1_000
    private static let defaultRate = 50.0

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        guard arguments.operands.isEmpty else { throw UsageError("demo takes no operands") }
        let fleet = try FlyCommand.fleet(arguments, defaultDrones: 50)
        let given = try arguments.integer("reports", in: 1...Int(Int32.max))
        let rate = try arguments.number("rate", in: 0.001...1_000_000)
        let reports = given ?? (arguments.has("exit") ? defaultReports : nil)
        let isInterrupted = Monitor(false)
        // Before any other thread and any child process.
        let interruption = Interruption { isInterrupted.update { $0 = true } }
        defer { interruption.dismiss() }
        let setup = try DemoSetup(folder: arguments.string("data"), isCluster: arguments.has("cluster"))
        var run = DemoRun(
            setup: setup, console: console, isInterrupted: isInterrupted, endsByItself: arguments.has("exit"))
        do {
            let summary = try run.run(
                fleet: fleet, reports: reports, rate: rate ?? (reports == nil ? defaultRate : nil))
            setup.cleanUp(afterFailure: summary.problem != nil, console)
            console.data(arguments.has("json") ? summary.json.text : summary.text)
            if let problem = summary.problem { throw CommandFailure(problem) }
            return .ok
        } catch {
            if !run.hasSummary { setup.cleanUp(afterFailure: true, console) }
            throw error
        }
    }
}
