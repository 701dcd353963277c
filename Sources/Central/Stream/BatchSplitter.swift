// Cuts a batch into the parts of a partitioned stream. Pure.
//
// Every line is in exactly one part, its bytes unchanged: a report and an alert go where their drone belongs, so that
// one archiver sees all of a drone. What has no drone (changes of an alert's state) and what intake could not read is
// in part 0. Every part says which record numbers the whole batch has (the cover): its archiver settles them all, so
// complete data stays one interval in each partition's set. A partition without a line gets a part without one.
//
// A part that would not fit into one message (many lines of one drone, many gaps in the numbers) makes the batch fall
// into halves by line, as often as needed: each half is a batch of its own with a smaller cover. One valid line always
// fits (asserted below); a line that intake could not read and that does not is left out, only its number is there:
// intake has put it into the vault before (`SharedQuarantine.keep`).
//
// Message: subject `columba.pNN` · header `Columba-Batch: {"v":1,"at":µs,"batch":{StreamHeader}}` · header
// `Nats-Msg-Id: relay/epoch/first-last/pNN/hash` (of header and lines, without the time) · payload = zstd NDJSON. A
// header of its own, because a reader may ask for headers alone: that is how fleet and figures follow the stream.

package import Models
package import NATS
import SyncProtocol
import Compression
import Crypto
import FoundationEssentials
import JSON

package struct BatchPart: Sendable {
    package let header: StreamHeader
    package let receivedAt: Timestamp
    /// zstd NDJSON.
    package let payload: [UInt8]
    /// The same part of the same batch has the same one, whichever node splits it.
    package let messageID: String
    fileprivate let encodedHeader: [UInt8]

    package var partition: Int { header.partition ?? 0 }
    /// About what it takes in memory and on the way.
    package var bytes: Int { payload.count + encodedHeader.count + 256 }

    package func message() -> OutgoingMessage {
        OutgoingMessage(
            subject: StreamSubject.name(ofPartition: partition),
            headers: [
                (JetStream.messageIDHeader, messageID),
                (StreamHeaderText.name, StreamHeaderText.text(encodedHeader, receivedAt)),
            ], payload: payload)
    }
}

package enum StreamSubject {
    package static let all = "columba.*"

    /// `columba.p03`
    package static func name(ofPartition partition: Int) -> String {
        "columba.p" + (partition < 10 ? "0" : "") + String(partition)
    }

    package static func partition(of subject: String) -> Int? {
        guard subject.hasPrefix("columba.p"), let index = Int(subject.dropFirst(9)), index >= 0,
            name(ofPartition: index) == subject
        else { return nil }
        return index
    }
}

/// The message header that holds the stream's own.
package enum StreamHeaderText {
    package static let name = "Columba-Batch"
    package static let version = 1
    /// The server takes 64 KiB of headers; the rest is for the others.
    package static let maxBytes = 48 << 10

    private struct Envelope: Decodable {
        var v: Int
        var at: Int64
        var batch: StreamHeader
    }

    static func encode(_ header: StreamHeader) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(header))
    }

    static func text(_ encoded: [UInt8], _ at: Timestamp) -> String {
        #"{"v":\#(version),"at":\#(at.microseconds),"batch":"# + String(decoding: encoded, as: UTF8.self) + "}"
    }

    /// nil where it is not one of ours, or of a version to come.
    package static func decode(_ text: String, partition: Int) -> (header: StreamHeader, receivedAt: Timestamp)? {
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: Data(text.utf8)),
            envelope.v == version, envelope.batch.partition == partition
        else { return nil }
        return (envelope.batch, Timestamp(microseconds: envelope.at))
    }
}

package struct BatchSplitter: Sendable {
    package let partitions: Int
    /// Of a whole message, headers included.
    package let messageBytes: Int
    /// As the relay compresses; what intake spends on it is in decision 0080.
    private static let compressionLevel: Int32 = 1

    /// Of a message so much is not payload at most.
    private static let overheadBytes = 1 << 10

    package init(partitions: Int, messageBytes: Int) {
        precondition((1...64).contains(partitions), "a stream has 1 to 64 partitions")
        precondition(
            messageBytes >= SyncLimits.lineBytes + SyncLimits.lineBytes / 64 + StreamHeaderText.maxBytes
                + Self.overheadBytes,
            "the longest line, hardly compressible, with the longest header must fit into a message")
        self.partitions = partitions
        self.messageBytes = messageBytes
    }

    private struct Line {
        var n: Int64
        var partition: Int
        var range: Range<Int>
    }

    /// The batch, or its pieces in order; each as parts 0 … partitions−1.
    package func split(_ batch: NewBatch) throws -> [[BatchPart]] {
        let rejected = Set(batch.header.rejected.map(\.n))
        let lines = lines(of: batch.lines, rejected: rejected)
        return try pieces(batch, lines[...])
    }

    private func lines(of ndjson: [UInt8], rejected: Set<Int64>) -> [Line] {
        let lineParser = LineParser()
        let reportParser = ReportParser()
        var lines: [Line] = []
        ndjson.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            NDJSON.forEachLine(in: bytes) { _, line in
                let start = line.baseAddress.map { base.distance(to: $0) } ?? 0
                var entry = Line(n: 0, partition: 0, range: start..<start + line.count)
                do throws(LineProblem) {
                    let parsed = try lineParser.parse(line)
                    entry.n = parsed.n
                    if !rejected.contains(parsed.n) { entry.partition = partition(of: parsed, reportParser) }
                } catch {
                    entry.n = error.n ?? 0
                }
                lines.append(entry)
            }
        }
        return lines
    }

    private func partition(of line: ParsedLine, _ reports: ReportParser) -> Int {
        let drone: String?
        switch line.kind {
        case .report: drone = (try? reports.parse(line.body))?.droneID
        case .alert: drone = (try? Alert(json: line.body))?.droneID
        case .alertState: drone = nil
        }
        return drone.map { DronePartition.index(ofDrone: $0, count: partitions) } ?? 0
    }

    private func pieces(_ batch: NewBatch, _ lines: ArraySlice<Line>) throws -> [[BatchPart]] {
        let isAlone = lines.count <= 1
        if let parts = try parts(batch, lines, leavesOutWhatIsTooLong: isAlone) { return [parts] }
        guard !isAlone else {
            throw Problem(
                status: 413, code: "record_too_large",
                detail: "A record does not fit into a message of \(messageBytes) bytes.")
        }
        let middle = lines.startIndex + lines.count / 2
        return try pieces(batch, lines[..<middle]) + pieces(batch, lines[middle...])
    }

    /// nil where a part is too large for a message.
    private func parts(
        _ batch: NewBatch, _ lines: ArraySlice<Line>, leavesOutWhatIsTooLong: Bool
    ) throws -> [BatchPart]? {
        let numbers = IntervalSet(lines.map { $0.n...$0.n })
        let rejected = batch.header.rejected.filter { numbers.contains($0.n) }
        var texts = [[UInt8]](repeating: [], count: partitions)
        var records = [Int](repeating: 0, count: partitions)
        for line in lines {
            records[line.partition] += 1
            texts[line.partition].append(contentsOf: batch.lines[line.range])
            texts[line.partition].append(0x0a)
        }
        var parts: [BatchPart] = []
        for partition in 0..<partitions {
            let holdsTheRetry = batch.header.retry != nil && records[partition] > 0
            let header = StreamHeader(
                relay: batch.header.relay, epoch: batch.header.epoch, numbers: numbers,
                rejected: partition == 0 ? rejected : [], records: records[partition],
                retry: holdsTheRetry ? batch.header.retry : nil, partition: partition)
            if let part = try part(header, texts[partition], batch) {
                parts.append(part)
            } else if leavesOutWhatIsTooLong, !rejected.isEmpty, let part = try part(header, [], batch) {
                parts.append(part)
            } else {
                return nil
            }
        }
        return parts
    }

    private func part(_ header: StreamHeader, _ text: [UInt8], _ batch: NewBatch) throws -> BatchPart? {
        let encoded = try StreamHeaderText.encode(header)
        guard encoded.count <= StreamHeaderText.maxBytes - Self.overheadBytes else { return nil }
        let payload = try Zstd.compress(text, level: Self.compressionLevel)
        let hash = XXH3.hash64(text, seed: XXH3.hash64(encoded))
        let first = header.numbers.min ?? 0
        let last = header.numbers.max ?? 0
        let part = BatchPart(
            header: header, receivedAt: batch.receivedAt, payload: payload,
            messageID: "\(header.relay)/\(header.epoch)/\(first)-\(last)/p\(header.partition ?? 0)/"
                + String(hash, radix: 16), encodedHeader: encoded)
        return part.message().bytes <= messageBytes ? part : nil
    }
}
