// The quarantine of a cluster when nodes die between any two requests, when the store fails now and then, and when
// several nodes do everything at once: nothing is lost, nothing is decided twice, and no bytes stay behind.

import Central
import Models
import SyncProtocol
import Synchronization
import System
import TestSupport
import Testing

@Suite("the quarantine of a cluster, with faults") struct SharedQuarantineFaultsTests {
    private typealias Vault = QuarantineVault

    /// The archiver behind the stream: the second record is archived, any other one is refused.
    private final class Archiver: Sendable {
        private let waiting = Mutex<[String]>([])

        var duties: SharedQuarantine.Duties {
            SharedQuarantine.Duties(isOnDuty: { true }) { [self] record, _ in take(record.id) }
        }

        func take(_ id: String) { waiting.withLock { $0.append(id) } }

        func commit(_ node: SharedQuarantine, _ vault: QuarantineVault) throws {
            let ids = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for id in ids {
                let outcome: RetryOutcome = id == Vault.id(2) ? .archived : .refused(code: "not_storable")
                _ = try node.committed(retryCommit(outcome), retried: [id], at: vault.now)
            }
        }
    }

    /// What people want of three records: the first dropped, the others tried again.
    private func decide(_ node: SharedQuarantine, _ archiver: Archiver, _ vault: Vault) throws {
        _ = try node.drop(Vault.id(1), by: "ada", note: "junk", at: vault.now)
        for number in 2...3 {
            // Whoever sees that it was tried already does not try it once more.
            try node.look()
            guard try node.record(Vault.id(number), withLine: false)?.record.decidedBy == nil else { continue }
            if try node.startRetry(Vault.id(number), by: "ada", note: "", at: vault.now) {
                archiver.take(Vault.id(number))
            }
        }
    }

    private func live(_ node: SharedQuarantine, _ archiver: Archiver, _ vault: Vault) throws {
        try decide(node, archiver, vault)
        for _ in 0..<3 {
            try archiver.commit(node, vault)
            try node.step(archiver.duties)
            vault.time.advance(seconds: 4_000)
        }
    }

    private func check(_ vault: Vault, _ place: String) throws {
        let fresh = try vault.node("fresh")
        try fresh.look()
        let records = try fresh.all().reduce(into: [Int64: QuarantinedRecord]()) { $0[$1.n ?? 0] = $1 }
        #expect(records.mapValues(\.state) == [1: .dropped, 2: .archived, 3: .waiting], "\(place)")
        #expect(records[1]?.decidedBy == "ada" && records[1]?.note == "junk", "\(place)")
        #expect(records[3]?.code == "not_storable", "\(place)")
        #expect(vault.withBytes == [Vault.id(3)] && vault.numbers == [1, 2, 3], "\(place)")
        #expect(try fresh.record(Vault.id(3), withLine: true)?.line == Vault.text(3), "\(place)")
        #expect(vault.chains[Vault.id(1)] == ["dropped"], "\(place)")
        #expect(vault.chains[Vault.id(2)] == ["retrying", "archived"], "\(place)")
        #expect(fresh.counts == ["south-1": 1], "\(place)")
    }

    @Test(
        "a node that dies before or after any request leaves what its next life, or another one's, brings to the end",
        arguments: [false, true], [false, true])
    func crashes(afterwards: Bool, keepsIndex: Bool) throws {
        var call = 1
        while true {
            let vault = try Vault()
            let archiver = Archiver()
            vault.archiverWrites([1, 2, 3], from: 1, to: 3)
            vault.store.fail(atCall: call, afterwards: afterwards)
            do {
                try live(try vault.node("a"), archiver, vault)
                break
            } catch is FaultyStore.Fault {
                vault.store.fail(atCall: nil)
                // What only its memory had is gone: the stream's word, the archiver's.
                let next = Archiver()
                if !keepsIndex { try vault.forgetIndex("a") }
                let node = try vault.node("a")
                try live(node, next, vault)
                try live(node, next, vault)
                try check(vault, "request \(call), \(afterwards ? "after" : "before")")
            }
            call += 1
        }
        #expect(call > 25, "a life has more requests than that")
    }

    // MARK: - At random

    /// Nodes in turns on a store that fails now and then. What is right is read from the store the plain way.
    private final class Drive {
        let vault: Vault
        var nodes: [SharedQuarantine] = []
        var random: SeededGenerator
        var wins: [String: [String]] = [:]
        var faults = 0
        var lost = 0
        private var written: (numbers: [Int], position: Int64) = ([1], 1)
        private var turns = 0
        private let published = Monitor<[String]>([])

        init(seed: UInt64) throws {
            vault = try Vault()
            random = SeededGenerator(seed: seed)
            for index in 0..<3 { nodes.append(try vault.node("n\(index)")) }
            vault.store.setFaults(perThousand: 40, seed: seed)
        }

        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

        var duties: SharedQuarantine.Duties {
            let isOnDuty = number(0..<3) == 0
            return SharedQuarantine.Duties(isOnDuty: { isOnDuty }) { [published] record, _ in
                published.withLock { $0.append(record.id) }
            }
        }

        func turn() throws {
            let index = number(0..<nodes.count)
            let node = nodes[index]
            turns += 1
            // Records come all the time; the older ones are decided before long.
            let reach = 5 + turns / 8
            let id = Vault.id(number(max(1, reach - 30)..<reach))
            do {
                switch number(0..<10) {
                case 0:
                    // Now and then the same call once more, and a record that was there before.
                    if number(0..<4) > 0 {
                        let numbers = Set((0..<number(1..<8)).map { _ in number(max(1, reach - 20)..<reach) })
                        written = (numbers.sorted(), written.position + 3)
                    }
                    vault.archiverWrites(written.numbers, from: written.position, to: written.position + 2)
                case 1...2: try decide("dropped", id) { try node.drop(id, by: "n\(index)", note: "", at: vault.now) }
                case 3...4:
                    let isOurs = try decide("retrying", id) {
                        try node.startRetry(id, by: "n\(index)", note: "", at: vault.now)
                    }
                    // Its node may die before the stream has it.
                    if isOurs, number(0..<3) > 0 { published.withLock { $0.append(id) } }
                case 5...6: try commit(node)
                case 7 where number(0..<4) == 0:
                    if number(0..<2) == 0 { try vault.forgetIndex("n\(index)") }
                    nodes[index] = try vault.node("n\(index)")
                default: try node.step(duties)
                }
            } catch is FaultyStore.Fault {
                faults += 1
            }
            vault.time.advance(seconds: Double(number(0..<200)))
        }

        @discardableResult
        private func decide(_ state: String, _ id: String, _ body: () throws -> Bool) throws -> Bool {
            let isOurs = try body()
            if isOurs { wins[id, default: []].append(state) } else { lost += 1 }
            return isOurs
        }

        private func commit(_ node: SharedQuarantine) throws {
            let id = published.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            guard let id else { return }
            let outcome: RetryOutcome = number(0..<2) == 0 ? .archived : .refused(code: "not_storable")
            _ = try node.committed(retryCommit(outcome), retried: [id], at: vault.now)
        }

        /// Every chain is one that decisions can make, and who was told to have won is in it.
        func check() throws {
            let next: [String: Set<String>] = [
                "waiting": ["retrying", "dropped", "archived"], "retrying": ["archived", "waiting"], "archived": [],
                "dropped": [],
            ]
            let chains = vault.chains
            for (id, chain) in chains {
                for (from, to) in zip(["waiting"] + chain, chain) {
                    #expect(next[from]?.contains(to) == true, "\(id): \(chain)")
                }
                let own = wins[id] ?? []
                for state in Set(own) {
                    let there = chain.count { $0 == state }
                    #expect(own.count { $0 == state } <= there, "\(id): \(own) of \(chain)")
                }
            }
            #expect(Set(wins.keys).subtracting(chains.keys).isEmpty)
        }

        /// No more faults: everything that was begun comes to its end.
        func finish() throws {
            vault.store.setFaults(perThousand: 0, seed: 1)
            let final = SharedQuarantine.Duties(isOnDuty: { true }) { [published] record, _ in
                published.withLock { $0.append(record.id) }
            }
            for _ in 0..<40 {
                vault.time.advance(seconds: 4_000)
                for node in nodes { try node.step(final) }
                for _ in 0..<50 { try commit(nodes[0]) }
            }
        }
    }

    @Test("nodes that decide, clean, die and forget in any order agree in the end on what was decided first")
    func random() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        let drive = try Drive(seed: seed)
        for turn in 0..<1_500 {
            try drive.turn()
            if turn % 100 == 0 { try drive.check() }
        }
        try drive.finish()
        try drive.check()
        #expect(drive.faults > 20 && drive.lost > 20, "nothing got in anybody's way")
        let vault = drive.vault
        let fresh = try vault.node("fresh")
        try fresh.look()
        let expected = vault.known.reduce(into: [String: String]()) { $0[$1] = vault.state($1) }
        for node in drive.nodes + [fresh] { #expect(try node.states() == expected) }
        #expect(!expected.values.contains("retrying"), "somebody's word is still awaited")
        #expect(vault.withBytes == Set(expected.filter { $0.value == "waiting" }.keys))
        #expect(Set(expected.values).count == 3)
        withExtendedLifetime(drive) {}
    }
}
