// A sandbox that waits for the next query: started, its views made, locked, the files' footers read. A query that
// finds one saves the 30 ms that starting costs; it is used for that one query and ends with it, as any other.
//
// One is kept while there are analysts: until `idleSeconds` after the last query, and made anew when the archive has a
// newer version. Only the keeper's thread starts spares; a query takes one or does without.

import DuckDB
import Models
import System

// Safety: handed over whole, through the monitor: the keeper's thread has it first, then the one query that took it.
final class SpareSandbox: @unchecked Sendable {
    let sandbox: DuckDBSandbox
    let scratch: QueryScratch
    /// Versions of the tables that its views read.
    let versions: [Int64]

    init(sandbox: DuckDBSandbox, scratch: QueryScratch, versions: [Int64]) {
        self.sandbox = sandbox
        self.scratch = scratch
        self.versions = versions
    }

    deinit { sandbox.end() }
}

final class SpareSandboxes: Sendable {
    private struct State {
        var spare: SpareSandbox?
        var lastQueryNanoseconds: UInt64?
        var isStopped = false
        var taken = 0

        /// Whoever gets it ends it, after the lock is given back.
        mutating func take() -> SpareSandbox? {
            defer { spare = nil }
            return spare
        }
    }

    static let idleSeconds = 60.0
    /// How often the keeper looks whether the archive has moved on.
    private static let secondsBetweenLooks = 1.0
    /// A start that fails, for want of memory perhaps, is not tried again at once.
    private static let secondsAfterFailure = 5.0

    private let state = Monitor(State())
    private let time: any TimeSource

    init(time: any TimeSource) { self.time = time }

    /// Queries that found one ready.
    var taken: Int { state.withLock { $0.taken } }
    var hasOne: Bool { state.withLock { $0.spare != nil } }

    /// For a query over these versions; nil where none fits. One that is out of date ends here.
    func take(for versions: [Int64]) -> SpareSandbox? {
        let now = time.monotonicNanoseconds()
        let spare = state.update { state in
            state.lastQueryNanoseconds = now
            state.taken += state.spare?.versions == versions ? 1 : 0
            return state.take()
        }
        return spare?.versions == versions ? spare : nil
    }

    /// The keeper's thread: `make` starts one for the newest versions, `versions` tells which those are.
    func keep(versions: () -> [Int64]?, make: () -> SpareSandbox?) {
        var pause = Self.secondsBetweenLooks
        while true {
            let isWanted = state.wait(timeoutSeconds: pause) { state -> Bool? in
                if state.isStopped { return false }
                return state.spare == nil && self.isBusy(state) ? true : nil
            }
            pause = Self.secondsBetweenLooks
            if isWanted == nil, !isOutdated(versions) { continue }
            if state.withLock({ $0.isStopped }) { return }
            guard let spare = make() else {
                pause = Self.secondsAfterFailure
                // Wait it out even if queries come meanwhile.
                _ = state.wait(timeoutSeconds: pause) { $0.isStopped ? true : nil }
                continue
            }
            let former = state.withLock { state in
                defer { state.spare = state.isStopped ? nil : spare }
                return state.take()
            }
            _ = former
        }
    }

    func stop() {
        let spare = state.update { state in
            state.isStopped = true
            return state.take()
        }
        _ = spare
    }

    private func isBusy(_ state: State) -> Bool {
        guard let last = state.lastQueryNanoseconds else { return false }
        return Double(time.monotonicNanoseconds() - last) / 1e9 < Self.idleSeconds
    }

    /// Whether the spare is out of date and still wanted; one that nobody wants any more goes. The archive is looked at
    /// only where there is one.
    private func isOutdated(_ newest: () -> [Int64]?) -> Bool {
        let (versions, unwanted) = state.withLock { state -> ([Int64]?, SpareSandbox?) in
            isBusy(state) ? (state.spare?.versions, nil) : (nil, state.take())
        }
        _ = unwanted
        guard let versions, let newest = newest() else { return false }
        return newest != versions
    }
}
