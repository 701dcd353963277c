// What operators and their programs ask of a relay: figures, drones, alerts and their states, metrics, the page.

package import HTTPServer
package import Models
import JSON
package import System

package final class Console: RelayConsole {
    private let relayID: String
    private let time: any TimeSource
    private let board: DroneBoard
    private let book: AlertBook
    private let delivery: AlertDelivery
    private let writer: BufferWriter
    private let large: LargeAnswers
    private let operatorPage: OperatorPage
    private let instruments: RelayMetrics
    private let figures: @Sendable () -> RelayFigures
    private let readiness: @Sendable () -> Bool
    private let moreMetrics: @Sendable () -> [UInt8]

    package init(
        relayID: String, time: any TimeSource, board: DroneBoard, book: AlertBook, delivery: AlertDelivery,
        writer: BufferWriter, page: OperatorPage, figures: @escaping @Sendable () -> RelayFigures,
        readiness: @escaping @Sendable () -> Bool, moreMetrics: @escaping @Sendable () -> [UInt8] = { [] }
    ) {
        self.relayID = relayID
        self.time = time
        self.board = board
        self.book = book
        self.delivery = delivery
        self.writer = writer
        large = LargeAnswers(time: time)
        operatorPage = page
        self.figures = figures
        self.readiness = readiness
        self.moreMetrics = moreMetrics
        instruments = RelayMetrics(figures)
        instruments.add { delivery.register(in: $0) }
    }

    package func status() -> [UInt8] { figures().json() }
    package func statusCSV() -> [UInt8] { figures().csv() }
    package func metrics() -> [UInt8] { instruments.render() + moreMetrics() }
    package func isReady() -> Bool { readiness() }
    package func methods(of path: String) -> [String]? { operatorPage.methods(of: path) }
    package func answer(_ exchange: HTTPExchange) { operatorPage.answer(exchange) }
    package func openAPI() -> [UInt8] { Array(RelayOpenAPI.document.utf8) }

    package func drones(_ exchange: HTTPExchange) { large.ask(exchange) }

    /// Threads for answers too large for a server thread, and for the page.
    package func threads() -> [WorkerThread] {
        [WorkerThread(name: "large-answers") { [self] in large.run(allDrones) }] + operatorPage.threads()
    }

    /// When no server asks any more.
    package func stop() {
        large.stop()
        operatorPage.stop()
    }

    /// `{"drones":[{"drone_id","boot","seq","last_heard","silent_s","observed_at","location","reports","readings",
    /// "report"}]}`
    private func allDrones() -> [UInt8] {
        let parser = ReportParser()
        let drones = board.list(at: time.monotonicNanoseconds())
        var writer = JSONWriter(reservedBytes: drones.reduce(1 << 10) { $0 + $1.sighting.body.count + 512 })
        writer.object { writer in
            writer.key("drones")
            writer.array { writer in
                for drone in drones {
                    append(drone.sighting, silentSeconds: drone.silentSeconds, parser, to: &writer)
                }
            }
        }
        return writer.bytes
    }

    private func append(
        _ sighting: DroneSighting, silentSeconds: Double, _ parser: ReportParser, to writer: inout JSONWriter
    ) {
        writer.object { writer in
            writer.member("drone_id", sighting.identity.droneID)
            writer.member("boot", sighting.identity.boot)
            writer.member("seq", sighting.identity.seq)
            writer.member("last_heard", sighting.receivedAt)
            writer.member("silent_s", (silentSeconds * 10).rounded() / 10)
            writer.member("observed_at", sighting.observedAt)
            writer.object("location") {
                $0.member("lat", sighting.latitude)
                $0.member("lon", sighting.longitude)
            }
            writer.member("reports", sighting.reports)
            sighting.body.withUnsafeBytes { body in
                guard !body.isEmpty, let report = try? parser.parse(body) else { return }
                writer.object("readings") { writer in
                    for index in 0..<report.readingCount {
                        let reading = report.reading(at: index)
                        writer.member(reading.name.string, reading.value)
                    }
                }
                writer.member("report", raw: body)
            }
        }
    }

    package func alerts(state: AlertState?, since: Timestamp?, limit: Int, folded: Bool) -> [UInt8] {
        var writer = JSONWriter(reservedBytes: 16 << 10)
        writer.object { writer in
            writer.key("alerts")
            writer.array { writer in
                for entry in book.list(state: state, since: since, limit: limit, folded: folded) {
                    writer.raw(entry.json(deliveries: delivery.deliveries(of: entry.alert.alertID)))
                }
            }
        }
        return writer.bytes
    }

    package func alertsCSV(state: AlertState?, since: Timestamp?, limit: Int, folded: Bool) -> [UInt8] {
        AlertCSV.text(book.list(state: state, since: since, limit: limit, folded: folded))
    }

    // MARK: Following

    package func followAlerts(_ exchange: HTTPExchange) {
        let lastEventID = exchange.header("last-event-id").flatMap { Int64($0) }
        let follower = FollowerID()
        let book = book
        let stream = exchange.stream(
            headers: [
                ("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"),
            ],
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
                relayID: relayID, until: request.shelvedUntil(from: now))
            let book = book
            let write = PendingWrite(
                receivedAt: now, reports: [], others: [OtherRecord(kind: BufferKind.alertState, body: change.json())]
            ) { outcome in
                switch outcome {
                case .failed(let problem): exchange.respond(HTTPResponse(problem: problem))
                case .stored:
                    exchange.respond(RelayRoutes.json(book.apply(change, at: now)?.json() ?? change.json()))
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
