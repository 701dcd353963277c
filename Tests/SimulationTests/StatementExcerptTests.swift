// The excerpt that `columba sql` shows of a wrong statement.

import ColumbaCommands
import Testing

@Suite("the place of an error in a statement") struct StatementExcerptTests {
    @Test("the line is shown with a caret below the place, also after wide characters")
    func caret() {
        #expect(
            StatementExcerpt.text(detail: "x (line 2, column 3)", statement: "select 1,\n  nope from r")
                == "line 2:   nope from r\n          ^")
        #expect(
            StatementExcerpt.text(detail: "x (line 1, column 13)", statement: "select '火', a")
                == "line 1: select '火', a\n                     ^")
    }

    @Test("a long line is cut around the place; what tells no place gives nothing")
    func limits() {
        let long = String(repeating: "a", count: 200) + "b" + String(repeating: "c", count: 200)
        let text = StatementExcerpt.text(detail: "x (line 1, column 201)", statement: long) ?? ""
        let lines = text.split(separator: "\n")
        #expect(lines.count == 2 && lines[0].count < 140 && lines[0].hasSuffix("…"))
        let place = lines[0].firstIndex(of: "b").map { lines[0].distance(from: lines[0].startIndex, to: $0) }
        #expect(lines[1].count == (place ?? -9) + 1)
        for detail in ["x", "x (line 9, column 1)", "x (line 1, column 999)", "x (line 0, column 0)", "(a, b)"] {
            #expect(StatementExcerpt.text(detail: detail, statement: "select 1") == nil, "\(detail)")
        }
    }
}
