// Takes a relay's batch (contract §4): check the digest, inflate, look at every line, make it durable in the stream,
// and only then say `received` (I4). What is no valid record is set aside with its reason and never blocks the rest.

package import HTTPServer
package import SyncProtocol
package import System
import Compression
import Crypto
import JSON
import Models
import Synchronization

package struct IntakeCounters: Sendable, Equatable {
    package var batches = 0
    package var repeatedBatches = 0
    package var records = 0
    package var rejectedRecords = 0
    package var refusedBatches = 0
    package var bytes = 0
}

package final class BatchIntake: Sendable {
    private let stream: any BatchStream
    private let fleet: Fleet
    private let quarantine: any QuarantineBook
    private let live: LiveHandOver
    private let time: any TimeSource
    private let maxStreamBytes: Int
    private let counted = Mutex(IntakeCounters())

    package init(
        stream: any BatchStream, fleet: Fleet, quarantine: any QuarantineBook, time: any TimeSource,
        maxStreamBytes: Int, live: LiveHandOver = LiveHandOver()
    ) {
        self.live = live
        self.stream = stream
        self.fleet = fleet
        self.quarantine = quarantine
        self.time = time
        self.maxStreamBytes = maxStreamBytes
    }

    package var counters: IntakeCounters { counted.withLock { $0 } }

    /// `GET …/epochs/{epoch}/acks`
    package func acknowledgements(_ exchange: HTTPExchange, relayID: String, epoch: String) {
        fleet.contacted(relayID: relayID, epoch: epoch, at: Timestamp(microseconds: time.wallMicroseconds()))
        let from = exchange.queryItem("from").flatMap { Int64($0) } ?? 1
        let answer = fleet.acknowledgement(relayID: relayID, epoch: epoch, digest: nil, credit: .standard)
        respond(exchange, answer.limited(from: from))
    }

    /// `PUT …/batches/{first}-{last}`. Answers now or when the batch is durable.
    package func put(_ exchange: HTTPExchange, name: BatchName) {
        do throws(Problem) {
            try take(exchange, name)
        } catch {
            refuse(exchange, error)
        }
    }

    private func take(_ exchange: HTTPExchange, _ name: BatchName) throws(Problem) {
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let digest = try verifiedDigest(exchange)
        if fleet.has(name, digest: digest) {
            // The very same bytes are durable already: their acknowledgement was lost on the way.
            counted.withLock { $0.repeatedBatches += 1 }
            fleet.contacted(relayID: name.relayID, epoch: name.epoch, at: now)
            return answer(exchange, name, digest: digest)
        }
        guard stream.totalBytes < maxStreamBytes else {
            throw Self.busy("The archive is behind and the stream full.", 10)
        }
        let lines = try inflate(exchange)
        var facts =
            live.hasRoom ? LiveFacts(relayID: name.relayID, epoch: name.epoch, receivedAt: now) : nil
        let examined = try BatchExamination.examine(lines, name: name) { facts?.add($0, $1) }
        let header = StreamHeader(
            relay: name.relayID, epoch: name.epoch, numbers: examined.numbers,
            rejected: examined.rejected.map { RejectedRecord(n: $0.n, code: $0.code) }, records: examined.records)
        let batch = NewBatch(header: header, payload: Array(exchange.body), lines: lines, receivedAt: now)
        guard !examined.rejected.isEmpty else { return append(exchange, name, batch, facts, digest: digest) }
        // Before `received` is said: a record set aside is kept as surely as one that is not.
        quarantine.keep(examined.rejected, relayID: name.relayID, epoch: name.epoch, at: now) { [self, facts] isKept in
            guard !isKept else { return append(exchange, name, batch, facts, digest: digest) }
            refuse(exchange, Self.busy("The quarantine cannot be written.", 5))
        }
    }

    private func append(
        _ exchange: HTTPExchange, _ name: BatchName, _ batch: NewBatch, _ facts: LiveFacts?, digest: String
    ) {
        let isQueued = stream.append(batch) { [self, facts] result in
            switch result {
            case .success(let position):
                if let facts { live.offer(facts, at: position) }
                fleet.received(batch.header, name: name.path, digest: digest, at: batch.receivedAt)
                count(batch.header, bytes: batch.payload.count)
                answer(exchange, name, digest: digest)
            case .failure:
                exchange.respond(HTTPResponse(problem: Self.busy("The stream cannot be written.", 1)))
            }
        }
        if !isQueued { refuse(exchange, Self.busy("More batches came than the disk takes.", 1)) }
    }

    private func refuse(_ exchange: HTTPExchange, _ problem: Problem) {
        counted.withLock { $0.refusedBatches += 1 }
        exchange.respond(HTTPResponse(problem: problem))
    }

    private func count(_ header: StreamHeader, bytes: Int) {
        counted.withLock { counters in
            counters.batches += 1
            counters.records += header.records
            counters.rejectedRecords += header.rejected.count
            counters.bytes += bytes
        }
    }

    private func answer(_ exchange: HTTPExchange, _ name: BatchName, digest: String) {
        let answer = fleet.acknowledgement(
            relayID: name.relayID, epoch: name.epoch, digest: digest, credit: .standard)
        respond(exchange, answer.limited(toBatch: name.range))
    }

    private func respond(_ exchange: HTTPExchange, _ answer: Acknowledgement) {
        exchange.respond(HTTPResponse(status: 200, contentType: "application/json", body: answer.json()))
    }

    // MARK: Checks

    private static func busy(_ reason: String, _ seconds: Int) -> Problem {
        Problem(
            status: 503, code: "overloaded", detail: "\(reason) Nothing was taken; send the batch again.",
            retryAfterSeconds: seconds)
    }

    /// The header's text if it is the SHA-256 of the bytes that arrived.
    private func verifiedDigest(_ exchange: HTTPExchange) throws(Problem) -> String {
        let type = exchange.header("content-type")?.prefix { $0 != ";" }.lowercased()
        guard type == "application/x-ndjson" else {
            throw Problem(
                status: 415, code: "unsupported_media_type",
                detail: "A batch is application/x-ndjson, one record a line.")
        }
        guard let header = exchange.header("content-digest"), let expected = ContentDigest.parse(header) else {
            throw Problem(
                status: 400, code: "missing_digest",
                detail: "Send Content-Digest: sha-256=:…: over the bytes as transmitted (RFC 9530).",
                field: "Content-Digest")
        }
        let actual = SHA256.hash(exchange.body)
        guard actual.bytes == expected else {
            throw Problem(
                status: 400, code: "digest_mismatch",
                detail: "The bytes that arrived are not those of Content-Digest. Send the batch again.",
                field: "Content-Digest")
        }
        return actual.withBytes { ContentDigest.format($0) }
    }

    private func inflate(_ exchange: HTTPExchange) throws(Problem) -> [UInt8] {
        guard exchange.header("content-encoding")?.lowercased() == "zstd" else {
            throw Problem(status: 415, code: "unsupported_encoding", detail: "A batch's Content-Encoding is zstd.")
        }
        do {
            return try Zstd.decompress(
                exchange.body, maxBytes: SyncLimits.inflatedBatchBytes, maxRatio: SyncLimits.inflationRatio)
        } catch {
            switch error.code {
            case .tooLarge, .ratio:
                throw Problem(
                    status: 413, code: "too_large",
                    detail: "A batch inflates to at most \(SyncLimits.inflatedBatchBytes) bytes. Split it.")
            default:
                throw Problem(status: 400, code: "invalid_encoding", detail: "The body is not one whole zstd frame.")
            }
        }
    }
}
