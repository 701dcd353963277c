// `columba complete`: how far the archive is complete, and who holds it back.

package enum CompleteCommand {
    static let specification = CommandSpecification(
        name: "complete", summary: "How far central's archive is complete, relay by relay: gaps, waiting, lost.",
        operands: "",
        options: CentralClient.specifications + [
            OptionSpecification("from", "TIME", "Only gaps that may hold records from then on (RFC 3339)"),
            OptionSpecification("to", "TIME", "Is everything received before then archived? (exit status 1: no)"),
            OptionSpecification("gaps", nil, "Lists each gap"),
            OptionSpecification("retire", "RELAY", "This relay is gone for good: it holds nothing back any more"),
        ] + CentralClient.decision + [OptionSpecification("json", nil, "Prints central's answer")],
        examples: [
            "columba complete --central http://127.0.0.1:8091",
            "columba complete --central http://127.0.0.1:8091 --to 2026-11-20T00:00:00Z",
            "columba complete --central http://127.0.0.1:8091 --retire north-3 --by ops --note scrapped",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        guard arguments.operands.isEmpty else { throw UsageError("complete takes no operands") }
        let client = try CentralClient(arguments)
        if let relay = arguments.string("retire") {
            let path = "/v1/relays/\(CentralClient.escaped(relay))/retire"
            let answer = try client.json("POST", path, body: try CentralClient.decision(arguments))
            console.data(arguments.has("json") ? answer.text : "\(relay) is retired")
            return .ok
        }
        var query: [String] = []
        for name in ["from", "to"] {
            if let time = arguments.string(name) { query.append("\(name)=\(CentralClient.escaped(time))") }
        }
        let answer = try client.json(
            "GET", "/v1/completeness" + (query.isEmpty ? "" : "?" + query.joined(separator: "&")))
        if arguments.has("json") {
            console.data(answer.text)
        } else {
            show(answer, listsGaps: arguments.has("gaps"), console)
        }
        return answer["complete"] == .bool(false) ? .failed : .ok
    }

    private static func show(_ answer: OrderedJSON, listsGaps: Bool, _ console: Console) {
        let relays = answer["relays"]?.elements ?? []
        let columns = [
            "relay_id", "state", "complete_through", "waiting_at_relay", "waiting_at_central", "lost", "gap_count",
            "last_contact",
        ]
        let rows = relays.map { relay in columns.map { (relay[$0] ?? .null).cell } }
        if !rows.isEmpty {
            console.data(Array(TextTable(header: columns, rows: rows).text { console.coloured($0, .dim) }.utf8))
        }
        if listsGaps { showGaps(relays, console) }
        let holders = (answer["held_back_by"]?.elements ?? []).compactMap(\.stringValue)
        let through = answer["complete_through"]?.stringValue
        var text = through.map { "complete through \($0)" } ?? "nothing is known to be complete"
        if !holders.isEmpty { text += "; the last one: \(holders.joined(separator: ", "))" }
        console.message(TerminalText.neutralised(text))
    }

    private static func showGaps(_ relays: [OrderedJSON], _ console: Console) {
        let columns = ["epoch", "first", "last", "state", "received_after", "received_before"]
        let rows = relays.flatMap { relay in
            (relay["gaps"]?.elements ?? []).map { gap in
                [(relay["relay_id"] ?? .null).cell] + columns.map { (gap[$0] ?? .null).cell }
            }
        }
        guard !rows.isEmpty else { return console.message("no gaps") }
        let table = TextTable(header: ["relay_id"] + columns, rows: rows)
        console.data(Array(table.text { console.coloured($0, .dim) }.utf8))
    }
}
