// A cluster of real servers on loopback: three NATS servers, SeaweedFS, centrals, relays; each can be killed, stopped,
// started again.

import ColumbaCommands
import DroneClient
import Foundation
import Glibc
import HTTPClient
import Simulation
import System
import Testing
import TestSupport

/// One process of a plan.
final class PlannedServer: Sendable {
    let plan: ServerPlan
    private let process = Monitor<ChildProcess?>(nil)
    /// Put before the command: another user, so that its packets can be told apart.
    private let prefix: [String]

    init(_ plan: ServerPlan, prefix: [String] = []) {
        self.plan = plan
        self.prefix = prefix
    }

    var name: String { plan.name }
    var log: String { (try? String(contentsOfFile: plan.logFile, encoding: .utf8)) ?? "" }
    var isRunning: Bool { process.withLock { $0 }?.isRunning ?? false }
    var isReady: Bool { (try? HTTPClient().perform(HTTPClientRequest(url: plan.readyURL)))?.status == 200 }

    func launch() throws {
        let program: String =
            switch plan.program {
            case .sister(let name): try Programs.path(name)
            case .path(let path): path
            }
        let command = prefix + [program] + plan.arguments
        var settings = ChildProcess.Configuration(executable: command[0], arguments: Array(command.dropFirst()))
        settings.environment = Environment.variables.merging(plan.environment) { $1 }
        settings.workingDirectory = plan.workingDirectory
        settings.standardOutput = .file(plan.logFile)
        settings.standardError = .file(plan.logFile)
        let started = try ChildProcess(settings)
        process.withLock { $0 = started }
    }

    func waitUntilReady() throws {
        try #require(
            eventually(within: 30, everyMilliseconds: 20) { isReady }, "\(name) is not ready:\n\(log.suffix(2_000))")
    }

    func start() throws {
        try launch()
        try waitUntilReady()
    }

    func signal(_ number: Int32) { process.withLock { $0 }?.kill(number) }

    /// SIGKILL: no handler runs, nothing is flushed.
    func kill() {
        let ended = process.withLock { process in
            defer { process = nil }
            return process
        }
        // A stopped process dies as well.
        ended?.kill(SIGKILL)
        _ = try? ended?.wait(timeoutSeconds: 60)
    }

    func terminate() throws -> System.ExitStatus? {
        let ended = process.withLock { process in
            defer { process = nil }
            return process
        }
        ended?.kill(SIGTERM)
        return try ended?.wait(timeoutSeconds: 60)
    }
}

final class ClusterStation: Sendable {
    static var missing: String? {
        do {
            _ = try ServerTool.natsServer.locate()
            _ = try ServerTool.seaweed.locate()
            return nil
        } catch {
            return error.message
        }
    }

    let folder: String
    let nats: [PlannedServer]
    let store: PlannedServer
    let centrals: [PlannedServer]
    let relays: [PlannedServer]
    let relayURLs: [String]
    let centralURLs: [String]
    let intakeURLs: [String]

    /// - Parameter users: the first of as many user ids as there are centrals, each running as its own, and NATS
    ///   servers likewise; nil: as we do.
    init(_ options: ClusterPlan.Options, relays count: Int = 2, users: Int? = nil) throws {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-cluster")
        let needed = ClusterPlan.portsNeeded(options)
        let ports = try FreePorts.find(needed + count)
        let plan = try ClusterPlan(folder: folder, options: options, ports: Array(ports.prefix(needed)))
        func prefix(_ user: Int?) -> [String] {
            user.map { ["/usr/bin/setpriv", "--reuid=\($0)", "--clear-groups"] } ?? []
        }
        nats = plan.nats.enumerated().map { index, server in
            PlannedServer(server, prefix: prefix(users.map { _ in Self.firstNATSUser + index }))
        }
        store = PlannedServer(plan.store)
        centrals = plan.centrals.enumerated().map { index, central in
            PlannedServer(central.server, prefix: prefix(users.map { $0 + index }))
        }
        centralURLs = plan.centrals.map(\.analystURL)
        intakeURLs = plan.centrals.map(\.intakeURL)
        try Station.rules.write(toFile: "\(folder)/rules.json5", atomically: true, encoding: .utf8)
        let urls = plan.centrals.map(\.intakeURL)
        var relays: [PlannedServer] = []
        var relayURLs: [String] = []
        for index in 0..<count {
            let port = ports[needed + index]
            let turn = index % urls.count
            let central = (urls[turn...] + urls[..<turn]).map { "\"\($0)\"" }.joined(separator: ", ")
            let path = "\(folder)/relay-\(index).json5"
            // Where the drones are: each relay has its share of them.
            let place = Region.all[index % Region.all.count].station
            try """
            {relay_id: "north-\(index)", position: {lat: \(place.latitude), lon: \(place.longitude)},
             listen: "127.0.0.1:\(port)", data_dir: "relay-\(index)", rules: "rules.json5", central: [\(central)]}
            """.write(toFile: path, atomically: true, encoding: .utf8)
            let url = "http://127.0.0.1:\(port)"
            relayURLs.append(url)
            relays.append(
                PlannedServer(
                    ServerPlan(
                        name: "relay-\(index)", program: .sister("columba-relay"),
                        arguments: ["run", "--config", path],
                        workingDirectory: folder, readyURL: "\(url)/readyz", logFile: "\(folder)/relay-\(index).log")))
        }
        self.relays = relays
        self.relayURLs = relayURLs
        guard users != nil else { return }
        _ = chmod(folder, 0o777)
        let read = try FileSystem.list(folder).filter {
            $0.hasSuffix(".json5") || $0.hasSuffix(".conf") || $0.hasPrefix("s3-")
        }
        for name in read {
            _ = chmod("\(folder)/\(name)", 0o644)
        }
    }

    private var all: [PlannedServer] { relays + centrals + [store] + nats }

    func start() throws {
        for stage in [nats + [store], centrals, relays] {
            for server in stage { try server.launch() }
            for server in stage { try server.waitUntilReady() }
        }
    }

    /// Kills whatever still runs and removes the folder.
    func end() {
        for server in all { server.kill() }
        try? FileSystem.removeTree(folder)
    }

    // MARK: Questions

    func json(_ url: String) -> [String: Any]? {
        guard let response = try? HTTPClient().perform(HTTPClientRequest(url: url, timeoutSeconds: 3)),
            response.status == 200
        else { return nil }
        return try? JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any]
    }

    func metrics(_ index: Int) throws -> String {
        let answer = try HTTPClient().perform(HTTPClientRequest(url: centralURLs[index] + "/metrics"))
        return String(decoding: answer.body, as: UTF8.self)
    }

    /// Of the first central that answers.
    func central(_ path: String) -> [String: Any]? {
        centralURLs.lazy.compactMap { self.json($0 + path) }.first
    }

    /// Rows of a SELECT, from the first central that answers.
    func rows(_ sql: String, limit: Int = 100_000) throws -> [[String: Any]] {
        var last = ""
        for url in centralURLs {
            var request = HTTPClientRequest(method: "POST", url: url + "/v1/sql", timeoutSeconds: 30)
            request.headers = [("Content-Type", "application/json")]
            request.body = Array(
                try JSONSerialization.data(withJSONObject: ["sql": sql, "format": "json", "limit": limit]))
            guard let response = try? HTTPClient().perform(request) else { continue }
            guard response.status == 200 else {
                last = String(decoding: response.body, as: UTF8.self)
                continue
            }
            let answer = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any]
            return try #require(answer?["rows"] as? [[String: Any]])
        }
        throw SystemError(operation: "ask", path: sql, errno: 5, detail: last)
    }

    func count(_ sql: String) throws -> Int { try #require(try rows(sql).first?["n"] as? Int) }

    /// Records that left a relay and were acknowledged by some central.
    func forwarded(_ relay: Int) -> Int? {
        (json(relayURLs[relay] + "/v1/status")?["counters"] as? [String: Any])?["forwarded"] as? Int
    }

    func waiting() -> Int? {
        var sum = 0
        for url in relayURLs {
            guard let buffer = json(url + "/v1/status")?["buffer"] as? [String: Any], let n = buffer["waiting"] as? Int
            else { return nil }
            sum += n
        }
        return sum
    }

    /// Owner of each partition as this central sees it.
    func owners(_ index: Int) -> [String?] {
        let partitions = json(centralURLs[index] + "/v1/cluster")?["partitions"] as? [[String: Any]] ?? []
        return partitions.map { $0["owner"] as? String }
    }
}

extension ClusterStation {
    /// How far each partition is archived, as the first central that answers knows.
    func positions() -> [Int]? {
        let partitions = central("/v1/cluster")?["partitions"] as? [[String: Any]]
        let positions = partitions?.compactMap { $0["position"] as? Int } ?? []
        return positions.isEmpty ? nil : positions
    }

    /// Which NATS server leads the stream.
    func streamLeader() -> Int? {
        for server in nats {
            let monitor = server.plan.readyURL.replacing("/healthz", with: "/jsz?streams=true")
            let accounts = json(monitor)?["account_details"] as? [[String: Any]] ?? []
            let streams = accounts.flatMap { $0["stream_detail"] as? [[String: Any]] ?? [] }
            guard let stream = streams.first(where: { $0["name"] as? String == "COLUMBA" }),
                let leader = (stream["cluster"] as? [String: Any])?["leader"] as? String
            else { continue }
            return nats.firstIndex { $0.name == leader }
        }
        return nil
    }
}
