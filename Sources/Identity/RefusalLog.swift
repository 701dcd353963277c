// Counts who was refused and why, and logs it: the first of a kind at once, then at most one line a kind every ten
// seconds with the number meanwhile. Someone who knocks a thousand times a second fills no disk.

package import Log
package import System
import Synchronization

package final class RefusalLog: Sendable {
    private struct Kind {
        var total = 0
        var sinceLine = 0
        var nextLineNanoseconds: UInt64 = 0
    }

    private static let intervalNanoseconds: UInt64 = 10_000_000_000
    /// Reasons are constants of the program; the limit is for the day one is not (I7).
    private static let maxKinds = 64

    private let kinds = Mutex<[String: Kind]>([:])
    private let time: any TimeSource
    private let log: Log

    package init(time: any TimeSource, log: Log) {
        self.time = time
        self.log = log
    }

    /// - Parameter who: an identity, as far as it is known.
    package func note(_ reason: String, who: String = "") {
        let now = time.monotonicNanoseconds()
        let line = kinds.withLock { kinds -> Int? in
            guard kinds[reason] != nil || kinds.count < Self.maxKinds else { return nil }
            var kind = kinds[reason] ?? Kind()
            defer { kinds[reason] = kind }
            kind.total += 1
            kind.sinceLine += 1
            guard now >= kind.nextLineNanoseconds else { return nil }
            defer { kind.sinceLine = 0 }
            kind.nextLineNanoseconds = now + Self.intervalNanoseconds
            return kind.sinceLine
        }
        guard let line else { return }
        log.warning("peer_refused", ["reason": .string(reason), "peer": .string(who), "count": .int(line)])
    }

    package var totals: [String: Int] { kinds.withLock { $0.mapValues(\.total) } }
    package var total: Int { totals.values.reduce(0, +) }
}
