// `make sim`: worlds from seeds, one after the other, until the wanted years are over or an invariant is broken. Data
// (one line a seed with --verbose, the result) goes to standard output, progress to standard error. Exit 0: nothing
// found; 1: an invariant was broken; 2: usage.

import Glibc
import System
import WorldSimulation

private let usage = """
    columba-sim runs drones, relays and central in one process with faults from a seed, and checks every promise.

      --seed S        the first seed (default 1); alone: just this one
      --seeds N       so many seeds from there
      --years Y       seeds until so many virtual years have passed
      --hours H       no world's faults last longer than so many virtual hours (CI: 2)
      --forever       seeds until an invariant is broken
      --mutation M    breaks the product on purpose (see --mutations); exit 1 means that it was noticed
      --mutations     lists the deliberate breaks
      --busy          small worlds in which everything goes wrong at once
      --speed         100 drones, 3 relays, a report a minute, no faults: how fast is it?
      --trace         prints the last events before a failure
      --verbose       one line for each seed

    """

private struct Arguments {
    var seed: UInt64 = 1
    var seeds: Int?
    var years: Double?
    var mutation: Mutation?
    var hours = 72.0
    var isSpeed = false
    var isBusy = false
    var keepsTrace = false
    var isVerbose = false

    init?(_ words: [String]) {
        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "--seed": guard let value = rest.popFirst().flatMap(UInt64.init) else { return nil }; seed = value
            case "--seeds": guard let value = rest.popFirst().flatMap(Int.init) else { return nil }; seeds = value
            case "--years": guard let value = rest.popFirst().flatMap(Double.init) else { return nil }; years = value
            case "--mutation":
                guard let value = rest.popFirst().flatMap(Mutation.init(rawValue:)) else { return nil }
                mutation = value
            case "--speed": isSpeed = true
            case "--hours": guard let value = rest.popFirst().flatMap(Double.init) else { return nil }; hours = value
            case "--forever": seeds = .max
            case "--busy": isBusy = true
            case "--trace": keepsTrace = true
            case "--verbose": isVerbose = true
            default: return nil
            }
        }
    }
}

@main
enum Program {
    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        if words == ["--help"] { return StandardStreams.output(usage) }
        if words == ["--mutations"] { return Mutation.allCases.forEach { say($0.rawValue) } }
        guard let arguments = Arguments(words) else {
            StandardStreams.error(usage)
            exit(2)
        }
        exit(arguments.isSpeed ? speed(arguments) : search(arguments))
    }

    private static func say(_ line: String) { StandardStreams.output(line + "\n") }

    private static func seconds(since start: UInt64) -> Double {
        Double(SystemTime().monotonicNanoseconds() - start) / 1e9
    }

    private static func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }

    // MARK: - Seeds

    private static func search(_ arguments: Arguments) -> Int32 {
        let start = SystemTime().monotonicNanoseconds()
        let wanted = arguments.years.map { $0 * 365.25 * 86_400 }
        let last = arguments.seeds ?? (wanted == nil ? 1 : .max)
        var virtual = 0.0
        var events = 0
        var count = 0
        var spoken = 0.0
        while count < last, virtual < wanted ?? .infinity {
            let seed = arguments.seed &+ UInt64(count)
            var options =
                arguments.isBusy
                ? WorldOptions.busy(seed: seed) : WorldOptions.drawn(seed: seed, longestHours: arguments.hours)
            options.mutation = arguments.mutation
            options.keepsLines = arguments.keepsTrace
            let outcome = WorldRun.run(options)
            count += 1
            virtual += outcome.virtualSeconds
            events += outcome.events
            if arguments.isVerbose || last == 1 { describe(outcome, options) }
            if let violation = outcome.violation {
                report(violation, outcome, options, arguments)
                return 1
            }
            let elapsed = seconds(since: start)
            if elapsed > spoken + 2 {
                spoken = elapsed
                StandardStreams.error(
                    "\(count) seeds, \(tenths(virtual / 86_400)) virtual days, \(Int(virtual / elapsed))× real time; "
                        + "next seed \(arguments.seed &+ UInt64(count))\n")
            }
        }
        let elapsed = seconds(since: start)
        say(
            "\(count) seeds, \(tenths(virtual / 86_400)) virtual days, \(events) events: nothing broken; "
                + "\(tenths(elapsed)) s, \(Int(virtual / elapsed))× real time")
        return 0
    }

    private static func describe(_ outcome: WorldOutcome, _ options: WorldOptions) {
        say(
            "seed \(outcome.seed) trace \(String(outcome.traceHash, radix: 16)) events \(outcome.events) virtual "
                + "\(Int(outcome.virtualSeconds)) s, converged after \(Int(outcome.convergedAfterSeconds)) s; "
                + "\(outcome.reports) reports, \(outcome.acknowledged) acknowledged, \(outcome.archived) archived, "
                + "\(outcome.commits) commits, \(outcome.crashes) crashes, \(outcome.zombies) second archivers")
        guard options.keepsLines else { return }
        say("faults: \(outcome.faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
        let kills = outcome.kills.sorted { $0.key.rawValue < $1.key.rawValue }
        say("kills: \(kills.map { "\($0.key.rawValue) \($0.value)" })")
    }

    private static func report(
        _ violation: Violation, _ outcome: WorldOutcome, _ options: WorldOptions, _ arguments: Arguments
    ) {
        for line in outcome.lines { say(line) }
        say("BROKEN \(violation)")
        say("seed \(outcome.seed): \(options.description)")
        say("trace \(String(outcome.traceHash, radix: 16)) after \(outcome.virtualSeconds) virtual seconds")
        let mutation = arguments.mutation.map { " MUTATION=\($0.rawValue)" } ?? ""
        say("again: make sim SEED=\(outcome.seed)\(mutation)")
    }

    // MARK: - Speed

    private static func speed(_ arguments: Arguments) -> Int32 {
        var options = WorldOptions(seed: arguments.seed)
        options.drones = 100
        options.faultHours = 24
        let start = SystemTime().monotonicNanoseconds()
        let outcome = WorldRun.run(options)
        let elapsed = seconds(since: start)
        describe(outcome, options)
        say("\(tenths(elapsed)) s: \(Int(outcome.virtualSeconds / elapsed))× real time")
        guard let violation = outcome.violation else { return 0 }
        report(violation, outcome, options, arguments)
        return 1
    }
}
