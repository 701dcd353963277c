// One seed from beginning to end.

package struct WorldOutcome: Sendable {
    package var seed: UInt64
    package var violation: Violation?
    package var traceHash: UInt64
    package var events: Int
    /// Of the simulated world.
    package var virtualSeconds: Double
    /// From the end of the faults until everything had come home.
    package var convergedAfterSeconds: Double
    package var reports: Int
    package var acknowledged: Int
    package var archived: Int
    package var crashes: Int
    package var commits: Int
    package var zombies: Int
    package var faults: [String: Int]
    package var kills: [Step: Int]
    package var lines: [String]
}

package enum WorldRun {
    private static let lookEverySeconds = 20.0

    /// Faults on: no invariant may break. Faults off: everything must converge in bounded time.
    package static func run(_ options: WorldOptions) -> WorldOutcome {
        let world = World(options)
        world.run(until: Instant(options.faultHours * 3.6e12))
        let faultsEnded = world.now
        var converged = 0.0
        if world.ledger.violation == nil {
            world.healEverything()
            let deadline = faultsEnded.adding(options.convergeHours * 3_600)
            var open = world.unfinished()
            while world.ledger.violation == nil, open != nil, world.now < deadline {
                world.run(until: world.now.adding(lookEverySeconds))
                open = world.unfinished()
            }
            converged = Double(world.now - faultsEnded) / 1e9
            if let open { world.ledger.fail("I11", "\(Int(converged)) s after the faults ended, \(open)") }
            if world.ledger.violation == nil { world.checkEverything() }
        }
        return WorldOutcome(
            seed: options.seed, violation: world.ledger.violation, traceHash: world.trace.hash,
            events: world.trace.events, virtualSeconds: world.now.seconds, convergedAfterSeconds: converged,
            reports: world.ledger.reports.count, acknowledged: world.ledger.acknowledged,
            archived: world.ledger.archivedIdentities.count, crashes: world.crashes, commits: world.commits,
            zombies: world.zombie.count, faults: world.faultCounts, kills: world.faults.kills, lines: world.trace.lines)
    }
}
