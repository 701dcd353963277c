// Random damage to valid reports (I8): the parser never crashes, and says "JSON" exactly where two others do.

import Foundation
import JSON
import Models
import Testing
import TestSupport

@Suite("A damaged report")
struct ReportFuzzTests {
    private static let rich = SampleReports.report(
        #""seq":12,"boot":"b1","observed_at":"2026-11-20T05:00:00.123Z""#,
        #""citizens":[{"name":"Jos\u00e9 \"J\" 🕊","peacescore":-1.5e2,"confidence":0.5,"x":[true,null]}]"#,
        #""words":["a","\ud83d\udd4a",""],"readings":{"a":1,"b":-0.25,"c\n":1e3}"#,
        #""media":[{"uri":"s3://x","bytes":5}],"extra" : { "k" : [ 1 , {} , [] , "v" ] , "l" : false }"#)

    private static let pieces = [
        "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "9", "-", ".", "e", "null", "true", "1e999", "\\u", "\\ud800",
        " ", "\n", "\0",
        "\u{7f}", "é", "\u{feff}", "\"a\":1,", "\"drone_id\":\"x\",", "[[[[[[[[[[[[[[[[[", "{\"a\":", "NaN", "00",
    ].map { Array($0.utf8) }

    private static func damage(_ body: inout [UInt8], _ random: inout SeededGenerator) {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let at = Int.random(in: 0...body.count, using: &random)
            let end = min(body.count, at + Int.random(in: 0...6, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where at < body.count: body[at] = .random(in: 0 ... .max, using: &random)
            case 1 where at < body.count: body[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: body.removeSubrange(at..<end)
            case 3: body.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: at)
            case 4: body.insert(contentsOf: Array(body[at..<end]), at: at)
            default: body.replaceSubrange(at..<end, with: pieces.randomElement(using: &random) ?? [])
            }
        }
    }

    @Test("is accepted or refused as strict JSON requires, and never crashes the parser")
    func mutations() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let parser = ReportParser()
        let starts = [SampleReports.contract, SampleReports.usual, Self.rich, Self.rich, Self.rich].map {
            Array($0.utf8)
        }
        var counts = [Int: Int]()
        for _ in 0..<30_000 {
            var body = starts.randomElement(using: &random) ?? []
            Self.damage(&body, &random)
            let outcome = parser.outcome(body)
            let text = "seed \(seed): \(String(decoding: body, as: UTF8.self))"
            switch (ReferenceJSON.verdict(body), outcome) {
            case (.valid, .accepted): counts[200, default: 0] += 1
            case (.valid, .refused(let status, _, _)):
                counts[status, default: 0] += 1
                #expect(status == 422, "\(text)")
            // With two faults in one body either may be named: both are 400.
            case (_, .refused(let status, _, _)):
                counts[status, default: 0] += 1
                #expect(status == 400, "\(text)")
            case (_, .accepted): Issue.record("accepted what is not strict JSON; \(text)")
            }
            if outcome == .accepted {
                let foundation = try? JSONSerialization.jsonObject(with: Data(body))
                #expect(foundation != nil, "Foundation refuses what was accepted; \(text)")
            }
        }
        #expect(counts[200, default: 0] > 500 && counts[400, default: 0] > 500 && counts[422, default: 0] > 500)
    }

    @Test("that is still accepted has the values Foundation reads")
    func agreement() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let parser = ReportParser()
        var compared = 0
        for _ in 0..<6_000 {
            var body = Array(Self.rich.utf8)
            let at = Int.random(in: 0..<body.count, using: &random)
            body[at] = UInt8.random(in: 0x20...0x7e, using: &random)
            guard parser.outcome(body) == .accepted else { continue }
            compared += 1
            let read = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
            try body.withUnsafeBytes { buffer in
                let report = try parser.parse(buffer)
                #expect(report.droneID == read?["drone_id"] as? String, "seed \(seed)")
                #expect(report.seq == (read?["seq"] as? NSNumber)?.int64Value, "seed \(seed)")
                let citizens = read?["citizens"] as? [[String: Any]] ?? []
                #expect(report.citizenCount == citizens.count, "seed \(seed)")
                for (index, citizen) in citizens.enumerated() {
                    #expect(report.citizen(at: index).name.string == citizen["name"] as? String, "seed \(seed)")
                    #expect(report.citizen(at: index).peacescore == citizen["peacescore"] as? Double, "seed \(seed)")
                }
                let words = read?["words"] as? [String] ?? []
                #expect((0..<report.wordCount).map { report.word(at: $0).string } == words, "seed \(seed)")
                var extra: [UInt8] = []
                report.appendExtraJSON(to: &extra)
                #expect((try? JSONSerialization.jsonObject(with: Data(extra))) != nil, "seed \(seed)")
            }
        }
        #expect(compared > 500)
    }

    @Test("of pure noise is refused")
    func noise() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let parser = ReportParser()
        let alphabet = Array("{}[]\",:\\ 0123456789eE+-.truefalsn\n\0\u{c3}".utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...300, using: &random)
            let body = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            #expect(parser.outcome(body) != .accepted, "seed \(seed)")
        }
    }
}
