// `columba sql`: asks central's archive. Data on standard output; how complete it is on standard error.
import DroneClient
import Models
import Simulation
import System

package enum SQLCommand {
    static let specification = CommandSpecification(
        name: "sql",
        summary: "Asks central's archive: one read-only SELECT over reports, alerts, duplicates and relays.",
        operands: "\"SELECT …\" (- reads it from standard input)",
        options: [
            OptionSpecification("central", "URL", "Central's address for analysts, such as http://127.0.0.1:8091"),
            OptionSpecification("format", "F", "table (default), json, csv or parquet"),
            OptionSpecification("json", nil, "The same as --format json"),
            OptionSpecification("limit", "N", "At most N rows"),
        ] + TLSOptions.specifications,
        examples: [
            "columba sql --central http://127.0.0.1:8091 \"SELECT drone_id, count(*) n FROM reports GROUP BY 1\"",
            "columba sql --central http://127.0.0.1:8091 --format parquet \"SELECT * FROM reports\" > reports.parquet",
        ])

    /// Central stops a query at its own limit, by default well below this.
    private static let timeoutSeconds = 3_600.0
    private static let maxAnswerBytes = 1 << 30
    private static let maxStatementBytes = 1 << 20

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let central = try arguments.address("central")
        let tls = try TLSOptions.read(arguments)
        let format =
            try arguments.choice("format", of: ["table", "json", "csv", "parquet"])
            ?? (arguments.has("json") ? "json" : "table")
        let limit = try arguments.integer("limit", in: 1...Int(Int32.max))
        guard arguments.operands.count == 1, let operand = arguments.operands.first else {
            throw UsageError("sql needs one statement in quotes, or - for standard input")
        }
        if format == "parquet", console.outputIsTerminal {
            throw UsageError("Parquet is binary: send it to a file (> answer.parquet)")
        }
        let statement =
            operand == "-"
            ? String(decoding: try InputFile("-").readAll(maxBytes: maxStatementBytes), as: UTF8.self) : operand
        var members = [
            OrderedJSON.Member(name: "sql", value: .string(statement)),
            OrderedJSON.Member(name: "format", value: .string(format == "table" ? "json" : format)),
        ]
        if let limit { members.append(OrderedJSON.Member(name: "limit", value: .count(limit))) }
        let request = TransportRequest(
            "POST", central + "/v1/sql", headers: [("Content-Type", "application/json")],
            body: Array(OrderedJSON.object(members).text.utf8), timeoutSeconds: timeoutSeconds,
            maxResponseBytes: maxAnswerBytes)
        let response = try Waiting.show("waiting for the answer", console) {
            () throws(CommandFailure) -> TransportResponse in
            do throws(TransportFailure) { return try HTTPTransport(tls: tls).exchange(request) } catch {
                throw CommandFailure("\(central): \(error.reason)")
            }
        }
        guard response.status == 200 else {
            let detail = (try? OrderedJSON.parse(response.body))?["detail"]?.stringValue ?? ""
            if let excerpt = StatementExcerpt.text(detail: detail, statement: statement) { console.message(excerpt) }
            throw CommandFailure(ProblemText.line(response))
        }
        show(response, format: format, console)
        return .ok
    }

    private static func show(_ response: TransportResponse, format: String, _ console: Console) {
        let complete = response.headers["x-complete-through"].map { "complete through \($0)" }
        guard format == "table", let answer = try? OrderedJSON.parse(response.body) else {
            console.data(response.body)
            if format == "json", response.body.last != 0x0A { console.data([0x0A]) }
            if let complete { console.message(TerminalText.neutralised(complete)) }
            return
        }
        console.data(Array(table(answer).text(dim: { console.coloured($0, .dim) }).utf8))
        console.message(TerminalText.neutralised(footer(answer, complete: complete)))
    }

    package static func table(_ answer: OrderedJSON) -> TextTable {
        let columns = answer["columns"]?.elements.compactMap { $0["name"]?.stringValue } ?? []
        let rows = (answer["rows"]?.elements ?? []).map { row in columns.map { cell(row[$0] ?? .null) } }
        return TextTable(header: columns, rows: rows)
    }

    package static func footer(_ answer: OrderedJSON, complete: String?) -> String {
        let count = answer["row_count"]?.intValue ?? answer["rows"]?.elements.count ?? 0
        var text = count == 1 ? "1 row" : "\(ProgressBar.grouped(count)) rows"
        if answer["truncated"] == .bool(true) { text += ", cut off at the limit" }
        switch answer["complete_through"] {
        case .string(let through): text += "; complete through \(through)"
        case .none, .some(.null): text += complete.map { "; \($0)" } ?? ""
        case .some(let other): text += "; complete through \(other.text)"
        }
        return text
    }

    private static func cell(_ value: OrderedJSON) -> TextTable.Cell {
        switch value {
        case .null: .null
        case .integer, .number: .number(value.text)
        case .string(let text): .text(text)
        case .bool, .array, .object: .text(value.text)
        }
    }
}
