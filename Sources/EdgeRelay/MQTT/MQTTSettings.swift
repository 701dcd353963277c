// The configuration of the MQTT listener: `mqtt_listen`, and the limits in `mqtt {…}`.

package import Configuration
import HTTPServer
import MQTTServer

extension RelayConfiguration {
    package struct MQTT: Sendable, Equatable {
        /// Nil: the relay speaks no MQTT.
        package var listen: ListenAddress?
        /// TLS 1.3 with client certificates. Always on an address that others can reach; where this is set, on loopback
        /// as well.
        package var usesTLS = false
        package var maxConnections = 4096
        package var threads = 2
        /// Publishes of one connection that wait for the disk.
        package var receiveMaximum = 64
        package var connectTimeoutSeconds = 5.0
        /// The longest keep-alive; MQTT 5 clients that want a longer one or none are told this one.
        package var maxKeepAliveSeconds = 600
        /// Unfinished packets of all connections together.
        package var maxHeldBytes = 64 << 20

        /// Open files that the listener may need: its connections, its own socket, and two a thread to wait with.
        var openFiles: Int { listen == nil ? 0 : maxConnections + 1 + 2 * threads }

        static func read(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> MQTT {
            var mqtt = MQTT()
            if let address = try reader.string("mqtt_listen") {
                mqtt.listen = try ListenAddress(address, key: "mqtt_listen")
            }
            var section = try reader.object("mqtt")
            mqtt.usesTLS = try section.bool("tls") ?? (mqtt.listen?.isLoopback == false)
            mqtt.maxConnections = try section.integer("max_connections", in: 1...100_000) ?? mqtt.maxConnections
            mqtt.threads = try section.integer("threads", in: 1...16) ?? mqtt.threads
            mqtt.receiveMaximum = try section.integer("receive_maximum", in: 1...1024) ?? mqtt.receiveMaximum
            mqtt.connectTimeoutSeconds =
                try section.number("connect_timeout_s", in: 0.1...60) ?? mqtt.connectTimeoutSeconds
            mqtt.maxKeepAliveSeconds =
                try section.integer("max_keep_alive_s", in: 5...65_535) ?? mqtt.maxKeepAliveSeconds
            mqtt.maxHeldBytes = try section.integer("max_held_bytes", in: (1 << 20)...(1 << 36)) ?? mqtt.maxHeldBytes
            try section.finish()
            if !mqtt.usesTLS { try mqtt.listen?.requireLoopback(key: "mqtt_listen") }
            return mqtt
        }

        /// The keys that differ from `old` and that only a restart changes; the others take effect by a reload.
        func needsRestart(from old: MQTT) -> [String] {
            var keys: [String] = []
            if listen != old.listen { keys.append("mqtt_listen") }
            if usesTLS != old.usesTLS { keys.append("mqtt.tls") }
            if threads != old.threads { keys.append("mqtt.threads") }
            return keys
        }
    }
}

extension MQTTServerConfiguration {
    init(_ relay: RelayConfiguration, listen: ListenAddress) {
        let settings = relay.mqtt
        self.init(
            host: listen.host, port: listen.port, threads: settings.threads, maxConnections: settings.maxConnections,
            maxHeldBytes: settings.maxHeldBytes,
            limits: MQTTLimits(
                receiveMaximum: settings.receiveMaximum, connectSeconds: settings.connectTimeoutSeconds,
                maxKeepAliveSeconds: settings.maxKeepAliveSeconds))
        reservedForKnownPercent = relay.limits.admission.reservedForKnownPercent
    }
}
