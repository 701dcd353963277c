// `columba rules`: `test`, here; `put` and `status`, which ask central, beside. `test`: what a file of rules would have
// raised for reports in NDJSON files, by the relay's own evaluator.
import AlertRules
import Configuration
import Models
import System

package enum RulesCommand {
    private static let maxRuleFileBytes = 16 << 20
    private static let lineFeed: UInt8 = 0x0A

    static let specification = CommandSpecification(
        name: "rules",
        summary:
            "Tests a relay's rules against given reports; puts rules at central for all relays, shows who has them.",
        operands: "test | put FILE | status",
        options: [
            OptionSpecification("rules", "FILE", "The rules (JSON5)"),
            OptionSpecification(
                "reports", "FILE[,FILE…]", "Reports, one JSON object a line; - is standard input. Without: rules only"),
            OptionSpecification("limit", "N", "Prints at most N alerts (default 1000); all are counted"),
            OptionSpecification("json", nil, "Prints one JSON object"),
            OptionSpecification("settings", "FILE", "put: settings that go with the rules, {\"limits\": {…}} (JSON)"),
        ] + CentralClient.specifications,
        examples: [
            "columba rules test --rules rules.json5 --reports flights.ndjson",
            "columba rules test --rules rules.json5",
            "columba rules put rules.json5 --central http://127.0.0.1:8091",
            "columba rules status --central http://127.0.0.1:8091",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        switch arguments.operands.first {
        case "test": return try test(arguments, console)
        case "put": return try put(arguments, console)
        case "status" where arguments.operands.count == 1: return try status(arguments, console)
        default: throw UsageError("say what to do: columba rules test … | put FILE … | status …")
        }
    }

    private static func test(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let path = try arguments.required("rules")
        let listed = arguments.string("reports").map { $0.split(separator: ",").map(String.init) } ?? []
        let limit = try arguments.integer("limit", in: 0...10_000_000) ?? 1_000
        let rules = try load(path)
        var trial = RuleTrial(rules: rules, keeping: limit)
        // Further files may stand at the end, as a shell's `*.ndjson` puts them.
        for file in listed + arguments.operands.dropFirst() { try read(file, into: &trial) }
        trial.finish()
        if arguments.has("json") {
            console.data(json(trial, rules).text)
        } else {
            show(trial, rules, path, console)
        }
        return .ok
    }

    private static func load(_ path: String) throws(CommandFailure) -> RuleSet {
        do {
            return try RuleFile.parse(json5: try InputFile(path).readAll(maxBytes: maxRuleFileBytes))
        } catch let error as ConfigurationError {
            let place = error.place.map { ":\($0.line):\($0.column)" } ?? ""
            let key = error.key.isEmpty ? "" : "\(error.key): "
            throw CommandFailure(TerminalText.neutralised("\(path)\(place): \(key)\(error.problem)"))
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure(TerminalText.neutralised("\(path): \(error)"))
        }
    }

    private static func read(_ path: String, into trial: inout RuleTrial) throws {
        let file = try InputFile(path)
        var line: [UInt8] = []
        var number = 0
        func endLine() {
            number += 1
            trial.take(line, file: path, line: number)
            line.removeAll(keepingCapacity: true)
        }
        while let piece = try file.read() {
            var rest = piece[...]
            while let end = rest.firstIndex(of: lineFeed) {
                line += rest[..<end]
                rest = rest[(end + 1)...]
                endLine()
            }
            line += rest
            // What no relay would take need not be kept whole to be refused.
            if line.count > 2 * ReportLimits.bodyBytes { line.removeLast(line.count - 2 * ReportLimits.bodyBytes) }
        }
        if !line.isEmpty { endLine() }
    }

    // MARK: Output

    private static func show(_ trial: RuleTrial, _ rules: RuleSet, _ path: String, _ console: Console) {
        if !trial.alerts.isEmpty {
            let rows = trial.alerts.map { alert -> [TextTable.Cell] in
                [
                    .text(alert.at.rfc3339), .text(alert.raised.rule.severity.rawValue), .text(alert.raised.rule.name),
                    .text(alert.identity.droneID), .number(String(alert.identity.seq)),
                    alert.raised.match.subject.isEmpty ? .null : .text(alert.raised.match.subject),
                    cell(alert.raised.match.value), cell(alert.raised.match.limit), .text(alert.place),
                ]
            }
            let header = ["at", "severity", "rule", "drone", "seq", "subject", "value", "limit", "report"]
            console.data(Array(TextTable(header: header, rows: rows).text { console.coloured($0, .dim) }.utf8))
        }
        for (place, problem) in trial.refused.prefix(20) {
            console.message("\(place): \(TerminalText.neutralised(problem))")
        }
        let counts = rules.rules.map { "\($0.name) \(trial.counts[$0.name] ?? 0)" }.joined(separator: ", ")
        console.message(
            "\(rules.rules.count) rules (version \(rules.version)), \(trial.reports) reports"
                + (trial.refusedCount > 0 ? ", \(trial.refusedCount) refused" : "") + ", \(trial.total) alerts"
                + (counts.isEmpty ? "" : ": \(counts)"))
        if trial.total > trial.alerts.count {
            console.message("the first \(trial.alerts.count) are shown; see --limit")
        }
    }

    private static func cell(_ number: Double?) -> TextTable.Cell {
        number.map { .number(OrderedJSON.number($0).text) } ?? .null
    }

    private static func json(_ trial: RuleTrial, _ rules: RuleSet) -> OrderedJSON {
        func optional(_ number: Double?) -> OrderedJSON { number.map { .number($0) } ?? .null }
        let alerts = trial.alerts.map { alert -> OrderedJSON in
            .object([
                "at": .string(alert.at.rfc3339), "rule": .string(alert.raised.rule.name),
                "severity": .string(alert.raised.rule.severity.rawValue),
                "drone_id": .string(alert.identity.droneID), "boot": .string(alert.identity.boot),
                "seq": .integer(alert.identity.seq), "subject": .string(alert.raised.match.subject),
                "citizen": alert.raised.match.citizen.map { .string($0) } ?? .null,
                "value": optional(alert.raised.match.value), "limit": optional(alert.raised.match.limit),
                "report": .string(alert.place),
            ])
        }
        let counts = rules.rules.map { rule -> OrderedJSON in
            .object(["rule": .string(rule.name), "alerts": .count(trial.counts[rule.name] ?? 0)])
        }
        let refused = trial.refused.map { refusal -> OrderedJSON in
            .object(["report": .string(refusal.place), "problem": .string(refusal.problem)])
        }
        return .object([
            "version": .count(rules.version), "reports": .count(trial.reports), "refused": .count(trial.refusedCount),
            "total": .count(trial.total), "rules": .array(counts), "alerts": .array(alerts),
            "problems": .array(refused),
        ])
    }
}
