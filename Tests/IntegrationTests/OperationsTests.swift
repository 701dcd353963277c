// A relay under a service manager: ready, watched, reloaded, stopped; and what it does when its disk hangs.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite("a relay in operation", .serialized)
final class OperationsTests {
    let station: Station

    init() throws { station = try Station(relayExtra: "limits: {report_burst_per_drone: 20}") }

    deinit { station.end() }

    private var relay: Server { station.relay }
    private var configurationPath: String { "\(station.folder)/relay-0.json5" }

    private func write(_ text: String, _ name: String) throws {
        try text.write(toFile: "\(station.folder)/\(name)", atomically: true, encoding: .utf8)
    }

    private func check(_ more: [String] = []) throws -> (status: System.ExitStatus, output: String, errors: String) {
        try Programs.run("columba-relay", ["check", "--config", configurationPath] + more, folder: station.folder)
    }

    private func section(_ name: String) throws -> [String: Any] {
        try #require(try station.json(relay, "/v1/status")[name] as? [String: Any])
    }

    @Test("the service manager hears READY, STATUS, WATCHDOG, RELOADING and STOPPING")
    func notifications() throws {
        let manager = try FakeServiceManager(folder: station.folder)
        relay.environment = ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000"]
        try relay.start()
        #expect(manager.waits(for: "READY=1"))
        #expect(manager.messages.contains { $0.contains("STATUS=0 waiting") })
        #expect(manager.waits(for: "WATCHDOG=1", count: 3))
        manager.forget()
        relay.signal(SIGHUP)
        #expect(manager.waits(for: "RELOADING=1") && manager.waits(for: "READY=1"))
        let reloading = try #require(manager.messages.first { $0.hasPrefix("RELOADING=1\n") })
        #expect(reloading.contains("\nMONOTONIC_USEC="))
        #expect(try relay.terminate() == .exited(0))
        #expect(manager.count(of: "STOPPING=1") == 1)
    }

    @Test("SIGHUP puts new rules and limits in force; a bad file changes nothing and is named everywhere")
    func reload() throws {
        try relay.start()
        let low = #","citizens":[{"name":"Ada Martin","peacescore":30}]"#
        #expect(try Requests.post(relay, Requests.report(seq: 1, extra: low)).status == 202)
        #expect((try station.json(relay, "/v1/alerts")["alerts"] as? [Any])?.isEmpty == true)

        try write(Station.rules.replacing("version: 3", with: "version: 4").replacing("20", with: "40"), "rules.json5")
        relay.signal(SIGHUP)
        #expect(
            eventually(within: 10) { (try? self.station.json(self.relay, "/v1/status")["rules_version"] as? Int) == 4 })
        #expect(try Requests.post(relay, Requests.report(seq: 2, extra: low)).status == 202)
        #expect((try station.json(relay, "/v1/alerts")["alerts"] as? [Any])?.count == 1)
        #expect(try section("configuration")["reload_error"] is NSNull)

        try write("{version: 5, rules: [{name: 'x', severity: 'loud', when: {silent_for_s: 1}}]}", "rules.json5")
        let checked = try check()
        #expect(checked.status == .exited(1) && checked.errors.contains("rules[0].severity"))
        relay.signal(SIGHUP)
        #expect(eventually(within: 10) { self.relay.log.contains("reload_refused") })
        let figures = try section("configuration")
        #expect((figures["reload_error"] as? String)?.contains("rules[0].severity") == true)
        #expect(try station.json(relay, "/v1/status")["rules_version"] as? Int == 4)
        #expect(try Requests.post(relay, Requests.report(seq: 3, extra: low)).status == 202)
        #expect((try station.json(relay, "/v1/alerts")["alerts"] as? [Any])?.count == 2)
        let metrics = try Requests.metrics(relay)
        #expect(metrics.contains(#"columba_relay_reloads_total{result="refused"} 1"#))
        #expect(metrics.contains("columba_relay_last_reload_successful 0"))
    }

    @Test("a reload changes a drone's rate at once, and says which keys wait for a restart")
    func reloadLimits() throws {
        try relay.start()
        for seq in 1...20 { #expect(try Requests.post(relay, Requests.report(seq: seq)).status == 202) }
        let text = try String(contentsOfFile: configurationPath, encoding: .utf8)
        let strict = "limits: {report_burst_per_drone: 1, reports_per_drone_per_s: 0.001, threads: 3}"
        try write(text.replacing("limits: {report_burst_per_drone: 20}", with: strict), "relay-0.json5")
        relay.signal(SIGHUP)
        #expect(eventually(within: 10) { self.relay.log.contains(" reloaded ") })
        #expect(try section("configuration")["needs_restart"] as? [String] == ["limits.threads"])
        _ = try Requests.post(relay, Requests.report(seq: 21))
        let refused = try Requests.post(relay, Requests.report(seq: 22))
        #expect(refused.status == 429 && Int(refused.header("retry-after") ?? "") ?? 0 > 1)
        #expect(Requests.object(refused)["code"] as? String == "too_many_reports")
    }

    @Test("check finds what would stop a start: a port in use, a folder that cannot be, a misspelt key")
    func checkBeforeStart() throws {
        #expect(try check().status == .exited(0))
        let other = try Station()
        defer { other.end() }
        try other.relay.start()
        let text = try String(contentsOfFile: configurationPath, encoding: .utf8)
        try write(text.replacing(":\(relay.port)", with: ":\(other.relay.port)"), "relay-0.json5")
        let taken = try check(["--json"])
        #expect(taken.status == .exited(1) && taken.output.contains(#""key":"listen""#))
        try write(text.replacing(#""relay-0""#, with: #""relay-0.json5/data""#), "relay-0.json5")
        #expect(try check().errors.contains("error: data_dir: "))
        try write(text.replacing("limits:", with: "limit:"), "relay-0.json5")
        #expect(try check().errors.contains("limit: unknown key"))
        try write(text, "relay-0.json5")
        try relay.start()
        // A running relay's ports are its own.
        let running = try check()
        #expect(running.status == .exited(0) && running.output.contains("a relay runs"))
        #expect(try Programs.run("columba-relay", ["chek"], folder: station.folder).status == .exited(2))
    }

    @Test("a second relay on the same data directory is refused and the first goes on")
    func secondProcess() throws {
        try relay.start()
        let second = try Programs.run("columba-relay", ["run", "--config", configurationPath], folder: station.folder)
        #expect(second.status == .exited(1) && second.errors.contains("uses this directory already"))
        #expect(relay.isReady)
    }

    @Test("as many drones as the board has room for are all listed, and asking for them holds up no report")
    func manyDrones() throws {
        let text = try String(contentsOfFile: configurationPath, encoding: .utf8)
        try write(text.replacing("limits: {", with: "limits: {drones_on_board: 2000, "), "relay-0.json5")
        try relay.start()
        for first in stride(from: 0, to: 2_000, by: 500) {
            let lines = (first..<first + 500).map { Requests.report(drone: "drone-\($0)", seq: 1) }
            let answer = try Requests.post(relay, lines.joined(separator: "\n"), type: "application/x-ndjson")
            #expect(answer.status == 202)
        }
        let asking = try (0..<8).map { _ in try RawSocket(port: relay.port) }
        for socket in asking { socket.send("GET /v1/drones HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }
        #expect(try Requests.post(relay, Requests.report(drone: "drone-0", seq: 2)).status == 202)
        for socket in asking { #expect(socket.receiveAll().hasPrefix("HTTP/1.1 200 OK")) }
        #expect((try station.json(relay, "/v1/drones")["drones"] as? [Any])?.count == 2_000)
    }

    @Test("a relay that stood still for a while (SIGSTOP) goes on where it was")
    func frozen() throws {
        try relay.start()
        #expect(try Requests.post(relay, Requests.report(seq: 1)).status == 202)
        let waiting = try RawSocket(port: relay.port)
        relay.signal(SIGSTOP)
        poll(nil, 0, 50)
        waiting.send("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        poll(nil, 0, 6_500)
        relay.signal(SIGCONT)
        #expect(waiting.receiveAll().hasPrefix("HTTP/1.1 200 OK"), "who waited meanwhile is answered, not cut")
        #expect(try Requests.post(relay, Requests.report(seq: 1)).status == 202)
        let counters = try section("counters")
        #expect(counters["stored"] as? Int == 1 && counters["duplicates"] as? Int == 1)
    }

    @Test("what was acknowledged before SIGTERM under load is in the buffer afterwards", .timeLimit(.minutes(3)))
    func terminate() throws {
        try relay.start()
        let ledgerPath = "\(station.folder)/ledger"
        var fly = ChildProcess.Configuration(
            executable: try Programs.path("columba"),
            arguments: [
                "fly", "--relay", relay.address, "--drones", "50", "--reports", "1000000", "--seed", "11",
                "--ledger", ledgerPath,
            ])
        fly.standardError = .null
        let client = try ChildProcess(fly)
        defer { client.kill() }
        #expect(eventually(within: 60) { Ledger.lineCount(ledgerPath) > 300 })
        // Clients that hold their connections open must not hold up the stop either.
        let silent = try (0..<20).map { _ in try RawSocket(port: relay.port) }
        for socket in silent { socket.send("POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{") }
        let time = SystemTime()
        let started = time.monotonicNanoseconds()
        #expect(try relay.terminate() == .exited(0), "\(relay.log.suffix(2_000))")
        #expect(Waiting.isWithin(5, since: started))
        client.kill()
        _ = try client.wait(timeoutSeconds: 60)

        try station.start()
        #expect(station.waitUntilArchived())
        let (ledger, archive) = (try Ledger(path: ledgerPath), try Ledger.archived(station))
        #expect(ledger.digests.count > 300)
        let lost = ledger.digests.filter { archive.digests[$0.key] != $0.value }
        #expect(lost.isEmpty, "acknowledged and not archived: \(lost.keys.sorted().prefix(5))")
    }
}

extension Requests {
    static func metrics(_ server: Server) throws -> String {
        let response = try HTTPClient().perform(HTTPClientRequest(url: server.address + "/metrics"))
        return String(decoding: response.body, as: UTF8.self)
    }
}

/// A connection to a server that sends exactly what it is told.
final class RawSocket {
    private let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = Loopback.tcpSocket()
        guard Loopback.connect(descriptor, to: port) else { throw SystemError(operation: "connect", errno: errno) }
    }

    deinit { close(descriptor) }

    /// Until the server closes; at most 2 s without a byte.
    func receiveAll() -> String {
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var (received, buffer): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 65_536))
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return String(decoding: received, as: UTF8.self) }
            received += buffer[..<count]
        }
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
