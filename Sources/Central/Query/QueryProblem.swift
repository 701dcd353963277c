// DuckDB's errors as an analyst should see them: what is wrong and where, without our wrapper, our paths or our
// limits' names.
//
// | code | status | when |
// |---|---|---|
// | `sql_error` | 400 | the statement is wrong, or fails on the data |
// | `sql_forbidden` | 403 | it is no SELECT, or reads or writes files, settings or the environment |
// | `identities_forbidden` | 403 | it asks for names; that is a right of its own |
// | `sql_too_long`, `sql_result_too_large` | 413 | |
// | `sql_memory` | 422 | it needs more memory than a query gets |
// | `sql_cancelled` | 499 | the client went away; nobody reads this |
// | `sql_failed`, `archive_unreadable` | 500 | our fault |
// | `queries_busy` | 503 | too many at once |
// | `sql_timeout` | 504 | it did not end in time (504, not 408: clients repeat a 408 by themselves) |

import DuckDB
import FoundationEssentials
import Models

enum QueryProblem {
    static func make(
        _ error: DuckDBError, sql: String, position: Int?, limits: DuckDBSandbox.Limits
    ) -> Problem {
        switch error.kind {
        case .rejected: return rejected(error, sql: sql, position: position)
        case .memory:
            return Problem(
                status: 422, code: "sql_memory",
                detail:
                    "the query needs more than \(limits.memoryBytes >> 20) MiB; aggregate earlier, select fewer "
                    + "columns or a shorter time")
        case .timedOut:
            return Problem(
                status: 504, code: "sql_timeout",
                detail: "the query did not end within \(limits.timeoutSeconds) s; narrow it, by date first")
        case .cancelled: return Problem(status: 499, code: "sql_cancelled", detail: "the client has gone")
        case .tooMuchOutput:
            return Problem(
                status: 413, code: "sql_result_too_large",
                detail:
                    "the answer is larger than \(limits.resultBytes >> 20) MiB; select fewer columns or rows")
        case .storage:
            return Problem(
                status: 500, code: "archive_unreadable",
                detail: "files of the archive cannot be read; run columba-central verify")
        case .unavailable, .crashed:
            return Problem(
                status: 500, code: "sql_failed", detail: "the query engine failed; the statement was not at fault")
        }
    }

    private static func rejected(_ error: DuckDBError, sql: String, position: Int?) -> Problem {
        let message = firstParagraph(error.message)
        if message.contains("Table with name identities does not exist") {
            return Problem(
                status: 403, code: "identities_forbidden",
                detail: "names are kept apart from reports and need a right of their own; person_id joins without them",
                field: "sql")
        }
        if message.contains("Expected a single SELECT statement") {
            return Problem(
                status: 403, code: "sql_forbidden", detail: "exactly one SELECT statement is allowed, and nothing else",
                field: "sql")
        }
        let forbidden = ["Permission Error", "Invalid Configuration Error"]
        // `from '/etc/passwd'`: a file's name where a table's should be.
        let missing = message.split(separator: "Table with name ").dropFirst().first?.prefix { $0 != " " } ?? ""
        if forbidden.contains(where: { message.hasPrefix($0) }) || message.contains("disabled by configuration")
            || message.contains("disabled through configuration") || missing.contains("/")
        {
            return Problem(
                status: 403, code: "sql_forbidden",
                detail: "files, addresses, settings and the environment are out of reach; ask the views reports, "
                    + "duplicates, alerts and relays",
                field: "sql")
        }
        return Problem(
            status: 400, code: "sql_error", detail: message + place(of: message, in: sql, position: position),
            field: "sql")
    }

    /// DuckDB shows the line at fault after a blank line, but that line is our wrapper's; lists of candidates are long.
    private static func firstParagraph(_ message: String) -> String {
        let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.prefix { !$0.isEmpty && !$0.hasPrefix("LINE ") && !$0.hasPrefix("\t") }.joined(separator: " ")
    }

    /// ` (line 2, column 8)`: where the parser stopped, or where what the message names stands first.
    private static func place(of message: String, in sql: String, position: Int?) -> String {
        guard let offset = position ?? QueryPlace.offset(of: message, in: sql), offset <= sql.utf8.count else {
            return ""
        }
        let (line, column) = QueryPlace.lineAndColumn(of: offset, in: sql)
        return " (line \(line), column \(column))"
    }

    /// What `json_serialize_sql` says of a statement the parser does not understand.
    private struct ParserVerdict: Decodable {
        var position: String?
    }

    /// Asks DuckDB's parser where it stopped; only parser errors have such a place.
    static func parserPosition(_ error: DuckDBError, sql: String, tag: String, _ sandbox: DuckDBSandbox) -> Int? {
        guard error.message.hasPrefix("Parser Error") else { return nil }
        let answer = try? sandbox.ask(
            ".mode list\n.headers off\nselect json_serialize_sql($\(tag)$\(sql)$\(tag)$::VARCHAR);")
        guard let answer, let verdict = try? JSONDecoder().decode(ParserVerdict.self, from: Data(answer)) else {
            return nil
        }
        return verdict.position.flatMap { Int($0) }
    }
}
