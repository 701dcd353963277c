// The OpenAPI document against the real relay: schemathesis (PyPI) sends requests made from the schemas, right ones and
// wrong ones, and checks that every answer is one the document promises.

import Foundation
import HTTPClient
import System
import Testing

@Suite("the interface description", .serialized)
struct InterfaceDescriptionTests {
    /// Seconds that schemathesis may generate requests for.
    static let seconds = 40

    private static let hooks = """
        # JSON Schema calls 612.0 an integer; a report's numbers are written as integers, because their digits are part
        # of its identity. Such bodies prove nothing.
        import schemathesis

        @schemathesis.hook
        def filter_body(context, body):
            media = body.get("media") if isinstance(body, dict) else None
            entries = [body] if isinstance(body, dict) else []
            entries += [entry for entry in media if isinstance(entry, dict)] if isinstance(media, list) else []
            return not any(isinstance(entry.get(key), float) for entry in entries for key in ("seq", "bytes"))
        """

    /// 413 refuses as well as 422 does. Decisions are tried on an alert that is there.
    private static func settings(alertID: String?) -> String {
        """
        hooks = "hooks.py"
        \(alertID.map { "[parameters]\n\"path.alert_id\" = \"\($0)\"" } ?? "")
        [checks.negative_data_rejection]
        expected-statuses = [400, 403, 404, 405, 406, 409, 413, 414, 415, 422, 429, 431, 503]
        """
    }

    @Test("schemathesis finds no violation at the relay", .timeLimit(.minutes(4)))
    func relay() throws {
        let station = try Station()
        defer { station.end() }
        try station.relay.start()
        let report = Requests.report(seq: 1, extra: #","citizens":[{"name":"Ada Martin","peacescore":1}]"#)
        #expect(try Requests.post(station.relay, report).status == 202)
        let alert = try #require((try station.json(station.relay, "/v1/alerts")["alerts"] as? [[String: Any]])?.first)
        try Self.settings(alertID: try #require(alert["alert_id"] as? String)).write(
            toFile: "\(station.folder)/schemathesis.toml", atomically: true, encoding: .utf8)
        try check(station.relay, in: station.folder, seconds: Self.seconds, ["--exclude-path-regex", "stream$"])
        #expect(station.relay.isReady)
    }

    /// Not a batch (nothing generates compressed lines with their digest), and not that any text is valid SQL.
    @Test("schemathesis finds no violation at central", .timeLimit(.minutes(4)))
    func central() throws {
        let station = try Station()
        defer { station.end() }
        try station.central.start()
        try Self.settings(alertID: nil).write(
            toFile: "\(station.folder)/schemathesis.toml", atomically: true, encoding: .utf8)
        try check(
            station.central, in: station.folder, seconds: Self.seconds / 2,
            ["--exclude-path-regex", "batches|stream$|v1/rules$", "--exclude-checks", "positive_data_acceptance"])
        #expect(station.central.isReady)
    }

    private func check(_ server: Server, in folder: String, seconds: Int, _ more: [String]) throws {
        guard let schemathesis = Programs.python.map({ FileSystem.parent(of: $0) + "/schemathesis" }),
            FileSystem.isExecutable(schemathesis)
        else {
            try Test.cancel("schemathesis is not in .tools/python; run make deps")
        }
        try Self.hooks.write(toFile: "\(folder)/hooks.py", atomically: true, encoding: .utf8)
        let seed = Int.random(in: 1...1_000_000)
        var run = ChildProcess.Configuration(
            executable: schemathesis,
            arguments: [
                "run", server.address + "/openapi.json", "--phases", "examples,coverage,fuzzing", "--max-time",
                "\(seconds)", "--request-timeout", "10", "--no-color", "--seed", "\(seed)", "--generation-database",
                "none",
            ] + more)
        run.workingDirectory = folder
        run.standardOutput = .file("\(folder)/schemathesis.out")
        run.standardError = .file("\(folder)/schemathesis.out")
        let status = try ChildProcess(run).wait(timeoutSeconds: 180)
        let output = (try? String(contentsOfFile: "\(folder)/schemathesis.out", encoding: .utf8)) ?? ""
        #expect(status == .exited(0), "seed \(seed)\n\(Self.short(output))")
    }

    /// The findings without the generated bodies, which can be megabytes long.
    private static func short(_ output: String) -> String {
        output.split(separator: "\n").map { $0.prefix(400) }.suffix(120).joined(separator: "\n")
    }
}
