// One file's way to the relay: chunk after chunk, each resent until it is answered.
import DroneClient
import Models
import Simulation
import System

struct Upload {
    private static let headers = [("Content-Type", "application/x-ndjson")]

    private let relay: String
    private let patienceSeconds: Double
    private let console: Console
    private let file: InputFile
    private let transport: any Transport
    private let time = SystemTime()
    private let backoff = Backoff(baseSeconds: 0.2, longestSeconds: 5)
    private var random: SeededRandom
    private var figures = SendFigures()
    private var progress: ProgressDisplay
    private var bytesDone = 0

    init(relay: String, patienceSeconds: Double, console: Console, file: InputFile, transport: any Transport) {
        self.relay = relay
        self.patienceSeconds = patienceSeconds
        self.console = console
        self.file = file
        self.transport = transport
        random = SeededRandom(seed: time.monotonicNanoseconds())
        progress = ProgressDisplay(
            console, ProgressBar(label: "sending", total: file.totalBytes),
            now: MonotonicInstant(nanoseconds: time.monotonicNanoseconds()))
    }

    mutating func run() throws -> SendFigures {
        defer { progress.end() }
        var chunker = NDJSONChunker()
        while let bytes = try file.read() {
            for chunk in chunker.consume(bytes) { try post(chunk) }
        }
        for chunk in chunker.finish() { try post(chunk) }
        for lineNumber in chunker.tooLongLines {
            figures.rejections.append(
                SendFigures.Rejection(
                    file: "", lineNumber: lineNumber, code: "too_large",
                    detail: "the line is longer than \(NDJSONChunker.chunkBytes) bytes; a report has at most "
                        + "\(ReportLimits.bodyBytes)"))
        }
        figures.rejections.sort { $0.lineNumber < $1.lineNumber }
        return figures
    }

    private mutating func post(_ chunk: NDJSONChunk) throws {
        let request = TransportRequest(
            "POST", relay + "/v1/reports", headers: Self.headers, body: chunk.bytes, timeoutSeconds: 60)
        var failures = 0
        let begun = now
        while true {
            let why: String
            var askedFor: Double?
            do {
                let response = try transport.exchange(request)
                switch response.status {
                case 200..<300:
                    try figures.add(try OrderedJSON.parse(response.body), lineNumbers: chunk.lineNumbers)
                    bytesDone += chunk.bytes.count
                    progress.show(
                        done: bytesDone, note: "\(ProgressBar.grouped(figures.lines)) reports", now: now)
                    return
                case 408, 425, 429, 500...:
                    why = "the relay answered \(response.status): \(ProblemText.line(response))"
                    askedFor = response.retryAfterSeconds
                default:
                    throw CommandFailure(
                        "lines \(chunk.lineNumbers.first ?? 0) to \(chunk.lineNumbers.last ?? 0): "
                            + ProblemText.line(response))
                }
            } catch let failure as TransportFailure {
                why = failure.reason
            }
            failures += 1
            figures.resentRequests += 1
            let pause = backoff.waitSeconds(failures: failures, askedFor: askedFor, random: &random)
            guard now.seconds(since: begun) + pause <= patienceSeconds else {
                throw CommandFailure(
                    "\(relay): \(why); gave up after \(Int(patienceSeconds)) s with \(figures.lines) lines "
                        + "acknowledged. Sending the same file again is safe")
            }
            if failures == 1 { console.message("columba: \(TerminalText.neutralised(why)); trying again") }
            Waiting.pause(seconds: pause)
        }
    }

    private var now: MonotonicInstant { MonotonicInstant(nanoseconds: time.monotonicNanoseconds()) }
}
