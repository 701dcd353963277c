// Report parsers keep memory between reports and belong to one thread at a time; the server's threads are not ours, so
// parsers are lent from here.

import JSON
import Synchronization

final class ParserPool: Sendable {
    private let idle = Mutex<[Lent]>([])

    /// Safety: a parser is in the pool or with the one thread that took it, never both.
    private struct Lent: @unchecked Sendable { let parser: ReportParser }

    func take() -> ReportParser {
        idle.withLock { $0.popLast() }?.parser ?? ReportParser()
    }

    func put(_ parser: ReportParser) {
        let lent = Lent(parser: parser)
        idle.withLock { $0.append(lent) }
    }
}
