// Stations with a single port: operators and analysts ask where drones and relays report, each with a certificate of
// their own role. And the opposite: enrolment on a machine where everything is loopback and plain.

import Foundation
import HTTPClient
import System
import Testing
import TestSupport

@Suite("one port for everyone", .serialized)
struct OnePortTLSTests {
    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private struct OnePort {
        let central: Server
        let relay: Server
    }

    /// The same relay and central, now without ports for operators and analysts.
    private func restart(_ station: SecureStation) throws -> OnePort {
        #expect(try station.relay.terminate() == .exited(0) && station.central.terminate() == .exited(0))
        let folder = station.folder
        try write(
            """
            {listen: "127.0.0.1:\(station.centralPort)", data_dir: "central", archive: {max_wait_s: 0.3},
             tls: {cert: "ca/central.pem", key: "ca/central.pem", client_ca: "ca/ca.pem", ca_dir: "ca"}}
            """, "\(folder)/central-1.json5")
        try write(
            """
            {relay_id: "north-3", listen: "127.0.0.1:\(station.relayPort)", data_dir: "relay", rules: "rules.json5",
             central: ["https://127.0.0.1:\(station.centralPort)"],
             tls: {cert: "relay-id/cert.pem", key: "relay-id/key.pem", client_ca: "relay-id/ca.pem"}}
            """, "\(folder)/relay-1.json5")
        try write(Station.rules, "\(folder)/rules.json5")
        let one = OnePort(
            central: Server(
                "columba-central", configuration: "\(folder)/central-1.json5", port: station.centralPort,
                folder: folder),
            relay: Server(
                "columba-relay", configuration: "\(folder)/relay-1.json5", port: station.relayPort, folder: folder))
        for (server, directory) in [(one.central, "analyst-bo"), (one.relay, "operator-ada")] {
            server.health = HTTPClientRequest(
                url: "https://127.0.0.1:\(server.port)", timeoutSeconds: 2, tls: station.tls(directory))
            try server.start()
        }
        return one
    }

    @Test("operators and analysts are served over TLS by role, with the commands they know")
    func roles() throws {
        let station = try SecureStation()
        defer { station.end() }
        try station.start()
        for identity in ["drone/d-1", "operator/ada", "analyst/bo"] {
            let directory = identity.replacingOccurrences(of: "/", with: "-")
            try #require(try station.enroll("columba://\(identity)", directory).status.isSuccess)
        }
        let one = try restart(station)
        let (central, relay, folder) = (one.central, one.relay, station.folder)
        defer {
            try? relay.kill()
            try? central.kill()
        }
        let low = #","citizens":[{"name":"Ada Martin","peacescore":3}]"#
        #expect(try station.post(Requests.report(seq: 1, extra: low), as: "drone-d-1").status == 202)
        for path in ["/metrics", "/v1/alerts", "/v1/drones", "/"] {
            #expect(try station.ask("GET", relay.port, path, as: "operator-ada").status == 200, "\(path)")
            #expect(try station.ask("GET", relay.port, path, as: "drone-d-1").status == 403, "\(path)")
        }
        #expect(try station.ask("GET", relay.port, "/v1/status", as: "drone-d-1").status == 200)
        func columba(_ command: [String], as directory: String, input: String? = nil) throws -> SecureStation.Outcome {
            let pair = "\(folder)/\(directory)/identity.pem"
            return try Programs.run(
                "columba", command + ["--ca", "\(folder)/ca/ca.pem", "--cert", pair, "--key", pair], input: input,
                folder: folder)
        }
        let alerts = try columba(["alerts", "--relay", "https://127.0.0.1:\(relay.port)"], as: "operator-ada")
        #expect(alerts.status.isSuccess && alerts.output.contains("low-peacescore"), "\(alerts.errors)")
        let sql = [
            "sql", "--central", "https://127.0.0.1:\(central.port)", "--format", "csv",
            "SELECT count(*) AS n FROM reports",
        ]
        var answer = ""
        let isThere = eventually(within: 20, everyMilliseconds: 100) {
            answer = (try? columba(sql, as: "analyst-bo"))?.output ?? ""
            return answer.split(whereSeparator: \.isNewline).last == "1"
        }
        #expect(isThere, "\(answer)")
        #expect(try columba(sql, as: "operator-ada").errors.contains("analyst"))
        let sent = try columba(
            ["send", "--relay", "https://127.0.0.1:\(relay.port)", "-"], as: "drone-d-1",
            input: Requests.report(seq: 2) + "\n")
        #expect(sent.status.isSuccess && sent.output.contains("1 stored"), "\(sent.errors)")
    }

    @Test("on loopback a token can be used over plain HTTP, and nobody is renewed without a certificate")
    func plainEnrolment() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-plain")
        defer { try? FileSystem.removeTree(folder) }
        let port = try FreePorts.find(1)[0]
        try write(
            #"{listen: "127.0.0.1:\#(port)", data_dir: "central", tls: {ca_dir: "ca"}}"#, "\(folder)/central.json5")
        func authority(_ verb: String, _ more: [String] = []) throws -> SecureStation.Outcome {
            try Programs.run("columba-central", ["ca", verb, "--dir", "\(folder)/ca"] + more, folder: folder)
        }
        #expect(try authority("init").status.isSuccess)
        let again = try authority("init")
        #expect(again.status == .exited(1) && again.errors.contains("already"))
        let central = Server("columba-central", configuration: "\(folder)/central.json5", port: port, folder: folder)
        defer { try? central.kill() }
        try central.start()
        func enroll(_ arguments: [String], input: String? = nil) throws -> SecureStation.Outcome {
            try Programs.run(
                "columba", ["enroll", "--central", central.address, "--dir", "\(folder)/d-1"] + arguments, input: input,
                folder: folder)
        }
        let token = try authority("token", ["--for", "columba://drone/d-1"]).output
        let enrolled = try enroll(["--token", "-", "--id", "columba://drone/d-1"], input: token)
        #expect(enrolled.status.isSuccess, "\(enrolled.errors)")
        let renewed = try enroll(["--renew"])
        #expect(renewed.status == .exited(1) && renewed.errors.contains("certificate_required"))
        let notDue = try enroll(["--renew", "--if-due"])
        #expect(notDue.status.isSuccess && notDue.errors.contains("not due"))
    }
}
