// What the MQTT listener counts, for the status and the metrics.
//
// published = acknowledged + rejected + held back + those without answer (QoS 0) + those still under way or whose
// connection ended first.

import JSON
import MQTTServer

extension RelayFigures {
    func with(_ listener: MQTTListener?) -> RelayFigures {
        var figures = self
        figures.mqtt = listener?.counters
        return figures
    }

    /// The `mqtt` object of `/v1/status`; nothing where there is no listener.
    func mqttJSON(_ output: inout JSONWriter) {
        guard let mqtt else { return }
        output.object("mqtt") {
            $0.member("connections", mqtt.connections)
            $0.member("admitted", mqtt.admitted)
            $0.member("ended_by_relay", mqtt.endedByRelay)
            $0.member("published", mqtt.messages.published)
            $0.member("published_qos0", mqtt.messages.publishedWithoutAnswer)
            $0.member("acknowledged", mqtt.messages.acknowledged)
            $0.member("rejected", mqtt.messages.rejected)
            $0.member("held_back", mqtt.messages.heldBack)
            $0.member("lost_qos0", mqtt.messages.lostWithoutAnswer)
        }
    }
}

extension RelayMetrics {
    func registerMQTT() {
        gauge("columba_relay_mqtt_connections", "Open MQTT connections.") { Double($0.mqtt?.connections ?? 0) }
        counter("columba_relay_mqtt_clients_admitted_total", "MQTT clients that connected.") { $0.mqtt?.admitted ?? 0 }
        counter(
            "columba_relay_mqtt_connections_ended_total",
            "MQTT connections that the relay ended: faults, silence, reports it could not take."
        ) { $0.mqtt?.endedByRelay ?? 0 }
        let name = "columba_relay_mqtt_publishes_total"
        let help = "Publishes by what became of them."
        counter(name, help, labels: [("result", "acknowledged")]) { $0.mqtt?.messages.acknowledged ?? 0 }
        counter(name, help, labels: [("result", "rejected")]) { $0.mqtt?.messages.rejected ?? 0 }
        counter(name, help, labels: [("result", "held_back")]) { $0.mqtt?.messages.heldBack ?? 0 }
        counter(name, help, labels: [("result", "lost_qos0")]) { $0.mqtt?.messages.lostWithoutAnswer ?? 0 }
        counter("columba_relay_mqtt_publishes_qos0_total", "Publishes with QoS 0: nobody hears whether they are kept.")
        {
            $0.mqtt?.messages.publishedWithoutAnswer ?? 0
        }
    }
}
