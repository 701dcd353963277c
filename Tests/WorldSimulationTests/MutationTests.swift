// The oracle has teeth: every deliberately broken variant is noticed, within a few seeds, by the invariant it breaks.

import Testing
import WorldSimulation

@Suite("broken variants") struct MutationTests {
    /// What notices each of them. More than one where the first to notice depends on which fault comes first.
    static let expected: [Mutation: Set<String>] = [
        .acknowledgeBeforeCommit: ["I1"],
        .duplicateBeforeCommit: ["I1"],
        .forgetOnReceived: ["I2"],
        .releaseUnarchived: ["I2"],
        .reuseEpoch: ["I3"],
        .alertAfterCommit: ["I6"],
        .alertNotStored: ["C6"],
        .noDigestEcho: ["I2"],
        .noDigestCheck: ["C4", "C9"],
        .receivedBeforeDurable: ["I4"],
        .archivedBeforeCommit: ["I4"],
        .streamReleasedEarly: ["I4"],
        .deduplicationWindow: ["I5", "C4"],
        .dropOnConflict: ["C1", "C5", "accounting", "I4", "I2"],
        .noTransactions: ["I5", "C4", "accounting", "shell", "I10"],
        .overwrittenCommit: ["I10"],
        .lostWanted: ["I11"],
        .unreadIsMissing: ["I2", "C5", "C1"],
    ]

    @Test("each broken variant is caught by the invariant it breaks", arguments: Mutation.allCases)
    func caught(mutation: Mutation) throws {
        let invariants = try #require(Self.expected[mutation])
        for seed in 1...12 {
            var options = WorldOptions.busy(seed: UInt64(seed))
            options.mutation = mutation
            guard let violation = WorldRun.run(options).violation else { continue }
            #expect(invariants.contains(violation.invariant), "\(mutation.rawValue), seed \(seed): \(violation)")
            return
        }
        Issue.record("\(mutation.rawValue) survived twelve worlds in which everything goes wrong")
    }
}
