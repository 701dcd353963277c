// What the tests of delivery share: a webhook's receiver, alerts, a delivery on a folder of its own, Python.

import AlertRules
import Configuration
import EdgeRelay
import Foundation
import Glibc
import HTTPServer
import Log
import Models
import Synchronization
import System
import Testing

/// An HTTP server on loopback that remembers what it was sent and answers as told; nil: it never answers.
final class Receiver: HTTPHandler {
    struct Received: Sendable {
        let path: String
        let headers: [String: String]
        let body: [UInt8]

        var object: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]) ?? [:]
        }
    }

    private static let headerNames = [
        "columba-signature", "columba-timestamp", "columba-alert-id", "columba-try", "content-type",
    ]

    private struct State {
        var received: [Received] = []
        var held: [HTTPExchange] = []
        var answer: @Sendable (Int) -> HTTPResponse?
        var server: HTTPServer?
    }

    private let state: Mutex<State>

    init(port: UInt16 = 0, answer: @escaping @Sendable (Int) -> HTTPResponse? = { _ in .init(status: 204) }) throws {
        state = Mutex(State(answer: answer))
        let server = try HTTPServer(HTTPServerConfiguration(port: port, stopTimeoutSeconds: 1), handler: self)
        state.withLock { $0.server = server }
    }

    var port: UInt16 { state.withLock { $0.server }?.port ?? 0 }
    var url: String { "http://127.0.0.1:\(port)/hook" }
    var received: [Received] { state.withLock { $0.received } }
    var alertIDs: [String] { received.compactMap { $0.object["alert_id"] as? String } }

    func stop() {
        let (server, held) = state.withLock { state in
            defer { state.server = nil }
            return (state.server, state.held)
        }
        for exchange in held { exchange.respond(HTTPResponse(status: 500)) }
        server?.stop()
    }

    func admit(_ head: HTTPRequestHead) -> HTTPAdmission { .body(limitBytes: 1 << 20) }

    func handle(_ exchange: HTTPExchange) {
        var headers: [String: String] = [:]
        for name in Self.headerNames { headers[name] = exchange.header(name) }
        let received = Received(path: exchange.path, headers: headers, body: Array(exchange.body))
        let answer: HTTPResponse? = state.withLock { state in
            state.received.append(received)
            let answer = state.answer(state.received.count)
            if answer == nil { state.held.append(exchange) }
            return answer
        }
        if let answer { exchange.respond(answer) }
    }
}

/// A delivery that sends to given targets, on a data folder that outlives it.
final class DeliveryFixture {
    let folder: String
    let log = LogCapture()
    private var deliveries: [AlertDelivery] = []

    init() throws { folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-delivery") }

    deinit {
        for delivery in deliveries { delivery.stop() }
        try? FileSystem.removeTree(folder)
    }

    func start(_ settings: String, recovered: [AlertEntry] = [], rules: RuleSet = .empty) throws -> AlertDelivery {
        let node = try ConfigurationNode.parse(json5: Array(settings.utf8))
        let parsed = try AlertSettings.read(ConfigurationReader(node, path: "alerts"), relativeTo: folder)
        let delivery = try AlertDelivery(
            parsed, relayID: "north-3", dataDirectory: folder, time: SystemTime(),
            log: Log(component: "delivery", sink: log.sink))
        try delivery.start(recovered: recovered, rules: rules)
        deliveries.append(delivery)
        return delivery
    }

    func write(_ text: String, to name: String) throws {
        try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
    }

    static func rule(
        _ name: String = "low-peacescore", _ severity: AlertSeverity = .critical, channels: [String]? = nil
    ) -> Rule {
        Rule(name: name, severity: severity, condition: .any([]), channels: channels)
    }

    static func alert(
        _ number: Int, severity: AlertSeverity = .critical, citizen: String? = "Ada <Martin> & \"Co\"",
        raisedSecondsAgo: Double = 0
    ) -> Alert {
        let digits = String(number)
        let now = Timestamp(microseconds: SystemTime().wallMicroseconds()).adding(seconds: -raisedSecondsAgo)
        return Alert(
            alertID: String(repeating: "0", count: 32 - digits.count) + digits, rule: "low-peacescore", ruleVersion: 3,
            severity: severity, droneID: "pw-000123", boot: "6f1c", seq: Int64(number),
            location: Place(latitude: 48.8566, longitude: 2.3522), citizen: citizen, value: 12.5, limit: 20,
            observedAt: now, receivedAt: now, raisedAt: now, relayID: "north-3")
    }
}

enum TestPython {
    private static var root: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
    }

    /// The Python of `make deps` with the tests' packages; nil where it was not installed.
    static var path: String? {
        let path = "\(root)/.tools/python/bin/python3"
        return FileSystem.isExecutable(path) ? path : nil
    }

    static func file(_ path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    /// Standard output of a script.
    static func run(_ script: String, _ arguments: [String], folder: String) throws -> String {
        let output = "\(folder)/\(UUID().uuidString).out"
        var configuration = ChildProcess.Configuration(
            executable: try #require(path), arguments: ["-c", script] + arguments)
        configuration.standardOutput = .file(output)
        let process = try ChildProcess(configuration)
        let status = try #require(try process.wait(timeoutSeconds: 180))
        let text = try String(contentsOfFile: output, encoding: .utf8)
        try #require(status.isSuccess, "\(text)")
        return text
    }
}
