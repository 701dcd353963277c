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

        /// The next batch that nobody has begun, unless too many are ahead already.
        mutating func begin() -> Int? {
            guard next < taken + PreparationPipeline.maxAhead else { return nil }
            next += 1
            return next - 1
        }
    }

    private enum Step {
        case done(PreparedBatch)
        case parse(Int)
    }

    private let batches: [StreamedBatch]
    private let state = Monitor(State())
    /// Batches parsed ahead of the one being taken.
    fileprivate static let maxAhead = 6

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
                return state.begin()
            } ?? -1
        return index < 0 ? nil : index
    }

    /// Batch `index`; to be called with 0, 1, 2, …. While the helper is still at it, this thread parses what comes
    /// after it.
    func take(_ index: Int, _ preparer: BatchPreparer) -> PreparedBatch {
        state.update { $0.taken = index }
        while true {
            let step: Step? = state.wait { state in
                if let prepared = state.ready.removeValue(forKey: index) { return .done(prepared) }
                guard state.next < self.batches.count, let next = state.begin() else { return nil }
                return .parse(next)
            }
            switch step {
            case .done(let prepared): return prepared
            case .parse(let next):
                let prepared = preparer.prepare(batches[next])
                if next == index { return prepared }
                state.update { $0.ready[next] = prepared }
            case nil: continue
            }
        }
    }

    func stop() { state.update { $0.isStopped = true } }
}
