// `columba rules test`: what would have fired, and where a rule file is wrong.

import ColumbaCommands
import Foundation
import System
import Testing

@Suite("columba rules test")
struct RulesCommandTests {
    private let folder: String

    init() throws { folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-rules") }

    private func write(_ name: String, _ text: String) throws -> String {
        let path = "\(folder)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test("a good rule file and reports end with 0, a bad rule file with 1, a bad command line with 2")
    func statuses() throws {
        defer { try? FileSystem.removeTree(folder) }
        let rules = try write(
            "rules.json5", "{version: 1, rules: [{name: 'b', severity: 'info', when: {reading: {v: {below: 1}}}}]}")
        let bad = try write("bad.json5", "{version: 1, rules: [{name: 'b', severity: 'grave'}]}")
        let reports = try write("reports.ndjson", #"{"drone_id":"d","location":{"lat":0,"lon":0},"readings":{"v":0}}"#)
        #expect(ColumbaProgram.run(["rules", "test", "--rules", rules, "--reports", reports, "--json"]) == 0)
        #expect(ColumbaProgram.run(["rules", "test", "--rules", rules, reports, reports, "--limit", "0"]) == 0)
        #expect(ColumbaProgram.run(["rules", "test", "--rules", bad, "--reports", reports]) == 1)
        #expect(ColumbaProgram.run(["rules", "test", "--rules", "\(folder)/none"]) == 1)
        #expect(ColumbaProgram.run(["rules", "test"]) == 2)
        #expect(ColumbaProgram.run(["rules", "--rules", rules]) == 2)
    }
}
