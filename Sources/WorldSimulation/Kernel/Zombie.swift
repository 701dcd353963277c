// Something that happens once, in the middle of an archive call: another archiver's whole call.

import Central
import Synchronization

final class Zombie: Sendable {
    private struct State {
        var step: ArchiveStep?
        var action: (@Sendable () throws -> Void)?
        var woken = 0
    }

    private let state = Mutex(State())

    func arm(at step: ArchiveStep, _ action: @escaping @Sendable () throws -> Void) {
        state.withLock { state in
            state.step = step
            state.action = action
        }
    }

    func wake(at step: ArchiveStep) throws {
        let action = state.withLock { state -> (@Sendable () throws -> Void)? in
            guard state.step == step, let action = state.action else { return nil }
            state.action = nil
            state.woken += 1
            return action
        }
        try action?()
    }

    var count: Int { state.withLock { $0.woken } }
}
