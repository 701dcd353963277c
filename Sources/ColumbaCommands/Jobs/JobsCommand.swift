// `columba jobs list|show|run|history`: central's scheduled SQL.
import DroneClient
import HTTPClient
import Models
import Simulation
import System

package enum JobsCommand {
    static let specification = CommandSpecification(
        name: "jobs", summary: "Lists, shows and runs central's scheduled SQL jobs, and what became of their runs.",
        operands: "list | show NAME | run NAME | history NAME",
        options: [
            OptionSpecification("central", "URL", "Central's address for analysts, such as http://127.0.0.1:8091"),
            OptionSpecification("wait", nil, "With run: waits for the end; exit 1 if it failed"),
            OptionSpecification("limit", "N", "With history: at most N runs"),
            OptionSpecification("json", nil, "Prints central's JSON"),
        ] + TLSOptions.specifications,
        examples: [
            "columba jobs list --central http://127.0.0.1:8091",
            "columba jobs run hourly_counts --wait --central http://127.0.0.1:8091",
        ])

    private static let secondsBetweenLooks = 0.3

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let client = JobsClient(
            central: try arguments.address("central"), tls: try TLSOptions.read(arguments))
        let limit = try arguments.integer("limit", in: 1...1_000)
        let verb = arguments.operands.first
        if arguments.has("wait"), verb != "run" { throw UsageError("--wait goes with run") }
        if limit != nil, verb != "history" { throw UsageError("--limit goes with history") }
        switch (verb, arguments.operands.count) {
        case ("list", 1):
            let answer = try client.get("")
            show(answer, arguments, console) { table(jobs: $0) }
            return .ok
        case ("show", 2):
            let answer = try client.get("/" + name(arguments))
            show(answer, arguments, console) { _ in nil }
            if !arguments.has("json") { console.data(details(answer)) }
            return .ok
        case ("history", 2):
            let answer = try client.get("/\(try name(arguments))/runs" + (limit.map { "?limit=\($0)" } ?? ""))
            show(answer, arguments, console) { table(runs: $0) }
            return .ok
        case ("run", 2): return try begin(try name(arguments), client, arguments, console)
        default: throw UsageError("say what to do: columba jobs list, show NAME, run NAME or history NAME")
        }
    }

    private static func name(_ arguments: ParsedArguments) throws(UsageError) -> String {
        let name = arguments.operands[1]
        guard name.utf8.allSatisfy({ (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }) else {
            throw UsageError("a job's name is made of a-z, 0-9 and _")
        }
        return name
    }

    private static func show(
        _ answer: OrderedJSON, _ arguments: ParsedArguments, _ console: Console, _ table: (OrderedJSON) -> TextTable?
    ) {
        if arguments.has("json") {
            console.data(answer.text)
        } else if let table = table(answer) {
            console.data(Array(table.text(dim: { console.coloured($0, .dim) }).utf8))
        }
    }

    // MARK: Running

    private static func begin(
        _ name: String, _ client: JobsClient, _ arguments: ParsedArguments, _ console: Console
    ) throws -> CommandResult {
        let begun = try client.post("/\(name)/run")
        guard arguments.has("wait"), let at = begun["scheduled_at"]?.stringValue else {
            if arguments.has("json") { console.data(begun.text) }
            console.message("\(name) is running; columba jobs history \(name) shows its end")
            return .ok
        }
        let run = try Waiting.show("\(name) is running", console) { () throws(CommandFailure) -> OrderedJSON in
            while true {
                let runs = try client.get("/\(name)/runs?limit=20")["runs"]?.elements ?? []
                let mine = runs.first { $0["scheduled_at"]?.stringValue == at && $0["manual"] == .bool(true) }
                if let mine, mine["outcome"]?.stringValue != "running" { return mine }
                Waiting.pause(seconds: secondsBetweenLooks)
            }
        }
        if arguments.has("json") { console.data(run.text) }
        let outcome = run["outcome"]?.stringValue ?? ""
        let rows = run["rows"]?.intValue.map { ", \($0) rows" } ?? ""
        let detail = run["detail"]?.stringValue.map { ": \($0)" } ?? ""
        console.message(TerminalText.neutralised("\(name): \(outcome)\(rows)\(detail)"))
        return ["succeeded", "already_done"].contains(outcome) ? .ok : .failed
    }

    // MARK: Output

    package static func table(jobs answer: OrderedJSON) -> TextTable {
        let rows = (answer["jobs"]?.elements ?? []).map { job -> [TextTable.Cell] in
            let last = job["last_run"]
            return [
                text(job["name"]), text(job["state"]), text(job["schedule"]), output(job["output"]),
                text(job["next_run"]), text(last?["outcome"]), text(last?["scheduled_at"]),
                job["error"] == nil ? text(last?["detail"]) : text(job["error"]),
            ]
        }
        return TextTable(
            header: ["job", "state", "schedule", "output", "next run", "last outcome", "of", "problem"], rows: rows)
    }

    package static func table(runs answer: OrderedJSON) -> TextTable {
        let rows = (answer["runs"]?.elements ?? []).map { run -> [TextTable.Cell] in
            [
                text(run["scheduled_at"]), text(run["outcome"]), number(run["attempt"]), number(run["duration_s"]),
                number(run["rows"]), number(run["version"]), text(run["file"]), text(run["detail"]),
            ]
        }
        return TextTable(
            header: ["scheduled at", "outcome", "attempt", "seconds", "rows", "version", "file", "problem"], rows: rows)
    }

    private static func details(_ job: OrderedJSON) -> String {
        let members = ["state", "error", "title", "schedule", "catch_up", "next_run", "last_success"]
        let lines = members.compactMap { name in job[name]?.stringValue.map { "\(name): \($0)\n" } }
        let text = lines.joined() + "\n" + (job["text"]?.stringValue ?? "")
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { TerminalText.neutralised(String($0)) }.joined(separator: "\n")
    }

    private static func output(_ output: OrderedJSON?) -> TextTable.Cell {
        if let table = output?["table"]?.stringValue { return .text(table) }
        guard let folder = output?["folder"]?.stringValue, let format = output?["format"]?.stringValue else {
            return .null
        }
        return .text("\(folder)/*.\(format)")
    }

    private static func text(_ value: OrderedJSON?) -> TextTable.Cell {
        value?.stringValue.map { $0.isEmpty ? .null : .text($0) } ?? .null
    }

    private static func number(_ value: OrderedJSON?) -> TextTable.Cell {
        switch value {
        case .none, .some(.null): .null
        case .some(let number): .number(number.text)
        }
    }
}

/// Central's addresses below /v1/jobs.
private struct JobsClient {
    let central: String
    let tls: HTTPClientTLS?

    func get(_ path: String) throws(CommandFailure) -> OrderedJSON { try exchange("GET", path) }
    func post(_ path: String) throws(CommandFailure) -> OrderedJSON { try exchange("POST", path) }

    private func exchange(_ method: String, _ path: String) throws(CommandFailure) -> OrderedJSON {
        let response: TransportResponse
        do throws(TransportFailure) {
            response = try HTTPTransport(tls: tls).exchange(TransportRequest(method, central + "/v1/jobs" + path))
        } catch {
            throw CommandFailure("\(central): \(error.reason)")
        }
        guard (200...299).contains(response.status) else { throw CommandFailure(ProblemText.line(response)) }
        guard let answer = try? OrderedJSON.parse(response.body) else {
            throw CommandFailure("\(central): the answer is not JSON")
        }
        return answer
    }
}
