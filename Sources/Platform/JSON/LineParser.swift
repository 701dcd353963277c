// Reads a line of the sync protocol (contract §4). The body comes out as the exact bytes the drone sent and is not
// judged here: a line whose body is broken still has a number to refuse it by.

import CJSON
package import Models

/// Valid until its parser's next `parse`, and as long as the parser and the input bytes live.
package struct ParsedLine {
    package let n: Int64
    package let receivedAt: Timestamp
    package let kind: RecordKind
    /// The record's bytes; a piece of the line, or of the parser's memory where they came as `body_text`.
    package let body: UnsafeRawBufferPointer
    /// The identity the relay gave to a report that came without `seq`.
    package let assignedBoot: String?
    package let assignedSeq: Int64?

    /// The report's identity for ever: the drone's own numbers, else the relay's, else what the relay's would be.
    package func identity(of report: ParsedReport, relayID: String, epoch: String) -> ReportIdentity {
        if let own = report.identity { return own }
        let boot = assignedBoot ?? Identifier.relayBoot(relayID: relayID, epoch: epoch)
        return ReportIdentity(droneID: report.droneID, boot: boot, seq: assignedSeq ?? n)
    }
}

package struct LineProblem: Error, Hashable, Sendable {
    /// The line's number, wherever it could still be read.
    package var n: Int64?
    package var problem: Problem
}

/// One thread at a time, like `ReportParser`.
package final class LineParser {
    private let parser: OpaquePointer

    package init() { parser = JSONLimits.makeParser() }

    deinit { columba_json_parser_destroy(parser) }

    package func parse(_ json: UnsafeRawBufferPointer) throws(LineProblem) -> ParsedLine {
        var line = columba_json_line()
        let bytes = json.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let status = columba_json_parse_line(parser, bytes, bytes == nil ? 0 : json.count, &line)
        let number = line.n >= 1 ? line.n : nil
        guard status == COLUMBA_JSON_OK else {
            let fault = JSONFault(status: status, fault: line.fault, body: json)
            throw LineProblem(n: number, problem: fault.problem)
        }
        guard let receivedAt = Timestamp(rfc3339: Self.buffer(line.received_at)) else {
            throw LineProblem(n: number, problem: JSONFault.invalid(COLUMBA_FIELD_LINE_RECEIVED_AT))
        }
        guard let kind = Self.kind(line.kind) else {
            throw LineProblem(n: number, problem: JSONFault.invalid(COLUMBA_FIELD_LINE_KIND))
        }
        return ParsedLine(
            n: line.n, receivedAt: receivedAt, kind: kind, body: UnsafeRawBufferPointer(Self.buffer(line.body)),
            assignedBoot: line.boot.bytes == nil ? nil : String(decoding: Self.buffer(line.boot), as: UTF8.self),
            assignedSeq: line.has_seq ? line.seq : nil)
    }

    private static func buffer(_ text: columba_json_text) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: text.bytes, count: Int(text.length))
    }

    private static func kind(_ text: columba_json_text) -> RecordKind? {
        // "report" is nearly every line: told by its length and never made a String.
        if text.length == 6, buffer(text).elementsEqual("report".utf8) { return .report }
        return RecordKind(rawValue: String(decoding: buffer(text), as: UTF8.self))
    }
}
