// What is shipped to a station: the examples are accepted by the program, the unit by systemd, the metrics and alarms
// by Prometheus; the dashboard asks for metrics that exist; the package holds what it should.

import Foundation
import HTTPClient
import System
import Testing

@Suite("what is shipped to a station", .serialized)
final class DeploymentTests {
    private let folder: String
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let edge = "\(root)/deploy/edge"

    init() throws { folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test") }

    deinit { try? FileSystem.removeTree(folder) }

    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(Self.edge)/\(name)", encoding: .utf8)
    }

    /// Runs a program of the system; nil, said aloud, where it is not installed.
    private func run(
        _ candidates: [String], _ arguments: [String], input: String? = nil, hint: String
    ) throws -> (status: System.ExitStatus, output: String)? {
        guard let executable = candidates.first(where: FileSystem.isExecutable) else {
            print("skipped in part: \(candidates[0]) is missing; \(hint)")
            return nil
        }
        var configuration = ChildProcess.Configuration(executable: executable, arguments: arguments)
        let output = "\(folder)/\(UUID().uuidString)"
        if let input {
            try input.write(toFile: output + ".in", atomically: true, encoding: .utf8)
            configuration.standardInput = .file(output + ".in")
        }
        configuration.standardOutput = .file(output)
        configuration.standardError = .file(output)
        let status = try #require(try ChildProcess(configuration).wait(timeoutSeconds: 360), "\(executable) hangs")
        return (status, (try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
    }

    private func promtool(
        _ arguments: [String], input: String? = nil
    ) throws -> (status: System.ExitStatus, output: String)? {
        try run(["/usr/bin/promtool"], arguments, input: input, hint: "apt-get install prometheus has it")
    }

    /// Names of metrics in an expression.
    private static func metrics(in text: String) -> Set<String> {
        Set(text.matches(of: /columba_[a-z0-9_]+/).map { String($0.output) })
    }

    /// Metrics of relay and central as they are served, after some traffic.
    private func served() throws -> (relay: String, central: String) {
        let station = try Station()
        defer { station.end() }
        try station.start()
        let low = #","citizens":[{"name":"Ada Martin","peacescore":1}]"#
        #expect(try Requests.post(station.relay, Requests.report(seq: 1, extra: low)).status == 202)
        #expect(station.waitUntilArchived())
        return (try Requests.metrics(station.relay), try Requests.metrics(station.central))
    }

    @Test(
        "promtool finds nothing to object to in the metrics of relay and central; alarms and dashboard name real ones")
    func prometheus() throws {
        let (relay, central) = try served()
        for metrics in [relay, central] {
            guard let checked = try promtool(["check", "metrics"], input: metrics) else { break }
            #expect(checked.status == .exited(0) && checked.output.isEmpty, "\(checked.output)")
        }
        let families = Set(
            (relay + central).split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map {
                String($0.split(separator: " ")[2])
            })
        let alarms = try text("prometheus-alerts.yml")
        if let checked = try promtool(["check", "rules", "\(Self.edge)/prometheus-alerts.yml"]) {
            #expect(checked.status == .exited(0), "\(checked.output)")
        }
        #expect(Self.metrics(in: alarms).subtracting(families) == [])
        let dashboard = try text("grafana-dashboard.json")
        #expect(Self.metrics(in: dashboard).subtracting(families) == [])
        let parsed = try JSONSerialization.jsonObject(with: Data(dashboard.utf8)) as? [String: Any]
        let panels = try #require(parsed?["panels"] as? [[String: Any]])
        for panel in panels {
            let title = panel["title"] as? String ?? ""
            let targets = panel["targets"] as? [[String: Any]] ?? []
            #expect(!title.isEmpty && !targets.isEmpty)
            for expression in targets.compactMap({ $0["expr"] as? String }) {
                #expect(!Self.metrics(in: expression).isEmpty, "\(title): \(expression)")
            }
        }
    }

    @Test("the example configuration and rules pass the check, from where the package puts them")
    func examples() throws {
        for name in ["relay.json5", "rules.json5"] {
            let example = try text(name).replacing("/var/lib/columba-relay", with: "\(folder)/data")
            try example.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
        }
        let free = try FreePorts.find(2)
        let path = "\(folder)/relay.json5"
        let example = try String(contentsOfFile: path, encoding: .utf8)
        try example.replacing(":8080", with: ":\(free[0])").replacing(":8081", with: ":\(free[1])").write(
            toFile: path, atomically: true, encoding: .utf8)
        let checked = try Programs.run("columba-relay", ["check", "--config", path], folder: folder)
        #expect(checked.status == .exited(0) && checked.output.hasPrefix("ok: relay north-3, 4 rules, version 1"))
        #expect(!checked.errors.contains("error"), "\(checked.errors)")
    }

    @Test("systemd accepts the unit")
    func unit() throws {
        let path = "\(folder)/columba-relay.service"
        try text("columba-relay.service").replacing("/usr/bin/columba-relay", with: Programs.path("columba-relay"))
            .replacing(/Documentation=.*\n/, with: "").write(toFile: path, atomically: true, encoding: .utf8)
        let tool = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"]
        guard let checked = try run(tool, ["verify", path], hint: "it is part of systemd") else { return }
        let complaints = checked.output.split(separator: "\n").filter { $0.contains("columba-relay.service") }
        #expect(complaints.isEmpty, "\(checked.output)")
    }

    @Test("the package holds program, unit, configuration and documents, and says what it needs")
    func package() throws {
        let hint = "packages are made on Debian or Ubuntu"
        let arguments = ["--binary", try Programs.path("columba-relay"), "--output", folder]
        guard FileSystem.isExecutable("/usr/bin/dpkg-deb") else {
            try Test.cancel("/usr/bin/dpkg-deb is missing; \(hint)")
        }
        let built = try #require(try run(["\(Self.edge)/build-deb"], arguments, hint: hint))
        #expect(built.status == .exited(0), "\(built.output)")
        let name = try #require(try FileSystem.list(folder).first { $0.hasSuffix(".deb") })
        let contents = try #require(try run(["/usr/bin/dpkg-deb"], ["--contents", "\(folder)/\(name)"], hint: hint))
        let files = contents.output.split(separator: "\n").filter { !$0.hasSuffix("/") }
        let expected = [
            "/usr/bin/columba-relay", "/lib/systemd/system/columba-relay.service", "/etc/columba/relay.json5",
            "/etc/columba/rules.json5", "/usr/share/bash-completion/completions/columba-relay",
            "/usr/share/doc/columba-relay/copyright", "/usr/share/doc/columba-relay/runbook.md",
            "/usr/share/doc/columba-relay/operations.md", "/usr/share/doc/columba-relay/prometheus-alerts.yml",
            "/usr/share/doc/columba-relay/grafana-dashboard.json",
        ]
        for path in expected { #expect(files.contains { $0.hasSuffix(".\(path)") }, "\(path) is missing") }
        // The console: our own pages always, the libraries where the machine that builds has them.
        let pages = files.filter { $0.contains("./usr/share/columba/pages/") }
        for name in ["relay/index.html", "relay/main.js", "shared/theme.css"] {
            #expect(pages.contains { $0.hasSuffix("/pages/\(name)") }, "\(name) is missing")
        }
        #expect(pages.allSatisfy { $0.hasPrefix("-rw-r--r--") && !$0.contains("/central/") })
        #expect(files.count == expected.count + pages.count, "\(contents.output)")
        #expect(files.allSatisfy { $0.contains(" root/root ") })
        let fields = try #require(try run(["/usr/bin/dpkg-deb"], ["--field", "\(folder)/\(name)"], hint: hint)).output
        #expect(fields.contains("Package: columba-relay\n"))
        for library in ["libmicrohttpd12", "libsqlite3-0", "libzstd1"] { #expect(fields.contains(library)) }
    }
}
