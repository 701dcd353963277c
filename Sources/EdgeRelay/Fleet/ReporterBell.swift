// Wakes the reporter's thread. Made before the forwarder, which rings it, and the reporter, which needs the forwarder.

import SyncProtocol
import System

final class ReporterBell: Sendable {
    private struct State {
        var isStopped = false
        var isWanted = false
    }

    private let rules: RelayRules
    private let state = Monitor(State())

    init(rules: RelayRules) { self.rules = rules }

    /// Called on a forwarder thread with each acknowledgement: returns at once.
    func acknowledged(_ answer: Acknowledgement) {
        if rules.isNews(answer.rulesVersion) { state.update { $0.isWanted = true } }
    }

    func stop() { state.update { $0.isStopped = true } }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// True when it was rung.
    func wait(seconds: Double) -> Bool {
        state.wait(timeoutSeconds: seconds) { state -> Bool? in
            if state.isStopped { return false }
            defer { state.isWanted = false }
            return state.isWanted ? true : nil
        } ?? false
    }
}
