// What an analyst writes into the explorer's text field: words that a report has or has not.
//
//   market rain       both words           "New York"      a word with a blank
//   mark*             one that begins so    -rain           not this one
//
// Words are compared as the drones reported them. What is written is only ever a literal of the condition.

import DuckDB
import Models

struct WordFilter: Equatable {
    struct Term: Equatable {
        var text: String
        var isPrefix = false
        var isExcluded = false
    }

    static let maxTerms = 20
    static let maxBytes = 1_000

    let terms: [Term]

    init(_ text: String) throws(Problem) {
        guard text.utf8.count <= Self.maxBytes, !text.utf8.contains(0) else {
            throw AnalystQuery.invalid("words has at most \(Self.maxBytes) bytes and no NUL", "words")
        }
        terms = try Self.terms(text)
        guard !terms.isEmpty, terms.count <= Self.maxTerms else {
            throw AnalystQuery.invalid("words are 1 to \(Self.maxTerms) words", "words")
        }
    }

    private static func terms(_ text: String) throws(Problem) -> [Term] {
        var terms: [Term] = []
        var rest = text[...]
        while true {
            rest = rest.drop { $0.isWhitespace }
            guard let first = rest.first else { return terms }
            var term = Term(text: "")
            if first == "-", rest.dropFirst().first.map({ !$0.isWhitespace }) ?? false {
                term.isExcluded = true
                rest = rest.dropFirst()
            }
            if rest.first == "\"" {
                let quoted = rest.dropFirst()
                guard let end = quoted.firstIndex(of: "\"") else {
                    throw AnalystQuery.invalid("words has an opening quote without a closing one", "words")
                }
                term.text = String(quoted[..<end])
                rest = quoted[quoted.index(after: end)...]
            } else {
                term.text = String(rest.prefix { !$0.isWhitespace })
                rest = rest.dropFirst(term.text.count)
                if term.text.hasSuffix("*"), term.text.count > 1 {
                    term.isPrefix = true
                    term.text.removeLast()
                }
            }
            if !term.text.isEmpty { terms.append(term) }
        }
    }

    var conditions: [String] {
        terms.map { term in
            let literal = SQLText.literal(term.text)
            let found =
                term.isPrefix
                ? "len(list_filter(words, lambda w: starts_with(w, \(literal)))) > 0"
                : "list_contains(words, \(literal))"
            return term.isExcluded ? "not coalesce(\(found), false)" : found
        }
    }
}

extension ReportSelection {
    /// The filters beyond place, drone and one word: words, the rule that a report broke, and its flags.
    static func furtherConditions(_ query: inout AnalystQuery) throws(Problem) -> [String] {
        var conditions: [String] = []
        if let words = query.text("words") { conditions += try WordFilter(words).conditions }
        if let rule = query.text("rule") {
            guard rule.utf8.count <= 128, !rule.utf8.contains(0) else {
                throw AnalystQuery.invalid("rule is the name of a rule, at most 128 bytes", "rule")
            }
            // As one value: DuckDB compares several columns with a subquery's only so.
            conditions.append(
                "(drone_id, boot, seq) in (select (drone_id, boot, seq) from alerts where kind = 'alert' and rule = "
                    + "\(SQLText.literal(rule)))")
        }
        for flag in ["late", "time_suspect"] {
            guard let value = query.text(flag) else { continue }
            guard value == "true" || value == "false" else {
                throw AnalystQuery.invalid("\(flag) is true or false", flag)
            }
            conditions.append(value == "true" ? flag : "not \(flag)")
        }
        return conditions
    }
}
