// Whether a process dies or a disk refuses at a step. Shared by the shells and by the archive's object stores, which
// the real archiver calls; so it is thread-safe, although one thread runs the world.

package import Simulation
import Synchronization

package final class StepFaults: Sendable {
    struct State {
        var random: SeededRandom
        var killChance = 0.0
        var storeErrorChance = 0.0
        var isCentralFull = false
        var passed: [Step: Int] = [:]
        var killed: [Step: Int] = [:]
        var storeErrors = 0
    }

    let state: Mutex<State>

    package init(random: SeededRandom) { state = Mutex(State(random: random)) }

    /// Throws `SimulatedCrash` if the process ends here.
    func pass(_ step: Step) throws {
        try state.withLock { state in
            state.passed[step, default: 0] += 1
            guard state.killChance > 0, state.random.unit() < state.killChance else { return }
            state.killed[step, default: 0] += 1
            throw SimulatedCrash(step: step)
        }
    }

    /// A kill that was decided elsewhere.
    func killed(at step: Step) { state.withLock { $0.killed[step, default: 0] += 1 } }

    /// Throws if the object store refuses now.
    func refuse(writes: Bool) throws {
        try state.withLock { state in
            if writes, state.isCentralFull { throw SimulatedDiskError(description: "no space left") }
            guard state.storeErrorChance > 0, state.random.unit() < state.storeErrorChance else { return }
            state.storeErrors += 1
            throw SimulatedDiskError(description: "the store does not answer")
        }
    }

    /// The chance that a store's operation fails, before it is done or after.
    package func setStoreErrors(_ chance: Double) { state.withLock { $0.storeErrorChance = chance } }

    /// No more faults.
    package func end() {
        state.withLock { state in
            state.killChance = 0
            state.storeErrorChance = 0
            state.isCentralFull = false
        }
    }

    package var kills: [Step: Int] { state.withLock { $0.killed } }
}
