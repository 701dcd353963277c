// JSON5 as people write it, and where a mistake is.

import Configuration
import Testing
import TestSupport

@Suite("a JSON5 document")
struct JSON5Tests {
    private func parse(_ text: String) throws(ConfigurationError) -> ConfigurationNode {
        try ConfigurationNode.parse(json5: Array(text.utf8))
    }

    @Test(
        "what JSON5 allows is read",
        arguments: [
            ("1", ConfigurationNode.number(1)), ("-1.5e3", .number(-1500)), ("+.5", .number(0.5)), ("5.", .number(5)),
            ("5.e2", .number(500)), ("0xFf", .number(255)), ("-0x10", .number(-16)), ("Infinity", .number(.infinity)),
            ("true", .bool(true)), ("null", .null), ("'a\"b'", .string("a\"b")),
            (#""\x41\u00e9\ud83d\ude00\n\v\0\q""#, .string("A\u{e9}\u{1F600}\n\u{0B}\0q")),
            ("'two\\\nlines'", .string("twolines")), ("[1, 2,]", .array([.number(1), .number(2)])),
            ("{a: 1, $b_2: 'x', \"c d\": [],}", .object(["a": .number(1), "$b_2": .string("x"), "c d": .array([])])),
            ("// c\n/* d */ { /**/ } // end", .object([:])), ("\u{FEFF}\u{A0}{}", .object([:])),
            ("{trueish: false, null_: null}", .object(["trueish": .bool(false), "null_": .null])),
        ] as [(String, ConfigurationNode)])
    func reads(_ text: String, _ expected: ConfigurationNode) throws {
        #expect(try parse(text) == expected)
    }

    @Test(
        "a mistake is shown at its line and column",
        arguments: [
            ("{\n  a: 1\n  b: 2\n}", 3, 3), ("{\n  a: [1, 2\n}", 3, 1), ("{\n  a: 1,\n", 1, 1), ("{a: hello}", 1, 5),
            ("{a: 'x\n'}", 1, 5), ("{a: 1} x", 1, 8), ("/* never", 1, 1), ("{a: 01}", 1, 5), ("{a: 1.2.3}", 1, 5),
            ("{a: .}", 1, 5), ("{a: }", 1, 5), ("", 1, 1), ("{\"a\": 1, b: 2, a: 3}", 1, 16), ("{a: '\\u12'}", 1, 6),
            ("{a: 1,, b: 2}", 1, 7), ("{é: tru}", 1, 5), ("{\r\n a: -}", 2, 5), ("{a: nul}", 1, 5), ("'it''", 1, 5),
        ])
    func places(_ text: String, _ line: Int, _ column: Int) {
        let error = #expect(throws: ConfigurationError.self) { try parse(text) }
        #expect(error?.place == SourcePlace(line: line, column: column), "\(error?.description ?? "")")
    }

    @Test("a value's place is found by its path, or that of what is around it")
    func paths() throws {
        let document = try PlacedDocument(json5: Array("{\n rules: [\n  {name: 'a'},\n  {\n   when: {}}]}".utf8))
        #expect(document.place(of: "rules[0].name") == SourcePlace(line: 3, column: 4))
        #expect(document.place(of: "rules[1].when.citizen.peacescore") == SourcePlace(line: 5, column: 4))
        #expect(document.place(of: "rules[1]") == SourcePlace(line: 4, column: 3))
        #expect(document.place(of: "") == SourcePlace(line: 1, column: 1))
    }

    @Test("nesting has a bound, and random bytes give a value or an error, never a crash")
    func hostile() {
        #expect(throws: ConfigurationError.self) { try parse(String(repeating: "[", count: 100_000)) }
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("{}[]:,'\"\\/*ux019.-+eE \nntrue\u{E9}".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int(random.next() % 24)).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
            do throws(ConfigurationError) {
                _ = try ConfigurationNode.parse(json5: bytes)
            } catch {
                #expect(error.place != nil || error.problem.contains("UTF-8"), "seed \(seed): \(bytes)")
            }
        }
    }
}
