// Which topics are reports' topics, what a refused report means to an MQTT client, and the listener's settings.

import Configuration
import EdgeRelay
import MQTTServer
import Models
import Testing

@Suite("reports over MQTT")
struct MQTTReportsTests {
    @Test("a report's topic names its drone")
    func topic() throws {
        #expect(try MQTTReports.drone(of: "drones/pw-000123/reports") == "pw-000123")
        let longest = String(repeating: "x", count: 64)
        #expect(try MQTTReports.drone(of: "drones/\(longest)/reports") == longest)
    }

    @Test(
        "every other topic is refused",
        arguments: [
            "", "drones/reports", "drones//reports", "drones/a", "drones/a/report", "/drones/a/reports",
            "drones/a/reports/", "Drones/a/reports", "drones/a/b/reports", "drones/a b/reports", "drones/ä/reports",
            "drones/+/reports", "drones/#", "drones/\(String(repeating: "x", count: 65))/reports", "/reports",
            "drones/",
        ])
    func wrongTopic(_ topic: String) {
        let problem = #expect(throws: Problem.self) { try MQTTReports.drone(of: topic) }
        #expect(problem?.code == "wrong_topic")
    }

    @Test(
        "what cannot get better by sending it again is acknowledged with a reason, the rest is not acknowledged",
        arguments: [
            (400, "invalid_json", MQTTReason.payloadFormatInvalid, false),
            (422, "missing_field", .payloadFormatInvalid, false), (413, "too_large", .packetTooLarge, false),
            (404, "wrong_topic", .topicNameInvalid, false), (403, "drone_id_mismatch", .notAuthorized, false),
            (429, "too_many_reports", .quotaExceeded, true), (503, "buffer_full", .quotaExceeded, true),
            (503, "storage_failed", .implementationSpecific, true), (503, "overloaded", .implementationSpecific, true),
        ])
    func verdicts(_ status: Int, _ code: String, _ reason: MQTTReason, _ isLater: Bool) {
        let problem = Problem(status: status, code: code, detail: "Why.", field: "place", retryAfterSeconds: 7)
        let text = "\(code) (place): Why."
        let expected: MQTTVerdict =
            isLater ? .notNow(reason, text: text, afterSeconds: 7) : .rejected(reason, text: text)
        #expect(MQTTReports.verdict(problem) == expected)
    }

    private func parse(_ members: String) throws(ConfigurationError) -> RelayConfiguration {
        let text = #"{relay_id: "r", listen: "127.0.0.1:1", data_dir: "d", \#(members)}"#
        return try RelayConfiguration.parse(
            ConfigurationNode.parse(json5: Array(text.utf8)), environment: [:], relativeTo: "/")
    }

    @Test("no mqtt_listen, no listener; its limits have names")
    func settings() throws {
        #expect(try parse("").mqtt.listen == nil)
        let mqtt = try parse(
            #"mqtt_listen: "127.0.0.1:1883", mqtt: {max_connections: 9, receive_maximum: 7, connect_timeout_s: 2}"#
        ).mqtt
        #expect(mqtt.listen?.port == 1883 && mqtt.maxConnections == 9 && mqtt.receiveMaximum == 7)
        #expect(mqtt.connectTimeoutSeconds == 2 && mqtt.threads == 2)
    }

    private static let secured = #"tls: {cert: "c", key: "c", client_ca: "a"}"#

    @Test("an address that others can reach speaks TLS, a loopback one where it is told to")
    func tls() throws {
        #expect(try parse(#"mqtt_listen: "0.0.0.0:8883", \#(Self.secured)"#).mqtt.usesTLS)
        #expect(try !parse(#"mqtt_listen: "127.0.0.1:1883", \#(Self.secured)"#).mqtt.usesTLS)
        #expect(try parse(#"mqtt_listen: "127.0.0.1:1883", mqtt: {tls: true}, \#(Self.secured)"#).mqtt.usesTLS)
    }

    @Test(
        "what cannot work is refused by name",
        arguments: [
            (#"mqtt_listen: "0.0.0.0:1883""#, "mqtt_listen"), (#"mqtt_listen: "1883""#, "mqtt_listen"),
            (#"mqtt_listen: "127.0.0.1:1883", mqtt: {tls: true}"#, "mqtt.tls"),
            (#"mqtt_listen: "0.0.0.0:1883", mqtt: {tls: false}, \#(secured)"#, "mqtt_listen"),
            ("mqtt: {receive_maximum: 0}", "mqtt.receive_maximum"), ("mqtt: {connections: 1}", "mqtt.connections"),
        ])
    func refused(_ members: String, _ key: String) {
        let error = #expect(throws: ConfigurationError.self) { try parse(members) }
        #expect(error?.key == key)
    }
}
