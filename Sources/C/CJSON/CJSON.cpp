// The border itself: plain functions that cannot throw, over the readers in the headers beside this file.

#include "CJSON.h"

#include "LineReader.hpp"
#include "ReportReader.hpp"

struct columba_json_parser {
    columba::Walker walker;
    columba::ReportReader report;
    columba::LineReader line;

    explicit columba_json_parser(const columba_json_limits &limits) : walker(limits), report(walker), line(walker) {}
};

namespace {

/// Removes white space from both ends.
columba_json_slice trim(const uint8_t *bytes, size_t length) {
    size_t first = 0;
    while (first < length && columba::is_blank(bytes[first])) first++;
    while (length > first && columba::is_blank(bytes[length - 1])) length--;
    return {static_cast<uint32_t>(first), static_cast<uint32_t>(length - first)};
}

/// Opens the trimmed bytes in the walker. simdjson skips a byte order mark in some versions; the contract refuses it
/// in all.
bool open(columba::Walker &walker, const uint8_t *bytes, const columba_json_slice &body, uint32_t max) {
    walker.status = COLUMBA_JSON_OK;
    if (body.length > max) return walker.fail(COLUMBA_JSON_TOO_LARGE);
    if (body.length == 0 || bytes[body.offset] == 0xef) return walker.fail(COLUMBA_JSON_INVALID);
    return walker.open(bytes + body.offset, body.length);
}

/// The number of a line that starts as Columba's relays write it, however broken the rest is; 0 where there is none.
int64_t leading_number(const uint8_t *bytes, uint32_t length) {
    constexpr char start[] = "{\"n\":";
    constexpr uint32_t skip = sizeof(start) - 1;
    if (length <= skip || memcmp(bytes, start, skip) != 0) return 0;
    int64_t number = 0;
    uint32_t at = skip;
    while (at < length && at < skip + 18 && columba::is_digit(bytes[at])) number = number * 10 + (bytes[at++] - '0');
    return at < length && bytes[at] == ',' ? number : 0;
}

}  // namespace

extern "C" {

columba_json_parser *columba_json_parser_create(columba_json_limits limits) COLUMBA_NOEXCEPT {
    return new (std::nothrow) columba_json_parser(limits);
}

void columba_json_parser_destroy(columba_json_parser *parser) COLUMBA_NOEXCEPT { delete parser; }

columba_json_status columba_json_parse_report(
    columba_json_parser *parser, const uint8_t *bytes, size_t length, columba_json_report *report) COLUMBA_NOEXCEPT {
    *report = {};
    // Offsets are 32 bits wide: what could not be addressed is refused before anything is looked at.
    if (length > UINT32_MAX / 2) return COLUMBA_JSON_TOO_LARGE;
    report->body = trim(bytes, length);
    if (open(parser->walker, bytes, report->body, parser->walker.limits().body_bytes)) parser->report.read(*report);
    return parser->walker.status;
}

columba_json_status columba_json_parse_line(
    columba_json_parser *parser, const uint8_t *bytes, size_t length, columba_json_line *line) COLUMBA_NOEXCEPT {
    *line = {};
    if (length > UINT32_MAX / 2) return COLUMBA_JSON_TOO_LARGE;
    const columba_json_slice body = trim(bytes, length);
    if (open(parser->walker, bytes, body, parser->walker.limits().line_bytes)) parser->line.read(*line);
    if (parser->walker.status != COLUMBA_JSON_OK && line->n < 1) {
        line->n = leading_number(bytes + body.offset, body.length);
    }
    return parser->walker.status;
}

size_t columba_json_unescape(const uint8_t *token, size_t length, uint8_t *output) COLUMBA_NOEXCEPT {
    if (length < 2) return 0;
    const uint8_t *const end = columba::unescape(token + 1, token + length - 1, output);
    return end ? static_cast<size_t>(end - output) : 0;
}

}
