// What is shipped for central: the examples are accepted by the program, the units by systemd, the manifests by the
// schemas of Kubernetes, the alarms by Prometheus. That alarms and dashboard ask for metrics that exist, `ClusterTests`
// holds against a running cluster.

import ColumbaCommands
import Foundation
import System
import Testing

enum CentralDeployment {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let folder = "\(root)/deploy/central"

    static func text(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }

    /// Columba's metrics that alarms and dashboard ask for.
    static func metricsAskedFor() throws -> Set<String> {
        let text = try text("prometheus-alerts.yml") + text("grafana-dashboard.json")
        return Set(text.matches(of: /columba_(central|incidents)_[a-z0-9_]+/).map { String($0.output.0) })
    }

    static func families(_ metrics: String) -> Set<String> {
        Set(
            metrics.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map {
                String($0.split(separator: " ")[2])
            })
    }
}

@Suite("what is shipped for central", .serialized)
final class CentralDeploymentTests {
    private let folder: String

    init() throws { folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test") }

    deinit { try? FileSystem.removeTree(folder) }

    /// nil, said aloud, where the program is not installed.
    private func run(_ executable: String, _ arguments: [String], hint: String) throws -> (
        isSuccess: Bool, output: String
    )? {
        guard FileSystem.isExecutable(executable) else {
            print("skipped in part: \(executable) is missing; \(hint)")
            return nil
        }
        var settings = ChildProcess.Configuration(executable: executable, arguments: arguments)
        let output = "\(folder)/\(UUID().uuidString)"
        settings.standardOutput = .file(output)
        settings.standardError = .file(output)
        let status = try #require(try ChildProcess(settings).wait(timeoutSeconds: 120), "\(executable) hangs")
        return (status.isSuccess, (try? String(contentsOfFile: output, encoding: .utf8)) ?? "")
    }

    @Test(
        "the manifests hold against the schemas of Kubernetes, hang together, and so do the servers' files inside them")
    func manifests() throws {
        let python = "\(CentralDeployment.root)/.tools/python/bin/python"
        guard let known = try run(python, ["-c", "import kubernetes_validate"], hint: "make deps"), known.isSuccess
        else {
            try Test.cancel("kubernetes-validate is missing; make deps")
        }
        var arguments = ["\(CentralDeployment.folder)/check-manifests", "--extract", folder]
        if let nats = try? ServerTool.natsServer.locate(), FileSystem.isExecutable("/usr/bin/openssl") {
            arguments += ["--nats-server", nats]
        }
        let checked = try #require(try run(python, arguments, hint: ""))
        #expect(checked.isSuccess && checked.output.hasPrefix("ok: "), "\(checked.output)")
        // Every key is understood; what is missing here is what the secrets bring.
        for name in ["columba-central", "columba-query"] {
            let answer = try Programs.run(
                "columba-central", ["check", "--config", "\(folder)/\(name).json5"], folder: folder)
            #expect(answer.errors.contains("/etc/columba-"), "\(name): \(answer.errors)\(answer.output)")
        }
    }

    @Test("the validator sees what is wrong")
    func manifestsWrong() throws {
        let python = "\(CentralDeployment.root)/.tools/python/bin/python"
        guard let known = try run(python, ["-c", "import kubernetes_validate"], hint: "make deps"), known.isSuccess
        else {
            try Test.cancel("kubernetes-validate is missing; make deps")
        }
        let breaks = [
            ("central.yaml", "secretName: columba-s3", "secretName: columba-s4"),
            ("nats.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
            ("network-policy.yaml", "port: 8091}", "port: 8092}"),
            ("query.yaml", "mountPath: /etc/columba-nats,", "mountPath: /etc/columba-natz,"),
        ]
        for (index, (name, right, wrong)) in breaks.enumerated() {
            let copy = "\(folder)/\(index)"
            try FileManager.default.copyItem(atPath: "\(CentralDeployment.folder)/kubernetes", toPath: copy)
            let text = try String(contentsOfFile: "\(copy)/\(name)", encoding: .utf8)
            let broken = text.replacing(right, with: wrong)
            #expect(broken != text)
            try broken.write(toFile: "\(copy)/\(name)", atomically: true, encoding: .utf8)
            let checked = try run(python, ["\(CentralDeployment.folder)/check-manifests", copy], hint: "")
            #expect(checked?.isSuccess == false, "\(wrong) was not noticed")
        }
    }

    @Test("the examples are accepted: alone by itself, the cluster's up to the files that only its machines have")
    func examples() throws {
        let alone = try CentralDeployment.text("central.json5").replacing("/var/lib/columba-central", with: folder)
        try alone.write(toFile: "\(folder)/alone.json5", atomically: true, encoding: .utf8)
        let checked = try Programs.run(
            "columba-central", ["check", "--config", "\(folder)/alone.json5"], folder: folder)
        #expect(checked.status.isSuccess, "\(checked.errors)")
        let cluster = try Programs.run(
            "columba-central", ["check", "--config", "\(CentralDeployment.folder)/central-cluster.json5"],
            folder: folder)
        #expect(cluster.errors.contains("/etc/columba/"), "\(cluster.errors)")
    }

    @Test("systemd accepts the units", arguments: ["columba-central", "columba-nats", "columba-weed"])
    func units(name: String) throws {
        let path = "\(folder)/\(name).service"
        // Whether the programs are there is not the question.
        try CentralDeployment.text("\(name).service").replacing(
            /\/usr\/bin\/(columba-central|nats-server|weed)/, with: "/bin/true"
        )
        .replacing(/Documentation=.*\n/, with: "").write(toFile: path, atomically: true, encoding: .utf8)
        let hint = "it is part of systemd"
        guard let checked = try run("/usr/bin/systemd-analyze", ["verify", path], hint: hint) else { return }
        let complaints = checked.output.split(separator: "\n").filter { $0.contains("\(name).service") }
        #expect(complaints.isEmpty, "\(checked.output)")
    }

    @Test("promtool accepts the alarms, and the runbook has a line for each")
    func alarms() throws {
        let alarms = "\(CentralDeployment.folder)/prometheus-alerts.yml"
        if let checked = try run("/usr/bin/promtool", ["check", "rules", alarms], hint: "apt-get install prometheus") {
            #expect(checked.isSuccess, "\(checked.output)")
        }
        let runbook = try CentralDeployment.text("RUNBOOK.md")
        let names = try CentralDeployment.text("prometheus-alerts.yml").matches(of: /alert: Columba(Central)?(\w+)/)
        #expect(names.count > 10)
        for name in names { #expect(runbook.contains(String(name.output.2)), "\(name.output.2)") }
        let dashboard = try JSONSerialization.jsonObject(
            with: Data(try CentralDeployment.text("grafana-dashboard.json").utf8))
        let panels = try #require((dashboard as? [String: Any])?["panels"] as? [[String: Any]])
        for panel in panels { #expect((panel["targets"] as? [[String: Any]])?.isEmpty == false) }
    }
}
