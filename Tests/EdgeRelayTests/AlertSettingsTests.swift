// `alerts {…}` of relay.json5: what is understood, what is refused and where.

import Configuration
import EdgeRelay
import HTTPClient
import Models
import Testing

@Suite("the settings of delivery targets")
struct AlertSettingsTests {
    private func parse(_ text: String) throws(ConfigurationError) -> AlertSettings {
        let node = try ConfigurationNode.parse(json5: Array(text.utf8))
        return try AlertSettings.read(ConfigurationReader(node, path: "alerts"), relativeTo: "/etc/columba")
    }

    @Test("webhooks, MQTT and CoT are read, with their names and defaults")
    func reads() throws {
        let settings = try parse(
            """
            {webhooks: [{url: "https://example.org/hook?k=1", secret_file: "hook.secret", min_severity: "warning"},
                        {name: "ntfy", url: "http://127.0.0.1:9000/"}],
             mqtt: {url: "mqtts://broker.example.org", topic: "station/alerts", user: "u", password_file: "/p"},
             cot: [{url: "udp://239.2.3.1:6969", include_names: false}, {url: "tcp://[2001:db8::1]:8087"}]}
            """)
        #expect(settings.targets.map(\.name) == ["webhook-0", "ntfy", "mqtt-0", "cot-0", "cot-1"])
        #expect(settings.webhooks[0].secretFile == "/etc/columba/hook.secret")
        #expect(settings.webhooks[0].target.minSeverity == .warning)
        #expect(settings.mqtt[0].url.port == 8883 && settings.mqtt[0].passwordFile == "/p")
        #expect(!settings.cot[0].target.includeNames && settings.webhooks[0].target.includeNames)
        #expect(settings.cot[1].url.host == "2001:db8::1" && settings.cot[1].url.port == 8087)
    }

    @Test(
        "what cannot be meant is refused by name",
        arguments: [
            (#"{webhooks: [{url: "http://example.org/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "file:///etc/passwd"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://user:pw@example.org/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://169.254.169.254/latest"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://10.0.0.7/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://[fd00::1]/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://[::ffff:10.0.0.7]/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://e.org:0/"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https:///x"}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{}]}"#, "alerts.webhooks[0].url"),
            (#"{webhooks: [{url: "https://e.org/", min_severity: "high"}]}"#, "alerts.webhooks[0].min_severity"),
            (#"{webhooks: [{url: "https://e.org/", secret: "x"}]}"#, "alerts.webhooks[0].secret"),
            (#"{webhooks: [{url: "https://e.org/", name: "a b"}]}"#, "alerts.webhooks[0].name"),
            (#"{webhooks: [{url: "https://e.org/", name: "a"}, {url: "https://f.org/", name: "a"}]}"#, "alerts"),
            (#"{mqtt: {url: "mqtt://broker.example.org"}}"#, "alerts.mqtt.url"),
            (#"{mqtt: {url: "mqtt://localhost", topic: "a/#"}}"#, "alerts.mqtt.topic"),
            (#"{mqtt: {url: "mqtts://e.org", cert_file: "c"}}"#, "alerts.mqtt"),
            (#"{cot: {url: "http://e.org"}}"#, "alerts.cot.url"),
            (#"{cot: {url: "udp://e.org:1", types: {critical: "<x>"}}}"#, "alerts.cot.types.critical"),
            (#"{webhook: []}"#, "alerts.webhook"),
        ])
    func refused(_ text: String, _ key: String) {
        let error = #expect(throws: ConfigurationError.self) { try parse(text) }
        #expect(error?.key == key, "\(error?.description ?? "")")
    }

    @Test(
        "addresses that no webhook should reach are told from public ones",
        arguments: [
            ([127, 0, 0, 1], AddressKind.loopback), ([127, 255, 0, 9], .loopback), ([8, 8, 8, 8], .publicAddress),
            ([10, 1, 2, 3], .special), ([172, 15, 255, 255], .publicAddress), ([172, 16, 0, 1], .special),
            ([172, 31, 255, 255], .special), ([172, 32, 0, 0], .publicAddress), ([192, 168, 1, 1], .special),
            ([169, 254, 169, 254], .special), ([100, 64, 0, 1], .special), ([100, 128, 0, 1], .publicAddress),
            ([0, 0, 0, 0], .special), ([224, 0, 0, 1], .special), ([255, 255, 255, 255], .special),
            ([198, 19, 0, 1], .special), ([198, 20, 0, 1], .publicAddress),
        ] as [([UInt8], AddressKind)])
    func addresses(_ bytes: [UInt8], _ kind: AddressKind) { #expect(AddressKind(bytes) == kind) }

    @Test(
        "IPv6 addresses that wrap a private IPv4 address, unique local and link-local ones are special",
        arguments: [
            ("::1", AddressKind.loopback), ("::", .special), ("fe80::1", .special), ("fd12::1", .special),
            ("fc00::1", .special), ("ff02::1", .special), ("2001:4860:4860::8888", .publicAddress),
            ("::ffff:10.0.0.1", .special), ("::ffff:127.0.0.1", .loopback), ("::ffff:8.8.8.8", .publicAddress),
            ("64:ff9b::a00:1", .special), ("64:ff9b::808:808", .publicAddress), ("2002:a00:1::1", .special),
            ("2002:7f00:1::", .loopback), ("2001:db8::1", .special), ("2001::1", .special), ("::7f00:1", .special),
        ] as [(String, AddressKind)])
    func addresses6(_ text: String, _ kind: AddressKind) throws {
        let url = try TargetURL("https://[\(text)]/", key: "url", schemes: ["https"])
        #expect(url.literalAddress == kind)
    }
}
