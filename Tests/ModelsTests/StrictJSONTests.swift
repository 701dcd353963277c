// What is not strict JSON, or is made to hurt (F86–F92).

import Foundation
import JSON
import Models
import Testing
import TestSupport

@Suite("A body")
struct StrictJSONTests {
    let parser = ReportParser()

    static let notJSON: [[UInt8]] = {
        let report = SampleReports.report()
        let texts = [
            "", " ", "{", "}", "{]", "[", "nul", "truefalse", report + "x", report + report, report + ",", "[" + report,
            "\u{feff}" + report, report + "\0", "\0" + report, #"{"a":1,}"#, #"{,"a":1}"#, #"{"a" 1}"#, #"{"a":}"#,
            #"{"a"}"#, #"{a:1}"#, #"{'a':1}"#, #"{"a":1 "b":2}"#, #"{"a":1"b":2}"#, #"{"a":[1,]}"#, #"{"a":[,1]}"#,
            #"{"a":[1 2]}"#, #"{"a":[1}"#, #"{"a":{"b":1]}"#, #"{"a":"x"#, #"{"a":"x\"}"#, #"{"a":"x""y"}"#,
            #"{"a":"x"y}"#,
            #"{"a":NaN}"#, #"{"a":Infinity}"#, #"{"a":-Infinity}"#, #"{"a":nan}"#, #"{"a":0x10}"#, #"{"a":01}"#,
            #"{"a":-01}"#,
            #"{"a":+1}"#, #"{"a":.5}"#, #"{"a":1.}"#, #"{"a":1e}"#, #"{"a":1e+}"#, #"{"a":-}"#, #"{"a":--1}"#,
            #"{"a":1.5.5}"#,
            #"{"a":1e999}"#, #"{"a":-1e999}"#, #"{"a":1e99999999999999999999}"#, #"{"a":1_000}"#, #"{"a":1;}"#,
            #"{"a":True}"#, #"{"a":nulls}"#, #"{"a":tru}"#, #"{"a":"\x"}"#, #"{"a":"\u12"}"#, #"{"a":"\u12g4"}"#,
            #"{"a":"\"}"#,
            #"{"a":"\ud800"}"#, #"{"a":"\udc00"}"#, #"{"a":"\ud800\ud800"}"#, #"{"a":"\ud800x"}"#, #"{"a":"\ud83d\n"}"#,
            #"{"a":"\udc00\ud800"}"#, #"{"\ud800":1}"#, "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\0\"}", "{\"a\":\u{c}1}", "{\"a\":1\u{b}}", "{\"a\":\u{a0}1}", "{\"a\":1\u{1a}}", "/* */ {}",
            "{} // x",
            #"{"a":\u0031}"#, #"{\u0022a":1}"#, #"{"a":1}{"#, #"{"a":1}]"#, ":", ",", #""a":1"#, "{1:2}", "{null:2}",
            "{{}:1}",
        ]
        let raw: [[UInt8]] = [
            [0xff, 0xfe, 0x7b, 0, 0x7d, 0], [0, 0x7b, 0, 0x7d],  // UTF-16
            [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x80],
            [0xf8, 0x88, 0x80, 0x80, 0x80],
            [0xc1, 0xbf], [0xe0, 0x9f, 0xbf], [0xf0, 0x8f, 0xbf, 0xbf], [0xff],
        ]
        return texts.map { Array($0.utf8) } + raw.prefix(2)
            + raw.dropFirst(2).map { Array(#"{"a":""#.utf8) + $0 + Array(#""}"#.utf8) }
    }()

    @Test("that is not strict JSON is refused 400", arguments: notJSON)
    func refused(body: [UInt8]) {
        #expect(parser.outcome(body) == .refused(status: 400, code: "invalid_json", field: nil))
    }

    @Test("that breaks a rule and then the JSON is answered 400, not 422")
    func syntaxWins() {
        #expect(
            parser.outcome(#"{"drone_id":5,"location":{"lat":999},"x":[1,}"#)
                == .refused(status: 400, code: "invalid_json", field: nil))
        #expect(parser.outcome(#"[1,2,{"a":1,"a":2}]"#) == .refused(status: 400, code: "duplicate_key", field: nil))
    }

    @Test(
        "with the same key twice is refused at every level, however the key is written",
        arguments: [
            SampleReports.report(#""drone_id":"b""#), SampleReports.report(#""\u0064rone_id":"b""#),
            SampleReports.report(#""x":1"#, #""x":1"#), SampleReports.report(#""x":1"#, #""\u0078":2"#),
            SampleReports.report(#""x":{"a":{"b":1,"c":2,"b":3}}"#), SampleReports.report(#""x":[[{"":1,"":2}]]"#),
            SampleReports.report(#""citizens":[{"name":"A","name":"A","peacescore":1}]"#),
            SampleReports.report(#""citizens":[{"name":"A","age":1,"peacescore":1,"age":1}]"#),
            SampleReports.report(#""readings":{"a":1,"b":2,"a":3}"#), SampleReports.report(#""é":1"#, #""\u00e9":1"#),
            SampleReports.report(#""readings":{"a\/b":1,"a/b":2}"#),
            SampleReports.report(#""🕊":1"#, #""\ud83d\udd4a":1"#),
            SampleReports.report(#""media":[{"uri":"a","uri":"b"}]"#),
            #"{"drone_id":"a","location":{"lat":1,"lat":1,"lon":1}}"#,
            #"{"drone_id":"a","location":{"lat":1,"lon":1},"location":{"lat":1,"lon":1}}"#,
        ])
    func duplicates(text: String) {
        #expect(parser.outcome(text) == .refused(status: 400, code: "duplicate_key", field: nil))
    }

    @Test("may use the same key in different objects, and keys that differ in bytes only (no normalisation)")
    func sameKeyElsewhere() {
        #expect(
            parser.outcome(SampleReports.report(#""x":{"a":1}"#, #""y":{"a":1}"#, #""z":[{"a":1},{"a":1}]"#))
                == .accepted)
        #expect(parser.outcome(SampleReports.report(#""\u00e9":1"#, #""e\u0301":1"#)) == .accepted)
    }

    @Test("may be 16 levels deep and not 17")
    func depth() {
        func nested(_ levels: Int, _ open: String, _ close: String, _ core: String) -> String {
            SampleReports.report(
                #""x":"# + String(repeating: open, count: levels - 1) + core
                    + String(repeating: close, count: levels - 1))
        }
        let refused = ParseOutcome.refused(status: 400, code: "too_deep", field: nil)
        for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
            #expect(parser.outcome(nested(15, open, close, "1")) == .accepted)
            #expect(parser.outcome(nested(16, open, close, "1")) == .accepted)
            #expect(parser.outcome(nested(17, open, close, "1")) == refused)
        }
        #expect(parser.outcome(nested(17, "[", "]", "")) == refused)
        #expect(parser.outcome(String(repeating: "[", count: 100_000)) == refused)
        #expect(
            parser.outcome(String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)) == refused)
        #expect(
            parser.outcome(SampleReports.report(#""citizens":"# + String(repeating: "[", count: 50_000))) == refused)
    }

    @Test("may have 256 KiB and not one byte more, white space around it not counted")
    func size() {
        func report(bytes: Int) -> String {
            let empty = SampleReports.report(#""x":"""#)
            return SampleReports.report(#""x":"\#(String(repeating: "a", count: bytes - empty.utf8.count))""#)
        }
        #expect(parser.outcome(report(bytes: 262_143)) == .accepted)
        #expect(parser.outcome(report(bytes: 262_144)) == .accepted)
        #expect(parser.outcome(report(bytes: 262_144) + "\n") == .accepted)
        #expect(parser.outcome(report(bytes: 262_145)) == .refused(status: 413, code: "too_large", field: nil))
        #expect(parser.outcome(String(repeating: " ", count: 10_000_000) + report(bytes: 1000)) == .accepted)
    }

    /// By name: a runner prints its arguments, and nobody wants to read these.
    @Test("made to hurt is answered, and never hangs", arguments: hostile.map(\.0))
    func hostileInputs(name: String) throws {
        let (_, status, body) = try #require(Self.hostile.first { $0.0 == name })
        let clock = ContinuousClock()
        var outcome = ParseOutcome.accepted
        // The best of three: the machine may be busy with other tests.
        let elapsed = (0..<3).map { _ in clock.measure { outcome = parser.outcome(body) } }.min() ?? .zero
        if case .refused(let answered, _, _) = outcome { #expect(answered == status) } else { #expect(status == nil) }
        // Milliseconds on an idle machine; quadratic work on these would take minutes on any.
        #expect(elapsed < .seconds(2), "\(name): \(elapsed)")
    }

    static let hostile: [(String, Int?, [UInt8])] = {
        func full(_ member: String) -> [UInt8] { Array(SampleReports.report(member).utf8) }
        let keys = (0..<22_000).map { #""k\#($0)":1"# }.joined(separator: ",")
        let longKeys = (0..<1000).map { #""\#(String(repeating: "k", count: 230))\#(1000 + $0)":1"# }.joined(
            separator: ",")
        let numbers = "[" + String(repeating: "1,", count: 120_000) + "1]"
        return [
            ("22,000 keys", nil, full(keys)), ("22,000 keys, nested", nil, full(#""x":{\#(keys)}"#)),
            ("22,000 keys, the last twice", 400, full(keys + #","k21999":1"#)),
            ("1,000 long keys", nil, full(longKeys)), ("120,000 elements", nil, full(#""x":\#(numbers)"#)),
            ("120,000 words", 422, full(#""words":\#(numbers)"#)),
            ("a number of 100,000 digits", 400, full(#""x":1\#(String(repeating: "0", count: 100_000))"#)),
            ("100,000 decimals", nil, full(#""x":0.\#(String(repeating: "7", count: 100_000))"#)),
            ("100,000 zeros, then e", nil, full(#""x":0.\#(String(repeating: "0", count: 100_000))1e100000"#)),
            ("a key of 200,000 bytes", nil, full(#""\#(String(repeating: "k", count: 200_000))":1"#)),
            ("40,000 escapes", nil, full(#""x":"\#(String(repeating: #"\u00e9"#, count: 40_000))""#)),
            ("130,000 backslashes", nil, full(#""x":"\#(String(repeating: #"\\"#, count: 65_000))""#)),
            ("depth 200,000", 400, Array(String(repeating: "[", count: 200_000).utf8)),
            ("objects, depth 40,000", 400, Array(String(repeating: #"{"a":"#, count: 40_000).utf8)),
            ("1 MiB", 413, [UInt8](repeating: 0x5b, count: 1 << 20)),
            ("256 KiB of quotes", 400, [UInt8](repeating: 0x22, count: 262_144)),
            ("256 KiB of commas", 400, [UInt8](repeating: 0x2c, count: 262_144)),
            ("256 KiB of NUL", 400, [UInt8](repeating: 0, count: 262_144)),
        ]
    }()

    @Test(
        "has its numbers rounded correctly",
        arguments: [
            "0", "-0", "1", "-1", "0.1", "12.5", "1e22", "1e23", "1e-22", "1e-23", "123456789012345678",
            "9007199254740993",
            "9007199254740992", "0.30000000000000004", "2.2250738585072014e-308", "5e-324", "2e-324",
            "1.7976931348623157e308",
            "4.9406564584124654e-324", "1e-400", "-1e-400", "0e999", "0.000e999", "1.0000000000000000000000000000001",
            "179769313486231570000000000000000000000e270", "8.5e-5", "18446744073709551615", "18446744073709551616",
            "0.0000000000000000000000000000000000000000000000001e49", "1E5", "1e+5", "90071992547409910e-1",
        ])
    func numbers(text: String) throws {
        try parser.with(SampleReports.report(#""readings":{"x":\#(text)}"#)) { report in
            let expected = try #require(Double(text))
            #expect(report.reading(at: 0).value.bitPattern == expected.bitPattern)
        }
    }

    @Test("has random numbers rounded as the standard library rounds them")
    func randomNumbers() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let value = Double(bitPattern: .random(in: 0 ... .max, using: &random))
            guard value.isFinite else { continue }
            var text = "\(value)"
            if Bool.random(using: &random) {
                text =
                    "\(Int.random(in: -99999...99999, using: &random)).\(UInt32.random(in: 0 ... .max, using: &random))"
                    + "e\(Int.random(in: -30...30, using: &random))"
            }
            try parser.with(SampleReports.report(#""readings":{"x":\#(text)}"#)) { report in
                #expect(report.reading(at: 0).value == Double(text), "\(text), seed \(seed)")
            }
        }
    }
}
