// What operators and their programs ask of a relay: figures, drones, alerts and their states, metrics, the page.

package import HTTPServer
package import Models
import JSON
import System

package final class Console: RelayConsole {
    private let relayID: String
    private let time: any TimeSource
    private let board: DroneBoard
    private let book: AlertBook
    private let writer: BufferWriter
    private let instruments: RelayMetrics
    private let figures: @Sendable () -> RelayFigures
    private let readiness: @Sendable () -> Bool

    package init(
        relayID: String, time: any TimeSource, board: DroneBoard, book: AlertBook, writer: BufferWriter,
        figures: @escaping @Sendable () -> RelayFigures, readiness: @escaping @Sendable () -> Bool
    ) {
        self.relayID = relayID
        self.time = time
        self.board = board
        self.book = book
        self.writer = writer
        self.figures = figures
        self.readiness = readiness
        instruments = RelayMetrics(figures)
    }

    package func status() -> [UInt8] { figures().json() }
    package func metrics() -> [UInt8] { instruments.render() }
    package func isReady() -> Bool { readiness() }
    package func page() -> [UInt8] { StatusPage.html(figures()) }
    package func openAPI() -> [UInt8] { Array(RelayOpenAPI.document.utf8) }

    /// `{"drones":[{"drone_id","boot","seq","last_heard","silent_s","observed_at","location","readings","reports","report"}]}`
    package func drones() -> [UInt8] {
        let parser = ReportParser()
        var output = Array(#"{"drones":["#.utf8)
        for (index, drone) in board.list(at: time.monotonicNanoseconds()).enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            append(drone.sighting, silentSeconds: drone.silentSeconds, parser, to: &output)
        }
        output.append(contentsOf: "]}".utf8)
        return output
    }

    private func append(
        _ sighting: DroneSighting, silentSeconds: Double, _ parser: ReportParser, to output: inout [UInt8]
    ) {
        var json = StatusJSON()
        json.object {
            $0.string("drone_id", sighting.identity.droneID)
            $0.string("boot", sighting.identity.boot)
            $0.integer("seq", Int(sighting.identity.seq))
            $0.time("last_heard", sighting.receivedAt)
            $0.number("silent_s", (silentSeconds * 10).rounded() / 10)
            $0.time("observed_at", sighting.observedAt)
            $0.object("location") {
                $0.number("lat", sighting.latitude)
                $0.number("lon", sighting.longitude)
            }
            $0.integer("reports", sighting.reports)
        }
        output.append(contentsOf: json.bytes.dropLast())
        guard !sighting.body.isEmpty else {
            output.append(contentsOf: #","readings":{},"report":null}"#.utf8)
            return
        }
        output.append(contentsOf: #","readings":{"#.utf8)
        sighting.body.withUnsafeBytes { body in
            guard let report = try? parser.parse(body, capacity: body.count) else { return }
            for index in 0..<report.readingCount {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                JSONText.appendString(report.readingName(index), to: &output)
                output.append(UInt8(ascii: ":"))
                JSONText.appendNumber(report.readingValue(index), to: &output)
            }
        }
        output.append(contentsOf: #"},"report":"#.utf8)
        output.append(contentsOf: sighting.body)
        output.append(UInt8(ascii: "}"))
    }

    package func alerts(state: AlertState?, since: Timestamp?, limit: Int) -> [UInt8] {
        var output = Array(#"{"alerts":["#.utf8)
        for (index, entry) in book.list(state: state, since: since, limit: limit).enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            entry.appendJSON(to: &output)
        }
        output.append(contentsOf: "]}".utf8)
        return output
    }

    // MARK: Following

    package func followAlerts(_ exchange: HTTPExchange) {
        let lastEventID = exchange.header("last-event-id").flatMap { Int64($0) }
        let follower = FollowerID()
        let book = book
        let stream = exchange.stream(
            headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")],
            maxPendingBytes: AlertBook.maxPendingBytes, onClose: { follower.close { book.unfollow($0) } })
        // A first line at once, so that the client knows the stream is open before anything happens.
        _ = stream.write(Array("retry: 1000\n: following \(relayID)\n\n".utf8))
        if let id = book.follow(stream, after: lastEventID) {
            follower.open(id, orClosed: book.unfollow)
        } else {
            _ = stream.write(Array("event: problem\ndata: {\"code\":\"too_many_followers\"}\n\n".utf8))
            stream.finish()
        }
    }

    // MARK: Deciding

    /// `{"by","note","outcome"?}`; on disk before it is answered, like a report.
    package func change(_ exchange: HTTPExchange, alertID: String, to state: AlertState) {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        do throws(Problem) {
            let request = try AlertChangeRequest(json: Array(exchange.body), state: state)
            if let problem = book.check(alertID, to: state) { throw problem }
            let change = AlertStateChange(
                alertID: alertID, state: state, by: request.by, note: request.note, outcome: request.outcome, at: now,
                relayID: relayID)
            var json: [UInt8] = []
            change.appendJSON(to: &json)
            let book = book
            let write = PendingWrite(
                receivedAt: now, reports: [], others: [OtherRecord(kind: BufferKind.alertState, body: json)]
            ) { outcome in
                switch outcome {
                case .failed(let problem): exchange.respond(HTTPResponse(problem: problem))
                case .stored:
                    var output: [UInt8] = []
                    book.apply(change, at: now)?.appendJSON(to: &output)
                    exchange.respond(RelayRoutes.json(output))
                }
            }
            guard writer.submit(write) else {
                throw Problem(
                    status: 503, code: "overloaded", detail: "The relay is busy; send it again.", retryAfterSeconds: 1)
            }
        } catch {
            exchange.respond(HTTPResponse(problem: error))
        }
    }
}
