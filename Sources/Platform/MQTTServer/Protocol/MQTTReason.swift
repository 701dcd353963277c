// Why something was refused or ended: MQTT 5's reason codes (OASIS MQTT 5.0, §2.4), which 3.1.1 lacks. Inside this
// module every fault has one; only the packet writer knows what an older client gets to see of it.

package enum MQTTVersion: UInt8, Sendable, Hashable, CaseIterable {
    case v311 = 4
    case v5 = 5
}

package enum MQTTReason: UInt8, Sendable, Hashable, Error {
    case success = 0x00
    case noSubscriptionExisted = 0x11
    case malformedPacket = 0x81
    case protocolError = 0x82
    case implementationSpecific = 0x83
    case unsupportedProtocolVersion = 0x84
    case clientIdentifierNotValid = 0x85
    case notAuthorized = 0x87
    case serverUnavailable = 0x88
    case serverBusy = 0x89
    case serverShuttingDown = 0x8B
    case badAuthenticationMethod = 0x8C
    case keepAliveTimeout = 0x8D
    case sessionTakenOver = 0x8E
    case topicNameInvalid = 0x90
    case topicAliasInvalid = 0x94
    case packetTooLarge = 0x95
    case quotaExceeded = 0x97
    case administrativeAction = 0x98
    case payloadFormatInvalid = 0x99
    case retainNotSupported = 0x9A
    case qosNotSupported = 0x9B

    /// The return code of a 3.1.1 CONNACK (§3.2.2.3) that comes closest; nil: close without one.
    var returnCode: UInt8? {
        switch self {
        case .unsupportedProtocolVersion: 1
        case .clientIdentifierNotValid: 2
        case .serverUnavailable, .serverBusy, .serverShuttingDown, .quotaExceeded: 3
        case .badAuthenticationMethod, .notAuthorized, .administrativeAction: 5
        default: nil
        }
    }
}

extension MQTTReason {
    /// For the Reason String of a DISCONNECT: what the client's author should look at.
    var hint: String {
        switch self {
        case .malformedPacket: "The packet is malformed."
        case .protocolError: "This packet is not allowed here."
        case .keepAliveTimeout: "Nothing was heard for one and a half keep-alive times."
        case .notAuthorized: "The certificate of this connection has expired or was revoked: connect with a valid one."
        case .serverBusy: "The relay holds as many unfinished packets as it may. Connect again later."
        case .sessionTakenOver: "Another connection uses this client identifier."
        case .serverShuttingDown: "The relay is stopping. Connect again, and publish again what was not acknowledged."
        case .topicAliasInvalid: "Topic aliases are not available: Topic Alias Maximum is 0."
        case .packetTooLarge: "The packet is larger than the Maximum Packet Size of the CONNACK."
        case .qosNotSupported: "QoS 2 is not available: publish with QoS 1."
        default: ""
        }
    }
}

/// The control packets (§2.1.2): the first byte's upper half.
enum PacketType: UInt8 {
    case connect = 1
    case connectAcknowledgement = 2
    case publish = 3
    case publishAcknowledgement = 4
    case publishReceived = 5
    case publishRelease = 6
    case publishComplete = 7
    case subscribe = 8
    case subscribeAcknowledgement = 9
    case unsubscribe = 10
    case unsubscribeAcknowledgement = 11
    case pingRequest = 12
    case pingResponse = 13
    case disconnect = 14
    case authenticate = 15
}
