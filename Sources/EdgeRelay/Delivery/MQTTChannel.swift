// An alert as an MQTT message, QoS 1: it counts as delivered when the broker acknowledged it.

import JSON
import MQTTClient
import Models

struct MQTTChannel: AlertChannel {
    private let topic: String
    private let publisher: MQTTPublisher

    init(_ configuration: MQTTConfiguration, topic: String) {
        self.topic = topic
        publisher = MQTTPublisher(configuration)
    }

    mutating func send(_ alert: Alert, tries: Int, isCancelled: @escaping () -> Bool) throws(DeliveryFailure) {
        do throws(MQTTError) {
            try publisher.publish(
                topic: topic, payload: alert.json(), timeoutSeconds: Self.deadlineSeconds, isCancelled: isCancelled)
        } catch {
            throw DeliveryFailure("\(error)")
        }
    }

    mutating func idle() { publisher.keepAlive() }
    mutating func close() { publisher.disconnect() }
}
