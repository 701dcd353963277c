// What the cluster's stream is and how it is reached.

package import NATS

package struct NATSStreamConfiguration: Sendable, Equatable {
    package static let streamName = "COLUMBA"

    package var nats: NATSConfiguration
    /// On so many servers every message lies; 3 survives the loss of one.
    package var replicas = 3
    /// Fixed for a lake's life.
    package var partitions = 8
    /// The lake that the stream belongs to (`LakeIdentity`); nil: not asked.
    package var lake: String?
    /// Of the stream on each server: beyond it relays are told to wait.
    package var maxBytes: Int64 = 16 << 30
    /// Of one message with its headers: the servers' `max_payload`.
    package var messageBytes = 1 << 20
    package var publishing = PublishStateMachine.Limits()
    /// A starting cluster needs a while until it has leaders.
    package var startSeconds = 60.0
    /// Between two looks at the stream's size.
    package var refreshSeconds = 2.0

    package init(nats: NATSConfiguration) { self.nats = nats }

    var settings: StreamSettings {
        var settings = StreamSettings(
            name: Self.streamName, subjects: (0..<partitions).map { StreamSubject.name(ofPartition: $0) },
            replicas: replicas, maxBytes: maxBytes, maxMessageBytes: Int64(messageBytes))
        settings.owner = lake
        return settings
    }
}
