// The deduplicator against a model that remembers every record and every byte.

import Central
import Crypto
import Models
import SyncProtocol
import Testing
import TestSupport

@Suite struct DeduplicatorTests {
    /// Everything ever stored, looked through from the beginning each time.
    private struct NaiveModel {
        struct Row {
            var fact: RecordFact
            var isReport: Bool
        }
        var rows: [Row] = []
        var settled: Set<String> = []

        mutating func decide(_ fact: RecordFact) -> Deduplicator.Decision {
            let number = "\(fact.source) \(fact.n)"
            let stored = rows.filter { $0.fact.source == fact.source && $0.fact.n == fact.n }
            if settled.contains(number) {
                if stored.isEmpty || stored.contains(where: { $0.fact.digest == fact.digest }) {
                    return .alreadySettled
                }
                rows.append(Row(fact: fact, isReport: false))
                return .recordConflict
            }
            settled.insert(number)
            let archived = rows.first { $0.isReport && $0.fact.identity == fact.identity }
            rows.append(Row(fact: fact, isReport: archived == nil))
            guard let archived else { return .new }
            return archived.fact.digest == fact.digest ? .duplicate : .conflict
        }

        func digest(of identity: ReportIdentity, before call: Int) -> SHA256Digest? {
            rows[..<call].first { $0.isReport && $0.fact.identity == identity }?.fact.digest
        }

        func digests(of fact: RecordFact, before call: Int) -> [SHA256Digest] {
            rows[..<call].filter { $0.fact.source == fact.source && $0.fact.n == fact.n }.map(\.fact.digest)
        }
    }

    private func fact(_ random: inout SeededGenerator) -> RecordFact {
        let source = RecordSource(relayID: "r\(Int.random(in: 0..<2, using: &random))", epoch: "e")
        let identity = ReportIdentity(
            droneID: "d\(Int.random(in: 0..<3, using: &random))", boot: "b", seq: .random(in: 1...25, using: &random))
        let digest = SHA256.hash("\(identity) \(Int.random(in: 0..<8, using: &random) == 0)")
        return RecordFact(source: source, n: .random(in: 1...80, using: &random), identity: identity, digest: digest)
    }

    /// A cache of 0 makes every call forget the calls before; the decisions must not change.
    @Test(
        "decides as a model that remembers everything, however the records are cut into calls", arguments: [0, 5, 1000])
    func property(cachedDigests: Int) {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for round in 0..<40 {
            var deduplicator = Deduplicator(cachedDigests: cachedDigests)
            var model = NaiveModel()
            for _ in 0..<12 {
                let before = model.rows.count
                var waiting: [(RecordFact, Deduplicator.Decision, Deduplicator.Decision)] = []
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    let fact = fact(&random)
                    if Int.random(in: 0..<15, using: &random) == 0 {
                        let isNew = deduplicator.settle(fact.source, fact.n)
                        #expect(isNew == model.settled.insert("\(fact.source) \(fact.n)").inserted)
                        continue
                    }
                    waiting.append((fact, deduplicator.decide(fact), model.decide(fact)))
                }
                for (fact, decision, expected) in waiting {
                    var decided = decision
                    if decided == .needsIdentityDigest, let identity = fact.identity {
                        decided = deduplicator.resolveIdentity(
                            fact, archived: model.digest(of: identity, before: before))
                    } else if decided == .needsRecordDigests {
                        decided = deduplicator.resolveRecord(fact, stored: model.digests(of: fact, before: before))
                    }
                    #expect(decided == expected, "seed \(seed), round \(round), record \(fact)")
                }
                deduplicator.committed()
            }
        }
    }

    @Test("a drone's reports in order cost one interval, whatever their number")
    func memory() {
        var deduplicator = Deduplicator(cachedDigests: 10)
        let source = RecordSource(relayID: "r", epoch: "e")
        for n in 1...10_000 as ClosedRange<Int64> {
            let identity = ReportIdentity(droneID: "d", boot: "b", seq: n)
            let fact = RecordFact(source: source, n: n, identity: identity, digest: SHA256.hash("\(n)"))
            #expect(deduplicator.decide(fact) == .new)
        }
        #expect(deduplicator.identities.rangeCount == 1 && deduplicator.settled.rangeCount == 1)
    }
}
