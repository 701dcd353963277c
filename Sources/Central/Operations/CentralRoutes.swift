// Which request goes where: central's whole HTTP surface in one table (contract §4 and §6).

package import HTTPServer
import Models
import PageFiles
import SyncProtocol

/// What answers analysts and operators.
package protocol CentralConsole: Sendable {
    func status() -> [UInt8]
    func relays() -> [UInt8]
    func cluster() -> [UInt8]
    func metrics() -> [UInt8]
    /// Why this node is not ready; empty: it is.
    func troubles() -> [String]
    func page(hint: String) -> [UInt8]
    func sql(_ exchange: HTTPExchange)
    func jobs(_ exchange: HTTPExchange)
}

package struct CentralRoutes: HTTPHandler {
    private let intake: BatchIntake
    private let console: any CentralConsole
    private let analysts: AnalystRoutes
    private let desk: FleetDesk
    private let explorer: ExplorerPage
    private let takesBatches: Bool
    private let servesAnalysts: Bool
    private let answersQueries: Bool

    /// A statement with its JSON around it.
    private static let statementBytes = 256 << 10

    init(
        intake: BatchIntake, console: any CentralConsole, analysts: AnalystRoutes, desk: FleetDesk,
        explorer: ExplorerPage, takesBatches: Bool, servesAnalysts: Bool, answersQueries: Bool = true
    ) {
        self.answersQueries = answersQueries
        self.intake = intake
        self.console = console
        self.analysts = analysts
        self.desk = desk
        self.explorer = explorer
        self.takesBatches = takesBatches
        self.servesAnalysts = servesAnalysts
    }

    private enum Route {
        case batch(BatchName), acknowledgements(String, String), sql, analyst, jobs(String), page(String), desk(
            DeskRoute), explorer

        /// What only a node with the role `query` answers.
        var isQuery: Bool {
            switch self {
            case .sql, .analyst, .jobs: true
            case .batch, .acknowledgements, .page, .desk, .explorer: false
            }
        }
    }

    private func route(_ path: String) -> Route? {
        switch path {
        case "/livez", "/readyz": return .page(path)
        case "/metrics", "/v1/status", "/v1/relays", "/v1/cluster", "/openapi.json":
            return servesAnalysts ? .page(path) : nil
        case "/v1/sql": return servesAnalysts ? .sql : nil
        default: if servesAnalysts, JobService.owns(path) { return .jobs(path) }
        }
        if servesAnalysts, analysts.answers(path) { return .analyst }
        if servesAnalysts, ExplorerPage.serves(path) { return .explorer }
        if let desk = DeskRoute(path: path, relays: takesBatches, analysts: servesAnalysts) { return .desk(desk) }
        guard takesBatches else { return nil }
        if let name = BatchName(path: path) { return .batch(name) }
        if let (relayID, epoch) = BatchName.parseAcknowledgementsPath(path) { return .acknowledgements(relayID, epoch) }
        return nil
    }

    package func admit(_ head: HTTPRequestHead) -> HTTPAdmission {
        guard let route = route(head.path) else { return .refuse(Self.notFound) }
        if let problem = SameOrigin.refusal(head) { return .refuse(HTTPResponse(problem: problem)) }
        if !answersQueries, route.isQuery { return .refuse(Self.noQueries) }
        let (methods, bytes): ([String], Int) =
            switch route {
            case .batch: (["PUT"], SyncLimits.compressedBatchBytes)
            case .acknowledgements: (["GET"], 0)
            case .sql: (["POST"], Self.statementBytes)
            case .analyst: (["GET"], 0)
            case .jobs(let path): (JobService.methods(path), 0)
            case .page, .explorer: (["GET", "HEAD"], 0)
            case .desk(let desk): (desk.methods, desk.bodyBytes(head.method))
            }
        guard methods.contains(head.method) else {
            var response = HTTPResponse(
                problem: Problem(
                    status: 405, code: "method_not_allowed",
                    detail: "This address answers \(methods.joined(separator: ", ")) only."))
            response.headers.append(("Allow", methods.joined(separator: ", ")))
            return .refuse(response)
        }
        return .body(limitBytes: bytes)
    }

    package func handle(_ exchange: HTTPExchange) {
        switch route(exchange.path) {
        case .batch(let name): intake.put(exchange, name: name)
        case .acknowledgements(let relayID, let epoch):
            intake.acknowledgements(exchange, relayID: relayID, epoch: epoch)
        case .sql: console.sql(exchange)
        case .analyst: analysts.handle(exchange)
        case .desk(let route): desk.handle(exchange, route)
        case .jobs: console.jobs(exchange)
        case .page("/v1/relays"): exchange.respond(JSONTable.relays.answer(exchange, page("/v1/relays")))
        case .page(let path): exchange.respond(page(path))
        case .explorer: exchange.respond(explorer.answer(exchange) { console.page(hint: $0) })
        case nil: exchange.respond(Self.notFound)
        }
    }

    private func page(_ path: String) -> HTTPResponse {
        switch path {
        case "/livez": return Self.text(200, "live\n")
        case "/readyz":
            let troubles = console.troubles()
            return troubles.isEmpty
                ? Self.text(200, "ready\n") : Self.text(503, "not ready: \(troubles.joined(separator: "; "))\n")
        case "/metrics":
            return HTTPResponse(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: console.metrics())
        case "/v1/status": return Self.json(console.status())
        case "/v1/relays": return Self.json(console.relays())
        case "/v1/cluster": return Self.json(console.cluster())
        default: return Self.json(Array(CentralOpenAPI.document.utf8))
        }
    }

    static func json(_ body: [UInt8]) -> HTTPResponse {
        var response = HTTPResponse(status: 200, contentType: "application/json", body: body)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }

    private static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    private static var noQueries: HTTPResponse {
        HTTPResponse(
            problem: Problem(
                status: 421, code: "no_query_node",
                detail: "This node has not the role `query`; /v1/cluster lists those that have."))
    }

    static var notFound: HTTPResponse {
        HTTPResponse(problem: Problem(status: 404, code: "not_found", detail: "There is nothing at this address."))
    }
}
