// The quarantine of a cluster: what one node does the others see, one of several deciders decides, and nothing of it is
// a node's own.

import Central
import Models
import SyncProtocol
import Synchronization
import System
import TestSupport
import Testing

@Suite("the quarantine of a cluster") struct SharedQuarantineTests {
    private typealias Vault = QuarantineVault

    private static let offDuty = SharedQuarantine.Duties(isOnDuty: { false }, publish: { _, _ in })
    private static let onDuty = SharedQuarantine.Duties(isOnDuty: { true }, publish: { _, _ in })

    @Test("every node lists what any archiver set aside, newest first, counts it by relay, and shows its bytes")
    func listing() throws {
        let vault = try Vault()
        let nodes = try ["a", "b"].map { try vault.node($0) }
        vault.archiverWrites([1, 2], from: 5, to: 9)
        vault.archiverWrites([3], from: 12, to: 12)
        for node in nodes {
            try node.look()
            #expect(try node.all().map(\.n) == [3, 2, 1])
            #expect(node.counts == ["south-1": 2, "north-3": 1])
            let shown = try #require(try node.record(Vault.id(2), withLine: true))
            #expect(shown.line == Vault.text(2) && shown.record.bytes == Vault.text(2).count)
            #expect(shown.record.receivedAt.microseconds == ArchiveFixture.start + 2)
            let page = try node.list(states: [.waiting], relayID: "south-1", after: Vault.id(3), limit: 5)
            #expect(page.map(\.n) == [1])
        }
        // A call that was cut short, made again by a newer archiver, which set something else aside.
        vault.archiverWrites([1, 4], from: 5, to: 9)
        for node in nodes {
            try node.look()
            #expect(try node.all().map(\.n) == [4, 3, 2, 1])
        }
    }

    @Test("of two nodes that decide at once one wins, and the other one sees what was decided")
    func oneDecision() throws {
        let vault = try Vault()
        let (a, b) = (try vault.node("a"), try vault.node("b"))
        vault.archiverWrites([1], from: 1, to: 1)
        try a.look()
        try b.look()
        #expect(try a.drop(Vault.id(1), by: "ada", note: "junk", at: vault.now))
        #expect(try !b.startRetry(Vault.id(1), by: "bob", note: "", at: vault.now))
        #expect(try !b.drop(Vault.id(1), by: "bob", note: "", at: vault.now))
        let record = try #require(try b.record(Vault.id(1), withLine: false)).record
        #expect(record.state == .dropped && record.decidedBy == "ada" && record.note == "junk")
        #expect(vault.chains == [Vault.id(1): ["dropped"]])
        #expect(b.counts == [:])
    }

    @Test("a decision taken between another one's look and its word wins, whichever the two are")
    func betweenLookAndWord() throws {
        for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
            let vault = try Vault()
            let (a, b) = (try vault.node("a"), try vault.node("b"))
            vault.archiverWrites([1], from: 1, to: 1)
            let won = Mutex(false)
            vault.store.beforeNextDecision {
                let isOurs =
                    second
                    ? try? b.drop(Vault.id(1), by: "bob", note: "", at: vault.now)
                    : try? b.startRetry(Vault.id(1), by: "bob", note: "", at: vault.now)
                won.withLock { $0 = isOurs == true }
            }
            let isOurs =
                first
                ? try a.drop(Vault.id(1), by: "ada", note: "", at: vault.now)
                : try a.startRetry(Vault.id(1), by: "ada", note: "", at: vault.now)
            #expect(!isOurs && won.withLock { $0 })
            #expect(vault.chains == [Vault.id(1): [second ? "dropped" : "retrying"]])
            for node in [a, b] { #expect(try node.all().first?.decidedBy == "bob") }
        }
    }

    @Test("an archiver's word that meets another one on its way is said again where it still holds")
    func outcomeMeetsDecision() throws {
        let vault = try Vault()
        let (a, b) = (try vault.node("a"), try vault.node("b"))
        vault.archiverWrites([1], from: 1, to: 1)
        _ = try a.startRetry(Vault.id(1), by: "ada", note: "", at: vault.now)
        vault.store.beforeNextDecision {
            // An older copy of the retry was refused, and a person wants it once more.
            _ = try? b.committed(retryCommit(.refused(code: "x")), retried: [Vault.id(1)], at: vault.now)
            try? b.step(Self.offDuty)
            _ = try? b.startRetry(Vault.id(1), by: "bob", note: "", at: vault.now)
        }
        _ = try a.committed(retryCommit(.archived), retried: [Vault.id(1)], at: vault.now)
        try a.step(Self.offDuty)
        #expect(vault.chains == [Vault.id(1): ["retrying", "waiting", "retrying", "archived"]])
    }

    @Test("of many that decide at the same moment, on threads, exactly one wins each record")
    func threads() throws {
        let vault = try Vault()
        vault.archiverWrites(Array(1...20), from: 1, to: 1)
        let wins = Mutex<[Int: Int]>([:])
        let threads = try (0..<4).map { index in
            let node = try vault.node("n\(index)")
            return WorkerThread(name: "decider") {
                for number in 1...20 {
                    let isOurs =
                        index % 2 == 0
                        ? try? node.drop(Vault.id(number), by: "\(index)", note: "", at: vault.now)
                        : try? node.startRetry(Vault.id(number), by: "\(index)", note: "", at: vault.now)
                    if isOurs == true { wins.withLock { $0[number, default: 0] += 1 } }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wins.withLock { $0 } == Dictionary(uniqueKeysWithValues: (1...20).map { ($0, 1) }))
    }

    @Test("bytes of what is decided leave the vault, the others' and every number stay")
    func cleaning() throws {
        let vault = try Vault()
        let (a, b) = (try vault.node("a"), try vault.node("b"))
        vault.archiverWrites([1, 2, 3], from: 1, to: 4)
        vault.archiverWrites([2], from: 1, to: 5)
        _ = try a.drop(Vault.id(2), by: "ada", note: "", at: vault.now)
        try b.step(Self.offDuty)
        #expect(vault.withBytes == Set([1, 2, 3].map { Vault.id($0) }), "b is not on duty")
        try a.step(Self.onDuty)
        #expect(vault.withBytes == [Vault.id(1), Vault.id(3)] && vault.numbers == [1, 2, 3])
        try b.step(Self.offDuty)
        #expect(try b.record(Vault.id(2), withLine: true)?.line == nil)
        #expect(try b.record(Vault.id(3), withLine: true)?.line == Vault.text(3))
        // An archiver that repeats its call, or a relay's resend, brings the bytes back: not for long.
        vault.archiverWrites([1, 2, 3], from: 1, to: 4)
        try a.step(Self.onDuty)
        #expect(vault.withBytes == [Vault.id(1), Vault.id(3)])
        #expect(try a.states() == [Vault.id(1): "waiting", Vault.id(2): "dropped", Vault.id(3): "waiting"])
        let keys = vault.store.keys
        try a.step(Self.onDuty)
        #expect(vault.store.keys == keys, "nothing is left to do")
    }

    @Test("an index that is deleted, or is no index, comes back whole")
    func indexLost() throws {
        let vault = try Vault()
        vault.archiverWrites([1, 2, 3, 4], from: 1, to: 4)
        do {
            let node = try vault.node("a")
            _ = try node.drop(Vault.id(1), by: "ada", note: "why", at: vault.now)
            _ = try node.startRetry(Vault.id(2), by: "ada", note: "", at: vault.now)
            _ = try node.startRetry(Vault.id(3), by: "ada", note: "", at: vault.now)
            _ = try node.committed(retryCommit(.archived), retried: [Vault.id(2)], at: vault.now)
            _ = try node.committed(retryCommit(.refused(code: "not_storable")), retried: [Vault.id(3)], at: vault.now)
            for _ in 0..<2 { try node.step(Self.onDuty) }
        }
        let (expected, counts) = try {
            let node = try vault.node("a")
            return (try node.all(), node.counts)
        }()
        #expect(expected.map(\.state) == [.waiting, .waiting, .archived, .dropped])
        #expect(expected[1].code == "not_storable" && expected[3].note == "why" && expected[2].decidedBy == "ada")
        try vault.forgetIndex("a")
        let again = try vault.node("a")
        try again.look()
        #expect(try again.all() == expected && again.counts == counts)
        try FileSystem.writeAtomically("\(vault.directory)/b.db", Array(repeating: 0x6e, count: 8_192))
        let other = try vault.node("b")
        try other.look()
        #expect(try other.all() == expected && other.counts == counts)
    }

    @Test("what was to be tried again and is in no archive goes into the stream again, later and later, until it is")
    func rollForward() throws {
        let vault = try Vault()
        let published = Mutex<[Int64]>([])
        let duties = SharedQuarantine.Duties(isOnDuty: { true }) { record, line in
            #expect(line == Vault.text(Int(record.n ?? 0)))
            published.withLock { $0.append(record.n ?? 0) }
        }
        vault.archiverWrites([1], from: 1, to: 1)
        // The node that decided it died before the stream had it.
        _ = try vault.node("gone").startRetry(Vault.id(1), by: "ada", note: "", at: vault.now)
        let node = try vault.node("b")
        var tries: [Int] = []
        for minute in 0..<16 {
            try node.step(duties)
            if published.withLock({ $0.count }) > tries.count { tries.append(minute) }
            vault.time.advance(seconds: 60)
        }
        #expect(tries == [1, 3, 7, 15])
        _ = try node.committed(retryCommit(.archived), retried: [Vault.id(1)], at: vault.now)
        try node.step(duties)
        vault.time.advance(seconds: 10_000)
        try node.step(duties)
        #expect(published.withLock { $0.count } == 4 && vault.state(Vault.id(1)) == "archived")
    }

    @Test("an archiver's word counts once, whoever repeats it, and one that found nothing to do has said nothing")
    func outcomes() throws {
        let vault = try Vault()
        let archived = Mutex<[Int64?]>([])
        let a = try vault.node("a")
        let b = try vault.node("b") { record in archived.withLock { $0.append(record.n) } }
        vault.archiverWrites([1, 2], from: 1, to: 1)
        for number in 1...2 { _ = try a.startRetry(Vault.id(number), by: "ada", note: "", at: vault.now) }
        _ = try a.committed(retryCommit(nil), retried: [Vault.id(1)], at: vault.now)
        try a.step(Self.offDuty)
        #expect(vault.state(Vault.id(1)) == "retrying")
        for node in [a, b, a] {
            _ = try node.committed(retryCommit(.archived), retried: [Vault.id(1)], at: vault.now)
            _ = try node.committed(retryCommit(.refused(code: "x")), retried: [Vault.id(2)], at: vault.now)
            try node.step(Self.offDuty)
        }
        #expect(vault.chains == [Vault.id(1): ["retrying", "archived"], Vault.id(2): ["retrying", "waiting"]])
        #expect(archived.withLock { $0 } == [1], "every node hears of it once")
        #expect(try b.startRetry(Vault.id(2), by: "bob", note: "", at: vault.now), "it may be tried once more")
    }

    @Test("a line too long for the stream is in the vault before the batch may be, and a shorter one is the stream's")
    func longLines() throws {
        let vault = try Vault()
        let node = try vault.node("a")
        let long = BatchExamination.Rejected(
            n: 7, code: "not_an_object", line: Array(repeating: 0x61, count: SyncLimits.lineBytes + 1))
        let short = BatchExamination.Rejected(n: 8, code: "not_an_object", line: Array("[]".utf8))
        let answers = Mutex<[Bool]>([])
        func keep(_ records: [BatchExamination.Rejected]) {
            node.keep(records, relayID: "north-3", epoch: ArchiveFixture.epoch, at: vault.now) { isKept in
                let isThere = !vault.withBytes.isEmpty
                answers.withLock { $0 += [isKept, isThere] }
            }
        }
        keep([short])
        #expect(answers.withLock { $0 } == [true, false])
        keep([long, short])
        #expect(answers.withLock { $0.count } == 2, "it waits for the vault")
        vault.store.fail(atCall: 1)
        #expect(throws: FaultyStore.Fault.self) { try node.step(Self.offDuty) }
        #expect(answers.withLock { $0 } == [true, false, false, false])
        vault.store.fail(atCall: nil)
        keep([long])
        try node.step(Self.offDuty)
        #expect(answers.withLock { $0.suffix(2) } == [true, true])
        #expect(try node.all().map(\.n) == [7])
    }

    @Test("a file of one node's own becomes everybody's, with its decisions, once, however often it is cut short")
    func takeOver() throws {
        let vault = try Vault()
        let folder = "\(vault.directory)/own"
        do {
            let own = try Quarantine(vault: folder)
            let records = (1...4).map { number in
                BatchExamination.Rejected(n: Int64(number), code: "missing_field", line: Vault.text(number))
            }
            try own.keep(records, relayID: "north-3", epoch: ArchiveFixture.epoch, at: vault.now)
            let ids = try own.list(states: [.waiting], relayID: nil, after: nil, limit: 9)
                .reduce(into: [Int64: String]()) { $0[$1.n ?? 0] = $1.id }
            _ = try own.drop(ids[1] ?? "", by: "ada", note: "junk", at: vault.now)
            _ = try own.startRetry(ids[2] ?? "", by: "ada", note: "", at: vault.now)
        }
        var call = 1
        while true {
            vault.store.fail(atCall: call, afterwards: call % 2 == 0)
            let node = try vault.node("a")
            do {
                try node.takeOver(folder)
                break
            } catch is FaultyStore.Fault {
                call += 1
            }
        }
        #expect(call > 3, "it was never cut short")
        vault.store.fail(atCall: nil)
        #expect(!FileSystem.exists("\(folder)/_columba/quarantine.db"))
        let other = try vault.node("b")
        try other.look()
        let states = try other.all().reduce(into: [Int64: QuarantinedRecord.State]()) { $0[$1.n ?? 0] = $1.state }
        #expect(states == [1: .dropped, 2: .retrying, 3: .waiting, 4: .waiting])
        #expect(try other.all().first { $0.n == 1 }?.note == "junk")
        #expect(vault.withBytes.count == 3 && vault.numbers == [1, 2, 3, 4])
    }
}
