// Rule files: the contract's own example loads; every mistake is named with its place.

import Configuration
import AlertRules
import Testing

@Suite("a rule file")
struct RuleFileTests {
    @Test("the contract's example is understood")
    func example() throws {
        let rules = try RuleFile.parse(json5: Array(Self.contractExample.utf8))
        #expect(rules.version == 3)
        #expect(rules.rules.map(\.name) == ["low-peacescore", "battery", "words", "lost"])
        #expect(
            rules.rules[0].condition == .citizen(peacescore: Threshold(below: 20, above: nil), minimumConfidence: nil))
        #expect(rules.rules[1].forReports == 2)
        #expect(rules.rules[3].condition == .silent(seconds: 180, graceSeconds: 18))
    }

    static let contractExample = """
        {version: 3, rules: [
          {name: "low-peacescore", severity: "critical", when: {citizen: {peacescore: {below: 20}}}, cooldown_s: 0},
          {name: "battery", severity: "warning", when: {reading: {battery_pct: {below: 15}}}, for_reports: 2},
          {name: "words", severity: "info", when: {all: [{words: {any_of: ["fire"]}},
            {inside: {circle: {lat: 48.85, lon: 2.35, radius_m: 5000}}}]}},
          {name: "lost", severity: "warning", when: {silent_for_s: 180}}
        ]}
        """

    @Test(
        "a mistake is an error with its place",
        arguments: [
            (#"{rules: [{}]}"#, "rules[0].name"),
            (#"{rules: [{name: "a b", severity: "info", when: {silent_for_s: 1}}]}"#, "rules[0].name"),
            (#"{rules: [{name: "a", severity: "bad", when: {silent_for_s: 1}}]}"#, "rules[0].severity"),
            (#"{rules: [{name: "a", severity: "info"}]}"#, "rules[0].when"),
            (#"{rules: [{name: "a", severity: "info", when: {}}]}"#, "rules[0].when"),
            (#"{rules: [{name: "a", severity: "info", when: {citzen: {}}}]}"#, "rules[0].when.citzen"),
            (
                #"{rules: [{name: "a", severity: "info", when: {citizen: {peacescore: {bellow: 1}}}}]}"#,
                "rules[0].when.citizen.peacescore.bellow"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {citizen: {peacescore: {below: 9, above: 1}}}}]}"#,
                "rules[0].when.citizen.peacescore"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {all: [{not: {words: {any_of: []}}}]}}]}"#,
                "rules[0].when.all[0].not.words.any_of"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {inside: {circle: {lat: 91, lon: 0, radius_m: 1}}}}]}"#,
                "rules[0].when.inside.circle.lat"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {any: [{silent_for_s: 5}]}}]}"#,
                "rules[0].when.any[0].silent_for_s"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {silent_for_s: 5}}, "#
                    + #"{name: "a", severity: "info", when: {silent_for_s: 6}}]}"#,
                "rules[1].name"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {words: {any_of: ["x"]}, grace_s: 1}}]}"#,
                "rules[0].when.grace_s"
            ),
            (
                #"{rules: [{name: "a", severity: "info", when: {silent_for_s: 5}, channels: ["x", "x"]}]}"#,
                "rules[0].channels"
            ),
            (#"{version: 1, rules: [], version: 2}"#, "version"),
            (#"{ruels: []}"#, "ruels"),
        ])
    func mistakes(_ text: String, _ place: String) {
        let error = #expect(throws: ConfigurationError.self) { try RuleFile.parse(json5: Array(text.utf8)) }
        #expect(error?.key == place)
    }

    @Test("what is not JSON5 is refused")
    func notJSON() {
        #expect(throws: ConfigurationError.self) { try RuleFile.parse(json5: Array("{rules: [".utf8)) }
    }

    @Test("a mistake in meaning has its line and column, as one in the notation has")
    func lines() {
        let text = "{version: 3, rules: [\n  {name: 'a', severity: 'info',\n   when: {citzen: {}}},\n]}"
        let error = #expect(throws: ConfigurationError.self) { try RuleFile.parse(json5: Array(text.utf8)) }
        #expect(error?.key == "rules[0].when.citzen" && error?.place == SourcePlace(line: 3, column: 11))
    }

    @Test("channels must be names of targets where those are known")
    func channels() throws {
        let text = Array(
            #"{rules: [{name: "a", severity: "info", when: {silent_for_s: 5}, channels: ["ntfy", "x"]}]}"#.utf8)
        #expect(try RuleFile.parse(json5: text).rules.first?.channels == ["ntfy", "x"])
        let error = #expect(throws: ConfigurationError.self) { try RuleFile.parse(json5: text, targets: ["ntfy"]) }
        #expect(error?.key == "rules[0].channels[1]" && error?.place != nil)
    }

    @Test("rules that could hold up the relay are refused when they are loaded")
    func cost() {
        let words = (0..<10_000).map { "\"w\($0)\"" }.joined(separator: ",")
        let rules = (0..<300).map { #"{name: "r\#($0)", severity: "info", when: {words: {any_of: ["a"]}}}"# }
        #expect(throws: ConfigurationError.self) {
            try RuleFile.parse(json5: Array("{rules: [\(rules.joined(separator: ","))]}".utf8))
        }
        #expect(throws: Never.self) {
            try RuleFile.parse(
                json5: Array(#"{rules: [{name: "a", severity: "info", when: {words: {any_of: [\#(words)]}}}]}"#.utf8))
        }
    }
}
