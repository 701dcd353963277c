// A prepared statistic: a file `queries/NAME.sql`. Its first comment lines say what it is and what it takes; the rest
// is one SELECT with parameters `$name`.
//
//   -- title: Words heard most often
//   -- description: Several of these lines make one text.
//   -- param from timestamp = -24h: Beginning              no `= default`: required; `= null`: may be left out
//   -- param top integer = 100: How many words
//   -- column spoken [words]: How often it was heard       the unit in brackets may be missing
//   -- plot: bar x=word y=spoken                           a hint for whoever draws it
//   -- people: persons                                     the column that says how many persons a row is about
//
// A line of dashes and words without such a beginning is only a comment. Values never become text of the statement by
// pasting: each is parsed as its type and written as a literal of it (`StatisticParameter`).

import Models

package struct Statistic: Sendable, Equatable {
    package struct ColumnNote: Sendable, Equatable {
        package var name: String
        package var unit: String?
        package var description: String
    }

    package var name: String
    package var title = ""
    package var description = ""
    package var parameters: [StatisticParameter] = []
    package var columns: [ColumnNote] = []
    package var plot: String?
    /// The column that says how many persons a row is about.
    package var people: String?
    /// The whole file: places in errors are places in it.
    package var sql: String

    /// A parameter that every statistic may use without declaring it: the smallest group that may be shown.
    package static let smallestGroup = "smallest_group"
    static let reserved = ["format", "limit", smallestGroup]
}

/// What is wrong with a statistic's file.
package struct StatisticFault: Error, Sendable, Equatable, CustomStringConvertible {
    package var line: Int?
    package var reason: String

    package var description: String { line.map { "line \($0): \(reason)" } ?? reason }
}

extension Statistic {
    package static let maxBytes = 64 << 10

    package static func isValidName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
    }

    package init(name: String, sql: String) throws(StatisticFault) {
        self.name = name
        self.sql = sql
        guard sql.utf8.count <= Self.maxBytes, !sql.utf8.contains(0) else {
            throw StatisticFault(reason: "a statistic has at most \(Self.maxBytes) bytes and no NUL")
        }
        for (index, line) in sql.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let text = line.trimmedSpaces
            if text.isEmpty { continue }
            guard text.hasPrefix("--") else { break }
            do throws(StatisticFault) {
                try read(String(text.dropFirst(2).trimmedSpaces))
            } catch {
                throw StatisticFault(line: index + 1, reason: error.reason)
            }
        }
        guard !title.isEmpty else { throw StatisticFault(reason: "the first comment has no line `-- title: …`") }
        try checkParameters()
    }

    private mutating func read(_ line: String) throws(StatisticFault) {
        if line.hasPrefix("param ") {
            let parameter = try StatisticParameter(header: String(line.dropFirst(6)))
            guard !Self.reserved.contains(parameter.name), !parameters.contains(where: { $0.name == parameter.name })
            else { throw StatisticFault(reason: "the parameter's name \(parameter.name) is taken") }
            return parameters.append(parameter)
        }
        if line.hasPrefix("column ") { return columns.append(try Self.column(String(line.dropFirst(7)))) }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = String(line[line.index(after: colon)...].trimmedSpaces)
        switch line[..<colon] {
        case "title": title = value
        case "description": description += (description.isEmpty ? "" : " ") + value
        case "plot": plot = value
        case "people":
            guard !value.isEmpty, !value.contains(" ") else {
                throw StatisticFault(reason: "people: names the column that says how many persons a row is about")
            }
            people = value
        case let key where key.allSatisfy { $0.isLetter && $0.isLowercase }:
            throw StatisticFault(
                reason: "\(key): is none of title:, description:, param, column, plot:, people:")
        default: return
        }
    }

    /// `spoken [words]: How often`
    private static func column(_ text: String) throws(StatisticFault) -> ColumnNote {
        guard let colon = text.range(of: ":") else {
            throw StatisticFault(reason: "write `-- column name [unit]: description`")
        }
        var head = text[..<colon.lowerBound].trimmedSpaces
        var unit: String?
        if head.hasSuffix("]"), let open = head.firstIndex(of: "[") {
            unit = String(head[head.index(after: open)...].dropLast())
            head = head[..<open].trimmedSpaces
        }
        guard !head.isEmpty, !head.contains(" ") else {
            throw StatisticFault(reason: "write `-- column name [unit]: description`")
        }
        return ColumnNote(
            name: String(head), unit: unit, description: String(text[colon.upperBound...].trimmedSpaces))
    }

    /// Every `$name` in the statement is declared.
    private func checkParameters() throws(StatisticFault) {
        let known = Set(parameters.map(\.name) + [Self.smallestGroup])
        for token in SQLTokens.all(sql) where token.kind == .parameter && !known.contains(token.text) {
            throw StatisticFault(
                line: QueryPlace.lineAndColumn(of: token.range.lowerBound, in: sql).line,
                reason: "$\(token.text) is not declared: add `-- param \(token.text) TYPE = DEFAULT: …`")
        }
    }
}

extension StringProtocol {
    /// Without blanks at both ends.
    var trimmedSpaces: SubSequence {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        return text
    }

    fileprivate func range(of character: Character) -> Range<Index>? {
        firstIndex(of: character).map { $0..<index(after: $0) }
    }
}
