// The relay's MQTT listener as clients meet it that no one here wrote: mosquitto_pub and paho-mqtt, in both versions.

import Foundation
import Glibc
import HTTPClient
import Synchronization
import System
import Testing
import TestSupport

@Suite("MQTT clients from outside", .serialized)
final class MQTTClientTests {
    let station: Station
    let port: UInt16

    init() throws {
        port = try FreePorts.find(1)[0]
        station = try Station(
            relayExtra:
                "mqtt_listen: \"127.0.0.1:\(port)\", limits: {reports_per_drone_per_s: 1, report_burst_per_drone: 40}")
    }

    deinit { station.end() }

    private static let versions = ["mqttv311", "mqttv5"]

    /// What mosquitto_pub says while it publishes, with QoS 1 where nothing else is said.
    private func publish(
        _ publisher: String, _ version: String, topic: String = "drones/d-1/reports", _ body: String,
        _ more: [String] = []
    ) throws -> String {
        let output = "\(station.folder)/\(UUID().uuidString).out"
        var configuration = ChildProcess.Configuration(
            executable: publisher,
            arguments: ["-d", "-V", version, "-h", "127.0.0.1", "-p", "\(port)", "-q", "1", "-t", topic, "-m", body]
                + more)
        configuration.standardOutput = .file(output)
        configuration.standardError = .file(output + "2")
        let process = try ChildProcess(configuration)
        if try process.wait(timeoutSeconds: 20) == nil { process.kill() }
        return try String(contentsOfFile: output, encoding: .utf8)
            + String(contentsOfFile: output + "2", encoding: .utf8)
    }

    private func mqtt() throws -> [String: Any] {
        try #require(try station.json(station.relay, "/v1/status")["mqtt"] as? [String: Any])
    }

    @Test("mosquitto_pub: taken, refused with words, held back; the figures and the archive agree")
    func mosquitto() throws {
        let publisher = try MQTTClients.publisher
        try station.start()
        for (index, version) in Self.versions.enumerated() {
            let sent = try publish(publisher, version, Requests.report(seq: index + 1))
            #expect(sent.contains("received PUBACK (Mid: 1, RC:0)"), "\(sent)")
            #expect(try publish(publisher, version, Requests.report(seq: index + 1)).contains("RC:0)"))
            let retained = try publish(publisher, version, Requests.report(seq: index + 10), ["-r"])
            #expect(retained.contains("RC:0)"), "\(retained)")
            let will = ["--will-topic", "drones/d-1/gone", "--will-payload", "gone", "-u", "me", "-P", "secret"]
            #expect(try publish(publisher, version, Requests.report(seq: index + 20), will).contains("RC:0)"))
        }
        // 5 hears why; 3.1.1 has no word for it and gets a plain PUBACK, so that it does not send it for ever.
        let other = Requests.report(drone: "d-2", seq: 1)
        for (body, topic, code, words) in [
            ("{}", "drones/d-1/reports", 0x99, "missing_field (drone_id)"),
            ("{\"", "drones/d-1/reports", 0x99, "invalid_json"), (other, "drones/d-1/reports", 0x87, "drone_id"),
            (other, "reports", 0x90, "wrong_topic"),
        ] {
            let new = try publish(publisher, "mqttv5", topic: topic, body)
            #expect(new.contains("RC:\(code))") && new.contains(words), "\(new)")
            let old = try publish(publisher, "mqttv311", topic: topic, body)
            #expect(old.contains("received PUBACK (Mid: 1, RC:0)"), "\(old)")
        }
        #expect(try publish(publisher, "mqttv5", other, ["-q", "2"]).contains("QoS not supported"))
        let figures = try mqtt()
        #expect(figures["acknowledged"] as? Int == 8 && figures["rejected"] as? Int == 8, "\(figures)")
        #expect(station.waitUntilArchived())
        #expect(try station.count("reports") == 6 && station.count("duplicates") == 2)
        let metrics = try HTTPClient().perform(HTTPClientRequest(url: station.relay.address + "/metrics"))
        let text = String(decoding: metrics.body, as: UTF8.self)
        #expect(text.contains("columba_relay_mqtt_publishes_total{result=\"acknowledged\"} 8\n"))
        #expect(!station.relay.log.contains("secret") && station.relay.log.contains("mqtt_report_rejected"))
    }

    @Test("a drone that sends too fast is not acknowledged but cut off, and gets through later", arguments: versions)
    func tooFast(_ version: String) throws {
        let publisher = try MQTTClients.publisher
        try station.relay.start()
        let burst = (1...40).map { Requests.report(seq: $0) }.joined(separator: "\n")
        #expect(try Requests.post(station.relay, burst, type: "application/x-ndjson").status == 202)
        let first = try publish(publisher, version, Requests.report(seq: 41))
        #expect(!first.contains("PUBACK"), "\(first)")
        if version == "mqttv5" { #expect(first.contains("Received DISCONNECT (151)"), "\(first)") }
        #expect(
            eventually(within: 20) {
                (try? publish(publisher, version, Requests.report(seq: 41)).contains("RC:0)")) == true
            })
        let figures = try mqtt()
        #expect(figures["held_back"] as? Int ?? 0 >= 1 && figures["acknowledged"] as? Int == 1, "\(figures)")
    }

    @Test("a PUBACK waits for the flush; the alert does not (I1, I6)", arguments: versions)
    func slowDisk(_ version: String) throws {
        let publisher = try MQTTClients.publisher
        guard let strace = ["/usr/bin/strace", "/bin/strace"].first(where: FileSystem.isExecutable) else {
            try Test.cancel("strace is missing; run make deps")
        }
        let delaySeconds = SlowDiskTests.delaySeconds
        try station.relay.start(under: [
            strace, "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
            "inject=fdatasync:delay_enter=\(Int(delaySeconds * 1e6))",
        ])
        let time = SystemTime()
        let alertAt = Mutex<UInt64?>(nil)
        let isFollowing = Mutex(false)
        let address = station.relay.address
        let follower = WorkerThread(name: "follower") {
            _ = try? HTTPClient().stream(
                HTTPClientRequest(url: address + "/v1/alerts/stream", timeoutSeconds: 30)
            ) { bytes in
                isFollowing.withLock { $0 = true }
                guard String(decoding: bytes, as: UTF8.self).contains("event: alert") else { return true }
                alertAt.withLock { $0 = time.monotonicNanoseconds() }
                return false
            }
        }
        try #require(eventually(within: 10) { isFollowing.withLock { $0 } })
        let sentAt = time.monotonicNanoseconds()
        let report = Requests.report(seq: 1, extra: #","citizens":[{"name":"A","peacescore":1}]"#)
        #expect(try publish(publisher, version, report).contains("RC:0)"))
        let answeredAt = time.monotonicNanoseconds()
        follower.join()
        #expect(Double(answeredAt - sentAt) / 1e9 >= delaySeconds, "acknowledged before the flush was done")
        let alertSeconds = Double(try #require(alertAt.withLock { $0 }) - sentAt) / 1e9
        #expect(alertSeconds < delaySeconds, "the alert took \(alertSeconds) s: it waited for the disk")
    }

    @Test("SIGTERM while drones publish: stopped within 5 s, and what was acknowledged is there")
    func terminate() throws {
        let python = try MQTTClients.python
        try station.start()
        let (ledgerPath, stopPath) = ("\(station.folder)/ledger", "\(station.folder)/stop")
        var configuration = ChildProcess.Configuration(
            executable: python, arguments: [MQTTClients.script, "\(port)", "30", "20", ledgerPath, stopPath])
        configuration.standardOutput = .null
        configuration.standardError = .null
        let client = try ChildProcess(configuration)
        defer { client.kill() }
        try #require(eventually(within: 20) { (FileSystem.fileSize(ledgerPath) ?? 0) > 20_000 })
        let started = SystemTime().monotonicNanoseconds()
        #expect(try station.relay.terminate() == .exited(0), "\(station.relay.log.suffix(2_000))")
        #expect(Waiting.isWithin(5, since: started))
        client.kill()
        _ = try client.wait(timeoutSeconds: 5)
        try station.relay.start()
        #expect(station.waitUntilArchived())
        let ledger = try Ledger(path: ledgerPath)
        let archive = try Ledger.archived(station)
        let lost = ledger.digests.filter { archive.digests[$0.key] != $0.value }
        #expect(ledger.digests.count > 100 && lost.isEmpty && archive.duplicateKeys == 0, "\(lost.keys.prefix(5))")
    }
}
