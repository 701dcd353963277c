// Parses a report (contract §1) from its bytes: strict JSON, every rule of the contract, no allocation per report (I8).
//
// A parser owns the memory its results stand in: it serves one thread, and each result is valid until the next `parse`
// and as long as the input bytes are. What is not JSON is a `Problem` 400 (413 if too large), JSON that is no valid
// report 422.

import CJSON
package import Models

package final class ReportParser {
    private let parser: OpaquePointer
    private let report: UnsafeMutablePointer<columba_json_report>

    package init() {
        parser = JSONLimits.makeParser()
        report = .allocate(capacity: 1)
        report.initialize(to: columba_json_report())
    }

    deinit {
        columba_json_parser_destroy(parser)
        report.deallocate()
    }

    /// White space around the report is allowed and not part of it.
    package func parse(_ json: UnsafeRawBufferPointer) throws(Problem) -> ParsedReport {
        let bytes = json.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let status = columba_json_parse_report(parser, bytes, bytes == nil ? 0 : json.count, report)
        let body = UnsafeRawBufferPointer(
            rebasing: json.dropFirst(Int(report.pointee.body.offset)).prefix(Int(report.pointee.body.length)))
        guard status == COLUMBA_JSON_OK else {
            throw JSONFault(status: status, fault: report.pointee.fault, body: body).problem
        }
        var observedAt: Timestamp?
        if let text = report.pointee.observed_at.bytes {
            let count = Int(report.pointee.observed_at.length)
            observedAt = Timestamp(rfc3339: UnsafeBufferPointer(start: text, count: count))
            if observedAt == nil {
                throw JSONFault.invalid(COLUMBA_FIELD_OBSERVED_AT)
            }
        }
        return ParsedReport(report: UnsafePointer(report), body: body, observedAt: observedAt)
    }
}

/// Models.ReportLimits as the C side takes them.
enum JSONLimits {
    static func makeParser() -> OpaquePointer {
        ReportLimits.assertConsistent()
        let limits = columba_json_limits(
            body_bytes: UInt32(ReportLimits.bodyBytes),
            // `body_text` may double a body; the rest of a line fits into 4 KiB (SyncProtocol.SyncLimits).
            line_bytes: UInt32(2 * ReportLimits.bodyBytes + 4096),
            depth: UInt32(ReportLimits.depth),
            drone_id_bytes: UInt32(ReportLimits.droneIDBytes),
            boot_bytes: UInt32(ReportLimits.bootBytes),
            stored_boot_bytes: UInt32(ReportLimits.storedBootBytes),
            citizens: UInt32(ReportLimits.citizens),
            name_characters: UInt32(ReportLimits.nameCharacters.upperBound),
            words: UInt32(ReportLimits.words),
            word_characters: UInt32(ReportLimits.wordCharacters.upperBound),
            readings: UInt32(ReportLimits.readings),
            reading_name_characters: UInt32(ReportLimits.readingNameCharacters.upperBound),
            media: UInt32(ReportLimits.media),
            media_uri_characters: UInt32(ReportLimits.mediaURICharacters.upperBound),
            media_hash_characters: UInt32(ReportLimits.mediaHashCharacters.upperBound),
            media_type_characters: UInt32(ReportLimits.mediaTypeCharacters.upperBound))
        guard let parser = columba_json_parser_create(limits) else {
            preconditionFailure("a JSON parser needs a few hundred bytes of memory")
        }
        return parser
    }
}
