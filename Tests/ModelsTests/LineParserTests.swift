// The sync protocol's lines: what is read from them, and which mistakes still tell the record's number.

import JSON
import Models
import Testing
import TestSupport

@Suite("A line of the sync protocol")
struct LineParserTests {
    let parser = LineParser()

    private func problem(of text: String) -> LineProblem? {
        Array(text.utf8).withUnsafeBytes { buffer in
            do throws(LineProblem) {
                _ = try parser.parse(buffer)
                return nil
            } catch {
                return error
            }
        }
    }

    private static let start = #"{"n":5001,"received_at":"2026-11-20T05:00:00.123Z","kind":"report""#

    @Test("gives its number, time, kind and the body's exact bytes")
    func reads() throws {
        let body = #"{"drone_id" : "a",  "x":"}\"","l":[{}]  }"#
        try Array((Self.start + #","body": \#(body) }"#).utf8).withUnsafeBytes { buffer in
            let line = try parser.parse(buffer)
            #expect(line.n == 5001 && line.kind == .report)
            #expect(line.receivedAt.rfc3339 == "2026-11-20T05:00:00.123Z")
            #expect(line.body.elementsEqual(body.utf8))
            #expect(line.assignedBoot == nil && line.assignedSeq == nil)
        }
    }

    @Test("may have its members in any order and members of newer versions")
    func order() throws {
        let text =
            #"{"body":[1],"new":{"a":[1,2]},"kind":"alert_state","seq":7,"received_at":"2026-11-20T05:00:00Z","#
            + #""boot":"relay.n.0","n":3}"#
        try Array(text.utf8).withUnsafeBytes { buffer in
            let line = try parser.parse(buffer)
            #expect(
                line.n == 3 && line.kind == .alertState && line.assignedBoot == "relay.n.0" && line.assignedSeq == 7)
        }
    }

    @Test("gives a report without seq the relay's numbering, said or implied")
    func identity() throws {
        let reports = ReportParser()
        let epoch = String(repeating: "a", count: 32)
        let numbered = SampleReports.report(#""seq":9"#)
        let plain = SampleReports.report()
        for (body, members, boot, seq) in [
            (numbered, "", "0", 9), (plain, "", "relay.north-3.\(epoch)", 5001),
            (plain, #","boot":"relay.x.y","seq":4"#, "relay.x.y", 4),
            (numbered, #","boot":"relay.x.y","seq":4"#, "0", 9),
        ] as [(String, String, String, Int64)] {
            try Array((Self.start + members + #","body":\#(body)}"#).utf8).withUnsafeBytes { buffer in
                let line = try parser.parse(buffer)
                let report = try reports.parse(line.body)
                #expect(
                    line.identity(of: report, relayID: "north-3", epoch: epoch)
                        == ReportIdentity(droneID: "pw-1", boot: boot, seq: seq))
            }
        }
    }

    @Test(
        "that is broken still tells its number where it has one",
        arguments: [
            (start + #","body":{"a":[}}"#, 5001), (start + #","body":{"a":1}"#, 5001), (start + "}", 5001),
            (start + #","body":{"a":"x}}"#, 5001), (start + #","body":1,"body_text":"1"}"#, 5001),
            (start + #","boot":"b","body":1}"#, 5001), (start + #","seq":1,"body":1}"#, 5001),
            (start + #","boot":"b b","seq":1,"body":1}"#, 5001), (start + #","body":1,"body":1}"#, 5001),
            (start + #","body":1} x"#, 5001), (#"{"n":7,"kind":"report","body":1}"#, 7),
            (#"{"n":7,"received_at":"x","kind":"report","body":1}"#, 7),
            (#"{"n":7,"received_at":"2026-11-20T05:00:00Z","kind":"song","body":1}"#, 7),
            (#"{"n":0,"received_at":"2026-11-20T05:00:00Z","kind":"report","body":1}"#, nil),
            (#"{"n":"7","received_at":"2026-11-20T05:00:00Z","kind":"report","body":1}"#, nil),
            (#"{"kind":"report","body":1}"#, nil), ("[]", nil), ("", nil), ("5", nil), (#"{"n":"#, nil),
            (#"{"n":77"#, nil),
            (start + #","body_text":"\ud800"}"#, 5001), (start + #","body_text":5}"#, 5001),
        ] as [(String, Int64?)])
    func broken(text: String, number: Int64?) throws {
        let found = try #require(problem(of: text))
        #expect(found.n == number)
        #expect([400, 422].contains(found.problem.status))
    }

    @Test("of invalid UTF-8 still tells its number")
    func invalidUTF8() {
        let text = Array((Self.start + #","body":{"a":""#).utf8) + [0xff] + Array(#""}}"#.utf8)
        text.withUnsafeBytes { buffer in
            do throws(LineProblem) {
                _ = try parser.parse(buffer)
                Issue.record("this line is to be refused")
            } catch {
                #expect(error.n == 5001)
            }
        }
    }

    @Test("may hold the largest report, also as text, and is bounded")
    func size() throws {
        let quotes = String(repeating: #"\""#, count: 131_000)
        let text = Self.start + #","body_text":"\#(String(repeating: #"\\\""#, count: 131_000))"}"#
        try Array(text.utf8).withUnsafeBytes { buffer in
            let line = try parser.parse(buffer)
            #expect(line.body.elementsEqual(quotes.utf8))
        }
        let huge = Self.start + #","body":"\#(String(repeating: "a", count: 600_000))"}"#
        #expect(problem(of: huge)?.problem.status == 413)
    }

    @Test("is never a crash, however damaged")
    func fuzz() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let whole = Array((Self.start + #","boot":"b","seq":5,"body":{"a":[1,"x\n",{"b":null}]}}"#).utf8)
        for _ in 0..<20_000 {
            var text = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                text[Int.random(in: 0..<text.count, using: &random)] = .random(in: 0 ... .max, using: &random)
            }
            text.withUnsafeBytes { buffer in
                guard let line = try? parser.parse(buffer) else { return }
                #expect(line.n >= 1 && line.body.count <= text.count, "seed \(seed)")
            }
        }
    }

    @Test("is found in a buffer by its end, blank lines and CR skipped")
    func lines() {
        var found: [String] = []
        Array("a\r\n\n  \n{b}\n\r\nc d ".utf8).withUnsafeBytes { buffer in
            NDJSON.forEachLine(in: buffer) { number, line in
                #expect(number == found.count)
                found.append(String(decoding: line, as: UTF8.self))
            }
        }
        #expect(found == ["a", "{b}", "c d "])
    }
}
