// Words of several nodes on one incident: the laws of their merge, and histories of three nodes whose words come late,
// twice, in any order or never. Pure.

import Central
import Models
import SyncProtocol
import Testing
import TestSupport

/// What three nodes see, close, write and read by chance.
private struct IncidentHistory {
    /// Its list, what it knows to have been raised (as ledgers do), and a clock that may be wrong.
    struct Node {
        var book = IncidentBook()
        var raised: [String: Int] = [:]
        var skewSeconds: Double

        mutating func hear(_ word: Incident) -> Incident? {
            raised[word.id] = max(raised[word.id] ?? 0, word.total)
            let newest = book.adopt(word)
            return newest == word ? nil : newest
        }
    }

    var nodes: [Node]
    /// Everything anybody ever wrote: any of it can be read, again and again.
    private var written: [Incident] = []
    /// By incident: the totals at which a person closed it.
    private(set) var closings: [String: Set<Int>] = [:]
    /// By incident: the highest total that any node counted.
    private(set) var sightings: [String: Int] = [:]

    init(_ random: inout SeededGenerator) {
        nodes = []
        for _ in 0..<3 { nodes.append(Node(skewSeconds: Double(Int.random(in: -3_600...3_600, using: &random)))) }
    }

    mutating func step(at time: Timestamp, _ random: inout SeededGenerator) {
        let index = Int.random(in: 0..<3, using: &random)
        let now = time.adding(seconds: nodes[index].skewSeconds)
        let relay = "r\(Int.random(in: 0..<2, using: &random))"
        let id = Incident.id(.rollback, relay)
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1:
            let total = nodes[index].book.happened(
                .rollback, relay, after: nodes[index].raised[id] ?? 0, detail: "", at: now)
            nodes[index].raised[id] = total
            sightings[id] = max(sightings[id] ?? 0, total)
        case 2:
            if let closed = nodes[index].book.close(id, by: "n\(index)", note: nil, at: now) {
                closings[id, default: []].insert(closed.total)
            }
        case 3, 4, 5: written += nodes[index].book.takeUntold(all: false)
        // Written and overwritten before anybody read it.
        case 6: _ = nodes[index].book.takeUntold(all: false)
        default:
            guard let word = written.randomElement(using: &random) else { return }
            if let better = nodes[index].hear(word) { written.append(better) }
        }
    }

    /// The board lost everything; each node tells all it knows and reads what the others told.
    mutating func settle() {
        var board: [String: Incident] = [:]
        for _ in 0..<3 {
            for index in nodes.indices {
                for word in board.values { if let better = nodes[index].hear(word) { board[better.id] = better } }
                for word in nodes[index].book.takeUntold(all: true) where board[word.id] == nil {
                    board[word.id] = word
                }
            }
        }
    }
}

@Suite("words on an incident")
struct SharedIncidentTests {
    private static let start = Timestamp(microseconds: 1_795_150_800_000_000)

    /// Few different values, so that words are often equal in part.
    private func word(_ random: inout SeededGenerator) -> Incident {
        let opened = Self.start.adding(seconds: Double(Int.random(in: 0..<3, using: &random)))
        var word = Incident(
            code: .recordsLost, relayID: "r", openedAt: opened,
            lastSeen: opened.adding(seconds: Double(Int.random(in: 0..<3, using: &random))),
            count: Int.random(in: 1...3, using: &random), detail: ["", "a"].randomElement(using: &random) ?? "")
        word.total = word.count + Int.random(in: 0..<3, using: &random)
        word.level = [nil, 1, 2].randomElement(using: &random) ?? nil
        if Bool.random(using: &random) {
            word.closedAt = word.lastSeen.adding(seconds: Double(Int.random(in: 0..<2, using: &random)))
            word.closedBy = [nil, "", "a"].randomElement(using: &random) ?? nil
            word.note = [nil, "", "a"].randomElement(using: &random) ?? nil
        }
        return word
    }

    @Test("the merge is commutative, associative and idempotent, and of two words that differ one is newer")
    func laws() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let (a, b, c) = (word(&random), word(&random), word(&random))
            #expect(Incident.newest(a, b) == Incident.newest(b, a), "seed \(seed): \(a) \(b)")
            let (left, right) = (Incident.newest(Incident.newest(a, b), c), Incident.newest(a, Incident.newest(b, c)))
            #expect(left == right, "seed \(seed): \(a) \(b) \(c)")
            #expect(Incident.newest(a, a) == a)
            #expect((a == b) == !(a.isNewer(than: b) || b.isNewer(than: a)), "seed \(seed): \(a) \(b)")
            #expect(!(a.isNewer(than: b) && b.isNewer(than: a)), "seed \(seed): \(a) \(b)")
        }
    }

    @Test("three nodes with wrong clocks end with the same words; only a sighting undoes a closing, and it always does")
    func histories() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for round in 0..<300 {
            var history = IncidentHistory(&random)
            for step in 0..<60 { history.step(at: Self.start.adding(seconds: Double(step)), &random) }
            history.settle()
            let place = "seed \(seed), round \(round)"
            let books = history.nodes.map(\.book.all)
            #expect(books[0] == books[1] && books[1] == books[2], "\(place)")
            for incident in books[0] {
                let closed = history.closings[incident.id] ?? []
                #expect(incident.total == history.sightings[incident.id], "\(place): \(incident)")
                if incident.isOpen {
                    #expect(incident.total > closed.max() ?? 0, "\(place): \(incident)")
                } else {
                    #expect(closed.contains(incident.total), "\(place): \(incident)")
                }
            }
            #expect(Set(books[0].map(\.id)) == Set(history.sightings.keys), "\(place)")
        }
    }

    @Test("two nodes with full lists do not pass incidents to and fro, and keep those that are worth most")
    func full() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        var words: [Incident] = []
        for number in 0..<12 {
            var word = Incident(
                code: .rollback, relayID: "r\(number)", openedAt: Self.start,
                lastSeen: Self.start.adding(seconds: Double(number)), count: 1, detail: "")
            if number.isMultiple(of: 3) { word.closedAt = word.lastSeen }
            words.append(word)
        }
        var books = [IncidentBook([], capacity: 5), IncidentBook([], capacity: 5)]
        for index in books.indices { for word in words.shuffled(using: &random) { _ = books[index].adopt(word) } }
        #expect(books[0].all.map(\.relayID) == ["r11", "r10", "r8", "r7", "r5"], "seed \(seed)")
        #expect(books[0].all == books[1].all, "seed \(seed)")
        _ = books[0].takeUnsaved()
        for word in words.shuffled(using: &random) { #expect(books[0].adopt(word) == word) }
        #expect(books[0].takeUnsaved().isEmpty && books[0].takeUntold(all: false).isEmpty, "seed \(seed)")
    }

    @Test("what closes by itself is told nobody, what a person closes is, once")
    func told() {
        var book = IncidentBook()
        book.goesOn(.gapOpen, "r", count: 3, detail: "", at: Self.start)
        book.happened(.rollback, "r", detail: "", at: Self.start)
        #expect(book.takeUntold(all: false).map(\.id) == ["rollback.r"])
        #expect(book.takeUntold(all: false).isEmpty)
        // Also by a node whose clock is behind.
        let closed = book.close("rollback.r", by: "ops", note: nil, at: Self.start.adding(seconds: -60))
        #expect(closed?.closedAt == Self.start && closed?.closedThrough == 1)
        #expect(book.takeUntold(all: false) == [closed])
        #expect(book.takeUntold(all: true).map(\.id) == ["rollback.r"])
    }

    @Test("a list of an earlier version is read: what it counted is all there was")
    func earlier() {
        let incident = Incident(
            code: .rollback, relayID: "r", openedAt: Self.start, lastSeen: Self.start, count: 4, detail: "")
        #expect(incident.total == 4 && incident.closedThrough == 0 && incident.isPlausible)
        var wrong = incident
        wrong.total = 3
        #expect(!wrong.isPlausible)
    }
}

@Suite("what is remembered of a relay")
struct RelayMemoryTests {
    private func memory(_ random: inout SeededGenerator) -> RelayMemory {
        var memory = RelayMemory(relayID: "r")
        for life in ["a", "b"] where Bool.random(using: &random) {
            memory.known[life] = Int64.random(in: 1...3, using: &random)
        }
        if Int.random(in: 0..<3, using: &random) > 0 {
            let word = RelayLedger.Retirement(
                atMicroseconds: Int64.random(in: 0..<3, using: &random),
                by: ["x", "y"].randomElement(using: &random) ?? "", note: "",
                lastSentMicroseconds: [nil, 1, 2].randomElement(using: &random) ?? nil)
            memory.retirement = Bool.random(using: &random) ? word : word.ended
        }
        return memory
    }

    @Test("the merge is commutative, associative and idempotent")
    func laws() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let (a, b, c) = (memory(&random), memory(&random), memory(&random))
            #expect(a.merged(with: b) == b.merged(with: a), "seed \(seed): \(a) \(b)")
            #expect(
                a.merged(with: b).merged(with: c) == a.merged(with: b.merged(with: c)), "seed \(seed): \(a) \(b) \(c)")
            #expect(a.merged(with: a) == a)
        }
    }

    private let start = Timestamp(microseconds: 1_795_150_800_000_000)

    /// - Parameters:
    ///   - heard: when a node heard it, by its clock.
    ///   - sent: by the relay's clock.
    private func hear(_ ledger: inout RelayLedger, heard: Double, sent: Double, secondHand: Bool = false) {
        let report = RelayReport(
            relayID: "r", epoch: String(repeating: "a", count: 32), version: "1", sentAt: start.adding(seconds: sent),
            rules: .init(version: 0, state: .local))
        _ = ledger.reported(
            report, durable: { _ in IntervalSet() }, isSecondHand: secondHand, at: start.adding(seconds: heard))
    }

    @Test("a report that another node heard before the retirement does not end it, a later one does, in either order")
    func order() {
        for heard in [-1.0, 1] {
            for isReportFirst in [true, false] {
                var here = RelayLedger(relayID: "r")
                hear(&here, heard: -20, sent: -20)
                here.retire(by: "ops", note: "", at: start)
                var other = RelayLedger(relayID: "r")
                hear(&other, heard: -20, sent: -20)
                if isReportFirst {
                    hear(&other, heard: heard, sent: heard)
                    other.adopt(here.memory)
                } else {
                    other.adopt(here.memory)
                    hear(&other, heard: heard, sent: heard, secondHand: true)
                }
                #expect(other.isRetired == (heard < 0), "heard at \(heard), report first: \(isReportFirst)")
                here.adopt(other.memory)
                #expect(here.isRetired == other.isRetired)
            }
        }
    }

    @Test("a retirement stands although the node that heard the last report has a clock that is ahead")
    func skewed() {
        var here = RelayLedger(relayID: "r")
        hear(&here, heard: 3_580, sent: -20, secondHand: true)
        here.retire(by: "ops", note: "", at: start)
        var ahead = RelayLedger(relayID: "r")
        hear(&ahead, heard: 3_580, sent: -20)
        ahead.adopt(here.memory)
        #expect(ahead.isRetired && here.isRetired)
    }

    @Test("an older state of a relay, or a copy of it, is an event at the node that hears it, not where it is told on")
    func secondHand() {
        var (heard, told) = (RelayLedger(relayID: "r"), RelayLedger(relayID: "r"))
        for (sent, through, process) in [(1.0, 9, "a"), (2, 5, "a"), (3, 9, "b"), (4, 9, "a")] {
            var report = RelayReport(
                relayID: "r", epoch: String(repeating: process, count: 32), version: "1",
                sentAt: start.adding(seconds: sent), rules: .init(version: 0, state: .refused))
            report.epochs = [
                .init(
                    epoch: String(repeating: "a", count: 32), through: Int64(through), waiting: 0,
                    missing: IntervalSet())
            ]
            let events = heard.reported(report, durable: { _ in IntervalSet() }, at: report.sentAt)
            let toldOn = told.reported(report, durable: { _ in IntervalSet() }, isSecondHand: true, at: report.sentAt)
            #expect(events?.contains(.rollback) == (sent == 2) && events?.contains(.cloned) == (sent == 4))
            #expect(toldOn == [.rulesRefused(version: 0, reason: "")], "what goes on is judged by each")
        }
        #expect(heard.lives.map(\.known) == told.lives.map(\.known))
    }

    @Test("a node that knows of the retirement needs no clock to hear that the relay is back; a second one holds again")
    func returns() {
        var here = RelayLedger(relayID: "r")
        hear(&here, heard: -20, sent: -20)
        here.retire(by: "ops", note: "", at: start)
        var behind = RelayLedger(relayID: "r")
        behind.adopt(here.memory)
        hear(&behind, heard: -3_600, sent: -3_600)
        #expect(!behind.isRetired)
        here.adopt(behind.memory)
        #expect(!here.isRetired)
        // By a clock that is behind too: later than every word it knows.
        behind.retire(by: "ops", note: "again", at: start.adding(seconds: -3_500))
        here.adopt(behind.memory)
        #expect(here.isRetired && here.memory.retirement?.note == "again")
    }
}
