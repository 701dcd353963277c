// Drones that speak MQTT over TLS, by a client that no one here wrote (paho-mqtt): the identity rules of HTTP.

import Certificates
import Foundation
import HTTPClient
import System
import TestSupport
import Testing
import TestSupport

@Suite("MQTT over TLS", .serialized)
final class MQTTTLSTests {
    let station: SecureStation

    init() throws { station = try SecureStation(mqtt: true) }

    deinit { station.end() }

    /// paho at work; what it was told so far.
    private final class Client {
        private let process: ChildProcess
        private let output: String

        init(
            _ python: String, _ station: SecureStation, as directory: String?, version: Int = 5,
            _ messages: [(topic: String, body: String)] = []
        ) throws {
            output = "\(station.folder)/\(UUID().uuidString).events"
            let script = URL(fileURLWithPath: MQTTClients.script).deletingLastPathComponent()
                .appendingPathComponent("mqtt_tls.py").path
            let pair = directory.map { "\(station.folder)/\($0)/identity.pem" } ?? "-"
            var configuration = ChildProcess.Configuration(
                executable: python,
                arguments: [script, "\(station.mqttPort)", "\(version)", "\(station.folder)/ca/ca.pem", pair, output]
                    + messages.map { "\($0.topic)=\($0.body)" })
            configuration.standardInput = .pipe
            configuration.standardOutput = .null
            configuration.standardError = .file(output + ".errors")
            process = try ChildProcess(configuration)
        }

        deinit {
            process.kill()
            _ = try? process.wait(timeoutSeconds: 5)
        }

        var events: [String] {
            ((try? String(contentsOfFile: output, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }
        var errors: String { (try? String(contentsOfFile: output + ".errors", encoding: .utf8)) ?? "" }

        /// Whether these are its events, in time.
        func hears(_ expected: [String]) -> Bool { eventually(within: 20) { events == expected } }
        func hears(last event: String) -> Bool { eventually(within: 20) { events.last == event } }
    }

    private func ready(_ identities: String...) throws -> String {
        let python = try MQTTClients.python
        try station.start()
        for identity in identities {
            let directory = identity.replacingOccurrences(of: "/", with: "-")
            try #require(try station.enroll("columba://\(identity)", directory).status.isSuccess)
        }
        return python
    }

    private func topic(_ drone: String) -> String { "drones/\(drone)/reports" }

    @Test("a drone reports under its own name only, on its own topic only, and it arrives in the archive")
    func ownName() throws {
        let python = try ready("drone/d-1")
        let own = Requests.report(seq: 1)
        let other = Requests.report(drone: "d-2", seq: 1)
        let new = try Client(
            python, station, as: "drone-d-1",
            [(topic("d-1"), own), (topic("d-2"), other), (topic("d-1"), other), ("alerts", own)])
        #expect(new.hears(["connected 0", "puback 0", "puback 135", "puback 135", "puback 144"]), "\(new.events)")
        let old = try Client(
            python, station, as: "drone-d-1", version: 4,
            [(topic("d-1"), Requests.report(seq: 2)), (topic("d-2"), other), (topic("d-1"), Requests.report(seq: 3))])
        // The same client identifier of the same identity: the older connection goes.
        #expect(new.hears(last: "disconnected 142"), "\(new.events)")
        #expect(old.hears(["connected 0", "puback 0", "puback 0", "puback 0"]), "\(old.events) \(old.errors)")
        #expect(eventually(within: 20) { (try? station.archivedReports()) == 3 }, "\(station.relay.log.suffix(2_000))")
        let figures = try station.json(station.relay, "/v1/status")["mqtt"] as? [String: Any]
        #expect(figures?["acknowledged"] as? Int == 3 && figures?["rejected"] as? Int == 4, "\(figures ?? [:])")
        #expect(station.relay.log.contains("reason=identity_mismatch peer=columba://drone/d-1"))
    }

    @Test("without a certificate nobody comes in; other roles are refused in the CONNACK")
    func strangers() throws {
        let python = try ready("operator/ada")
        let nobody = try Client(python, station, as: nil)
        // With TLS 1.3 a client may think that it is connected before it hears that it is not.
        #expect(eventually(within: 20) { nobody.events.count == 1 }, "\(nobody.events)")
        #expect(nobody.events.first != "connected 0")
        for (directory, version, code) in [("operator-ada", 5, 135), ("relay-id", 4, 135)] {
            let client = try Client(python, station, as: directory, version: version)
            #expect(eventually(within: 20) { client.events.first == "connected \(code)" }, "\(client.events)")
        }
        #expect(station.relay.log.contains("reason=wrong_role peer=columba://operator/ada"))
        #expect(try station.metric(station.relay, #"columba_relay_refused_peers_total{reason="wrong_role"}"#) == 2)
        // Plain MQTT at the TLS port is no handshake.
        #expect(try station.metric(station.relay, "columba_relay_mqtt_clients_admitted_total") == 0)
    }

    @Test("a drone that is revoked is cut off while it is connected, and does not come back")
    func revoked() throws {
        let python = try ready("drone/d-1", "drone/d-2")
        let report = (topic("d-1"), Requests.report(seq: 1))
        let (new, old) = (
            try Client(python, station, as: "drone-d-1", [report]),
            try Client(
                python, station, as: "drone-d-2", version: 4, [(topic("d-2"), Requests.report(drone: "d-2", seq: 1))])
        )
        #expect(new.hears(["connected 0", "puback 0"]) && old.hears(["connected 0", "puback 0"]), "\(new.events)")
        try station.authority(["revoke", "columba://drone/d-1"])
        #expect(new.hears(last: "disconnected 135"), "\(new.events) \(new.errors)\(station.relay.log)")
        let again = try Client(python, station, as: "drone-d-1")
        #expect(eventually(within: 20) { again.events.count == 1 } && again.events.first != "connected 0")
        #expect(old.events == ["connected 0", "puback 0"], "the other drone stays")
        #expect(station.relay.log.contains("reason=denied peer=columba://drone/d-1"))
    }

    @Test("a certificate that is renewed at the relay's own files is shown to the next MQTT client, no restart")
    func reload() throws {
        let python = try ready("drone/d-1")
        let first = try Client(python, station, as: "drone-d-1", [(topic("d-1"), Requests.report(seq: 1))])
        #expect(first.hears(["connected 0", "puback 0"]))
        #expect(try station.renew("relay-id", at: station.centralPort).status.isSuccess)
        #expect(eventually(within: 20) { station.relay.log.contains("tls_reloaded") }, "\(station.relay.log)")
        // Another client identifier is not needed: it takes the first one's place.
        let second = try Client(python, station, as: "drone-d-1", [(topic("d-1"), Requests.report(seq: 2))])
        #expect(second.hears(["connected 0", "puback 0"]), "\(second.events) \(second.errors)")
        let serial = try #require(try shownSerial())
        let file = try String(contentsOfFile: "\(station.folder)/relay-id/identity.pem", encoding: .utf8)
        #expect(try Self.serial(of: file) == serial)
    }

    /// Of the certificate that the MQTT port shows, as openssl reads it.
    private func shownSerial() throws -> String? {
        let pair = "\(station.folder)/drone-d-1/identity.pem"
        let output = "\(station.folder)/shown.pem"
        var configuration = ChildProcess.Configuration(
            executable: "/usr/bin/openssl",
            arguments: [
                "s_client", "-connect", "127.0.0.1:\(station.mqttPort)", "-cert", pair, "-key", pair, "-CAfile",
                "\(station.folder)/ca/ca.pem",
            ])
        configuration.standardOutput = .file(output)
        configuration.standardError = .null
        let process = try ChildProcess(configuration)
        if try process.wait(timeoutSeconds: 20) == nil { process.kill() }
        return try Self.serial(of: try String(contentsOfFile: output, encoding: .utf8))
    }

    private static func serial(of pem: String) throws -> String? {
        try Certificate.parse(pem).first?.serial
    }
}
