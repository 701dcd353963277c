// A progress bar on stderr, on a terminal only, for what takes longer than two seconds: the servers' own commands show
// it. (`columba` has one that also knows how long it will take.)

import Glibc

package struct TerminalProgress {
    private static let quietSeconds = 2.0
    private static let secondsBetween = 0.1
    private static let cells = 30

    private let label: String
    private let total: Int
    private let isQuiet: Bool
    private let time = SystemTime()
    private let start: UInt64
    private var done = 0
    private var shownAt: UInt64?

    /// - Parameter total: about as much as `advance` will be told of.
    package init(label: String, total: Int, isQuiet: Bool = false) {
        self.label = label
        self.total = max(1, total)
        self.isQuiet = isQuiet || !Environment.isTerminal(STDERR_FILENO)
        start = time.monotonicNanoseconds()
    }

    package mutating func advance(_ amount: Int) {
        done += amount
        guard !isQuiet else { return }
        let now = time.monotonicNanoseconds()
        guard Double(now - start) / 1e9 >= Self.quietSeconds else { return }
        if let shownAt, Double(now - shownAt) / 1e9 < Self.secondsBetween { return }
        shownAt = now
        let share = min(1, Double(done) / Double(total))
        let full = Int(share * Double(Self.cells))
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: Self.cells - full)
        StandardStreams.error("\r\(label) [\(bar)] \(Int(share * 100)) %")
    }

    package func end() {
        if shownAt != nil { StandardStreams.error("\r\u{1B}[K") }
    }
}
