// `/v1/quarantine`: what central could not read or store, and a person's decisions about it. A record's bytes are shown
// on demand only: names are in them (I9).

import Compression
import Crypto
import HTTPServer
import JSON
import Log
import Models
import SyncProtocol
import System

final class QuarantineDesk: Sendable {
    private static let maxPage = 1_000
    private static let defaultPage = 100
    private static let compressionLevel: Int32 = 1

    private let quarantine: any QuarantineBook
    private let stream: any BatchStream
    private let fleet: Fleet
    private let desk: Desk
    private let time: any TimeSource
    private let log: Log

    init(
        quarantine: any QuarantineBook, stream: any BatchStream, fleet: Fleet, desk: Desk, time: any TimeSource,
        log: Log
    ) {
        self.quarantine = quarantine
        self.stream = stream
        self.fleet = fleet
        self.desk = desk
        self.time = time
        self.log = log
    }

    private var now: Timestamp { Timestamp(microseconds: time.wallMicroseconds()) }

    // MARK: Looking

    func list(_ exchange: HTTPExchange) throws -> HTTPResponse {
        let limit = try exchange.queryItem("limit").map { text throws(Problem) in
            guard let limit = Int(text), (1...Self.maxPage).contains(limit) else {
                throw Problem(
                    status: 422, code: "invalid_field", detail: "limit is 1 to \(Self.maxPage).", field: "limit")
            }
            return limit
        }
        let states = try exchange.queryItem("state").map { text throws(Problem) in
            if text == "all" { return Set(QuarantinedRecord.State.allCases) }
            guard let state = QuarantinedRecord.State(rawValue: text) else {
                let known = QuarantinedRecord.State.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(
                    status: 422, code: "invalid_field", detail: "state is all, or one of \(known).", field: "state")
            }
            return [state]
        }
        let page = limit ?? Self.defaultPage
        look()
        let records = try quarantine.list(
            states: states ?? [.waiting, .retrying], relayID: exchange.queryItem("relay_id"),
            after: exchange.queryItem("after"), limit: page)
        var output = JSONWriter(reservedBytes: 4_096)
        output.object { output in
            output.member("waiting", quarantine.counts.values.reduce(0, +))
            output.key("records")
            output.array { output in for record in records { Self.append(record, nil, &output) } }
            output.member("next", records.count == page ? records.last?.id : nil)
        }
        return CentralRoutes.json(output.bytes)
    }

    /// Where the vault does not answer, what is known is shown.
    private func look() {
        do {
            try quarantine.look()
        } catch {
            log.warning("quarantine_not_reached", ["error": .string("\(error)")])
        }
    }

    func show(_ exchange: HTTPExchange, _ id: String) throws -> HTTPResponse {
        let wantsLine = exchange.queryItem("raw") == "true"
        look()
        guard let (record, line) = try quarantine.record(id, withLine: wantsLine) else { throw Self.unknown }
        if wantsLine {
            // Every look at a record's content leaves a trace.
            log.info("quarantine_shown", ["id": .string(id), "relay_id": .string(record.relayID)])
        }
        var output = JSONWriter(reservedBytes: 1_024 + (line?.count ?? 0) * 2)
        Self.append(record, wantsLine ? .some(line) : nil, &output)
        return CentralRoutes.json(output.bytes)
    }

    private static func append(_ record: QuarantinedRecord, _ line: [UInt8]??, _ output: inout JSONWriter) {
        output.object {
            $0.member("id", record.id)
            $0.member("relay_id", record.relayID)
            $0.member("epoch", record.epoch)
            $0.member("n", record.n.map { Int($0) })
            $0.member("code", record.code)
            $0.member("received_at", record.receivedAt)
            $0.member("state", record.state.rawValue)
            $0.member("bytes", record.bytes)
            $0.member("decided_at", record.decidedAt)
            $0.member("decided_by", record.decidedBy)
            $0.member("note", record.note)
            guard let line else { return }
            // It may be anything, so as text where it is text, and byte for byte.
            let text = line.flatMap { String(validating: $0, as: UTF8.self) }
            $0.member("line", text)
            $0.member("line_base64", line.map { Base64.encode($0) })
        }
    }

    private static var unknown: Problem {
        Problem(status: 404, code: "unknown_record", detail: "The quarantine has no record with this id.")
    }

    // MARK: Deciding

    /// Examines the record again; where it is valid now it goes through the stream into the archive, under the number
    /// it had.
    func retry(_ exchange: HTTPExchange, _ id: String) throws -> HTTPResponse {
        let decision = try Decision(exchange)
        try quarantine.look()
        guard let (record, line) = try quarantine.record(id, withLine: true) else { throw Self.unknown }
        guard record.state == .waiting, let line else { throw Self.decided(record) }
        let batch = try Self.batch(record, line)
        guard try quarantine.startRetry(id, by: decision.by, note: decision.note, at: now) else {
            throw try decided(id)
        }
        let isQueued = stream.append(batch) { [self] result in
            // On the stream's thread: the note of it is for the desk's. Where that is not possible, a start finds out.
            desk.enqueue { [self] in appended(id, result) }
        }
        guard try isQueued || !quarantine.retryNotQueued(id, at: now) else {
            throw Problem(
                status: 503, code: "overloaded", detail: "The stream is full. Try again later.", retryAfterSeconds: 5)
        }
        log.info("quarantine_retry", ["id": .string(id), "relay_id": .string(record.relayID)])
        return Self.answer(id, .retrying, status: 202)
    }

    /// What the stream takes of a record that is tried again; throws where it is still no valid one.
    private static func batch(_ record: QuarantinedRecord, _ line: [UInt8]) throws -> NewBatch {
        guard let n = record.n else {
            throw Problem(
                status: 422, code: "no_record_number",
                detail: "The line has no record number that could be read: it can only be dropped.")
        }
        let name = BatchName(relayID: record.relayID, epoch: record.epoch, first: n, last: n)
        let lines = line + [0x0a]
        let examined = try BatchExamination.examine(lines, name: name)
        if let rejected = examined.rejected.first {
            throw Problem(
                status: 422, code: rejected.code,
                detail: "The record is still no valid one; it stays in quarantine.")
        }
        let header = StreamHeader(
            relay: record.relayID, epoch: record.epoch, numbers: examined.numbers, rejected: [], records: 1,
            retry: record.id)
        return NewBatch(
            header: header, payload: try Zstd.compress(lines, level: Self.compressionLevel), lines: lines,
            receivedAt: record.receivedAt)
    }

    /// On a person's word of before: nobody waits for the answer.
    func publish(_ record: QuarantinedRecord, _ line: [UInt8]) throws {
        _ = stream.append(try Self.batch(record, line)) { _ in }
    }

    private func appended(_ id: String, _ result: Result<Int64, any Error>) {
        do {
            try quarantine.retryAppended(id, position: try? result.get(), at: now)
        } catch {
            log.error("quarantine_not_saved", ["id": .string(id), "error": .string("\(error)")])
        }
    }

    func drop(_ exchange: HTTPExchange, _ id: String) throws -> HTTPResponse {
        let decision = try Decision(exchange)
        try quarantine.look()
        guard let (record, _) = try quarantine.record(id, withLine: false) else { throw Self.unknown }
        guard try quarantine.drop(id, by: decision.by, note: decision.note, at: now) else { throw try decided(id) }
        log.warning("quarantine_dropped", ["id": .string(id), "relay_id": .string(record.relayID)])
        return Self.answer(id, .dropped, status: 200)
    }

    /// As it is now: somebody may have been faster.
    private func decided(_ id: String) throws -> Problem {
        try quarantine.record(id, withLine: false).map { Self.decided($0.record) } ?? Self.unknown
    }

    private static func decided(_ record: QuarantinedRecord) -> Problem {
        Problem(
            status: 409, code: "already_decided",
            detail: "This record does not wait for a decision: it is \(record.state.rawValue).")
    }

    private static func answer(_ id: String, _ state: QuarantinedRecord.State, status: Int) -> HTTPResponse {
        var output = JSONWriter()
        output.object {
            $0.member("id", id)
            $0.member("state", state.rawValue)
        }
        var response = CentralRoutes.json(output.bytes)
        response.status = status
        return response
    }

    // MARK: From the archiver's thread

    /// A version is committed: takes in what the archiver set aside, and settles what was tried again.
    func committed(_ commit: ArchiveCommit, retried: [String]) {
        do {
            for record in try quarantine.committed(commit, retried: retried, at: now) {
                guard let n = record.n else { continue }
                fleet.retried(n, relayID: record.relayID, epoch: record.epoch)
            }
        } catch {
            // The files stay, a start takes them in; so does what was tried again.
            log.error("quarantine_not_saved", ["error": .string("\(error)")])
        }
    }
}
