// Values inside SQL text.

package enum SQLText {
    /// A string literal: `'it''s'`.
    package static func literal(_ text: String) -> String {
        "'" + text.replacing("'", with: "''") + "'"
    }

    /// A quoted name: `"it""s"`.
    package static func identifier(_ name: String) -> String {
        "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    package static func list(_ texts: some Sequence<String>) -> String {
        "[" + texts.map { literal($0) }.joined(separator: ", ") + "]"
    }

    /// Somebody's statement inside `query(…)`, which takes exactly one SELECT and nothing else. Dollar quotes with an
    /// unguessable tag: no quote, comment or dot command in it reaches the shell that reads our script. The line feed
    /// ends a trailing `--` comment.
    package static func query(_ statement: String, tag: String) -> String {
        precondition(!statement.contains("$\(tag)$"), "the tag of a quoted statement is not in it")
        return "query($\(tag)$\(statement)\n$\(tag)$)"
    }
}
