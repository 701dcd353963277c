// Progress of a long command: a bar on a terminal, after two seconds. The text is pure; `ProgressDisplay` shows it.
package import Models

package struct ProgressBar: Sendable {
    package let label: String
    /// nil if the end is unknown (standard input).
    package let total: Int?

    package init(label: String, total: Int?) {
        self.label = label
        self.total = total
    }

    /// For example `sending [████████░░░░]  62 %  500 lines  0:04 left`, never wider than `columns`.
    package func text(done: Int, note: String, elapsedSeconds: Double, columns: Int) -> String {
        guard let total, total > 0 else {
            return TerminalText.truncated("\(label)  \(note)", columns: columns)
        }
        let share = min(1, Double(done) / Double(total))
        let percent = Int(share * 100)
        var text = "\(percent) %  \(note)"
        if share > 0.01, share < 1 {
            text += "  \(Self.clock(elapsedSeconds * (1 - share) / share)) left"
        }
        let room = columns - TerminalText.width(label) - TerminalText.width(text) - 5
        let cells = min(30, room)
        guard cells >= 5 else { return TerminalText.truncated("\(label) \(text)", columns: columns) }
        let full = Int((share * Double(cells)).rounded())
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: cells - full)
        return "\(label) [\(bar)] \(text)"
    }

    /// Minutes and seconds: `0:04`, `12:30`.
    package static func clock(_ seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 359_999).rounded(.up))
        let tail = whole % 60
        return "\(whole / 60):\(tail < 10 ? "0" : "")\(tail)"
    }

    /// `12431` as `12,431`.
    package static func grouped(_ value: Int) -> String {
        var digits = String(value.magnitude)
        var parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits = String(digits.dropLast(3))
        }
        return (value < 0 ? "-" : "") + ([digits] + parts).joined(separator: ",")
    }
}

package struct ProgressDisplay {
    private static let quietSeconds = 2.0
    private static let secondsBetween = 0.1

    private let console: Console
    private let bar: ProgressBar
    private let start: MonotonicInstant
    private var shownAt: MonotonicInstant?

    package init(_ console: Console, _ bar: ProgressBar, now: MonotonicInstant) {
        self.console = console
        self.bar = bar
        start = now
    }

    package mutating func show(done: Int, note: String, now: MonotonicInstant) {
        let elapsed = now.seconds(since: start)
        guard console.isInteractive, elapsed >= Self.quietSeconds else { return }
        if let shownAt, now.seconds(since: shownAt) < Self.secondsBetween { return }
        shownAt = now
        console.live(bar.text(done: done, note: note, elapsedSeconds: elapsed, columns: console.columns))
    }

    package func end() {
        if shownAt != nil { console.live("") }
    }
}
