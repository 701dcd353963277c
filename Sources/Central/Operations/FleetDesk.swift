// Answers the addresses of `DeskRoute`: reports and rules for relays; completeness, incidents, quarantine, rules and
// retirement for operators. Reading is answered at once, from memory; what writes goes over the desk's own thread.

import FoundationEssentials
import HTTPServer
import JSON
import Models
import SyncProtocol
import System

final class FleetDesk: Sendable {
    let keeper: FleetKeeper
    let fleet: Fleet
    let rules: RuleSets
    let quarantine: QuarantineDesk
    let desk: Desk
    let time: any TimeSource
    private let figures: @Sendable () -> CentralFigures
    private let onReport: @Sendable (RelayReport) -> Void

    /// - Parameter onReport: a relay's report was taken.
    init(
        keeper: FleetKeeper, fleet: Fleet, rules: RuleSets, quarantine: QuarantineDesk, desk: Desk,
        time: any TimeSource, figures: @escaping @Sendable () -> CentralFigures,
        onReport: @escaping @Sendable (RelayReport) -> Void
    ) {
        self.onReport = onReport
        self.keeper = keeper
        self.fleet = fleet
        self.rules = rules
        self.quarantine = quarantine
        self.desk = desk
        self.time = time
        self.figures = figures
        fleet.wantRules(version: rules.newest?.message.version ?? 0)
    }

    var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    func handle(_ exchange: HTTPExchange, _ route: DeskRoute) {
        switch route {
        case .report(let relayID): exchange.respond(Desk.response { try report(exchange, relayID) })
        case .relayRules: exchange.respond(Desk.response { try relayRules() })
        case .completeness: exchange.respond(Desk.response { try completeness(exchange) })
        case .incidents: exchange.respond(incidents())
        case .closeIncident(let id): closeIncident(exchange, id)
        case .quarantine: desk.answer(exchange) { [self] in try quarantine.list(exchange) }
        case .quarantined(let id): desk.answer(exchange) { [self] in try quarantine.show(exchange, id) }
        case .retry(let id): desk.answer(exchange) { [self] in try quarantine.retry(exchange, id) }
        case .drop(let id): desk.answer(exchange) { [self] in try quarantine.drop(exchange, id) }
        case .rules where exchange.method == "PUT": desk.answer(exchange) { [self] in try putRules(exchange) }
        case .rules: exchange.respond(rulesPage())
        case .retire(let relayID): retire(exchange, relayID)
        }
    }

    // MARK: Relays

    private func report(_ exchange: HTTPExchange, _ relayID: String) throws -> HTTPResponse {
        let report: RelayReport
        do {
            report = try JSONDecoder().decode(RelayReport.self, from: Data(exchange.body))
        } catch {
            throw Problem(status: 400, code: "invalid_json", detail: "The body is not a relay's report.")
        }
        guard report.relayID == relayID, report.isPlausible else {
            throw Problem(
                status: 422, code: "invalid_report",
                detail: "The report is of another relay, or holds numbers that no relay can have.")
        }
        if keeper.take(report) { onReport(report) }
        var output = JSONWriter()
        output.object { $0.member("rules_version", fleet.rulesVersion) }
        return CentralRoutes.json(output.bytes)
    }

    private func relayRules() throws -> HTTPResponse {
        guard let newest = rules.newest else {
            throw Problem(status: 404, code: "no_rules", detail: "Central has no rule set; the relay keeps its own.")
        }
        return CentralRoutes.json([UInt8](try JSONEncoder().encode(newest.message)))
    }

    // MARK: Completeness

    private func completeness(_ exchange: HTTPExchange) throws(Problem) -> HTTPResponse {
        let window = try CompletenessPage.Window(
            from: exchange.queryItem("from"), to: exchange.queryItem("to"))
        let figures = figures()
        var response = CentralRoutes.json(CompletenessPage.json(figures.completeness, window, at: figures.now))
        if let through = figures.completeThrough {
            response.headers.append(("X-Complete-Through", through.rfc3339))
        }
        return JSONTable.completeness.answer(exchange, response)
    }

    private func retire(_ exchange: HTTPExchange, _ relayID: String) {
        desk.answer(exchange) { [self] in
            let decision = try Decision(exchange)
            guard try keeper.retire(relayID, by: decision.by, note: decision.note) else {
                throw Problem(status: 404, code: "unknown_relay", detail: "Central has never heard of this relay.")
            }
            var output = JSONWriter()
            output.object {
                $0.member("relay_id", relayID)
                $0.member("state", "retired")
            }
            return CentralRoutes.json(output.bytes)
        }
    }

    // MARK: Incidents

    private func incidents() -> HTTPResponse {
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.key("incidents")
            output.array { output in for incident in keeper.incidents { incident.append(to: &output) } }
        }
        return CentralRoutes.json(output.bytes)
    }

    private func closeIncident(_ exchange: HTTPExchange, _ id: String) {
        desk.answer(exchange) { [self] in
            let decision = try Decision(exchange)
            guard let closed = try keeper.close(id, by: decision.by, note: decision.note) else {
                throw Problem(status: 404, code: "no_open_incident", detail: "No open incident has this id.")
            }
            var output = JSONWriter()
            closed.append(to: &output)
            return CentralRoutes.json(output.bytes)
        }
    }
}

/// Who decides, and why: the body of every request that does.
struct Decision: Sendable {
    var by: String
    var note: String

    /// In code points, as JSON Schema counts and the relay does.
    private static let maxBy = 128
    private static let maxNote = 2_000

    private struct Body: Decodable {
        var by: String?
        var note: String?
    }

    init(_ exchange: HTTPExchange) throws(Problem) {
        let body: Body
        do {
            body = try JSONDecoder().decode(Body.self, from: Data(exchange.body))
        } catch {
            throw Problem(status: 400, code: "invalid_json", detail: #"Send {"by": "who decides", "note": "why"}."#)
        }
        guard let by = body.by, (1...Self.maxBy).contains(by.unicodeScalars.count) else {
            throw Problem(
                status: 422, code: "missing_field",
                detail: "by is required: who decides, up to \(Self.maxBy) characters.",
                field: "by")
        }
        let note = body.note ?? ""
        guard note.unicodeScalars.count <= Self.maxNote else {
            throw Problem(
                status: 422, code: "invalid_field", detail: "note has at most \(Self.maxNote) characters.",
                field: "note")
        }
        self.by = by
        self.note = note
    }
}

extension RelayReport {
    /// Numbers that a relay can have: sums of them stay far from overflow.
    fileprivate var isPlausible: Bool {
        let most = 1 << 40
        let counts = [
            counters.received, counters.carriedOver, counters.waiting, counters.archived, counters.duplicates,
            counters.conflicts, counters.rejected, counters.quarantined, counters.lost, rules.version,
        ]
        guard Identifier.isValidEpoch(epoch), epochs.count <= SyncLimits.reportedEpochs, incidents.count <= 1_000,
            counts.allSatisfy({ abs($0) <= most }), summary.utf8.count <= 4_096, level.utf8.count <= 64,
            (rules.reason ?? "").utf8.count <= 4_096, Set(epochs.map(\.epoch)).count == epochs.count
        else { return false }
        return epochs.allSatisfy { life in
            Identifier.isValidEpoch(life.epoch) && (0...Int64(most)).contains(life.through)
                && (0...most).contains(life.waiting) && (0...most).contains(life.missingCount)
                && life.missing.min ?? 1 >= 1 && life.missing.max ?? 0 <= life.through
        }
    }
}
