// What a drone keeps until a relay has it: nothing is forgotten unasked, nothing outgrows its bounds.
import DroneClient
import Simulation
import Testing

@Suite("a drone's outbox")
struct ReportOutboxTests {
    private var random = SeededRandom(seed: 5)

    private func report(_ id: UInt64, bytes: Int = 10) -> OutgoingReport {
        OutgoingReport(id: id, droneID: "d", body: [UInt8](repeating: UInt8(id % 251), count: bytes))
    }

    private func limits(reports: Int = 1_440, bytes: Int = 1 << 20) -> ReportOutbox.Limits {
        var limits = ReportOutbox.Limits()
        limits.reports = reports
        limits.bytes = bytes
        return limits
    }

    @Test("the newest report is sent first, then the older ones, each until it is acknowledged")
    mutating func newestFirst() {
        var outbox = ReportOutbox(relays: 1)
        for id in 1...3 { #expect(outbox.add(report(UInt64(id))) == []) }
        var sent: [UInt64] = []
        while case .send(let next, let relay) = outbox.next(order: [0], nowSeconds: 0) {
            sent.append(next.id)
            let isSettled = outbox.answered(
                next.id, relay: relay, .acknowledged(status: "stored"), nowSeconds: 0, random: &random)
            #expect(isSettled)
        }
        #expect(sent == [3, 2, 1])
        #expect(outbox.next(order: [0], nowSeconds: 0) == .nothing && outbox.bytes == 0)
    }

    @Test("no answer, 503 and a lost one: the same bytes go to the next relay, and none is forgotten")
    mutating func resends() {
        var outbox = ReportOutbox(relays: 2)
        _ = outbox.add(report(1))
        #expect(outbox.next(order: [1, 0], nowSeconds: 0) == .send(report(1), relay: 1))
        #expect(!outbox.answered(1, relay: 1, nil, nowSeconds: 0, random: &random))
        #expect(outbox.next(order: [1, 0], nowSeconds: 0) == .send(report(1), relay: 0))
        #expect(!outbox.answered(1, relay: 0, .again(afterSeconds: 7), nowSeconds: 0, random: &random))
        guard case .wait(let seconds) = outbox.next(order: [1, 0], nowSeconds: 0) else {
            Issue.record("both relays asked for patience")
            return
        }
        #expect(seconds <= 0.1, "the one that did not answer may be tried first")
        #expect(outbox.attempts(1) == 2 && outbox.count == 1)
        #expect(outbox.next(order: [1, 0], nowSeconds: 0.2) == .send(report(1), relay: 1))
    }

    @Test("a report that no relay will ever take does not hold up the others")
    mutating func refused() {
        var outbox = ReportOutbox(relays: 1)
        _ = outbox.add(report(1))
        _ = outbox.add(report(2))
        #expect(outbox.answered(2, relay: 0, .refused(status: 422), nowSeconds: 0, random: &random))
        #expect(outbox.next(order: [0], nowSeconds: 0) == .send(report(1), relay: 0))
    }

    @Test(
        "at a limit the oldest goes and the owner hears of it; exactly at the limit nothing does", arguments: [10, 11])
    func bounded(bytes: Int) {
        var outbox = ReportOutbox(relays: 1, limits: limits(reports: 3, bytes: 33))
        for id in 1...3 { #expect(outbox.add(report(UInt64(id), bytes: bytes)) == []) }
        #expect(outbox.count == 3 && outbox.bytes == 3 * bytes)
        #expect(outbox.add(report(4, bytes: bytes)).map(\.id) == [1])
        #expect(outbox.add(report(5, bytes: 22)).map(\.id) == [2, 3])
        #expect(outbox.bytes <= 33)
        #expect(outbox.add(report(6, bytes: 34)).map(\.id) == [6], "too large on its own: nothing else has to go")
        #expect(outbox.count == 2)
    }

    @Test("an answer for a report that had to go meanwhile is not a second outcome")
    mutating func outcomeOnce() {
        var outbox = ReportOutbox(relays: 1, limits: limits(reports: 1))
        _ = outbox.add(report(1))
        #expect(outbox.add(report(2)).map(\.id) == [1])
        #expect(!outbox.answered(1, relay: 0, .acknowledged(status: "stored"), nowSeconds: 0, random: &random))
        #expect(outbox.count == 1)
    }
}
