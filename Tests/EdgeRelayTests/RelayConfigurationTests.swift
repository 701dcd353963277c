// relay.json5: what is refused and why, and what an environment variable may change.

import Configuration
import EdgeRelay
import Identity
import Testing

@Suite("a relay's configuration")
struct RelayConfigurationTests {
    private func parse(
        _ members: String, environment: [String: String] = [:]
    ) throws(ConfigurationError) -> RelayConfiguration {
        let text = #"{relay_id: "north-3", listen: "127.0.0.1:8080", data_dir: "data", \#(members)}"#
        return try RelayConfiguration.parse(
            ConfigurationNode.parse(json5: Array(text.utf8)), environment: environment, relativeTo: "/etc/columba")
    }

    @Test("relative folders are taken from the file's own folder")
    func folders() throws {
        let configuration = try parse(#"rules: "rules.json5""#)
        #expect(
            configuration.dataDirectory == "/etc/columba/data" && configuration.rulesPath == "/etc/columba/rules.json5")
    }

    @Test("an environment variable overrides the file")
    func environment() throws {
        let configuration = try parse(
            "buffer: {hold_hours: 1}",
            environment: [
                "COLUMBA_BUFFER_HOLD_HOURS": "2.5", "COLUMBA_LISTEN": "127.0.0.1:9",
                "COLUMBA_CENTRAL": "http://a,http://b/",
            ])
        #expect(configuration.buffer.holdHours == 2.5 && configuration.listen.port == 9)
        #expect(configuration.central == ["http://a", "http://b"])
    }

    @Test(
        "what cannot work is refused by name",
        arguments: [
            ("bufer: {}", "bufer"), ("buffer: {max_byte: 1}", "buffer.max_byte"),
            ("buffer: {max_bytes: 1}", "buffer.max_bytes"),
            ("buffer: {segment_bytes: 1000000000, max_bytes: 2000000000}", "buffer.segment_bytes"),
            (#"central: ["ftp://x"]"#, "central[0]"), ("position: {lat: 91, lon: 0}", "position.lat"),
            ("forward: {max_in_flight: 1.5}", "forward.max_in_flight"),
            ("forward: {live_share: 0}", "forward.live_share"), ("forward: {live_share: 1}", "forward.live_share"),
            ("forward: {linger_s: -0.1}", "forward.linger_s"), ("forward: {linger_s: 4.1}", "forward.linger_s"),
            ("forward: {max_bytes_per_s: 499}", "forward.max_bytes_per_s"), ("tls: {cert: \"a\"}", "tls.key"),
            ("tls: {cert: \"a\", key: \"a\"}", "tls.client_ca"), ("tls: {crt: \"a\"}", "tls.crt"),
            (#"central: ["https://x"]"#, "central[0]"), ("tls: {recheck_s: 61}", "tls.recheck_s"),
            (#"console_listen: "0.0.0.0:1""#, "console_listen"),
        ])
    func refused(_ members: String, _ key: String) {
        let error = #expect(throws: ConfigurationError.self) { try parse(members) }
        #expect(error?.key == key)
    }

    @Test("how the uplink is shared and capped reaches the forwarder")
    func forward() throws {
        let limits = try parse("forward: {max_bytes_per_s: 20000, live_share: 0.8, max_in_flight: 2}").forward.limits
        #expect(limits.maxBytesPerSecond == 20_000 && limits.liveShare == 0.8 && limits.maxInFlight == 2)
        #expect(try parse("forward: {linger_s: 4}").forward.limits.lingerSeconds == 4)
        #expect(try parse("forward: {linger_s: 0}").forward.limits.lingerSeconds == 0)
        let defaults = try parse("").forward.limits
        #expect(defaults.lingerSeconds == 0.2)
        #expect(defaults.maxBytesPerSecond == nil && defaults.liveShare == 0.5 && defaults.maxBatchBytes == 1 << 20)
    }

    @Test(
        "plain HTTP is refused on every address that is not loopback",
        arguments: ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "127.0.0.1.example.org:80", "example.org:80", "127.1:80"])
    func notLoopback(_ address: String) {
        let text = #"{relay_id: "r", listen: "\#(address)", data_dir: "d"}"#
        let error = #expect(throws: ConfigurationError.self) {
            try RelayConfiguration.parse(
                ConfigurationNode.parse(json5: Array(text.utf8)), environment: [:], relativeTo: "/")
        }
        #expect(error?.key == "listen" && error?.problem.contains("TLS") == true)
    }

    @Test("with certificates any address will do, and https to central")
    func withTLS() throws {
        let text = #"""
            {relay_id: "r", listen: "0.0.0.0:8443", console_listen: "[::]:8444", data_dir: "d",
             central: ["https://central:8443"], tls: {cert: "id.pem", key: "/k.pem", client_ca: "ca.pem"}}
            """#
        let configuration = try RelayConfiguration.parse(
            ConfigurationNode.parse(json5: Array(text.utf8)), environment: [:], relativeTo: "/etc/columba")
        #expect(configuration.tls?.certificatePath == "/etc/columba/id.pem" && configuration.tls?.keyPath == "/k.pem")
        #expect(configuration.tls?.issuingPath == "/etc/columba/issuing.pem")
        #expect(configuration.tls?.centralAuthoritiesPath == "/etc/columba/ca.pem")
    }

    @Test("loopback addresses are fine", arguments: ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "localhost:80"])
    func loopback(_ address: String) throws {
        let text = #"{relay_id: "r", listen: "\#(address)", data_dir: "d"}"#
        let node = try ConfigurationNode.parse(json5: Array(text.utf8))
        #expect(try RelayConfiguration.parse(node, environment: [:], relativeTo: "/").listen.isLoopback)
    }
}
