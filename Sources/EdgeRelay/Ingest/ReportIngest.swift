// From a request's bytes to records in the buffer: parse, identify, alert, queue. Runs on the server's threads, in the
// order that the two promises demand: alerts go out before the disk is asked (I6), the answer waits for it (I1).

package import HTTPServer
package import System
import Certificates
import Compression
import Crypto
import Identity
import JSON
import Models
import Synchronization

package struct IngestCounters: Sendable, Equatable {
    /// Requests, and reports within them, that got no record.
    package var refusedRequests = 0
    package var rejectedReports = 0
    package var throttled = 0
    /// Alerts that were raised and pushed (I6), while their report found no place: in the buffer, and so at central,
    /// only once the drone has sent it again.
    package var alertsNotStored = 0
}

package final class ReportIngest: Sendable {
    private let relayID: String
    private let time: any TimeSource
    private let board: DroneBoard
    private let alerting: Alerting
    private let writer: BufferWriter
    private let level: @Sendable () -> BufferLevel
    private let onImpersonation: @Sendable (_ drone: String) -> Void
    private let unsequenced: Mutex<UnsequencedReports>
    private let parsers = ParserPool()
    private let counted = Mutex(IngestCounters())

    package init(
        relayID: String, time: any TimeSource, board: DroneBoard, alerting: Alerting, writer: BufferWriter,
        unsequenced: UnsequencedReports, level: @escaping @Sendable () -> BufferLevel,
        onImpersonation: @escaping @Sendable (_ drone: String) -> Void = { _ in }
    ) {
        self.relayID = relayID
        self.time = time
        self.board = board
        self.alerting = alerting
        self.writer = writer
        self.level = level
        self.onImpersonation = onImpersonation
        self.unsequenced = Mutex(unsequenced)
    }

    package var counters: IngestCounters { counted.withLock { $0 } }

    /// `POST /v1/reports`. Answers now or when the reports are on disk.
    package func post(_ exchange: HTTPExchange) {
        do throws(Problem) {
            let type = Self.mediaType(exchange.header("content-type"))
            guard type == "application/json" || type == "application/x-ndjson" else {
                throw Problem(
                    status: 415, code: "unsupported_media_type",
                    detail: "Send one report as application/json, or one a line as application/x-ndjson.")
            }
            let body = try inflate(exchange)
            let drone = exchange.peerIdentity.flatMap(PeerIdentity.init(uri:))?.name
            if type == "application/json" {
                try postOne(exchange, body, drone)
            } else {
                try postMany(exchange, body, drone)
            }
        } catch {
            counted.withLock { $0.refusedRequests += 1 }
            exchange.respond(HTTPResponse(problem: error))
        }
    }

    // MARK: One report

    private func postOne(_ exchange: HTTPExchange, _ body: RequestBody, _ drone: String?) throws(Problem) {
        let relayID = relayID
        try submit(body, from: drone) { identity, outcome in
            switch outcome {
            case .stored(let verdicts):
                var answer = IngestAnswer(relayID: relayID)
                answer.append(identity, verdicts[0])
                exchange.respond(HTTPResponse(status: 202, contentType: "application/json", body: answer.finish()))
            case .failed(let problem): exchange.respond(HTTPResponse(problem: problem))
            }
        }
    }

    /// One report, whatever way it came: parsed, identified, its alerts raised (I6), queued for the disk.
    /// - Parameters:
    ///   - drone: whom the sender's certificate names; nil without one.
    ///   - topicDrone: whom the topic names that the report was published to; nil where there is none.
    ///   - answer: called once, on the writer's thread, when the report is on disk or could not be written (I1). Not
    ///     called when this function throws: then nothing was taken.
    func submit(
        _ body: RequestBody, from drone: String?, topicDrone: String? = nil,
        answer: @escaping (ReportIdentity, WriteOutcome) -> Void
    ) throws(Problem) {
        let receivedAt = Timestamp(microseconds: time.wallMicroseconds())
        let report: PendingReport
        let identity: ReportIdentity
        do throws(Problem) {
            (report, identity) = try take(body.bytes, receivedAt: receivedAt, from: drone, topicDrone: topicDrone)
        } catch {
            counted.withLock { $0.rejectedReports += 1 }
            throw error
        }
        let write = PendingWrite(receivedAt: receivedAt, reports: [report]) { outcome in
            if case .failed = outcome { self.countNotStored([report]) }
            withExtendedLifetime(body) { answer(identity, outcome) }
        }
        try submit(write)
    }

    // MARK: Many reports

    private enum Line { case report(ReportIdentity), rejected(Problem) }

    private func postMany(_ exchange: HTTPExchange, _ body: RequestBody, _ drone: String?) throws(Problem) {
        let receivedAt = Timestamp(microseconds: time.wallMicroseconds())
        var lines: [Line] = []
        var reports: [PendingReport] = []
        var throttle: Problem?
        NDJSON.forEachLine(in: body.bytes) { _, text in
            do throws(Problem) {
                let (report, identity) = try take(text, receivedAt: receivedAt, from: drone)
                reports.append(report)
                lines.append(.report(identity))
            } catch {
                // A drone that sends too fast, or a full buffer, refuses the request if nothing of it was taken yet:
                // the client resends the whole, which is always safe.
                if error.status == 503 || error.status == 429 { throttle = throttle ?? error }
                lines.append(.rejected(error))
            }
        }
        guard !lines.isEmpty else {
            throw Problem(
                status: 400, code: "empty_body", detail: "The body holds no report: send one JSON object a line.")
        }
        if reports.isEmpty, let throttle { throw throttle }
        let rejected = lines.count - reports.count
        if rejected > 0 { counted.withLock { $0.rejectedReports += rejected } }
        let relayID = relayID
        let (finished, taken) = (lines, reports)
        let write = PendingWrite(receivedAt: receivedAt, reports: reports) { outcome in
            withExtendedLifetime(body) {
                switch outcome {
                case .stored(let verdicts):
                    exchange.respond(Self.answer(finished, verdicts, relayID: relayID))
                case .failed(let problem):
                    self.countNotStored(taken)
                    exchange.respond(HTTPResponse(problem: problem))
                }
            }
        }
        if reports.isEmpty { write.complete(.stored([])) } else { try submit(write) }
    }

    private static func answer(
        _ lines: [Line], _ verdicts: [RecentIdentities.Verdict], relayID: String
    ) -> HTTPResponse {
        var answer = IngestAnswer(relayID: relayID)
        var next = 0
        var isComplete = true
        for (index, line) in lines.enumerated() {
            switch line {
            case .report(let identity):
                answer.append(identity, verdicts[next])
                next += 1
            case .rejected(let problem):
                answer.append(line: index + 1, problem)
                isComplete = false
            }
        }
        return HTTPResponse(status: isComplete ? 202 : 207, contentType: "application/json", body: answer.finish())
    }

    // MARK: Steps

    private func submit(_ write: PendingWrite) throws(Problem) {
        guard writer.submit(write) else {
            countNotStored(write.reports)
            throw Problem(
                status: 503, code: "overloaded",
                detail: "The relay has more reports in hand than it can write. Nothing was stored; send it again.",
                retryAfterSeconds: 1)
        }
    }

    /// Parses, identifies, alerts. The bytes must live until the write is answered.
    /// - Parameter drone: whom the certificate names; nil over plain HTTP.
    private func take(
        _ bytes: UnsafeRawBufferPointer, receivedAt: Timestamp, from drone: String?, topicDrone: String? = nil
    ) throws(Problem) -> (PendingReport, ReportIdentity) {
        let parser = parsers.take()
        defer { parsers.put(parser) }
        let report = try parser.parse(bytes)
        if let drone, report.droneID != drone {
            onImpersonation(drone)
            throw IdentityProblem.mismatch("drone_id", field: "drone_id")
        }
        if let topicDrone, report.droneID != topicDrone {
            throw Problem(
                status: 403, code: "drone_id_mismatch",
                detail: "The topic names another drone than the report: publish to drones/<drone_id>/reports.",
                field: "drone_id")
        }
        let text = report.body
        let digest = SHA256.hash(text)
        let now = time.monotonicNanoseconds()
        let identity: ReportIdentity
        let isAssigned: Bool
        if let seq = report.seq {
            identity = ReportIdentity(droneID: report.droneID, boot: report.boot, seq: seq)
            isAssigned = false
        } else {
            let droneID = report.droneID
            identity = unsequenced.withLock { $0.identity(droneID: droneID, digest: digest, at: now) }
            isAssigned = true
        }
        let observedAt = report.observedAt ?? receivedAt
        let hearing = board.heard(
            identity, body: text, latitude: report.latitude, longitude: report.longitude, observedAt: observedAt,
            receivedAt: receivedAt, at: now)
        let isLate: Bool
        switch hearing {
        case .noted(let late): isLate = late
        case .tooFast(let seconds): throw tooFast(seconds)
        }
        let alerts = alerting.evaluate(
            report, identity: identity, observedAt: observedAt, receivedAt: receivedAt, at: now, isLate: isLate)
        // Fail open above, fail closed here: at a nearly full disk only what raised an alert still gets a place.
        let level = level()
        if level >= .full || (level >= .alertsOnly && alerts.isEmpty) {
            countNotStored(alerts.count)
            throw full(level)
        }
        let header = RecordHeader(identity: identity, digest: digest, isAssigned: isAssigned)
        return (PendingReport(header: header, payload: text, alerts: alerts), identity)
    }

    private func countNotStored(_ reports: [PendingReport]) {
        countNotStored(reports.reduce(0) { $0 + $1.alerts.count })
    }

    private func countNotStored(_ alerts: Int) {
        if alerts > 0 { counted.withLock { $0.alertsNotStored += alerts } }
    }

    private func tooFast(_ seconds: Double) -> Problem {
        counted.withLock { $0.throttled += 1 }
        return Problem(
            status: 429, code: "too_many_reports",
            detail: "This drone sends more reports than the relay takes from one drone. Keep them and slow down.",
            retryAfterSeconds: max(1, Int(seconds.rounded(.up))))
    }

    private func full(_ level: BufferLevel) -> Problem {
        Problem(
            status: 503, code: "buffer_full",
            detail:
                "The relay's buffer is almost full; only reports that raise an alert are stored. Keep the report and "
                + "send it again later, or to another relay.",
            retryAfterSeconds: level >= .full ? 60 : 30)
    }

    private static func mediaType(_ header: String?) -> String {
        guard let header else { return "" }
        if header == "application/json" || header == "application/x-ndjson" { return header }
        let type = header.prefix { $0 != ";" }
        return String(type).lowercased().filter { $0 != " " }
    }

    private func inflate(_ exchange: HTTPExchange) throws(Problem) -> RequestBody {
        let encoding = exchange.header("content-encoding")?.lowercased() ?? "identity"
        switch encoding {
        case "identity":
            return RequestBody(borrowing: exchange.body)
        case "zstd", "gzip":
            do {
                let inflated =
                    encoding == "zstd"
                    ? try Zstd.decompress(
                        exchange.body, maxBytes: ReportLimits.inflatedRequestBytes,
                        maxRatio: ReportLimits.inflationRatio)
                    : try Gzip.decompress(
                        exchange.body, maxBytes: ReportLimits.inflatedRequestBytes,
                        maxRatio: ReportLimits.inflationRatio)
                return RequestBody(copying: inflated)
            } catch {
                throw Self.problem(error)
            }
        default:
            throw Problem(
                status: 415, code: "unsupported_encoding", detail: "Content-Encoding may be zstd or gzip, one of them.")
        }
    }

    private static func problem(_ error: CompressionError) -> Problem {
        switch error.code {
        case .tooLarge, .ratio:
            Problem(
                status: 413, code: "too_large",
                detail: "The body inflates to more than \(ReportLimits.inflatedRequestBytes) bytes or "
                    + "\(ReportLimits.inflationRatio) times its size. Send it in smaller parts.")
        default:
            Problem(status: 400, code: "invalid_encoding", detail: "The body is not what Content-Encoding says.")
        }
    }
}
