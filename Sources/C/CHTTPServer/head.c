// Whether a request's head can be read in one way only, and is within its limits.
//
// Two readers that disagree about where a request ends can be made to see different requests (request smuggling), so
// whatever is ambiguous is refused (RFC 9112 §2.2, §5, §6.3). libmicrohttpd 0.9.75 lets pass, and this file does not:
// a bare LF or CR as a line's end, a folded line (obs-fold), a NUL, names that are no tokens, two Host fields.
//
// How a line ended is seen in memory: libmicrohttpd parses in place and overwrites CR and LF with NUL each. So after a
// value there are two NULs and then the next name; after the last value four (its own CRLF and the empty line's). A
// folded value was copied elsewhere, so the next name does not follow it.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

struct head {
    unsigned fields, content_lengths, transfer_encodings, hosts;
    bool chunked, ambiguous;
    const char *line_end;  // of the line before
    chs_framing *framing;
};

/// RFC 9110 §5.6.2.
static bool is_token(const char *text, size_t length) {
    for (size_t index = 0; index < length; index++) {
        unsigned char c = (unsigned char)text[index];
        bool is_alphanumeric = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alphanumeric && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
    }
    return length > 0;
}

static bool has_control(const char *text, size_t length) {
    for (size_t index = 0; index < length; index++) {
        unsigned char c = (unsigned char)text[index];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return true;
    }
    return false;
}

static bool ends_with_crlf(const char *line_end) { return line_end[0] == 0 && line_end[1] == 0; }

static enum MHD_Result read_field(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
    size_t value_length) {
    (void)kind;
    struct head *head = context;
    head->fields += 1;
    if (!ends_with_crlf(head->line_end) || name != head->line_end + 2) head->ambiguous = true;
    if (!is_token(name, name_length) || value == NULL || has_control(value, value_length)) head->ambiguous = true;
    if (value == NULL) return MHD_YES;
    head->line_end = value + value_length;
    switch (name_length) {
        case 4:
            if (strcasecmp(name, "Host") == 0) head->hosts += 1;
            break;
        case 6:
            if (strcasecmp(name, "Expect") == 0) {
                head->framing->expects_continue = strcasecmp(value, "100-continue") == 0;
            }
            break;
        case 14:
            if (strcasecmp(name, "Content-Length") == 0) {
                head->content_lengths += 1;
                head->framing->content_length = (int64_t)strtoll(value, NULL, 10);
            }
            break;
        case 17:
            if (strcasecmp(name, "Transfer-Encoding") == 0) {
                head->transfer_encodings += 1;
                head->chunked = value_length == 7 && strcasecmp(value, "chunked") == 0;
            }
            break;
        default: break;
    }
    return MHD_YES;
}

static bool framing_is_ambiguous(const struct head *head, const char *version) {
    if (head->content_lengths > 1 || head->transfer_encodings > 1) return true;
    if (head->transfer_encodings == 0) return false;
    return head->content_lengths != 0 || !head->chunked || strcmp(version, "HTTP/1.1") != 0;
}

static enum MHD_Result count_item(
    void *context, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
    size_t value_length) {
    (void)kind, (void)name, (void)name_length, (void)value, (void)value_length;
    *(unsigned *)context += 1;
    return MHD_YES;
}

/// Bytes of path and query: both lie before the version, with one space between.
static size_t uri_length(const char *path, const char *version) {
    return version > path ? (size_t)(version - path - 1) : 0;
}

/// A NUL in the path would hide what follows it. Where there is a query its "?" has become one.
static bool hides_text(struct MHD_Connection *connection, const char *path, const char *version) {
    if (uri_length(path, version) <= strlen(path) + 1) return false;
    unsigned items = 0;
    MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, count_item, &items);
    return items == 0;
}

unsigned chs_read_head(
    const chs_configuration *configuration, struct MHD_Connection *connection, const char *path, const char *version,
    chs_framing *framing) {
    *framing = (chs_framing){.content_length = -1};
    struct head head = {.line_end = version + strlen(version), .framing = framing};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, read_field, &head);
    framing->has_transfer_encoding = head.transfer_encodings != 0;
    bool ends = head.fields > 0 && ends_with_crlf(head.line_end) && ends_with_crlf(head.line_end + 2);
    if (!ends || head.ambiguous || head.hosts > 1 || framing_is_ambiguous(&head, version)) return 400;
    if (hides_text(connection, path, version)) return 400;
    if (head.fields > configuration->max_header_fields) return 431;
    return uri_length(path, version) > configuration->max_uri_bytes ? 414 : 0;
}
