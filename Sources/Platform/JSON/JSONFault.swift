// What the C parser found, in words: a stable code, where it is, and what would be right. No value is ever repeated
// (I9).

import CJSON
import Models

struct JSONFault {
    let status: columba_json_status
    let fault: columba_json_fault
    let body: UnsafeRawBufferPointer

    static func invalid(_ field: columba_json_field) -> Problem {
        let fault = columba_json_fault(
            field: field, rule: COLUMBA_RULE_INVALID, index: 0, key: columba_json_string())
        return JSONFault(
            status: COLUMBA_JSON_NOT_A_REPORT, fault: fault, body: UnsafeRawBufferPointer(start: nil, count: 0)
        ).problem
    }

    var problem: Problem {
        switch status {
        case COLUMBA_JSON_TOO_LARGE:
            Problem(
                status: 413, code: "too_large",
                detail: "a report is at most \(ReportLimits.bodyBytes) bytes of JSON; media belong into object storage")
        case COLUMBA_JSON_INVALID_UTF8:
            Problem(status: 400, code: "invalid_json", detail: "the body is not valid UTF-8")
        case COLUMBA_JSON_DUPLICATE_KEY:
            Problem(
                status: 400, code: "duplicate_key",
                detail: "an object holds the same key twice; each key may occur once")
        case COLUMBA_JSON_TOO_DEEP:
            Problem(
                status: 400, code: "too_deep",
                detail: "objects and arrays may be nested \(ReportLimits.depth) levels deep")
        case COLUMBA_JSON_NUMBER_RANGE:
            Problem(
                status: 400, code: "invalid_json", detail: "a number is too large for a 64-bit floating-point number")
        case COLUMBA_JSON_NO_MEMORY:
            Problem(
                status: 503, code: "out_of_memory", detail: "there was no memory to read the body; send it again later",
                retryAfterSeconds: 5)
        case COLUMBA_JSON_NOT_A_REPORT:
            fieldProblem
        default:
            Problem(
                status: 400, code: "invalid_json",
                detail: "the body is not strict JSON (RFC 8259): check quotes, commas, numbers, escapes, its end")
        }
    }

    private var fieldProblem: Problem {
        let (name, rule) = Self.describe(fault.field, index: fault.index, key: readingName)
        switch fault.rule {
        case COLUMBA_RULE_NOT_AN_OBJECT:
            return Problem(status: 422, code: "not_an_object", detail: "the body must be one JSON object")
        case COLUMBA_RULE_MISSING:
            return Problem(status: 422, code: "missing_field", detail: "\(name) is required: \(rule)", field: name)
        case COLUMBA_RULE_TOO_MANY:
            return Problem(status: 422, code: "too_many_items", detail: "\(name) must be \(rule)", field: name)
        default:
            return Problem(status: 422, code: "invalid_field", detail: "\(name) must be \(rule)", field: name)
        }
    }

    /// A reading's name where it is a plain one that may stand in an error; else its place in the map.
    private var readingName: String {
        let start = Int(fault.key.offset) + 1
        let count = Int(fault.key.length) - 2
        guard count > 0, count <= 64 else { return "[\(fault.index)]" }
        let bytes = body[start..<start + count]
        let isPlain = bytes.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
        return isPlain ? "." + String(decoding: bytes, as: UTF8.self) : "[\(fault.index)]"
    }

    private static func describe(
        _ field: columba_json_field, index: UInt32, key: String
    ) -> (name: String, rule: String) {
        switch field {
        case COLUMBA_FIELD_DRONE_ID: ("drone_id", "a string of 1 to 64 characters out of A-Z a-z 0-9 . _ -")
        case COLUMBA_FIELD_BOOT: ("boot", "a string of 1 to 32 characters out of A-Z a-z 0-9 . _ -")
        case COLUMBA_FIELD_SEQ: ("seq", "a whole number from 1 to 9223372036854775807")
        case COLUMBA_FIELD_OBSERVED_AT: ("observed_at", "an RFC 3339 time with Z or an offset")
        case COLUMBA_FIELD_LOCATION: ("location", "an object with lat and lon")
        case COLUMBA_FIELD_LATITUDE: ("location.lat", "a number from -90 to 90, degrees north")
        case COLUMBA_FIELD_LONGITUDE: ("location.lon", "a number from -180 to 180, degrees east")
        case COLUMBA_FIELD_ALTITUDE: ("location.alt_m", "a number, metres")
        case COLUMBA_FIELD_CITIZENS: ("citizens", "a list of at most \(ReportLimits.citizens) objects")
        case COLUMBA_FIELD_CITIZEN: ("citizens[\(index)]", "an object with name and peacescore")
        case COLUMBA_FIELD_CITIZEN_NAME: ("citizens[\(index)].name", "a string of 1 to 256 characters")
        case COLUMBA_FIELD_PEACESCORE: ("citizens[\(index)].peacescore", "a number")
        case COLUMBA_FIELD_CONFIDENCE: ("citizens[\(index)].confidence", "a number from 0 to 1")
        case COLUMBA_FIELD_WORDS: ("words", "a list of at most \(ReportLimits.words) strings")
        case COLUMBA_FIELD_WORD: ("words[\(index)]", "a string of at most 256 characters")
        case COLUMBA_FIELD_READINGS: ("readings", "an object of at most \(ReportLimits.readings) numbers")
        case COLUMBA_FIELD_READING: ("readings\(key)", "a number")
        case COLUMBA_FIELD_READING_NAME: ("readings[\(index)]", "named with 1 to 128 characters")
        default: describeMediumOrLine(field, index: index)
        }
    }

    private static func describeMediumOrLine(
        _ field: columba_json_field, index: UInt32
    ) -> (name: String, rule: String) {
        switch field {
        case COLUMBA_FIELD_MEDIA: ("media", "a list of at most \(ReportLimits.media) objects")
        case COLUMBA_FIELD_MEDIA_ITEM: ("media[\(index)]", "an object with uri")
        case COLUMBA_FIELD_MEDIA_URI: ("media[\(index)].uri", "a string of 1 to 2048 characters")
        case COLUMBA_FIELD_MEDIA_SHA256: ("media[\(index)].sha256", "a string of at most 128 characters")
        case COLUMBA_FIELD_MEDIA_BYTES: ("media[\(index)].bytes", "a whole number from 0 to 9223372036854775807")
        case COLUMBA_FIELD_MEDIA_TYPE: ("media[\(index)].type", "a string of at most 128 characters")
        case COLUMBA_FIELD_LINE_N: ("n", "a whole number from 1 on")
        case COLUMBA_FIELD_LINE_RECEIVED_AT: ("received_at", "an RFC 3339 time")
        case COLUMBA_FIELD_LINE_KIND: ("kind", "report, alert or alert_state")
        case COLUMBA_FIELD_LINE_BOOT: ("boot", "a boot, together with seq")
        case COLUMBA_FIELD_LINE_SEQ: ("seq", "a whole number from 1 on, together with boot")
        case COLUMBA_FIELD_LINE_BODY: ("body", "the record itself")
        case COLUMBA_FIELD_LINE_BODY_TEXT: ("body_text", "a string, and stand instead of body")
        default: ("body", "a report")
        }
    }
}
