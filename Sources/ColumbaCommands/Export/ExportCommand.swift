// `columba export`: all reports that fit the filters, as one file. Central writes it, this side stores it as it comes:
// neither holds it in memory, and an interrupted export leaves no half file under the name asked for.
import DroneClient
import Glibc
import HTTPClient
import Models
import Simulation
import System

package enum ExportCommand {
    static let specification = CommandSpecification(
        name: "export",
        summary: "Writes reports from central's archive to a file: Parquet, CSV, GeoJSON or NDJSON.",
        operands: "",
        options: [
            OptionSpecification("central", "URL", "Central's address for analysts, such as http://127.0.0.1:8091"),
            OptionSpecification("format", "F", "parquet (default), csv, geojson or ndjson"),
            OptionSpecification("o", "FILE", "Where to (- is standard output)"),
            OptionSpecification("from", "TIME", "Beginning: 2026-11-20T05:00:00Z, 2026-11-20, -24h, -7d"),
            OptionSpecification("to", "TIME", "End, not included"),
            OptionSpecification("bbox", "W,S,E,N", "Only reports in this box of degrees"),
            OptionSpecification("drone", "ID", "Only this drone's"),
            OptionSpecification("relay", "ID", "Only this relay's"),
            OptionSpecification("word", "WORD", "Only reports with this word"),
            OptionSpecification("cell", "GEOHASH", "Only cells that begin so"),
            OptionSpecification("where", "SQL", "Only reports for which this condition holds"),
            OptionSpecification("estimate", nil, "Only says how many reports and about how many bytes it would be"),
        ] + TLSOptions.specifications,
        examples: [
            "columba export --central http://127.0.0.1:8091 --from -24h -o today.parquet",
            "columba export --central http://127.0.0.1:8091 --format geojson --bbox 2,48,3,49 -o paris.geojson",
            "columba export --central http://127.0.0.1:8091 --format csv --where \"readings['battery_pct'] < 20\" -o -",
        ])

    private static let timeoutSeconds = 7 * 86_400.0
    private static let maxProblemBytes = 64 << 10

    static func run(_ arguments: ParsedArguments, _ console: Console) throws -> CommandResult {
        let central = try arguments.address("central")
        let tls = try TLSOptions.read(arguments)
        let format = try arguments.choice("format", of: ["parquet", "csv", "geojson", "ndjson"]) ?? "parquet"
        guard arguments.operands.isEmpty else { throw UsageError("export takes no operands; the file is -o FILE") }
        var items: [(name: String, value: String)] = [("format", format)]
        let options = [
            ("from", "from"), ("to", "to"), ("bbox", "bbox"), ("drone", "drone_id"), ("relay", "relay_id"),
            ("word", "word"), ("cell", "cell"), ("where", "where"),
        ]
        for (option, name) in options { if let value = arguments.string(option) { items.append((name, value)) } }
        if arguments.has("estimate") {
            let size = try estimate(central, items, tls)
            console.data("\(ProgressBar.grouped(size.rows)) reports, about \(bytes(size.bytes)) as \(format)")
            return .ok
        }
        guard let output = arguments.string("o") else {
            throw UsageError("-o FILE says where to; - is standard output")
        }
        if output == "-", format == "parquet", console.outputIsTerminal {
            throw UsageError("Parquet is binary: send it to a file (-o reports.parquet)")
        }
        return try download(
            Download(
                url: central + "/v1/export" + AddressQuery.text(items), output: output, tls: tls,
                // Asked for the progress bar's sake only.
                expected: console.isInteractive ? (try? estimate(central, items, tls))?.bytes : nil), console)
    }

    private static func estimate(
        _ central: String, _ items: [(name: String, value: String)], _ tls: HTTPClientTLS?
    ) throws(CommandFailure) -> (rows: Int, bytes: Int) {
        let url = central + "/v1/export" + AddressQuery.text(items + [("estimate", "true")])
        let response: TransportResponse
        do throws(TransportFailure) {
            response = try HTTPTransport(tls: tls).exchange(TransportRequest("GET", url, timeoutSeconds: 600))
        } catch {
            throw CommandFailure("\(central): \(error.reason)")
        }
        guard response.status == 200, let answer = try? OrderedJSON.parse(response.body),
            let rows = answer["rows"]?.intValue, let bytes = answer["bytes"]?.intValue
        else { throw CommandFailure(ProblemText.line(response)) }
        return (rows, bytes)
    }

    private struct Download {
        var url: String
        var output: String
        var tls: HTTPClientTLS?
        var expected: Int?
    }

    /// What arrives, on its way into the file.
    private final class Receiver {
        let file: OutputFile?
        var status = 0
        var received = 0
        var problem: [UInt8] = []
        var writeError: Int32 = 0

        init(_ file: OutputFile?) { self.file = file }

        func take(_ bytes: UnsafeRawBufferPointer, _ console: Console) -> Bool {
            guard status == 200 else {
                problem += bytes.prefix(max(0, maxProblemBytes - problem.count))
                return true
            }
            if let file {
                guard file.write(bytes) else {
                    writeError = errno
                    return false
                }
            } else {
                console.data(Array(bytes))
            }
            received += bytes.count
            return true
        }
    }

    private static func download(_ download: Download, _ console: Console) throws -> CommandResult {
        let isInterrupted = Monitor(false)
        let signals = Interruption { isInterrupted.update { $0 = true } }
        defer { signals.dismiss() }
        let receiver = Receiver(download.output == "-" ? nil : try OutputFile(download.output))
        let time = SystemTime()
        var display = ProgressDisplay(
            console, ProgressBar(label: "exporting", total: download.expected),
            now: MonotonicInstant(nanoseconds: time.monotonicNanoseconds()))
        var request = HTTPClientRequest(url: download.url, timeoutSeconds: timeoutSeconds)
        request.maxResponseBytes = .max
        request.tls = download.tls
        do throws(HTTPClientError) {
            _ = try HTTPClient().stream(
                request, isCancelled: { isInterrupted.withLock { $0 } },
                onStatus: { status in
                    receiver.status = status
                    return true
                },
                onBytes: { piece in
                    let isTaken = receiver.take(piece, console)
                    display.show(
                        done: receiver.received, note: bytes(receiver.received),
                        now: MonotonicInstant(nanoseconds: time.monotonicNanoseconds()))
                    return isTaken
                })
        } catch {
            display.end()
            receiver.file?.discard()
            throw CommandFailure(
                isInterrupted.withLock { $0 } ? "interrupted; nothing was written" : error.description)
        }
        display.end()
        guard receiver.writeError == 0 else {
            receiver.file?.discard()
            throw CommandFailure("\(download.output): \(String(cString: strerror(receiver.writeError)))")
        }
        guard receiver.status == 200 else {
            receiver.file?.discard()
            throw CommandFailure(
                ProblemText.line(TransportResponse(status: receiver.status, headers: [:], body: receiver.problem)))
        }
        try receiver.file?.finish()
        console.message("\(bytes(receiver.received)) written")
        return .ok
    }

    /// `12.3 MB`
    package static func bytes(_ count: Int) -> String {
        let units = ["bytes", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while value >= 1_000, unit < units.count - 1 {
            value /= 1_000
            unit += 1
        }
        return unit == 0 ? "\(count) bytes" : "\((value * 10).rounded() / 10) \(units[unit])"
    }
}
