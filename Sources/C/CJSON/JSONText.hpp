// Pieces of JSON text: strings and numbers, each given by its exact bytes. No allocation, no exceptions, no reads
// outside.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace columba {

inline bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
inline bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

/// −1 unless four hexadecimal digits stand at `at`.
inline int32_t hex4(const uint8_t *at) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const uint8_t byte = at[i];
        int32_t digit;
        if (is_digit(byte)) digit = byte - '0';
        else if (byte >= 'a' && byte <= 'f') digit = byte - 'a' + 10;
        else if (byte >= 'A' && byte <= 'F') digit = byte - 'A' + 10;
        else return -1;
        value = value << 4 | digit;
    }
    return value;
}

/// Reads the escape whose backslash stands at `*at` and moves past it. Returns the code point, −1 if it is none
/// (lone surrogates included).
inline int32_t read_escape(const uint8_t *&at, const uint8_t *end) {
    if (end - at < 2) return -1;
    const uint8_t letter = at[1];
    at += 2;
    switch (letter) {
        case '"': case '\\': case '/': return letter;
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'u': break;
        default: return -1;
    }
    if (end - at < 4) return -1;
    const int32_t first = hex4(at);
    at += 4;
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
    const int32_t second = hex4(at + 2);
    at += 6;
    if (second < 0xdc00 || second > 0xdfff) return -1;
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

inline uint8_t *append_utf8(int32_t code, uint8_t *output) {
    if (code < 0x80) {
        *output++ = static_cast<uint8_t>(code);
    } else if (code < 0x800) {
        *output++ = static_cast<uint8_t>(0xc0 | code >> 6);
        *output++ = static_cast<uint8_t>(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *output++ = static_cast<uint8_t>(0xe0 | code >> 12);
        *output++ = static_cast<uint8_t>(0x80 | (code >> 6 & 0x3f));
        *output++ = static_cast<uint8_t>(0x80 | (code & 0x3f));
    } else {
        *output++ = static_cast<uint8_t>(0xf0 | code >> 18);
        *output++ = static_cast<uint8_t>(0x80 | (code >> 12 & 0x3f));
        *output++ = static_cast<uint8_t>(0x80 | (code >> 6 & 0x3f));
        *output++ = static_cast<uint8_t>(0x80 | (code & 0x3f));
    }
    return output;
}

/// Bytes between the quotes → UTF-8. Never longer than the input. Returns the end of the output, NULL on a bad escape.
inline uint8_t *unescape(const uint8_t *at, const uint8_t *end, uint8_t *output) {
    while (at < end) {
        const uint8_t *next = static_cast<const uint8_t *>(memchr(at, '\\', static_cast<size_t>(end - at)));
        const size_t plain = static_cast<size_t>((next ? next : end) - at);
        memcpy(output, at, plain);
        output += plain;
        if (!next) break;
        at = next;
        const int32_t code = read_escape(at, end);
        if (code < 0) return nullptr;
        output = append_utf8(code, output);
    }
    return output;
}

/// Whether the bytes hold a quote or a backslash, eight at a time where `readable` (the input's end) allows it.
inline bool has_quote_or_backslash(const uint8_t *at, const uint8_t *end, const uint8_t *readable) {
    constexpr uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    while (end - at > 0 && readable - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t slash = word ^ ones * '\\', quote = word ^ ones * '"';
        // A zero byte's lowest such flag is exact; flags above it may be false, so only the lowest is used.
        const uint64_t flags = (((slash - ones) & ~slash) | ((quote - ones) & ~quote)) & tops;
        if (flags != 0) return __builtin_ctzll(flags) / 8 < end - at;
        at += 8;
    }
    for (; at < end; at++) {
        if (*at == '\\' || *at == '"') return true;
    }
    return false;
}

/// Code points of valid UTF-8.
inline uint32_t count_characters(const uint8_t *at, const uint8_t *end) {
    uint32_t count = 0;
    for (; at < end; at++) count += (*at & 0xc0) != 0x80;
    return count;
}

struct Number {
    double value = 0;
    int64_t integer = 0;
    /// Written without point and exponent, and within Int64.
    bool is_integer = false;
    /// Where it stands; set by the Walker.
    columba_json_slice text{};
};

enum class NumberStatus { ok, invalid, out_of_range };

/// JSON's number grammar over exactly these bytes. Correctly rounded; too small becomes 0, too large is an error.
inline NumberStatus parse_number(const uint8_t *at, const uint8_t *end, Number &number) {
    static constexpr double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *const start = at;
    const bool negative = at < end && *at == '-';
    if (negative) at++;
    if (at == end || !is_digit(*at)) return NumberStatus::invalid;
    const uint8_t *const digits = at;
    uint64_t mantissa = 0;
    while (at < end && is_digit(*at)) mantissa = mantissa * 10 + static_cast<uint64_t>(*at++ - '0');
    if (*digits == '0' && at - digits > 1) return NumberStatus::invalid;
    // Position of the point relative to the first digit: 10^k's k for the range check below.
    int64_t digit_count = at - digits;
    const int64_t whole_digits = digit_count;
    int64_t exponent = 0;
    bool whole = true;
    if (at < end && *at == '.') {
        whole = false;
        const uint8_t *const fraction = ++at;
        while (at < end && is_digit(*at)) mantissa = mantissa * 10 + static_cast<uint64_t>(*at++ - '0');
        if (at == fraction) return NumberStatus::invalid;
        exponent = -(at - fraction);
        digit_count += at - fraction;
    }
    int64_t written = 0;
    if (at < end && (*at == 'e' || *at == 'E')) {
        whole = false;
        at++;
        const bool down = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) at++;
        const uint8_t *const power = at;
        while (at < end && is_digit(*at)) {
            if (written < 1'000'000'000) written = written * 10 + (*at - '0');
            at++;
        }
        if (at == power) return NumberStatus::invalid;
        if (down) written = -written;
        exponent += written;
    }
    if (at != end) return NumberStatus::invalid;
    // 19 digits always fit into 64 bits.
    if (whole && digit_count <= 19 && mantissa <= static_cast<uint64_t>(INT64_MAX)) {
        number.is_integer = true;
        number.integer = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
    }
    if (digit_count <= 19 && mantissa <= (uint64_t(1) << 53) && exponent >= -22 && exponent <= 22) {
        // Both operands are exact, so the one rounding is the right one (Clinger 1990).
        const double exact = static_cast<double>(mantissa);
        const double value = exponent < 0 ? exact / powers[-exponent] : exact * powers[exponent];
        number.value = negative ? -value : value;
        return NumberStatus::ok;
    }
    const auto answer = std::from_chars(
        reinterpret_cast<const char *>(start), reinterpret_cast<const char *>(end), number.value);
    if (answer.ec == std::errc() && std::isfinite(number.value)) return NumberStatus::ok;
    // Out of range at which end? The first digit that is not zero decides.
    int64_t magnitude = whole_digits + written;
    for (const uint8_t *digit = digits; digit < end && (*digit == '0' || *digit == '.'); digit++) {
        if (*digit == '0') magnitude--;
    }
    if (magnitude > 0) return NumberStatus::out_of_range;
    number.value = negative ? -0.0 : 0.0;
    return NumberStatus::ok;
}

}  // namespace columba
