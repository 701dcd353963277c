// Parses batches on two threads while they are taken in order on one: whoever takes a batch that nobody has begun
// parses it itself. Bounded, so that a call of many batches does not hold all their rows in memory.

import Crypto
import System

final class PreparationPipeline: Sendable {
    private struct State {
        var next = 0
        var taken = 0
        var ready: [Int: PreparedBatch] = [:]
        var isStopped = false
    }

    private let batches: [StreamedBatch]
    private let state = Monitor(State())
    /// Batches parsed ahead of the one being taken.
    private static let maxAhead = 6

    init(_ batches: [StreamedBatch]) { self.batches = batches }

    /// The helper's loop; ends when every batch is begun or `stop` was called.
    func help(_ preparer: BatchPreparer) {
        while let index = begin() {
            let prepared = preparer.prepare(batches[index])
            state.update { $0.ready[index] = prepared }
        }
    }

    private func begin() -> Int? {
        let index: Int =
            state.wait { state in
                if state.isStopped || state.next >= self.batches.count { return -1 }
                guard state.next < state.taken + Self.maxAhead else { return nil }
                state.next += 1
                return state.next - 1
            } ?? -1
        return index < 0 ? nil : index
    }

    /// Batch `index`; to be called with 0, 1, 2, ….
    func take(_ index: Int, _ preparer: BatchPreparer) -> PreparedBatch {
        let isMine = state.update { state in
            state.taken = index
            guard state.next == index else { return false }
            state.next = index + 1
            return true
        }
        if isMine { return preparer.prepare(batches[index]) }
        while true {
            if let prepared = state.wait(until: { $0.ready.removeValue(forKey: index) }) { return prepared }
        }
    }

    func stop() { state.update { $0.isStopped = true } }
}
