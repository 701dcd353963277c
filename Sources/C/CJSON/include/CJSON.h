// The C border of the JSON module: reports and sync protocol lines, parsed strictly (contract §1, §4; I8).
//
// simdjson's first stage (SIMD) validates UTF-8, finds every string's end and the position of every token; the walk
// over these positions (JSONWalker.hpp) is ours, because the contract is stricter than any JSON library: duplicate
// keys at every level, depth 16, exact bytes. Nothing here throws, aborts or reads past the input. A parser reuses its
// memory: in steady state parsing allocates nothing. A result is valid until the parser's next call and as long as the
// input bytes are.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define COLUMBA_NOEXCEPT noexcept
extern "C" {
#else
#define COLUMBA_NOEXCEPT
#endif

/// Bytes of the JSON text (the input without white space around it).
typedef struct {
    uint32_t offset;
    uint32_t length;
} columba_json_slice;

/// A JSON string as it stands in the input, quotes included. Length 0: absent.
typedef struct {
    uint32_t offset;
    uint32_t length;
    bool escaped;
} columba_json_string;

/// Unescaped bytes, in the input or in the parser's memory. NULL: absent.
typedef struct {
    const uint8_t *bytes;
    uint32_t length;
} columba_json_text;

typedef enum {
    COLUMBA_JSON_OK = 0,
    COLUMBA_JSON_TOO_LARGE,
    COLUMBA_JSON_INVALID,
    COLUMBA_JSON_INVALID_UTF8,
    COLUMBA_JSON_DUPLICATE_KEY,
    COLUMBA_JSON_TOO_DEEP,
    COLUMBA_JSON_NUMBER_RANGE,
    COLUMBA_JSON_NO_MEMORY,
    /// Valid JSON that breaks a rule of the report: see `field` and `rule`.
    COLUMBA_JSON_NOT_A_REPORT,
} columba_json_status;

typedef enum {
    COLUMBA_FIELD_NONE = 0,
    COLUMBA_FIELD_DRONE_ID,
    COLUMBA_FIELD_BOOT,
    COLUMBA_FIELD_SEQ,
    COLUMBA_FIELD_OBSERVED_AT,
    COLUMBA_FIELD_LOCATION,
    COLUMBA_FIELD_CITIZENS,
    COLUMBA_FIELD_WORDS,
    COLUMBA_FIELD_READINGS,
    COLUMBA_FIELD_MEDIA,
    COLUMBA_FIELD_LATITUDE,
    COLUMBA_FIELD_LONGITUDE,
    COLUMBA_FIELD_ALTITUDE,
    COLUMBA_FIELD_CITIZEN,
    COLUMBA_FIELD_CITIZEN_NAME,
    COLUMBA_FIELD_PEACESCORE,
    COLUMBA_FIELD_CONFIDENCE,
    COLUMBA_FIELD_WORD,
    COLUMBA_FIELD_READING,
    COLUMBA_FIELD_READING_NAME,
    COLUMBA_FIELD_MEDIA_ITEM,
    COLUMBA_FIELD_MEDIA_URI,
    COLUMBA_FIELD_MEDIA_SHA256,
    COLUMBA_FIELD_MEDIA_BYTES,
    COLUMBA_FIELD_MEDIA_TYPE,
    // Lines of the sync protocol
    COLUMBA_FIELD_LINE_N,
    COLUMBA_FIELD_LINE_RECEIVED_AT,
    COLUMBA_FIELD_LINE_KIND,
    COLUMBA_FIELD_LINE_BOOT,
    COLUMBA_FIELD_LINE_SEQ,
    COLUMBA_FIELD_LINE_BODY,
    COLUMBA_FIELD_LINE_BODY_TEXT,
} columba_json_field;

typedef enum {
    COLUMBA_RULE_MISSING = 0,
    COLUMBA_RULE_INVALID,
    COLUMBA_RULE_TOO_MANY,
    COLUMBA_RULE_NOT_AN_OBJECT,
} columba_json_rule;

/// The first rule broken, in the order of the document; `index` counts within the list, `key` is a reading's name.
typedef struct {
    columba_json_field field;
    columba_json_rule rule;
    uint32_t index;
    columba_json_string key;
} columba_json_fault;

/// The contract's limits; they have one home, Models.ReportLimits, and are handed over when a parser is made.
typedef struct {
    uint32_t body_bytes;
    uint32_t line_bytes;
    uint32_t depth;
    uint32_t drone_id_bytes;
    uint32_t boot_bytes;
    uint32_t stored_boot_bytes;
    uint32_t citizens;
    uint32_t name_characters;
    uint32_t words;
    uint32_t word_characters;
    uint32_t readings;
    uint32_t reading_name_characters;
    uint32_t media;
    uint32_t media_uri_characters;
    uint32_t media_hash_characters;
    uint32_t media_type_characters;
} columba_json_limits;

typedef struct {
    columba_json_string name;
    bool has_confidence;
    double peacescore;
    double confidence;
    /// The numbers as they stand in the input.
    columba_json_slice peacescore_text;
    columba_json_slice confidence_text;
} columba_json_citizen;

typedef struct {
    columba_json_string key;
    double value;
    columba_json_slice text;
} columba_json_reading;

typedef struct {
    columba_json_slice object;
    columba_json_string uri;
    columba_json_string sha256;
    columba_json_string type;
    bool has_bytes;
    int64_t bytes;
} columba_json_media;

typedef enum {
    COLUMBA_SCOPE_REPORT = 0,
    COLUMBA_SCOPE_LOCATION,
    COLUMBA_SCOPE_CITIZEN,
    COLUMBA_SCOPE_MEDIA,
} columba_json_scope;

/// A member the contract does not know, and where it stood.
typedef struct {
    columba_json_scope scope;
    uint32_t index;
    columba_json_string key;
    columba_json_slice value;
} columba_json_extra;

typedef struct {
    columba_json_fault fault;
    /// The JSON text without white space around it; every other offset counts from its start.
    columba_json_slice body;
    columba_json_text drone_id;
    columba_json_text boot;
    columba_json_text observed_at;
    bool has_seq;
    bool has_altitude;
    int64_t seq;
    double latitude;
    double longitude;
    double altitude;
    /// The numbers as they stand in the input.
    columba_json_slice latitude_text;
    columba_json_slice longitude_text;
    columba_json_slice altitude_text;
    /// +infinity where there are no citizens.
    double lowest_peacescore;
    const columba_json_citizen *citizens;
    const columba_json_string *words;
    const columba_json_reading *readings;
    const columba_json_media *media;
    const columba_json_extra *extras;
    uint32_t citizen_count;
    uint32_t word_count;
    uint32_t reading_count;
    uint32_t media_count;
    uint32_t extra_count;
} columba_json_report;

typedef struct {
    columba_json_fault fault;
    int64_t n;
    columba_json_text received_at;
    columba_json_text kind;
    columba_json_text boot;
    bool has_seq;
    int64_t seq;
    /// The body's exact bytes: a piece of the line, or `body_text` unescaped.
    columba_json_text body;
} columba_json_line;

typedef struct columba_json_parser columba_json_parser;

/// NULL if there is no memory.
columba_json_parser *columba_json_parser_create(columba_json_limits limits) COLUMBA_NOEXCEPT;
void columba_json_parser_destroy(columba_json_parser *parser) COLUMBA_NOEXCEPT;

columba_json_status columba_json_parse_report(
    columba_json_parser *parser, const uint8_t *bytes, size_t length, columba_json_report *report) COLUMBA_NOEXCEPT;

/// The body itself is not parsed, only delimited. `n` is set wherever it can be read, also with an error: one bad
/// record must not lose its number.
columba_json_status columba_json_parse_line(
    columba_json_parser *parser, const uint8_t *bytes, size_t length, columba_json_line *line) COLUMBA_NOEXCEPT;

/// Unescapes a string token the parser has accepted (quotes included) into `output`, which has room for `length`
/// bytes. Returns the number of bytes written.
size_t columba_json_unescape(const uint8_t *token, size_t length, uint8_t *output) COLUMBA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
