// The walk over a document's tokens: grammar, depth and duplicate keys, for any JSON (I8). Time is O(n log n) in the
// input's bytes, the stack at most `depth` frames deep, memory a few times the input and kept for the next document.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include <simdjson.h>

#include "CJSON.h"
#include "JSONText.hpp"

namespace columba {

/// A vector that answers false instead of throwing and keeps its memory.
template <typename Item>
struct Growing {
    Item *items = nullptr;
    uint32_t count = 0;
    uint32_t capacity = 0;

    Growing() = default;
    Growing(const Growing &) = delete;
    Growing &operator=(const Growing &) = delete;
    ~Growing() { free(items); }

    bool reserve(uint32_t wanted) {
        if (wanted <= capacity) return true;
        const uint32_t larger = std::max<uint32_t>(wanted, std::max<uint32_t>(capacity * 2, 16));
        void *memory = realloc(static_cast<void *>(items), sizeof(Item) * larger);
        if (!memory) return false;
        items = static_cast<Item *>(memory);
        capacity = larger;
        return true;
    }
    bool push(const Item &item) {
        if (count == capacity && !reserve(count + 1)) return false;
        items[count++] = item;
        return true;
    }
};

/// An unescaped key.
struct Key {
    const uint8_t *bytes;
    uint32_t length;
    uint64_t hash;

    bool operator==(const Key &other) const {
        return length == other.length && memcmp(bytes, other.bytes, length) == 0;
    }
    template <size_t size>
    bool is(const char (&name)[size]) const {
        return length == size - 1 && memcmp(bytes, name, size - 1) == 0;
    }
};

inline uint64_t hash_key(const uint8_t *bytes, uint32_t length) {
    uint64_t hash = 0x9e3779b97f4a7c15u ^ length;
    while (length > 0) {
        uint64_t word = 0;
        const uint32_t step = std::min<uint32_t>(length, 8);
        memcpy(&word, bytes, step);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
        bytes += step;
        length -= step;
    }
    return hash;
}

class Walker {
  public:
    columba_json_status status = COLUMBA_JSON_OK;

    explicit Walker(const columba_json_limits &limits) : limits_(limits) {}

    /// Runs simdjson's first stage over the bytes, which stay borrowed until the next call.
    bool open(const uint8_t *bytes, uint32_t length) {
        status = COLUMBA_JSON_OK;
        bytes_ = bytes;
        length_ = length;
        at_ = 0;
        count_ = 0;
        keys_.count = 0;
        text_.count = 0;
        if (!reserve(length)) return fail(COLUMBA_JSON_NO_MEMORY);
        switch (stage_->stage1(bytes, length, simdjson::stage1_mode::regular)) {
            case simdjson::SUCCESS: break;
            case simdjson::UTF8_ERROR: return fail(COLUMBA_JSON_INVALID_UTF8);
            case simdjson::MEMALLOC: return fail(COLUMBA_JSON_NO_MEMORY);
            default: return fail(COLUMBA_JSON_INVALID);
        }
        tokens_ = stage_->structural_indexes.get();
        count_ = stage_->n_structural_indexes;
        return true;
    }

    bool fail(columba_json_status reason) {
        if (status == COLUMBA_JSON_OK) status = reason;
        return false;
    }

    /// The first byte of the next token; 0 at the end.
    uint8_t peek() const { return at_ < count_ ? bytes_[tokens_[at_]] : 0; }
    bool at_end() const { return at_ == count_; }
    uint32_t offset() const { return at_ < count_ ? tokens_[at_] : length_; }

    /// Where the token just read ends.
    uint32_t last_end() const { return at_ == 0 ? 0 : end_of(at_ - 1); }

    bool expect(uint8_t byte) {
        if (peek() != byte) return fail(COLUMBA_JSON_INVALID);
        at_++;
        return true;
    }

    /// Any value, checked and dropped. `depth` is the level of a container that would stand here.
    bool value(uint32_t depth) {
        switch (peek()) {
            case '{':
                return members(
                    depth, [](const Key &) { return -1; },
                    [this, depth](int, const Key &, columba_json_string) { return value(depth + 1); });
            case '[':
                return elements(depth, [this, depth](uint32_t) { return value(depth + 1); });
            case '"': {
                columba_json_string token;
                return string(token);
            }
            case 't': return literal("true", 4);
            case 'f': return literal("false", 5);
            case 'n': return literal("null", 4);
            default: {
                Number ignored;
                return number(ignored);
            }
        }
    }

    /// A value and the exact bytes it stands in.
    bool value(uint32_t depth, columba_json_slice &slice) {
        slice.offset = offset();
        const uint32_t first = at_;
        if (!value(depth)) return false;
        slice.length = end_of(at_ - 1) - slice.offset;
        return at_ > first;
    }

    /// Moves past a value by counting brackets alone.
    bool skip(columba_json_slice &slice) {
        slice.offset = offset();
        uint32_t open = 0;
        do {
            switch (peek()) {
                case 0: return fail(COLUMBA_JSON_INVALID);
                case '{': case '[': open++; break;
                case '}': case ']':
                    if (open == 0) return fail(COLUMBA_JSON_INVALID);
                    open--;
                    break;
                case ',': case ':':
                    if (open == 0) return fail(COLUMBA_JSON_INVALID);
                    break;
                default: break;
            }
            at_++;
        } while (open > 0);
        slice.length = end_of(at_ - 1) - slice.offset;
        return true;
    }

    /// `identify(key)` gives a known member's number (0…31) or −1; `read(number, key, token)` must consume the value.
    template <typename Identify, typename Read>
    bool members(uint32_t depth, Identify identify, Read read) {
        if (depth > limits_.depth) return fail(COLUMBA_JSON_TOO_DEEP);
        at_++;
        if (peek() == '}') {
            at_++;
            return true;
        }
        const uint32_t first_key = keys_.count;
        uint32_t seen = 0;
        while (true) {
            columba_json_string token;
            Key key;
            if (!string(token) || !unescaped(token, key)) return false;
            const int known = identify(key);
            if (known < 0) {
                key.hash = hash_key(key.bytes, key.length);
                if (!keys_.push(key)) return fail(COLUMBA_JSON_NO_MEMORY);
            } else if (seen >> known & 1) {
                return fail(COLUMBA_JSON_DUPLICATE_KEY);
            } else {
                seen |= uint32_t(1) << known;
            }
            if (!expect(':') || !read(known, key, token)) return false;
            const uint8_t next = peek();
            at_++;
            if (next == '}') break;
            if (next != ',') return fail(COLUMBA_JSON_INVALID);
        }
        const bool unique = are_unique(keys_.items + first_key, keys_.items + keys_.count);
        keys_.count = first_key;
        return unique || fail(COLUMBA_JSON_DUPLICATE_KEY);
    }

    /// `read(index)` must consume the value.
    template <typename Read>
    bool elements(uint32_t depth, Read read) {
        if (depth > limits_.depth) return fail(COLUMBA_JSON_TOO_DEEP);
        at_++;
        if (peek() == ']') {
            at_++;
            return true;
        }
        for (uint32_t index = 0;; index++) {
            if (!read(index)) return false;
            const uint8_t next = peek();
            at_++;
            if (next == ']') return true;
            if (next != ',') return fail(COLUMBA_JSON_INVALID);
        }
    }

    bool string(columba_json_string &token) {
        if (peek() != '"') return fail(COLUMBA_JSON_INVALID);
        const uint8_t *const start = bytes_ + tokens_[at_];
        const uint8_t *const end = bytes_ + end_of(at_);
        at_++;
        if (end - start < 2 || end[-1] != '"') return fail(COLUMBA_JSON_INVALID);
        token.offset = static_cast<uint32_t>(start - bytes_);
        token.length = static_cast<uint32_t>(end - start);
        token.escaped = has_quote_or_backslash(start + 1, end - 1, bytes_ + length_);
        return !token.escaped || check_escapes(start + 1, end - 1);
    }

    bool number(Number &number) {
        if (at_ >= count_) return fail(COLUMBA_JSON_INVALID);
        const uint32_t start = tokens_[at_];
        const uint32_t end = end_of(at_);
        at_++;
        number.text = {start, end - start};
        switch (parse_number(bytes_ + start, bytes_ + end, number)) {
            case NumberStatus::ok: return true;
            case NumberStatus::out_of_range: return fail(COLUMBA_JSON_NUMBER_RANGE);
            case NumberStatus::invalid: break;
        }
        return fail(COLUMBA_JSON_INVALID);
    }

    /// The string's bytes, in the input or unescaped into this parser's memory.
    bool unescaped(const columba_json_string &token, const uint8_t *&bytes, uint32_t &length) {
        bytes = bytes_ + token.offset + 1;
        length = token.length - 2;
        if (!token.escaped) return true;
        // `text_` was given the input's length beforehand, so that it never moves.
        uint8_t *const output = text_.items + text_.count;
        const uint8_t *const end = unescape(bytes, bytes + length, output);
        if (!end) return fail(COLUMBA_JSON_INVALID);
        bytes = output;
        length = static_cast<uint32_t>(end - output);
        text_.count += length;
        return true;
    }
    bool unescaped(const columba_json_string &token, Key &key) { return unescaped(token, key.bytes, key.length); }

    /// Code points of a string token.
    uint32_t characters(const columba_json_string &token) const {
        const uint8_t *at = bytes_ + token.offset + 1;
        const uint8_t *const end = at + token.length - 2;
        if (!token.escaped) return count_characters(at, end);
        uint32_t count = 0;
        while (at < end) {
            if (*at == '\\') {
                if (read_escape(at, end) < 0) break;
                count++;
            } else {
                count += (*at++ & 0xc0) != 0x80;
            }
        }
        return count;
    }

    const uint8_t *bytes() const { return bytes_; }
    const columba_json_limits &limits() const { return limits_; }

  private:
    columba_json_limits limits_;
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage_;
    const uint8_t *bytes_ = nullptr;
    uint32_t length_ = 0;
    const uint32_t *tokens_ = nullptr;
    uint32_t count_ = 0;
    uint32_t at_ = 0;
    Growing<Key> keys_;
    Growing<uint8_t> text_;

    bool reserve(uint32_t length) {
        constexpr uint32_t smallest = 16 * 1024;
        if (!text_.reserve(std::max(length, smallest))) return false;
        if (stage_ && stage_->capacity() > length) return true;
        const size_t capacity = std::max<size_t>(size_t(length) + length / 2 + 1, smallest);
        if (stage_) return stage_->allocate(capacity, limits_.depth) == simdjson::SUCCESS;
        return simdjson::get_active_implementation()->create_dom_parser_implementation(
                   capacity, limits_.depth, stage_) == simdjson::SUCCESS;
    }

    /// Where a token ends: before the blanks before the next one.
    uint32_t end_of(uint32_t token) const {
        uint32_t end = token + 1 < count_ ? tokens_[token + 1] : length_;
        while (is_blank(bytes_[end - 1])) end--;
        return end;
    }

    bool literal(const char *text, uint32_t length) {
        const uint32_t start = tokens_[at_];
        if (end_of(at_) - start != length || memcmp(bytes_ + start, text, length) != 0) {
            return fail(COLUMBA_JSON_INVALID);
        }
        at_++;
        return true;
    }

    bool check_escapes(const uint8_t *at, const uint8_t *end) {
        while (at < end) {
            if (*at == '"') return fail(COLUMBA_JSON_INVALID);
            if (*at != '\\') at++;
            else if (read_escape(at, end) < 0) return fail(COLUMBA_JSON_INVALID);
        }
        return true;
    }

    /// Few keys: all pairs. Many: sorted, first by hash (one comparison of numbers each), then, where hashes collide
    /// as an attacker may arrange, by content. Reorders the keys.
    static bool are_unique(Key *first, Key *last) {
        if (last - first <= 12) {
            for (Key *left = first; left < last; left++) {
                for (Key *right = left + 1; right < last; right++) {
                    if (left->hash == right->hash && *left == *right) return false;
                }
            }
            return true;
        }
        std::sort(first, last, [](const Key &left, const Key &right) {
            if (left.hash != right.hash) return left.hash < right.hash;
            if (left.length != right.length) return left.length < right.length;
            return memcmp(left.bytes, right.bytes, left.length) < 0;
        });
        return std::adjacent_find(first, last, [](const Key &left, const Key &right) {
                   return left.hash == right.hash && left == right;
               }) == last;
    }
};

}  // namespace columba
