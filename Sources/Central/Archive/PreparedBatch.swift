// A batch after parsing: for each record what decides about it, and its row as JSON, ready to be copied to a row file.

import Crypto
import JSON
import Models

/// A row's place among its batch's rows, and what the file's statistics need of it.
struct PreparedReport {
    var identity: ReportIdentity
    /// Days since 1970 of its partition.
    var day: Int
    var observedAt: Int64
    var latitude: Double
    var longitude: Double
    var cell: String
}

struct PreparedRecord {
    enum Content {
        case report(PreparedReport)
        /// An alert or a change of one: the day of its partition and when.
        case alert(day: Int, at: Int64)
        /// Cannot be stored; `unnumbered` lines have no n.
        case rejected(code: String)
        case unnumbered(code: String)
    }

    var n: Int64
    var receivedAt: Int64
    var digest: SHA256Digest
    var content: Content
    /// In `PreparedBatch.rows`, without the closing brace.
    var row: Range<Int>
    /// In the batch's bytes, for the quarantine.
    var line: Range<Int>
}

struct SeenName {
    var person: PersonID
    /// A JSON string with its quotes.
    var token: [UInt8]
    var receivedAt: Int64
}

struct PreparedBatch {
    var records: [PreparedRecord] = []
    var rows: [UInt8] = []
    /// Names this batch's preparer had not met before.
    var names: [SeenName] = []
}

/// Parses batches. Holds the parsers' memory and the pseudonym cache: one thread at a time.
final class BatchPreparer {
    private let lineParser = LineParser()
    private let reportParser = ReportParser()
    private var encoder: RowEncoder

    init(key: HMACSHA256) { encoder = RowEncoder(key: key) }

    func prepare(_ batch: StreamedBatch) -> PreparedBatch {
        var prepared = PreparedBatch()
        prepared.rows.reserveCapacity(batch.ndjson.count + batch.ndjson.count / 2)
        let source = RecordSource(relayID: batch.relayID, epoch: batch.epoch)
        batch.ndjson.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            NDJSON.forEachLine(in: bytes) { _, line in
                let start = line.baseAddress.map { base.distance(to: $0) } ?? 0
                let record = prepareLine(line, at: start..<(start + line.count), source, &prepared)
                prepared.records.append(record)
            }
        }
        return prepared
    }

    private func prepareLine(
        _ bytes: UnsafeRawBufferPointer, at range: Range<Int>, _ source: RecordSource, _ prepared: inout PreparedBatch
    ) -> PreparedRecord {
        let start = prepared.rows.count
        var record = PreparedRecord(
            n: 0, receivedAt: 0, digest: .zero, content: .unnumbered(code: ""), row: start..<start, line: range)
        do {
            let line = try lineParser.parse(bytes)
            record.n = line.n
            record.receivedAt = line.receivedAt.microseconds
            record.digest = SHA256.hash(line.body)
            record.content = try content(line, record, source, &prepared)
            record.row = start..<prepared.rows.count
        } catch let problem as LineProblem {
            record.n = problem.n ?? 0
            let code = problem.problem.code
            record.content = problem.n == nil ? .unnumbered(code: code) : .rejected(code: code)
        } catch {
            record.content = .rejected(code: (error as? Problem)?.code ?? "unreadable")
            prepared.rows.removeLast(prepared.rows.count - start)
        }
        return record
    }

    private func content(
        _ line: ParsedLine, _ record: PreparedRecord, _ source: RecordSource, _ prepared: inout PreparedBatch
    ) throws -> PreparedRecord.Content {
        switch line.kind {
        case .report:
            let report = try reportParser.parse(line.body)
            let identity = line.identity(of: report, relayID: source.relayID, epoch: source.epoch)
            return .report(encoder.encode(report, line, identity, record.digest, source, &prepared))
        case .alert:
            return encoder.encode(try Alert(json: line.body), line, record.digest, source, &prepared)
        case .alertState:
            return encoder.encode(try AlertStateChange(json: line.body), line, record.digest, source, &prepared)
        }
    }
}

extension SHA256Digest {
    /// Stands where no digest has been computed.
    static let zero = SHA256.hash([UInt8]())
}
