// `columba stats`: the prepared statistics that central knows, and each of them as a table, JSON, CSV or SQL.
import DroneClient
import HTTPClient
import Simulation

package enum StatsCommand {
    static let specification = CommandSpecification(
        name: "stats",
        summary: "Lists central's prepared statistics, or shows one of them.",
        operands: "[list | NAME [PARAMETER=VALUE …]]",
        options: [
            OptionSpecification("central", "URL", "Central's address for analysts, such as http://127.0.0.1:8091"),
            OptionSpecification("from", "TIME", "Beginning: 2026-11-20T05:00:00Z, 2026-11-20, -24h, -7d"),
            OptionSpecification("to", "TIME", "End, not included"),
            OptionSpecification("format", "F", "table (default), json, csv, parquet, or sql: the statement behind it"),
            OptionSpecification("json", nil, "The same as --format json"),
            OptionSpecification("limit", "N", "At most N rows"),
        ] + TLSOptions.specifications,
        examples: [
            "columba stats --central http://127.0.0.1:8091",
            "columba stats top-words --central http://127.0.0.1:8091 --from -7d top=20",
            "columba stats drone-health --central http://127.0.0.1:8091 --format csv > drones.csv",
        ])

    private static let timeoutSeconds = 3_600.0
    private static let maxAnswerBytes = 1 << 30

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let central = try arguments.address("central")
        let tls = try TLSOptions.read(arguments)
        let format =
            try arguments.choice("format", of: ["table", "json", "csv", "parquet", "sql"])
            ?? (arguments.has("json") ? "json" : "table")
        guard let name = arguments.operands.first, name != "list" else {
            guard arguments.operands.count <= 1, ["table", "json"].contains(format) else {
                throw UsageError("the list is a table or JSON and takes no parameters")
            }
            return try list(central, tls, asJSON: format == "json", console)
        }
        if format == "parquet", console.outputIsTerminal {
            throw UsageError("Parquet is binary: send it to a file (> answer.parquet)")
        }
        var items: [(name: String, value: String)] = []
        for option in ["from", "to"] { if let value = arguments.string(option) { items.append((option, value)) } }
        for operand in arguments.operands.dropFirst() {
            let sides = operand.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else {
                throw UsageError("\(operand) is no parameter: write NAME=VALUE")
            }
            items.append((String(sides[0]), String(sides[1])))
        }
        if let limit = try arguments.integer("limit", in: 1...10_000_000) { items.append(("limit", String(limit))) }
        items.append(("format", format == "table" ? "json" : format))
        let response = try ask(
            "\(central)/v1/stats/\(AddressQuery.escaped(name))\(AddressQuery.text(items))", tls, console)
        show(response, format: format, console)
        return .ok
    }

    private static func ask(
        _ url: String, _ tls: HTTPClientTLS?, _ console: Console
    ) throws(CommandFailure) -> TransportResponse {
        let request = TransportRequest(
            "GET", url, timeoutSeconds: timeoutSeconds, maxResponseBytes: maxAnswerBytes)
        let response = try Waiting.show("waiting for the answer", console) {
            () throws(CommandFailure) -> TransportResponse in
            do throws(TransportFailure) { return try HTTPTransport(tls: tls).exchange(request) } catch {
                throw CommandFailure(error.reason)
            }
        }
        guard response.status == 200 else { throw CommandFailure(ProblemText.line(response)) }
        return response
    }

    private static func list(
        _ central: String, _ tls: HTTPClientTLS?, asJSON: Bool, _ console: Console
    ) throws -> CommandResult {
        let response = try ask("\(central)/v1/stats", tls, console)
        guard !asJSON else {
            console.data(response.body + [0x0A])
            return .ok
        }
        let entries = try OrderedJSON.parse(response.body)["statistics"]?.elements ?? []
        console.data(Array(table(entries).text(dim: { console.coloured($0, .dim) }).utf8))
        let broken = entries.filter { $0["error"] != nil }
        for entry in broken {
            console.message(
                TerminalText.neutralised(
                    "\(entry["name"]?.stringValue ?? "?"): \(entry["error"]?.stringValue ?? "broken")"))
        }
        console.message("\(entries.count - broken.count) statistics; columba stats NAME shows one")
        return .ok
    }

    package static func table(_ entries: [OrderedJSON]) -> TextTable {
        TextTable(
            header: ["name", "title", "parameters"],
            rows: entries.filter { $0["error"] == nil }.map { entry in
                let parameters = (entry["parameters"]?.elements ?? []).map { parameter in
                    let name = parameter["name"]?.stringValue ?? ""
                    return parameter["default"]?.stringValue.map { "\(name)=\($0)" } ?? name
                }
                return [
                    .text(entry["name"]?.stringValue ?? ""), .text(entry["title"]?.stringValue ?? ""),
                    .text(parameters.joined(separator: " ")),
                ]
            })
    }

    private static func show(_ response: TransportResponse, format: String, _ console: Console) {
        let suppressed = response.headers["x-suppressed-groups"].flatMap { Int($0) } ?? 0
        if format == "table", let answer = try? OrderedJSON.parse(response.body) {
            console.data(Array(SQLCommand.table(answer).text(dim: { console.coloured($0, .dim) }).utf8))
            console.message(TerminalText.neutralised(SQLCommand.footer(answer, complete: nil)))
        } else {
            console.data(response.body)
            if format != "csv", format != "parquet", response.body.last != 0x0A { console.data([0x0A]) }
        }
        if suppressed > 0 {
            console.message("\(suppressed) groups of too few people are left out")
        }
    }
}
