// `columba rules put` and `columba rules status`: the rule set that central hands to every relay.

extension RulesCommand {
    private static let withSettings = "application/vnd.columba.rules+json"
    private static let maxSettingsBytes = 64 << 10
    private static let maxRulesBytes = 256 << 10

    static func put(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        guard arguments.operands.count == 2 else { throw UsageError("columba rules put needs one file of rules") }
        let client = try CentralClient(arguments)
        let path = arguments.operands[1]
        var body = try InputFile(path).readAll(maxBytes: maxRulesBytes)
        var type = "text/plain; charset=utf-8"
        if let settings = arguments.string("settings") {
            let bytes = try InputFile(settings).readAll(maxBytes: maxSettingsBytes)
            guard let parsed = try? OrderedJSON.parse(bytes) else { throw CommandFailure("\(settings): is not JSON") }
            let message = OrderedJSON.object([
                "rules": .string(String(decoding: body, as: UTF8.self)), "settings": parsed,
            ])
            body = Array(message.text.utf8)
            type = withSettings
        }
        let answer = try client.json("PUT", "/v1/rules", body: body, type: type)
        if arguments.has("json") {
            console.data(answer.text)
        } else {
            console.data("version \(answer["version"]?.text ?? "?") is put")
        }
        return .ok
    }

    /// Exit status 1 where a relay refused the newest set.
    static func status(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let answer = try CentralClient(arguments).json("GET", "/v1/rules")
        let relays = answer["relays"]?.elements ?? []
        if arguments.has("json") {
            console.data(answer.text)
        } else {
            let columns = ["relay_id", "state", "version", "reason", "reported_at"]
            let rows = relays.map { relay in columns.map { (relay[$0] ?? .null).cell } }
            if !rows.isEmpty {
                console.data(Array(TextTable(header: columns, rows: rows).text { console.coloured($0, .dim) }.utf8))
            }
            let version = answer["version"]?.intValue ?? 0
            console.message(version == 0 ? "central has no rule set: each relay keeps its own" : "version \(version)")
        }
        return relays.contains { $0["state"]?.stringValue == "refused" } ? .failed : .ok
    }
}
