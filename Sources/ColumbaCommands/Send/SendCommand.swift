// `columba send`: posts reports from NDJSON files, byte for byte, until the relay has acknowledged each line or said
// what is wrong with it. Sending a file twice is harmless.
import DroneClient
import Models
import Simulation
import System

enum SendCommand {
    static let specification = CommandSpecification(
        name: "send",
        summary:
            "Posts reports from NDJSON files (- is standard input) to a relay, resending until they are acknowledged.",
        operands: "FILE…",
        options: [
            OptionSpecification("relay", "URL", "The relay, such as http://127.0.0.1:8080"),
            OptionSpecification("give-up-after", "S", "Seconds without an answer after which to give up (default 60)"),
            OptionSpecification("json", nil, "Prints one JSON object"),
        ] + TLSOptions.specifications,
        examples: [
            "columba send --relay http://127.0.0.1:8080 flights.ndjson",
            "zcat day.ndjson.gz | columba send --relay http://127.0.0.1:8080 -",
        ])

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let relay = try arguments.address("relay")
        let tls = try TLSOptions.read(arguments)
        let patience = try arguments.number("give-up-after", in: 0...86_400) ?? 60
        guard !arguments.operands.isEmpty else {
            throw UsageError("send needs at least one FILE, or - for standard input")
        }
        var total = SendFigures()
        for path in arguments.operands {
            let source = try InputFile(path)
            var upload = Upload(
                relay: relay, patienceSeconds: patience, console: console, file: source,
                transport: HTTPTransport(tls: tls))
            let figures = try upload.run()
            total.merge(figures, file: path)
        }
        if arguments.has("json") {
            console.data(total.json.text)
        } else {
            for rejection in total.rejections.prefix(SendFigures.shownRejections) { console.data(rejection.line) }
            if total.rejections.count > SendFigures.shownRejections {
                console.data("… and \(total.rejections.count - SendFigures.shownRejections) more; --json lists all")
            }
            console.data(total.summary)
        }
        return total.rejections.isEmpty ? .ok : .failed
    }
}

/// What became of the lines.
package struct SendFigures {
    static let shownRejections = 20

    package struct Rejection: Equatable {
        package var file: String
        package var lineNumber: Int
        package var code: String
        package var field: String?
        package var detail: String?

        package var line: String {
            let place = field.map { " (field \($0))" } ?? ""
            return TerminalText.neutralised("\(file):\(lineNumber): \(code)\(place)\(detail.map { ": \($0)" } ?? "")")
        }

        var json: OrderedJSON {
            .object([
                "file": .string(file), "line": .count(lineNumber), "code": .string(code),
                "field": field.map(OrderedJSON.string) ?? .null, "detail": detail.map(OrderedJSON.string) ?? .null,
            ])
        }
    }

    package private(set) var stored = 0
    package private(set) var duplicates = 0
    package private(set) var conflicts = 0
    /// Requests sent again because an answer was lost or said «later».
    var resentRequests = 0
    package var rejections: [Rejection] = []

    package init() {}

    var lines: Int { stored + duplicates + conflicts + rejections.count }

    package var summary: String {
        "\(lines) lines: \(stored) stored, \(duplicates) duplicate, \(conflicts) conflict, \(rejections.count) rejected"
    }

    var json: OrderedJSON {
        .object([
            "lines": .count(lines), "stored": .count(stored), "duplicate": .count(duplicates),
            "conflict": .count(conflicts), "rejected": .count(rejections.count),
            "resent_requests": .count(resentRequests), "rejections": .array(rejections.map(\.json)),
        ])
    }

    mutating func merge(_ other: SendFigures, file: String) {
        stored += other.stored
        duplicates += other.duplicates
        conflicts += other.conflicts
        resentRequests += other.resentRequests
        rejections += other.rejections.map {
            var rejection = $0
            rejection.file = file
            return rejection
        }
    }

    /// Counts the results of one chunk; they are in the order of its lines.
    package mutating func add(_ answer: OrderedJSON, lineNumbers: [Int]) throws(CommandFailure) {
        let results = answer["results"]?.elements ?? []
        guard results.count == lineNumbers.count else {
            throw CommandFailure("the relay answered \(results.count) results to \(lineNumbers.count) lines")
        }
        for (result, lineNumber) in zip(results, lineNumbers) {
            switch result["status"]?.stringValue {
            case "stored": stored += 1
            case "duplicate": duplicates += 1
            case "conflict": conflicts += 1
            default:
                let error = result["error"] ?? result
                rejections.append(
                    Rejection(
                        file: "", lineNumber: lineNumber,
                        code: error["code"]?.stringValue ?? error.stringValue ?? "rejected",
                        field: error["field"]?.stringValue, detail: error["detail"]?.stringValue))
            }
        }
    }
}
