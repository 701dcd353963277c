// Alerts to a real broker: Mosquitto, started by the test on free ports of loopback.

import EdgeRelay
import Foundation
import Glibc
import MQTTClient
import Models
import System
import Testing
import TestSupport

/// A Mosquitto broker and a subscriber (mosquitto_sub) that writes what it hears into a file.
private final class Broker {
    static let path = "/usr/sbin/mosquitto"
    static let isInstalled = FileSystem.isExecutable(path) && FileSystem.isExecutable("/usr/bin/openssl")

    let folder: String
    let port: UInt16
    let tlsPort: UInt16
    private var process: ChildProcess?

    init() throws {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-mqtt")
        let ports = try FreePorts.find(2)
        (port, tlsPort) = (ports[0], ports[1])
        try Self.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "\(folder)/key.pem",
                "-out", "\(folder)/cert.pem",
            ])
        try Self.run("/usr/bin/mosquitto_passwd", ["-b", "-c", "\(folder)/passwords", "relay", "s3cret"])
        try "s3cret\n".write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        try """
        per_listener_settings true
        listener \(port) 127.0.0.1
        allow_anonymous true
        listener \(tlsPort) 127.0.0.1
        allow_anonymous false
        password_file \(folder)/passwords
        certfile \(folder)/cert.pem
        keyfile \(folder)/key.pem
        """.write(toFile: "\(folder)/mosquitto.conf", atomically: true, encoding: .utf8)
        // Started as root, Mosquitto becomes the user mosquitto, who must be able to read these files.
        for file in ["", "/key.pem", "/cert.pem", "/passwords", "/mosquitto.conf"] { chmod("\(folder)\(file)", 0o755) }
        try start()
    }

    deinit {
        stop()
        try? FileSystem.removeTree(folder)
    }

    func start() throws {
        var configuration = ChildProcess.Configuration(
            executable: Self.path, arguments: ["-c", "\(folder)/mosquitto.conf"])
        configuration.standardError = .file("\(folder)/mosquitto.log")
        process = try ChildProcess(configuration)
        let isUp = eventually {
            let probe = MQTTPublisher(MQTTConfiguration(host: "127.0.0.1", port: port, clientID: "probe"))
            return (try? probe.publish(topic: "probe", payload: [], timeoutSeconds: 1)) != nil
        }
        let log = (try? String(contentsOfFile: "\(folder)/mosquitto.log", encoding: .utf8)) ?? ""
        try #require(isUp, "Mosquitto did not start: \(log)")
    }

    func stop() {
        process?.kill(SIGKILL)
        _ = try? process?.wait(timeoutSeconds: 60)
        process = nil
    }

    static func run(_ program: String, _ arguments: [String]) throws {
        var configuration = ChildProcess.Configuration(executable: program, arguments: arguments)
        configuration.standardError = .null
        let process = try ChildProcess(configuration)
        try #require(try process.wait(timeoutSeconds: 90)?.isSuccess == true, "\(program) failed")
    }
}

@Suite("MQTT", .serialized, .enabled(if: Broker.isInstalled, "Mosquitto is missing: make deps"))
struct MQTTDeliveryTests {
    private let broker: Broker
    private let fixture: DeliveryFixture

    init() throws {
        broker = try Broker()
        fixture = try DeliveryFixture()
    }

    /// Retained messages of a topic, as another client sees them.
    private func subscriber(_ topic: String, count: Int) throws -> (process: ChildProcess, text: () -> String) {
        let path = "\(broker.folder)/heard-\(UUID().uuidString)"
        var configuration = ChildProcess.Configuration(
            executable: "/usr/bin/mosquitto_sub",
            arguments: [
                "-h", "127.0.0.1", "-p", "\(broker.port)", "-t", topic, "-q", "1", "-C", "\(count)", "-F", "%q %t %p",
                "-c", "-i", "subscriber",
            ])
        configuration.standardOutput = .file(path)
        // A subscription with a session of its own: what is published before it is connected again is kept for it.
        let register = [
            "-h", "127.0.0.1", "-p", "\(broker.port)", "-t", topic, "-q", "1", "-c", "-i", "subscriber", "-E",
        ]
        try Broker.run("/usr/bin/mosquitto_sub", register)
        return (try ChildProcess(configuration), { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" })
    }

    private func isDelivered(_ delivery: AlertDelivery, _ number: Int) -> Bool {
        delivery.deliveries(of: DeliveryFixture.alert(number).alertID).first?.state == .delivered
    }

    @Test("alerts are published with QoS 1 to columba/<relay_id>/alerts, also after the broker was away")
    func publishes() throws {
        let delivery = try fixture.start(#"{mqtt: {url: "mqtt://127.0.0.1:\#(broker.port)"}}"#)
        let (subscriber, text) = try subscriber("columba/north-3/alerts", count: 2)
        for number in 1...2 { delivery.offer(DeliveryFixture.alert(number), rule: DeliveryFixture.rule()) }
        #expect(eventually { isDelivered(delivery, 1) && isDelivered(delivery, 2) })
        #expect(try subscriber.wait(timeoutSeconds: 60)?.isSuccess == true)
        let lines = text().split(separator: "\n")
        #expect(
            lines.count == 2 && lines.allSatisfy { $0.hasPrefix("1 columba/north-3/alerts {\"alert_id\"") }, "\(lines)")

        broker.stop()
        delivery.offer(DeliveryFixture.alert(3), rule: DeliveryFixture.rule())
        #expect(
            eventually { delivery.deliveries(of: DeliveryFixture.alert(3).alertID).first?.lastError != nil })
        #expect(!isDelivered(delivery, 3))
        try broker.start()
        #expect(eventually(within: 20) { isDelivered(delivery, 3) })
    }

    @Test("TLS, user and password are used; a wrong authority or password delivers nothing")
    func secured() throws {
        let address = "mqtts://localhost:\(broker.tlsPort)"
        let password = "\(broker.folder)/password"
        try fixture.write("wrong", to: "wrong")
        let delivery = try fixture.start(
            """
            {mqtt: [
              {name: "good", url: "\(address)", user: "relay", password_file: "\(password)",
               ca_file: "\(broker.folder)/cert.pem", client_id: "a"},
              {name: "wrong-password", url: "\(address)", user: "relay", password_file: "wrong",
               ca_file: "\(broker.folder)/cert.pem", client_id: "b"},
              {name: "wrong-authority", url: "\(address)", user: "relay", password_file: "\(password)", client_id: "c"},
            ]}
            """)
        delivery.offer(DeliveryFixture.alert(1), rule: DeliveryFixture.rule())
        func records() -> [DeliveryRecord] { delivery.deliveries(of: DeliveryFixture.alert(1).alertID) }
        #expect(eventually { records().first?.state == .delivered }, "\(records())")
        #expect(eventually { records().filter { $0.lastError != nil }.count == 2 }, "\(records())")
        #expect(records()[1].lastError?.hasPrefix("refused") == true, "\(records())")
    }

    @Test("a broker that accepts a connection and says nothing costs a try its deadline, no more")
    func silent() throws {
        let port = try FreePorts.find(1)[0]
        let silent = try SilentListener(port: port)
        let publisher = MQTTPublisher(MQTTConfiguration(host: "127.0.0.1", port: port, clientID: "x"))
        let started = SystemTime().monotonicNanoseconds()
        let error = #expect(throws: MQTTError.self) {
            try publisher.publish(topic: "t", payload: [1], timeoutSeconds: 0.5)
        }
        #expect(error?.code == .timedOut)
        #expect(Waiting.isWithin(3, since: started))
        silent.stop()
    }
}

/// Listens, accepts nothing, answers nothing.
private final class SilentListener {
    private let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = Loopback.tcpSocket()
        let socket = descriptor
        let result = Loopback.withAddress(port) { bind(socket, $0, $1) }
        try #require(result == 0 && listen(descriptor, 1) == 0)
    }

    func stop() { close(descriptor) }
}
