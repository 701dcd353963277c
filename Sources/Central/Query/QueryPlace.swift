// Where in a statement an error is. DuckDB's own caret points into our wrapper, but its message names what it means: a
// column or table in double quotes, a function before its argument types, a value in single quotes. The first such
// piece of the statement that is no comment is the place.

enum QueryPlace {
    /// UTF-8 offset, or nil where the message names nothing of the statement.
    static func offset(of message: String, in sql: String) -> Int? {
        let tokens = SQLTokens.all(sql)
        for candidate in candidates(message) {
            let wanted = candidate.text.lowercased()
            let found = tokens.first { token in
                token.text.lowercased() == wanted && candidate.kinds.contains(token.kind)
            }
            if let found { return found.range.lowerBound }
        }
        return nil
    }

    /// Both from 1; columns are characters.
    static func lineAndColumn(of offset: Int, in sql: String) -> (line: Int, column: Int) {
        let before = Array(sql.utf8.prefix(offset))
        let line = before.count { $0 == 0x0a } + 1
        let column = String(decoding: before.reversed().prefix { $0 != 0x0a }.reversed(), as: UTF8.self).count + 1
        return (line, column)
    }

    private struct Candidate {
        var text: String
        var kinds: Set<SQLToken.Kind>
    }

    private static let names: Set<SQLToken.Kind> = [.word, .quotedName]

    private static func candidates(_ message: String) -> [Candidate] {
        var found: [Candidate] = []
        let double = message.split(separator: "\"", omittingEmptySubsequences: false)
        for (index, piece) in double.enumerated() where index % 2 == 1 {
            found.append(Candidate(text: String(piece), kinds: names.union([.number, .symbol, .string])))
            // `"r.nope"`: a name with its table's.
            if let last = piece.split(separator: ".").last, last.count < piece.count {
                found.append(Candidate(text: String(last), kinds: names))
            }
        }
        // `Table with name reportz does not exist`, `Scalar Function with name nothing does not exist`.
        if let named = message.split(separator: " ").drop(while: { $0 != "name" }).dropFirst().first {
            found.append(Candidate(text: String(named), kinds: names))
        }
        let single = message.split(separator: "'", omittingEmptySubsequences: false)
        for (index, piece) in single.enumerated() where index % 2 == 1 {
            found.append(Candidate(text: String(piece), kinds: [.string, .number]))
            // `'lower(INTEGER)'`, `'+(VARCHAR, INTEGER)'`: a function or an operator with the types it was given.
            if let open = piece.firstIndex(of: "("), open > piece.startIndex {
                found.append(Candidate(text: String(piece[..<open]), kinds: names.union([.symbol])))
            }
        }
        return found
    }
}
