// `columba quarantine`: what central could not read or store, and what is to become of it.

package enum QuarantineCommand {
    static let specification = CommandSpecification(
        name: "quarantine", summary: "Records that central set aside: lists, shows, tries again, drops.",
        operands: "list | show ID | retry ID… | drop ID…",
        options: CentralClient.specifications + [
            OptionSpecification("state", "S", "list: waiting (default), retrying, archived, dropped or all"),
            OptionSpecification("relay", "RELAY", "list: of this relay only"),
            OptionSpecification("limit", "N", "list: at most N records (default 100)"),
            OptionSpecification("raw", nil, "show: the record itself too; names may be in it, the look is logged"),
        ] + CentralClient.decision + [OptionSpecification("json", nil, "Prints central's answer")],
        examples: [
            "columba quarantine list --central http://127.0.0.1:8091",
            "columba quarantine retry 5f0c… --central http://127.0.0.1:8091 --note \"central is newer now\"",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let ids = Array(arguments.operands.dropFirst())
        switch arguments.operands.first {
        case "list" where ids.isEmpty: return try list(arguments, console)
        case "show" where ids.count == 1: return try show(ids[0], arguments, console)
        case "retry" where !ids.isEmpty: return try decide("retry", ids, arguments, console)
        case "drop" where !ids.isEmpty: return try decide("drop", ids, arguments, console)
        default: throw UsageError("say what to do: columba quarantine list | show ID | retry ID… | drop ID…")
        }
    }

    private static func list(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let client = try CentralClient(arguments)
        let states = ["waiting", "retrying", "archived", "dropped", "all"]
        var query = ["limit=\(try arguments.integer("limit", in: 1...1_000) ?? 100)"]
        if let state = try arguments.choice("state", of: states) { query.append("state=\(state)") }
        if let relay = arguments.string("relay") { query.append("relay_id=\(CentralClient.escaped(relay))") }
        let answer = try client.json("GET", "/v1/quarantine?" + query.joined(separator: "&"))
        if arguments.has("json") {
            console.data(answer.text)
            return .ok
        }
        let records = answer["records"]?.elements ?? []
        let columns = ["id", "relay_id", "n", "code", "state", "received_at", "bytes", "decided_by", "note"]
        let rows = records.map { record in columns.map { (record[$0] ?? .null).cell } }
        if !rows.isEmpty {
            console.data(Array(TextTable(header: columns, rows: rows).text { console.coloured($0, .dim) }.utf8))
        }
        let waiting = answer["waiting"]?.intValue ?? 0
        console.message("\(records.count) records shown, \(waiting) wait for a decision")
        return .ok
    }

    private static func show(_ id: String, _ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let raw = arguments.has("raw") ? "?raw=true" : ""
        let answer = try CentralClient(arguments).json("GET", "/v1/quarantine/\(CentralClient.escaped(id))\(raw)")
        if arguments.has("json") {
            console.data(answer.text)
            return .ok
        }
        guard case .object(let members) = answer else { return .failed }
        for member in members where member.value != .null {
            console.data("\(member.name): \(TerminalText.neutralised(member.value.stringValue ?? member.value.text))")
        }
        return .ok
    }

    private static func decide(
        _ decision: String, _ ids: [String], _ arguments: ParsedArguments, _ console: Console
    ) throws -> CommandResult {
        let client = try CentralClient(arguments)
        let body = try CentralClient.decision(arguments)
        var result = CommandResult.ok
        for id in ids {
            do throws(CommandFailure) {
                let answer = try client.json(
                    "POST", "/v1/quarantine/\(CentralClient.escaped(id))/\(decision)", body: body)
                console.data(arguments.has("json") ? answer.text : "\(id) \(answer["state"]?.stringValue ?? "")")
            } catch {
                console.message("\(TerminalText.neutralised(id)): \(error.message)")
                result = .failed
            }
        }
        return result
    }
}
