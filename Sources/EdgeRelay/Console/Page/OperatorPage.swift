// The operator's console: its files, its stream, and the addresses of what it shows (docs/relay/console.md):
//
//   /, /pages/…                     the page and its files
//   /v1/console/stream              everything that changes, see PageFeed
//   /v1/drones/summary              a line a drone; ?format=csv
//   /v1/drones/tracks               ten minutes of positions; ?drone_id=, ?format=csv
//   /v1/alerts/{id}                 an alert with its deliveries and all changes of its state
//   /v1/alerts/{id}/report          the report that raised it, as it came

package import HTTPServer
import JSON
import Log
import Models
import PageFiles
package import System

package final class OperatorPage: Sendable {
    private static let needs = ["vendor/leaflet/leaflet.js", "vendor/leaflet/leaflet.css", "shared/theme.css"]

    private let files: PageFiles
    private let feed: PageFeed
    private let answers = PageAnswers()
    private let time: any TimeSource
    private let board: DroneBoard
    private let book: AlertBook
    private let delivery: AlertDelivery
    private let reports: ReportFinder
    private let figures: @Sendable () -> RelayFigures

    init(
        _ configuration: RelayConfiguration, _ store: BufferStore, time: any TimeSource, _ board: DroneBoard,
        _ book: AlertBook, _ delivery: AlertDelivery, log: Log, figures source: FiguresSource, mqtt: MQTTListener?
    ) {
        let figures: @Sendable () -> RelayFigures = { source.now().with(mqtt) }
        self.time = time
        self.board = board
        self.book = book
        self.delivery = delivery
        self.figures = figures
        reports = ReportFinder(store: store, board: board)
        files = PageFiles(
            page: "relay", libraries: ["leaflet"], needs: Self.needs, map: configuration.page.map)
        let settings = configuration.page
        feed = PageFeed(
            time: time, board: board, book: book,
            hello: { figures().hello(settings, peer: $0) }, status: { figures().json() })
        if !files.isComplete { log.component("page").warning("page_incomplete", ["hint": .string(files.hint)]) }
    }

    package func threads() -> [WorkerThread] {
        [
            WorkerThread(name: "page-feed") { [feed] in feed.run() },
            WorkerThread(name: "page-answers") { [answers] in answers.run() },
        ]
    }

    package func stop() {
        feed.stop()
        answers.stop()
    }

    package func methods(of path: String) -> [String]? {
        switch path {
        case "/v1/console/stream": ["GET"]
        case "/v1/drones/summary", "/v1/drones/tracks": ["GET", "HEAD"]
        default: PageFiles.serves(path) || Self.alert(path) != nil ? ["GET", "HEAD"] : nil
        }
    }

    /// `/v1/alerts/{id}` and `/v1/alerts/{id}/report`
    private static func alert(_ path: String) -> (id: String, wantsReport: Bool)? {
        guard path.hasPrefix("/v1/alerts/") else { return nil }
        let parts = path.dropFirst("/v1/alerts/".count).split(separator: "/", omittingEmptySubsequences: false)
        guard let id = parts.first.map(String.init), Identifier.isValidAlertID(id) else { return nil }
        return parts.count == 1 ? (id, false) : parts.count == 2 && parts[1] == "report" ? (id, true) : nil
    }

    package func answer(_ exchange: HTTPExchange) {
        let path = exchange.path
        if path == "/v1/console/stream" { return feed.follow(exchange) }
        if PageFiles.serves(path) { return exchange.respond(files.answer(exchange) ?? standIn(path)) }
        if let (id, wantsReport) = Self.alert(path) {
            guard let entry = book.entry(id) else { return exchange.respond(HTTPResponse(problem: Self.noSuchAlert)) }
            guard wantsReport else { return exchange.respond(RelayRoutes.json(full(entry))) }
            return answers.ask(exchange) { [self] in report(of: entry.alert) }
        }
        let format = exchange.queryItem("format") ?? "json"
        guard format == "json" || format == "csv" else {
            return exchange.respond(HTTPResponse(problem: RelayRoutes.wrongFormat))
        }
        let (isCSV, droneID) = (format == "csv", exchange.queryItem("drone_id"))
        answers.ask(exchange) { [self] in
            path == "/v1/drones/tracks" ? tracks(of: droneID, isCSV: isCSV) : summary(isCSV: isCSV)
        }
    }

    private static let noSuchAlert = Problem(
        status: 404, code: "no_such_alert", detail: "This relay knows no alert with this id.")

    private func standIn(_ path: String) -> HTTPResponse {
        guard path == "/" else { return RelayRoutes.notFound }
        return HTTPResponse(
            status: 200, headers: PageHeaders.all() + [("Content-Type", "text/html; charset=utf-8")],
            body: StatusPage.html(figures(), hint: files.hint))
    }

    // MARK: Drones

    private func summary(isCSV: Bool) -> HTTPResponse {
        let sightings = board.list(at: time.monotonicNanoseconds()).map(\.sighting)
        let parser = ReportParser()
        guard isCSV else { return RelayRoutes.json(PageFeed.drones(sightings, parser)) }
        var csv = CSVText(columns: DroneSummary.columns)
        for sighting in sightings { DroneSummary(sighting, parser).append(to: &csv) }
        return CSVText.response(csv.bytes)
    }

    /// `{"minutes":10,"tracks":[{"drone_id","points":[[unix milliseconds, lat, lon],…]}]}`
    private func tracks(of droneID: String?, isCSV: Bool) -> HTTPResponse {
        let all = droneID.map { board.sighting(of: $0).map { [$0] } ?? [] }
        let sightings = all ?? board.list(at: time.monotonicNanoseconds()).map(\.sighting)
        if isCSV {
            var csv = CSVText(columns: ["drone_id", "observed_at", "lat", "lon"])
            for sighting in sightings {
                for point in sighting.track.points {
                    csv.line([sighting.identity.droneID, point.at.rfc3339, "\(point.latitude)", "\(point.longitude)"])
                }
            }
            return CSVText.response(csv.bytes)
        }
        var writer = JSONWriter(reservedBytes: 1 << 16)
        writer.object { writer in
            writer.member("minutes", Int(DroneTrack.seconds / 60))
            writer.key("tracks")
            writer.array { list in
                for sighting in sightings where !sighting.track.points.isEmpty { sighting.appendTrack(to: &list) }
            }
        }
        return RelayRoutes.json(writer.bytes)
    }

    // MARK: One alert

    /// The alert as in the list, and `changes`: every decision about it, oldest first.
    private func full(_ entry: AlertEntry) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("changes")
            writer.array { list in
                for change in entry.changes { change.appendJSON(to: &list) }
            }
        }
        let alert = entry.json(deliveries: delivery.deliveries(of: entry.alert.alertID))
        return alert.dropLast() + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
    }

    private func report(of alert: Alert) -> HTTPResponse {
        guard let boot = alert.boot, let seq = alert.seq,
            let bytes = reports.find(
                ReportIdentity(droneID: alert.droneID, boot: boot, seq: seq), receivedAt: alert.receivedAt)
        else {
            return HTTPResponse(
                problem: Problem(
                    status: 404, code: "report_not_here",
                    detail: "The report is not in this relay's buffer: it was let go after central archived it, or is "
                        + "not written yet. Central has what was archived."))
        }
        return RelayRoutes.json(bytes)
    }
}

extension DroneSighting {
    fileprivate func appendTrack(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("drone_id", identity.droneID)
            writer.key("points")
            writer.array { points in
                for point in track.points {
                    points.array { values in
                        values.integer(point.at.microseconds / 1_000)
                        values.number(point.latitude)
                        values.number(point.longitude)
                    }
                }
            }
        }
    }
}

extension RelayFigures {
    /// What a page has to know before anything else.
    /// - Parameter peer: the URI of the operator's certificate: their name is the one that decides unless they say so.
    func hello(_ settings: PageSettings, peer: String?) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("relay_id", relayID)
            writer.member("epoch", epoch)
            writer.member("version", version)
            writer.member("now", now)
            if let position {
                writer.object("position") {
                    $0.member("lat", position.latitude)
                    $0.member("lon", position.longitude)
                }
            }
            writer.member("expected_drones", settings.expectedDrones)
            writer.member("silent_s", settings.silentSeconds)
            if let name = peer?.split(separator: "/").last { writer.member("operator", String(name)) }
        }
        return writer.bytes
    }
}
