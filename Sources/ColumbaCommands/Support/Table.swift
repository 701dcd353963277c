// A result as a table of text: numbers to the right, everything else to the left, NULL unlike any text. Pure.

package struct TextTable: Sendable {
    package enum Cell: Equatable, Sendable {
        case null
        case number(String)
        case text(String)
    }

    /// Wider cells are cut: a table is for looking; `--format json` or `csv` gives everything.
    package static let widestCell = 60

    private let header: [String]
    private let rows: [[Cell]]

    package init(header: [String], rows: [[Cell]]) {
        precondition(rows.allSatisfy { $0.count == header.count }, "every row has a cell for each column")
        self.header = header
        self.rows = rows
    }

    /// With a line feed at the end of each line. `dim` decorates NULL where the terminal has colour.
    package func text(dim: (String) -> String = { $0 }) -> String {
        guard !header.isEmpty else { return "" }
        let heads = header.map { Self.shown(.text($0)) }
        let cells = rows.map { $0.map(Self.shown) }
        let widths = heads.indices.map { column in
            max(TerminalText.width(heads[column]), cells.map { TerminalText.width($0[column]) }.max() ?? 0)
        }
        var lines = [line(heads, widths, kinds: nil, dim: dim)]
        lines.append(widths.map { String(repeating: "─", count: $0) }.joined(separator: "─┼─"))
        for (row, kinds) in zip(cells, rows) { lines.append(line(row, widths, kinds: kinds, dim: dim)) }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func shown(_ cell: Cell) -> String {
        switch cell {
        case .null: "∅"
        case .number(let text): text
        case .text(let text): TerminalText.truncated(TerminalText.neutralised(text), columns: widestCell)
        }
    }

    private func line(_ texts: [String], _ widths: [Int], kinds: [Cell]?, dim: (String) -> String) -> String {
        let columns = texts.indices.map { column in
            let kind = kinds?[column]
            let isLast = column == texts.count - 1
            let isRight = isNumeric(column)
            let padded = TerminalText.padded(
                texts[column], columns: isLast && !isRight ? 0 : widths[column], right: isRight)
            return kind == .null ? dim(padded) : padded
        }
        return columns.joined(separator: " │ ")
    }

    /// A column of numbers, apart from NULLs, stands to the right, its head too.
    private func isNumeric(_ column: Int) -> Bool {
        var hasNumber = false
        for row in rows {
            switch row[column] {
            case .number: hasNumber = true
            case .text: return false
            case .null: continue
            }
        }
        return hasNumber
    }
}
