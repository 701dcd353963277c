// Shows where in a statement central found an error: the line with a caret below it. Pure.
import Models

package enum StatementExcerpt {
    /// So much of a long line is shown to each side of the place.
    private static let reach = 60

    /// For a detail that ends with `(line 2, column 8)`; nil where it does not, or where there is no such place.
    package static func text(detail: String, statement: String) -> String? {
        guard let (line, column) = place(detail) else { return nil }
        let lines = statement.split(separator: "\n", omittingEmptySubsequences: false)
        guard line <= lines.count else { return nil }
        let characters = Array(lines[line - 1])
        guard column <= characters.count + 1 else { return nil }
        let start = max(0, column - 1 - reach)
        let end = min(characters.count, column - 1 + reach)
        let before = (start > 0 ? "…" : "") + TerminalText.neutralised(String(characters[start..<(column - 1)]))
        let rest = TerminalText.neutralised(String(characters[(column - 1)..<end]))
        let after = rest + (end < characters.count ? "…" : "")
        let head = "line \(line): "
        let indent = String(repeating: " ", count: head.count + TerminalText.width(before))
        return "\(head)\(before)\(after)\n\(indent)^"
    }

    private static func place(_ detail: String) -> (line: Int, column: Int)? {
        guard detail.hasSuffix(")"), let open = detail.lastIndex(of: "(") else { return nil }
        let words = detail[detail.index(after: open)...].dropLast().split(separator: " ")
        guard words.count == 4, words[0] == "line", words[2] == "column", let line = Int(words[1].dropLast()),
            let column = Int(words[3]), line >= 1, column >= 1
        else { return nil }
        return (line, column)
    }
}
