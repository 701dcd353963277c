// `columba incidents`: what an operator of central must know of; closing what a person has dealt with.

package enum IncidentsCommand {
    static let specification = CommandSpecification(
        name: "incidents", summary: "Central's incidents: lists them, closes what has been dealt with.",
        operands: "list | close ID",
        options: CentralClient.specifications + [
            OptionSpecification("all", nil, "list: closed ones too")
        ] + CentralClient.decision + [OptionSpecification("json", nil, "Prints central's answer")],
        examples: [
            "columba incidents list --central http://127.0.0.1:8091",
            "columba incidents close rollback.north-3 --central http://127.0.0.1:8091 --note \"restored on purpose\"",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let operands = arguments.operands
        switch (operands.first, operands.count) {
        case ("list", 1): return try list(arguments, console)
        case ("close", 2):
            let path = "/v1/incidents/\(CentralClient.escaped(operands[1]))/close"
            let answer = try CentralClient(arguments).json(
                "POST", path, body: try CentralClient.decision(arguments))
            console.data(arguments.has("json") ? answer.text : "\(operands[1]) closed")
            return .ok
        default: throw UsageError("say what to do: columba incidents list | close ID")
        }
    }

    private static func list(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let answer = try CentralClient(arguments).json("GET", "/v1/incidents")
        if arguments.has("json") {
            console.data(answer.text)
            return .ok
        }
        let shown = (answer["incidents"]?.elements ?? []).filter {
            arguments.has("all") || $0["state"]?.stringValue == "open"
        }
        let columns = ["id", "state", "count", "first_seen", "last_seen", "detail"]
        if !shown.isEmpty {
            let rows = shown.map { incident in columns.map { (incident[$0] ?? .null).cell } }
            console.data(Array(TextTable(header: columns, rows: rows).text { console.coloured($0, .dim) }.utf8))
        }
        for incident in shown {
            let (id, meaning) = (incident["id"]?.stringValue ?? "", incident["meaning"]?.stringValue ?? "")
            let advice = incident["what_to_do"]?.stringValue ?? ""
            console.message(TerminalText.neutralised("\(id): \(meaning) \(advice)"))
        }
        if shown.isEmpty { console.message("no open incidents") }
        return .ok
    }
}
