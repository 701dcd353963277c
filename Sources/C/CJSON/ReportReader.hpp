// A report (contract §1) read from a Walker's tokens. A broken rule is noted and reading goes on to the end, because
// what is not JSON at all must be answered 400 and not 422, wherever the fault stands.
#pragma once

#include <limits>

#include "JSONWalker.hpp"

namespace columba {

/// `[A-Za-z0-9._-]{1,max}`
inline bool is_plain(const uint8_t *bytes, uint32_t length, uint32_t max) {
    if (length == 0 || length > max) return false;
    for (uint32_t i = 0; i < length; i++) {
        const uint8_t byte = bytes[i];
        const uint8_t letter = byte | 0x20;
        if (!(is_digit(byte) || (letter >= 'a' && letter <= 'z') || byte == '-' || byte == '.' || byte == '_')) {
            return false;
        }
    }
    return true;
}

class ReportReader {
  public:
    explicit ReportReader(Walker &walker) : walker_(walker), limits_(walker.limits()) {}

    bool read(columba_json_report &report) {
        report_ = &report;
        citizens_.count = words_.count = readings_.count = media_.count = extras_.count = 0;
        report.lowest_peacescore = std::numeric_limits<double>::infinity();
        if (walker_.peek() != '{') {
            note(COLUMBA_FIELD_NONE, COLUMBA_RULE_NOT_AN_OBJECT);
            return walker_.value(1) && end();
        }
        uint32_t seen = 0;
        const bool complete = walker_.members(1, identify, [&](int known, const Key &, columba_json_string token) {
            if (known >= 0) seen |= uint32_t(1) << known;
            return member(known, token);
        });
        if (!complete) return false;
        if (!(seen & 1)) note(COLUMBA_FIELD_DRONE_ID, COLUMBA_RULE_MISSING);
        if (!(seen & 1u << 4)) note(COLUMBA_FIELD_LOCATION, COLUMBA_RULE_MISSING);
        report.citizens = citizens_.items;
        report.words = words_.items;
        report.readings = readings_.items;
        report.media = media_.items;
        report.extras = extras_.items;
        report.citizen_count = citizens_.count;
        report.word_count = words_.count;
        report.reading_count = readings_.count;
        report.media_count = media_.count;
        report.extra_count = extras_.count;
        return end();
    }

  private:
    Walker &walker_;
    const columba_json_limits &limits_;
    columba_json_report *report_ = nullptr;
    Growing<columba_json_citizen> citizens_;
    Growing<columba_json_string> words_;
    Growing<columba_json_reading> readings_;
    Growing<columba_json_media> media_;
    Growing<columba_json_extra> extras_;

    bool end() {
        if (!walker_.at_end()) return walker_.fail(COLUMBA_JSON_INVALID);
        return report_->fault.field == COLUMBA_FIELD_NONE && report_->fault.rule == COLUMBA_RULE_MISSING
            ? true
            : walker_.fail(COLUMBA_JSON_NOT_A_REPORT);
    }

    /// Keeps the first fault. (Field NONE with rule MISSING stands for "no fault".)
    void note(columba_json_field field, columba_json_rule rule, uint32_t index = 0, columba_json_string key = {}) {
        columba_json_fault &fault = report_->fault;
        if (fault.field == COLUMBA_FIELD_NONE && fault.rule == COLUMBA_RULE_MISSING) fault = {field, rule, index, key};
    }

    static int identify(const Key &key) {
        static_assert(COLUMBA_FIELD_MEDIA - COLUMBA_FIELD_DRONE_ID == 8, "members are numbered like their fields");
        switch (key.length) {
            case 8:
                if (key.is("drone_id")) return 0;
                return key.is("location") ? 4 : key.is("citizens") ? 5 : key.is("readings") ? 7 : -1;
            case 5: return key.is("words") ? 6 : key.is("media") ? 8 : -1;
            case 4: return key.is("boot") ? 1 : -1;
            case 3: return key.is("seq") ? 2 : -1;
            case 11: return key.is("observed_at") ? 3 : -1;
            default: return -1;
        }
    }

    bool member(int known, columba_json_string token) {
        columba_json_report &report = *report_;
        switch (known) {
            case 0: return plain(report.drone_id, COLUMBA_FIELD_DRONE_ID, limits_.drone_id_bytes);
            case 1: return plain(report.boot, COLUMBA_FIELD_BOOT, limits_.boot_bytes);
            case 2: return seq();
            case 3: return observed_at();
            case 4: return location();
            case 5: return list(COLUMBA_FIELD_CITIZENS, limits_.citizens, [this](uint32_t at) { return citizen(at); });
            case 6: return list(COLUMBA_FIELD_WORDS, limits_.words, [this](uint32_t at) { return word(at); });
            case 7: return readings();
            case 8: return list(COLUMBA_FIELD_MEDIA, limits_.media, [this](uint32_t at) { return medium(at); });
            default: return extra(COLUMBA_SCOPE_REPORT, 0, token, 2);
        }
    }

    bool wrong(columba_json_field field, uint32_t depth, uint32_t index = 0, columba_json_string key = {}) {
        note(field, COLUMBA_RULE_INVALID, index, key);
        return walker_.value(depth);
    }

    bool extra(columba_json_scope scope, uint32_t index, columba_json_string key, uint32_t depth) {
        columba_json_extra item{scope, index, key, {}};
        return walker_.value(depth, item.value)
            && (extras_.push(item) || walker_.fail(COLUMBA_JSON_NO_MEMORY));
    }

    bool plain(columba_json_text &text, columba_json_field field, uint32_t max) {
        if (walker_.peek() != '"') return wrong(field, 2);
        columba_json_string token;
        if (!walker_.string(token) || !walker_.unescaped(token, text.bytes, text.length)) return false;
        if (!is_plain(text.bytes, text.length, max)) note(field, COLUMBA_RULE_INVALID);
        return true;
    }

    bool is_number() const { return walker_.peek() == '-' || is_digit(walker_.peek()); }

    bool seq() {
        if (!is_number()) return wrong(COLUMBA_FIELD_SEQ, 2);
        Number number;
        if (!walker_.number(number)) return false;
        if (!number.is_integer || number.integer < 1) note(COLUMBA_FIELD_SEQ, COLUMBA_RULE_INVALID);
        report_->seq = number.integer;
        report_->has_seq = true;
        return true;
    }

    bool observed_at() {
        if (walker_.peek() != '"') return wrong(COLUMBA_FIELD_OBSERVED_AT, 2);
        columba_json_string token;
        return walker_.string(token)
            && walker_.unescaped(token, report_->observed_at.bytes, report_->observed_at.length);
    }

    /// A finite number within two bounds.
    bool bounded(
        double &value, columba_json_slice &text, columba_json_field field, double low, double high, uint32_t depth,
        uint32_t index = 0) {
        if (!is_number()) return wrong(field, depth, index);
        Number number;
        if (!walker_.number(number)) return false;
        if (!(number.value >= low && number.value <= high)) note(field, COLUMBA_RULE_INVALID, index);
        value = number.value;
        text = number.text;
        return true;
    }

    bool location() {
        if (walker_.peek() != '{') return wrong(COLUMBA_FIELD_LOCATION, 2);
        constexpr double unbounded = std::numeric_limits<double>::max();
        uint32_t seen = 0;
        const bool complete = walker_.members(
            2, [](const Key &key) { return key.is("lat") ? 0 : key.is("lon") ? 1 : key.is("alt_m") ? 2 : -1; },
            [&](int known, const Key &, columba_json_string token) {
                if (known >= 0) seen |= uint32_t(1) << known;
                switch (known) {
                    case 0:
                        return bounded(
                            report_->latitude, report_->latitude_text, COLUMBA_FIELD_LATITUDE, -90, 90, 3);
                    case 1:
                        return bounded(
                            report_->longitude, report_->longitude_text, COLUMBA_FIELD_LONGITUDE, -180, 180, 3);
                    case 2:
                        report_->has_altitude = true;
                        return bounded(
                            report_->altitude, report_->altitude_text, COLUMBA_FIELD_ALTITUDE, -unbounded, unbounded,
                            3);
                    default: return extra(COLUMBA_SCOPE_LOCATION, 0, token, 3);
                }
            });
        if (!complete) return false;
        if (!(seen & 1)) note(COLUMBA_FIELD_LATITUDE, COLUMBA_RULE_MISSING);
        if (!(seen & 2)) note(COLUMBA_FIELD_LONGITUDE, COLUMBA_RULE_MISSING);
        return true;
    }

    /// Items past the limit are checked as JSON and dropped.
    template <typename Read>
    bool list(columba_json_field field, uint32_t max, Read read) {
        if (walker_.peek() != '[') return wrong(field, 2);
        return walker_.elements(2, [&](uint32_t index) {
            if (index < max) return read(index);
            note(field, COLUMBA_RULE_TOO_MANY);
            return walker_.value(3);
        });
    }

    /// A string of `min`…`max` characters.
    bool text(
        columba_json_string &token, columba_json_field field, uint32_t min, uint32_t max, uint32_t depth,
        uint32_t index) {
        if (walker_.peek() != '"') return wrong(field, depth, index);
        if (!walker_.string(token)) return false;
        // A character has at least one byte, so short strings need no counting.
        if (token.length - 2 > max || (token.length - 2 < min)) {
            const uint32_t characters = walker_.characters(token);
            if (characters < min || characters > max) note(field, COLUMBA_RULE_INVALID, index);
        }
        return true;
    }

    bool citizen(uint32_t index) {
        if (walker_.peek() != '{') return wrong(COLUMBA_FIELD_CITIZEN, 3, index);
        constexpr double unbounded = std::numeric_limits<double>::max();
        columba_json_citizen item{};
        uint32_t seen = 0;
        const bool complete = walker_.members(
            3,
            [](const Key &key) {
                return key.is("name") ? 0 : key.is("peacescore") ? 1 : key.is("confidence") ? 2 : -1;
            },
            [&](int known, const Key &, columba_json_string token) {
                if (known >= 0) seen |= uint32_t(1) << known;
                switch (known) {
                    case 0: return text(item.name, COLUMBA_FIELD_CITIZEN_NAME, 1, limits_.name_characters, 4, index);
                    case 1:
                        return bounded(
                            item.peacescore, item.peacescore_text, COLUMBA_FIELD_PEACESCORE, -unbounded, unbounded, 4,
                            index);
                    case 2:
                        item.has_confidence = true;
                        return bounded(
                            item.confidence, item.confidence_text, COLUMBA_FIELD_CONFIDENCE, 0, 1, 4, index);
                    default: return extra(COLUMBA_SCOPE_CITIZEN, index, token, 4);
                }
            });
        if (!complete) return false;
        if (!(seen & 1)) note(COLUMBA_FIELD_CITIZEN_NAME, COLUMBA_RULE_MISSING, index);
        if (!(seen & 2)) note(COLUMBA_FIELD_PEACESCORE, COLUMBA_RULE_MISSING, index);
        report_->lowest_peacescore = std::min(report_->lowest_peacescore, item.peacescore);
        return citizens_.push(item) || walker_.fail(COLUMBA_JSON_NO_MEMORY);
    }

    bool word(uint32_t index) {
        columba_json_string token{};
        return text(token, COLUMBA_FIELD_WORD, 0, limits_.word_characters, 3, index)
            && (words_.push(token) || walker_.fail(COLUMBA_JSON_NO_MEMORY));
    }

    bool readings() {
        if (walker_.peek() != '{') return wrong(COLUMBA_FIELD_READINGS, 2);
        uint32_t index = 0;
        return walker_.members(
            2, [](const Key &) { return -1; },
            [&](int, const Key &, columba_json_string token) {
                const uint32_t at = index++;
                if (at >= limits_.readings) {
                    note(COLUMBA_FIELD_READINGS, COLUMBA_RULE_TOO_MANY);
                    return walker_.value(3);
                }
                if (token.length == 2 || (token.length - 2 > limits_.reading_name_characters
                    && walker_.characters(token) > limits_.reading_name_characters)) {
                    note(COLUMBA_FIELD_READING_NAME, COLUMBA_RULE_INVALID, at);
                }
                if (!is_number()) return wrong(COLUMBA_FIELD_READING, 3, at, token);
                Number number;
                return walker_.number(number)
                    && (readings_.push({token, number.value, number.text}) || walker_.fail(COLUMBA_JSON_NO_MEMORY));
            });
    }

    bool medium(uint32_t index) {
        if (walker_.peek() != '{') return wrong(COLUMBA_FIELD_MEDIA_ITEM, 3, index);
        columba_json_media item{};
        item.object.offset = walker_.offset();
        bool has_uri = false;
        const bool complete = walker_.members(
            3,
            [](const Key &key) {
                return key.is("uri") ? 0 : key.is("sha256") ? 1 : key.is("bytes") ? 2 : key.is("type") ? 3 : -1;
            },
            [&](int known, const Key &, columba_json_string token) {
                switch (known) {
                    case 0:
                        has_uri = true;
                        return text(item.uri, COLUMBA_FIELD_MEDIA_URI, 1, limits_.media_uri_characters, 4, index);
                    case 1:
                        return text(
                            item.sha256, COLUMBA_FIELD_MEDIA_SHA256, 0, limits_.media_hash_characters, 4, index);
                    case 2: return media_bytes(item, index);
                    case 3:
                        return text(item.type, COLUMBA_FIELD_MEDIA_TYPE, 0, limits_.media_type_characters, 4, index);
                    default: return extra(COLUMBA_SCOPE_MEDIA, index, token, 4);
                }
            });
        if (!complete) return false;
        if (!has_uri) note(COLUMBA_FIELD_MEDIA_URI, COLUMBA_RULE_MISSING, index);
        item.object.length = walker_.last_end() - item.object.offset;
        return media_.push(item) || walker_.fail(COLUMBA_JSON_NO_MEMORY);
    }

    bool media_bytes(columba_json_media &item, uint32_t index) {
        if (!is_number()) return wrong(COLUMBA_FIELD_MEDIA_BYTES, 4, index);
        Number number;
        if (!walker_.number(number)) return false;
        if (!number.is_integer || number.integer < 0) note(COLUMBA_FIELD_MEDIA_BYTES, COLUMBA_RULE_INVALID, index);
        item.has_bytes = true;
        item.bytes = number.integer;
        return true;
    }
};

}  // namespace columba
