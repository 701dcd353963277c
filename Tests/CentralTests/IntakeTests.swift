// What central believes of a batch, and what it tells relays.

import Central
import Models
import SyncProtocol
import Testing

@Suite("intake")
struct IntakeTests {
    private static let epoch = String(repeating: "a", count: 32)

    private func name(_ first: Int64, _ last: Int64) -> BatchName {
        BatchName(relayID: "r-1", epoch: Self.epoch, first: first, last: last)
    }

    private func line(_ n: Int64, body: String = #"{"drone_id":"d","seq":1,"location":{"lat":1,"lon":2}}"#) -> String {
        #"{"n":\#(n),"received_at":"2026-11-20T05:00:00Z","kind":"report","body":\#(body)}"# + "\n"
    }

    private func examine(_ lines: String, _ first: Int64, _ last: Int64) throws(Problem) -> BatchExamination {
        try BatchExamination.examine(Array(lines.utf8), name: name(first, last))
    }

    @Test("a record nobody can read is set aside with its reason, the others are taken")
    func poison() throws {
        let batch = line(1) + line(2, body: #"{"drone_id":"d"}"#) + line(3, body: "[]") + line(4)
        let examined = try examine(batch, 1, 4)
        #expect(examined.numbers == IntervalSet(1...4) && examined.records == 4)
        #expect(examined.rejected.map(\.n) == [2, 3])
        #expect(examined.rejected.map(\.code) == ["missing_field", "not_an_object"])
        #expect(
            String(decoding: examined.rejected[0].line, as: UTF8.self) + "\n" == line(2, body: #"{"drone_id":"d"}"#))
    }

    @Test("only the numbers that are really there are taken, not the range the name claims")
    func holes() throws {
        #expect(try examine(line(2) + line(5), 1, 9).numbers == IntervalSet([2...2, 5...5]))
    }

    @Test(
        "a batch that cannot be acknowledged by number is refused as a whole",
        arguments: ["{}\n", "not json\n", ""])
    func unreadable(_ lines: String) {
        let problem = #expect(throws: Problem.self) { try examine(lines, 1, 9) }
        #expect(problem?.status == 400)
    }

    @Test("numbers outside the name's range, repeated or descending refuse the batch")
    func order() {
        for lines in [line(10), line(3) + line(3), line(4) + line(3)] {
            let problem = #expect(throws: Problem.self) { try examine(lines, 1, 9) }
            #expect(problem?.code == "malformed_batch")
        }
    }

    @Test("a relay is told received for what is durable, archived for what is committed, and nothing of another's")
    func acknowledgements() {
        let fleet = Fleet(archived: { relay, _ in relay == "r-1" ? IntervalSet(1...3) : IntervalSet() })
        let header = StreamHeader(
            relay: "r-1", epoch: Self.epoch, numbers: IntervalSet([2...5, 8...8]),
            rejected: [RejectedRecord(n: 4, code: "missing_field")], records: 5)
        fleet.received(header, name: name(2, 8).path, digest: "x", at: Timestamp(microseconds: 1))
        let answer = fleet.acknowledgement(relayID: "r-1", epoch: Self.epoch, digest: "x", credit: .standard)
        #expect(answer.received == IntervalSet([1...5, 8...8]))
        #expect(answer.archived == IntervalSet(1...3))
        #expect(answer.rejected == [RejectedRecord(n: 4, code: "missing_field")] && answer.digest == "x")
        #expect(fleet.has(name(2, 8), digest: "x") && !fleet.has(name(2, 8), digest: "y"))
        let other = fleet.acknowledgement(relayID: "r-2", epoch: Self.epoch, digest: nil, credit: .standard)
        #expect(other.received.isEmpty && other.archived.isEmpty)
    }
}
