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
}
