// Worlds from fixed seeds: faults on, and no promise may break; faults off, and everything must come home. A seed that
// fails here fails the same way every time: make sim SEED=… shows its last events.

import Testing
import WorldSimulation

@Suite("the simulated world") struct WorldTests {
    @Test("no seed breaks an invariant, and every world converges once its faults end", arguments: 1...24)
    func seeds(seed: Int) {
        let options = WorldOptions.drawn(seed: UInt64(seed), longestHours: 2)
        let outcome = WorldRun.run(options)
        #expect(
            outcome.violation == nil,
            "seed \(seed), two hours: \(outcome.violation.map(\.description) ?? ""); \(options.description)")
        #expect(outcome.acknowledged > 0 && outcome.archived > 0, "a world in which nothing happens proves nothing")
    }

    @Test("with every fault at once nothing is lost and nothing is doubled", arguments: [22, 101, 102, 103, 104])
    func everythingAtOnce(seed: Int) {
        let outcome = WorldRun.run(.busy(seed: UInt64(seed)))
        #expect(outcome.violation == nil, "busy seed \(seed): \(outcome.violation.map(\.description) ?? "")")
        #expect(outcome.crashes > 0 && outcome.faults.count > 8, "this world knows no fault")
    }

    @Test("one seed is one history, to the last bit, and another seed is another")
    func replay() {
        let first = WorldRun.run(.busy(seed: 7))
        let second = WorldRun.run(.busy(seed: 7))
        let other = WorldRun.run(.busy(seed: 8))
        #expect(first.traceHash == second.traceHash)
        #expect(first.events == second.events && first.virtualSeconds == second.virtualSeconds)
        #expect(first.archived == second.archived && first.faults == second.faults)
        #expect(first.traceHash != other.traceHash)
    }

    @Test("without faults every report is archived within minutes, and nothing is a copy")
    func quiet() {
        var options = WorldOptions(seed: 5)
        options.faultHours = 1
        let outcome = WorldRun.run(options)
        #expect(outcome.violation == nil)
        #expect(outcome.reports == outcome.acknowledged && outcome.reports == outcome.archived)
        #expect(outcome.reports >= options.drones * 59)
        #expect(outcome.convergedAfterSeconds <= 600)
    }
}
