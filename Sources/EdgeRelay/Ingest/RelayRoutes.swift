// Which request goes where: the relay's whole HTTP surface in one table (contract §2).

package import HTTPServer
package import Models
import PageFiles

/// What answers the requests that are not reports.
package protocol RelayConsole: Sendable {
    func status() -> [UInt8]
    func statusCSV() -> [UInt8]
    func drones(_ exchange: HTTPExchange)
    func alerts(state: AlertState?, since: Timestamp?, limit: Int, folded: Bool) -> [UInt8]
    func followAlerts(_ exchange: HTTPExchange)
    func change(_ exchange: HTTPExchange, alertID: String, to state: AlertState)
    func metrics() -> [UInt8]
    func isReady() -> Bool
    /// The methods of the page's own addresses; nil where there is none.
    func methods(of path: String) -> [String]?
    func alertsCSV(state: AlertState?, since: Timestamp?, limit: Int, folded: Bool) -> [UInt8]
    func answer(_ exchange: HTTPExchange)
    func openAPI() -> [UInt8]
}

package struct RelayRoutes: HTTPHandler {
    /// `POST /v1/reports`.
    package let takesReports: Bool
    /// Everything for operators.
    package let servesConsole: Bool
    private let ingest: ReportIngest
    private let console: any RelayConsole

    package init(ingest: ReportIngest, console: any RelayConsole, takesReports: Bool, servesConsole: Bool) {
        self.ingest = ingest
        self.console = console
        self.takesReports = takesReports
        self.servesConsole = servesConsole
    }

    /// A body of an operator's request: a note of at most 4,000 characters.
    private static let noteBytes = 64 << 10

    package func admit(_ head: HTTPRequestHead) -> HTTPAdmission {
        let path = head.path
        if path == "/v1/reports", takesReports {
            guard head.method == "POST" else { return .refuse(Self.methodNotAllowed("POST")) }
            return .body(limitBytes: ReportLimits.requestBytes)
        }
        guard let allowed = methods(of: path) else { return .refuse(Self.notFound) }
        guard allowed.contains(head.method) else {
            return .refuse(Self.methodNotAllowed(allowed.joined(separator: ", ")))
        }
        if let problem = SameOrigin.refusal(head) { return .refuse(HTTPResponse(problem: problem)) }
        return .body(limitBytes: head.method == "POST" ? Self.noteBytes : 0)
    }

    private func methods(of path: String) -> [String]? {
        switch path {
        // The status says where the relay is: drones choose the nearest.
        case "/livez", "/readyz", "/openapi.json", "/v1/status": return ["GET", "HEAD"]
        case "/metrics", "/v1/drones", "/v1/alerts": return servesConsole ? ["GET", "HEAD"] : nil
        case "/v1/alerts/stream": return servesConsole ? ["GET"] : nil
        default:
            guard servesConsole else { return nil }
            return Self.alertChange(path) != nil ? ["POST"] : console.methods(of: path)
        }
    }

    /// `/v1/alerts/{id}/ack|shelve|close`
    private static func alertChange(_ path: String) -> (alertID: String, state: AlertState)? {
        guard path.hasPrefix("/v1/alerts/") else { return nil }
        let parts = path.dropFirst("/v1/alerts/".count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Identifier.isValidAlertID(String(parts[0])) else { return nil }
        switch parts[1] {
        case "ack": return (String(parts[0]), .acknowledged)
        case "shelve": return (String(parts[0]), .shelved)
        case "close": return (String(parts[0]), .closed)
        default: return nil
        }
    }

    package func handle(_ exchange: HTTPExchange) {
        let path = exchange.path
        if path == "/v1/reports" { return ingest.post(exchange) }
        switch path {
        case "/livez": exchange.respond(Self.text("live\n"))
        case "/readyz":
            let isReady = console.isReady()
            var response = Self.text(isReady ? "ready\n" : "not ready: the buffer cannot be written\n")
            if !isReady { response.status = 503 }
            exchange.respond(response)
        case "/openapi.json": exchange.respond(Self.json(console.openAPI()))
        case "/metrics":
            exchange.respond(
                HTTPResponse(
                    status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: console.metrics()))
        case "/v1/status": status(exchange)
        case "/v1/drones": console.drones(exchange)
        case "/v1/alerts": alerts(exchange)
        case "/v1/alerts/stream": console.followAlerts(exchange)
        default:
            guard let (alertID, state) = Self.alertChange(path) else { return console.answer(exchange) }
            console.change(exchange, alertID: alertID, to: state)
        }
    }

    private func status(_ exchange: HTTPExchange) {
        switch exchange.queryItem("format") ?? "json" {
        case "json": exchange.respond(Self.json(console.status()))
        case "csv": exchange.respond(CSVText.response(console.statusCSV()))
        default: exchange.respond(HTTPResponse(problem: Self.wrongFormat))
        }
    }

    static let wrongFormat = Problem(
        status: 400, code: "invalid_parameter", detail: "format must be json or csv.", field: "format")

    private func alerts(_ exchange: HTTPExchange) {
        var state: AlertState?
        var since: Timestamp?
        var limit = 100
        var (folded, isCSV) = (false, false)
        for (name, value) in exchange.queryItems {
            var isValid = true
            switch name {
            case "state":
                state = AlertState(rawValue: value)
                isValid = state != nil
            case "since":
                since = Timestamp(rfc3339: value)
                isValid = since != nil
            case "limit":
                limit = Int(value) ?? 0
                isValid = (1...10_000).contains(limit)
            case "folded":
                folded = value == "true"
                isValid = value == "true" || value == "false"
            case "format":
                isCSV = value == "csv"
                isValid = isCSV || value == "json"
            default: break
            }
            guard isValid else {
                let right = [
                    "state": "raised, acknowledged, shelved or closed", "since": "an RFC 3339 time",
                    "limit": "a number from 1 to 10000", "folded": "true or false",
                    "format": "json or csv",
                ]
                return exchange.respond(
                    HTTPResponse(
                        problem: Problem(
                            status: 400, code: "invalid_parameter",
                            detail: "\(name) must be \(right[name] ?? "valid").",
                            field: name)))
            }
        }
        if isCSV {
            let text = console.alertsCSV(state: state, since: since, limit: limit, folded: folded)
            return exchange.respond(CSVText.response(text))
        }
        exchange.respond(Self.json(console.alerts(state: state, since: since, limit: limit, folded: folded)))
    }

    // MARK: Small answers

    static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        var response = HTTPResponse(status: status, contentType: "application/json", body: body)
        response.headers += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        return response
    }

    static func text(_ text: String) -> HTTPResponse {
        HTTPResponse(status: 200, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    static var notFound: HTTPResponse {
        HTTPResponse(
            problem: Problem(
                status: 404, code: "not_found", detail: "There is nothing at this address; see /openapi.json."))
    }

    static func methodNotAllowed(_ allowed: String) -> HTTPResponse {
        var response = HTTPResponse(
            problem: Problem(
                status: 405, code: "method_not_allowed", detail: "This address answers \(allowed) only."))
        response.headers.append(("Allow", allowed))
        return response
    }
}
