// What the integration tests run: real programs with real files on loopback, in a folder of their own.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

/// One server process that can be killed and started again on the same data and port.
final class Server {
    let name: String
    let port: UInt16
    private let arguments: [String]
    private let logPath: String
    /// Added to this process's own.
    var environment: [String: String] = [:]
    private var process: ChildProcess?
    private var isTraced = false
    /// Where its health is asked; a server that speaks TLS only wants to see a certificate.
    var health: HTTPClientRequest

    init(_ name: String, configuration: String, port: UInt16, folder: String) {
        self.name = name
        self.port = port
        arguments = ["run", "--config", configuration]
        logPath = "\(folder)/\(name)-\(port).log"
        health = HTTPClientRequest(url: "http://127.0.0.1:\(port)", timeoutSeconds: 2)
    }

    var address: String { "http://127.0.0.1:\(port)" }
    var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// Starts the program, by itself or `under` another (a tracer with its options), and waits until it is ready, or
    /// until another address answers 200.
    func start(under tracer: [String] = [], waitingFor path: String = "/readyz") throws {
        let command = tracer + [try Programs.path(name)] + arguments
        var configuration = ChildProcess.Configuration(executable: command[0], arguments: Array(command.dropFirst()))
        // A tracer that is killed must not leave the program behind: both are in one group.
        configuration.ownProcessGroup = !tracer.isEmpty
        isTraced = !tracer.isEmpty
        configuration.standardError = .file(logPath)
        configuration.environment = Environment.variables.merging(environment) { $1 }
        process = try ChildProcess(configuration)
        try #require(
            eventually(within: 30) { self.answers(path) },
            "\(name) did not become ready; its log:\n\(log.suffix(3_000))")
    }

    var isReady: Bool { answers("/readyz") }

    private func answers(_ path: String) -> Bool {
        var request = health
        request.url += path
        return (try? HTTPClient().perform(request))?.status == 200
    }

    /// Starts the program without waiting for anything, for one that is expected to end by itself or to be killed.
    func launch() throws {
        var configuration = ChildProcess.Configuration(executable: try Programs.path(name), arguments: arguments)
        configuration.standardError = .file(logPath)
        process = try ChildProcess(configuration)
    }

    /// The exit status of a program that ends by itself.
    func waitForEnd(withinSeconds seconds: Double) throws -> System.ExitStatus? {
        try process?.wait(timeoutSeconds: seconds)
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    func kill() throws {
        if isTraced, let group = process?.processID { Glibc.kill(-group, SIGKILL) }
        process?.kill(SIGKILL)
        _ = try process?.wait(timeoutSeconds: 60)
        process = nil
    }

    func signal(_ number: Int32) { process?.kill(number) }

    /// SIGTERM, and the exit status.
    func terminate() throws -> System.ExitStatus? {
        process?.kill(SIGTERM)
        defer { process = nil }
        return try process?.wait(timeoutSeconds: 60)
    }

    var isRunning: Bool { process?.isRunning ?? false }
    var processID: Int32? { process?.processID }
}

/// Central and relays on this machine.
final class Station {
    let folder: String
    let central: Server
    let relays: [Server]

    init(relays count: Int = 1, maxWaitSeconds: Double = 0.3, relayExtra: String = "", centralExtra: String = "") throws
    {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-test")
        let ports = try FreePorts.find(count + 1)
        let centralPath = "\(folder)/central.json5"
        try Self.write(
            """
            {listen: "127.0.0.1:\(ports[0])", data_dir: "central", archive: {max_wait_s: \(maxWaitSeconds)},
             \(centralExtra)}
            """, centralPath)
        try Self.write(Self.rules, "\(folder)/rules.json5")
        central = Server("columba-central", configuration: centralPath, port: ports[0], folder: folder)
        var relays: [Server] = []
        for index in 0..<count {
            let path = "\(folder)/relay-\(index).json5"
            try Self.write(
                """
                {relay_id: "north-\(index)", position: {lat: 48.85, lon: 2.35}, listen: "127.0.0.1:\(ports[index + 1])",
                 data_dir: "relay-\(index)", rules: "rules.json5", central: ["http://127.0.0.1:\(ports[0])"],
                 \(relayExtra)}
                """, path)
            relays.append(Server("columba-relay", configuration: path, port: ports[index + 1], folder: folder))
        }
        self.relays = relays
    }

    var relay: Server { relays[0] }

    static let rules = """
        {version: 3, rules: [
          {name: "low-peacescore", severity: "critical", when: {citizen: {peacescore: {below: 20}}}},
          {name: "battery", severity: "warning", when: {reading: {battery_pct: {below: 15}}}, for_reports: 2},
        ]}
        """

    private static func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    func start() throws {
        try central.start()
        for relay in relays { try relay.start() }
    }

    /// Kills whatever still runs and removes the folder.
    func end() {
        for server in relays + [central] { try? server.kill() }
        try? FileSystem.removeTree(folder)
    }

    // MARK: Questions

    func columba(_ arguments: [String], input: String? = nil) throws -> (
        status: System.ExitStatus, output: String, errors: String
    ) {
        try Programs.run("columba", arguments, input: input, folder: folder)
    }

    /// The rows of a SELECT.
    func rows(_ sql: String) throws -> [[String: Any]] {
        let result = try columba(["sql", "--central", central.address, "--format", "json", sql])
        try #require(result.status.isSuccess, "\(sql): \(result.errors)")
        let answer = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return try #require(answer?["rows"] as? [[String: Any]])
    }

    func count(_ table: String, where condition: String = "true") throws -> Int {
        try #require(try rows("SELECT count(*) AS n FROM \(table) WHERE \(condition)").first?["n"] as? Int)
    }

    func json(_ server: Server, _ path: String) throws -> [String: Any] {
        let response = try HTTPClient().perform(HTTPClientRequest(url: server.address + path))
        return try #require(
            try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any], "\(path): \(response.status)"
        )
    }

    /// Waits until central has archived everything that the relays hold.
    func waitUntilArchived(within seconds: Double = 60) -> Bool {
        eventually(within: seconds, everyMilliseconds: 50) {
            self.relays.allSatisfy { relay in
                let status = try? self.json(relay, "/v1/status")
                return (status?["buffer"] as? [String: Any])?["waiting"] as? Int == 0
            }
        }
    }
}

enum Programs {
    /// Beside the test's own program: they are built together.
    static func path(_ name: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let candidates = [
            Environment.executableDirectory, "\(root)/.build/release", "\(root)/.build/debug",
        ].map { "\($0)/\(name)" }
        return try #require(candidates.first { FileSystem.isExecutable($0) }, "build \(name) first: swift build")
    }

    static func run(
        _ name: String, _ arguments: [String], input: String? = nil, folder: String, timeoutSeconds: Double = 120
    ) throws -> (status: System.ExitStatus, output: String, errors: String) {
        let unique = UUID().uuidString
        let (output, errors, inputPath) = (
            "\(folder)/\(unique).out", "\(folder)/\(unique).err", "\(folder)/\(unique).in"
        )
        var configuration = ChildProcess.Configuration(executable: try path(name), arguments: arguments)
        configuration.standardOutput = .file(output)
        configuration.standardError = .file(errors)
        if let input {
            try input.write(toFile: inputPath, atomically: true, encoding: .utf8)
            configuration.standardInput = .file(inputPath)
        }
        let process = try ChildProcess(configuration)
        guard let status = try process.wait(timeoutSeconds: timeoutSeconds) else {
            process.kill()
            Issue.record("\(name) \(arguments) did not end within \(timeoutSeconds) s")
            throw CancellationError()
        }
        return (
            status, (try? String(contentsOfFile: output, encoding: .utf8)) ?? "",
            (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
        )
    }
}

/// The real files beside the checkout; tests that need them say so where they are missing.
enum SharedData {
    static func path(_ name: String) -> String? {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path
        let path = "\(root)/shared/data/\(name)"
        return FileSystem.exists(path) ? path : nil
    }
}
