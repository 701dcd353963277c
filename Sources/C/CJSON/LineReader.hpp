// A line of the sync protocol (contract §4) read from a Walker's tokens. Members it does not know are skipped: a newer
// relay may send them. The body is delimited, not judged.
#pragma once

#include "ReportReader.hpp"

namespace columba {

class LineReader {
  public:
    explicit LineReader(Walker &walker) : walker_(walker) {}

    bool read(columba_json_line &line) {
        line_ = &line;
        if (walker_.peek() != '{') {
            note(COLUMBA_FIELD_NONE, COLUMBA_RULE_NOT_AN_OBJECT);
            return walker_.fail(COLUMBA_JSON_NOT_A_REPORT);
        }
        uint32_t seen = 0;
        const bool complete = walker_.members(1, identify, [&](int known, const Key &, columba_json_string) {
            if (known >= 0) seen |= uint32_t(1) << known;
            return member(known);
        });
        if (!complete) return false;
        if (!walker_.at_end()) return walker_.fail(COLUMBA_JSON_INVALID);
        if (!(seen & 1)) note(COLUMBA_FIELD_LINE_N, COLUMBA_RULE_MISSING);
        if (!(seen & 2)) note(COLUMBA_FIELD_LINE_RECEIVED_AT, COLUMBA_RULE_MISSING);
        if (!(seen & 4)) note(COLUMBA_FIELD_LINE_KIND, COLUMBA_RULE_MISSING);
        if (!(seen & 8) && (seen & 16)) note(COLUMBA_FIELD_LINE_BOOT, COLUMBA_RULE_MISSING);
        if (!(seen & 16) && (seen & 8)) note(COLUMBA_FIELD_LINE_SEQ, COLUMBA_RULE_MISSING);
        if (!(seen & 96)) note(COLUMBA_FIELD_LINE_BODY, COLUMBA_RULE_MISSING);
        if ((seen & 96) == 96) note(COLUMBA_FIELD_LINE_BODY_TEXT, COLUMBA_RULE_INVALID);
        return line.fault.field == COLUMBA_FIELD_NONE ? true : walker_.fail(COLUMBA_JSON_NOT_A_REPORT);
    }

  private:
    Walker &walker_;
    columba_json_line *line_ = nullptr;

    void note(columba_json_field field, columba_json_rule rule) {
        if (line_->fault.field == COLUMBA_FIELD_NONE) line_->fault = {field, rule, 0, {}};
    }

    static int identify(const Key &key) {
        if (key.is("n")) return 0;
        if (key.is("received_at")) return 1;
        if (key.is("kind")) return 2;
        if (key.is("boot")) return 3;
        if (key.is("seq")) return 4;
        if (key.is("body")) return 5;
        if (key.is("body_text")) return 6;
        return -1;
    }

    bool member(int known) {
        columba_json_line &line = *line_;
        columba_json_slice slice;
        switch (known) {
            case 0: return natural(line.n, COLUMBA_FIELD_LINE_N);
            case 1: return text(line.received_at, COLUMBA_FIELD_LINE_RECEIVED_AT);
            case 2: return text(line.kind, COLUMBA_FIELD_LINE_KIND);
            case 3:
                if (!text(line.boot, COLUMBA_FIELD_LINE_BOOT)) return false;
                if (!is_plain(line.boot.bytes, line.boot.length, walker_.limits().stored_boot_bytes)) {
                    note(COLUMBA_FIELD_LINE_BOOT, COLUMBA_RULE_INVALID);
                }
                return true;
            case 4: line.has_seq = true; return natural(line.seq, COLUMBA_FIELD_LINE_SEQ);
            case 5:
                if (!walker_.skip(slice)) return false;
                line.body = {walker_.bytes() + slice.offset, slice.length};
                return true;
            case 6: return text(line.body, COLUMBA_FIELD_LINE_BODY_TEXT);
            default: return walker_.skip(slice);
        }
    }

    bool natural(int64_t &value, columba_json_field field) {
        Number number;
        if (walker_.peek() != '-' && !is_digit(walker_.peek())) {
            note(field, COLUMBA_RULE_INVALID);
            return walker_.value(2);
        }
        if (!walker_.number(number)) return false;
        if (!number.is_integer || number.integer < 1) note(field, COLUMBA_RULE_INVALID);
        // The last thing on a line that was cut short may have lost digits.
        if (!walker_.at_end()) value = number.integer;
        return true;
    }

    bool text(columba_json_text &text, columba_json_field field) {
        if (walker_.peek() != '"') {
            note(field, COLUMBA_RULE_INVALID);
            return walker_.value(2);
        }
        columba_json_string token;
        return walker_.string(token) && walker_.unescaped(token, text.bytes, text.length);
    }
};

}  // namespace columba
