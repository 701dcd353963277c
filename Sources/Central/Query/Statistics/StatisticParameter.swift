// A parameter of a statistic: its type, its default, and how a value becomes a literal. What comes from outside is
// parsed as the type; only what the parser has understood is written, so no value can become a part of the statement.

import DuckDB
package import Models

package struct StatisticParameter: Sendable, Equatable {
    package enum Kind: String, CaseIterable, Sendable {
        case timestamp, date, interval, text, integer, number, boolean

        var duckDBName: String {
            switch self {
            case .timestamp: "TIMESTAMPTZ"
            case .date: "DATE"
            case .interval: "INTERVAL"
            case .text: "VARCHAR"
            case .integer: "BIGINT"
            case .number: "DOUBLE"
            case .boolean: "BOOLEAN"
            }
        }

        var explanation: String {
            switch self {
            case .timestamp: TimeExpression.description
            case .date: "a day such as 2026-11-20, or a time before now such as -7d"
            case .interval: "a length of time such as 15 minutes, 1 hour or 1 week"
            case .text: "a text of at most \(StatisticParameter.maxTextBytes) bytes"
            case .integer: "a whole number"
            case .number: "a number"
            case .boolean: "true or false"
            }
        }
    }

    package var name: String
    package var kind: Kind
    /// As written in the file; nil: the parameter is required.
    package var defaultText: String?
    package var description: String

    static let maxTextBytes = 1_000
    private static let units = ["second", "minute", "hour", "day", "week", "month", "year"]

    /// `from timestamp = -24h: Beginning`
    init(header: String) throws(StatisticFault) {
        let wrong = StatisticFault(reason: "write `-- param name type = default: description`")
        let (head, description) = Self.split(header)
        let sides = head.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let words = sides[0].split(separator: " ")
        guard words.count == 2 else { throw wrong }
        let name = words[0]
        guard name.utf8.count <= 32, name.first.map({ $0.isLowercase }) ?? false,
            name.utf8.allSatisfy({ (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f })
        else {
            throw StatisticFault(reason: "a parameter's name has a-z, 0-9 and underscores, and begins with a letter")
        }
        guard let kind = Kind(rawValue: String(words[1])) else {
            let kinds = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw StatisticFault(reason: "the type \(words[1]) is none of \(kinds)")
        }
        self.name = String(name)
        self.kind = kind
        self.description = description
        guard sides.count == 2 else { return }
        let text = sides[1].trimmedSpaces
        let isQuoted = text.count >= 2 && text.hasPrefix("'") && text.hasSuffix("'")
        defaultText = isQuoted ? String(text.dropFirst().dropLast()) : String(text)
        guard literal(nil, now: Timestamp(microseconds: 0)) != nil else {
            throw StatisticFault(reason: "the default \(text) is not \(kind.explanation)")
        }
    }

    /// At the first colon that is followed by a blank: a time of day has colons too.
    private static func split(_ text: String) -> (head: Substring, description: String) {
        var index = text.startIndex
        while let colon = text[index...].firstIndex(of: ":") {
            let after = text.index(after: colon)
            if after == text.endIndex || text[after] == " " {
                return (text[..<colon], String(text[after...].trimmedSpaces))
            }
            index = after
        }
        return (text[...], "")
    }

    /// The typed literal of `text`, or of the default where `text` is nil; nil where it is not of the type, or where
    /// there is no default.
    package func literal(_ text: String?, now: Timestamp) -> String? {
        guard let text = text ?? defaultText else { return nil }
        let typedNull = "(null::\(kind.duckDBName))"
        if text == "null" || (text.isEmpty && kind != .text) { return defaultText == "null" ? typedNull : nil }
        switch kind {
        case .timestamp:
            guard let time = TimeExpression.parse(text, now: now) else { return nil }
            return "(timestamptz '\(time.rfc3339)')"
        case .date: return TimeExpression.parse(text, now: now).map { "(date '\($0.utcDay)')" }
        case .interval: return Self.interval(text).map { "(interval '\($0)')" }
        case .text:
            guard text.utf8.count <= Self.maxTextBytes, !text.utf8.contains(0) else { return nil }
            return "(\(SQLText.literal(text))::VARCHAR)"
        case .integer: return Int64(text).map { "(\($0)::BIGINT)" }
        case .number:
            guard let number = Double(text), number.isFinite else { return nil }
            return "(\(number)::DOUBLE)"
        case .boolean: return ["true", "false"].contains(text) ? "(\(text))" : nil
        }
    }

    /// `15 minutes`: a count from 1 and a unit, nothing else.
    private static func interval(_ text: String) -> String? {
        let words = text.split(separator: " ")
        guard words.count == 2, let count = Int(words[0]), (1...1_000_000).contains(count) else { return nil }
        let unit = words[1].hasSuffix("s") ? String(words[1].dropLast()) : String(words[1])
        return units.contains(unit) ? "\(count) \(unit)s" : nil
    }
}

extension Statistic {
    package struct Resolved: Sendable, Equatable {
        /// Ready to run anywhere that knows the views and macros.
        package var sql: String
        /// What each parameter was, as it was written.
        package var values: [(name: String, value: String)]

        package static func == (left: Resolved, right: Resolved) -> Bool {
            left.sql == right.sql && left.values.map(\.name) == right.values.map(\.name)
                && left.values.map(\.value) == right.values.map(\.value)
        }
    }

    /// Puts values in the places of the parameters. `given` has names nobody declared: a problem that names one.
    package func resolved(
        _ given: [String: String], now: Timestamp, smallestGroup: Int
    ) throws(Problem) -> Resolved {
        if let unknown = given.keys.filter({ name in !parameters.contains { $0.name == name } }).min() {
            let names = (parameters.map(\.name) + ["format", "limit"]).joined(separator: ", ")
            throw Problem(
                status: 422, code: "unknown_parameter", detail: "this statistic takes \(names), and nothing else",
                field: Identifier.isValidDroneID(unknown) ? unknown : nil)
        }
        var literals = [Self.smallestGroup: String(smallestGroup)]
        var values: [(name: String, value: String)] = []
        for parameter in parameters {
            let text = given[parameter.name]
            guard let literal = parameter.literal(text, now: now) else {
                throw Problem(
                    status: 422, code: text == nil ? "missing_field" : "invalid_field",
                    detail: "\(parameter.name) is \(parameter.kind.explanation)", field: parameter.name)
            }
            literals[parameter.name] = literal
            values.append((parameter.name, text ?? parameter.defaultText ?? ""))
        }
        return Resolved(sql: substituted(literals), values: values)
    }

    /// With a typed null for every parameter: enough to ask which columns it has.
    package var skeleton: String {
        var literals = [Self.smallestGroup: "5"]
        for parameter in parameters {
            literals[parameter.name] =
                parameter.literal(nil, now: Timestamp(microseconds: 0)) ?? "(null::\(parameter.kind.duckDBName))"
        }
        return substituted(literals)
    }

    private func substituted(_ literals: [String: String]) -> String {
        let bytes = Array(sql.utf8)
        var output: [UInt8] = []
        var next = 0
        for token in SQLTokens.all(sql) where token.kind == .parameter {
            guard let literal = literals[token.text] else { continue }
            output += bytes[next..<token.range.lowerBound]
            output += literal.utf8
            next = token.range.upperBound
        }
        return String(decoding: output + bytes[next...], as: UTF8.self)
    }
}
