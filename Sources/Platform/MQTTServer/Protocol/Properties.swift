// The properties of MQTT 5 packets (§2.2.2). Every one is read and checked; only those that change what the relay does
// are kept.

/// Where a property may stand. Only packets that a client sends.
struct PropertyPlaces: OptionSet {
    let rawValue: UInt8

    static let connect = PropertyPlaces(rawValue: 1)
    static let will = PropertyPlaces(rawValue: 2)
    static let publish = PropertyPlaces(rawValue: 4)
    static let subscribe = PropertyPlaces(rawValue: 8)
    static let unsubscribe = PropertyPlaces(rawValue: 16)
    static let disconnect = PropertyPlaces(rawValue: 32)
}

enum Property: UInt8 {
    case payloadFormat = 0x01
    case messageExpiry = 0x02
    case contentType = 0x03
    case responseTopic = 0x08
    case correlationData = 0x09
    case subscriptionIdentifier = 0x0B
    case sessionExpiry = 0x11
    case assignedClientIdentifier = 0x12
    case serverKeepAlive = 0x13
    case authenticationMethod = 0x15
    case authenticationData = 0x16
    case requestProblemInformation = 0x17
    case willDelay = 0x18
    case requestResponseInformation = 0x19
    case reasonString = 0x1F
    case receiveMaximum = 0x21
    case topicAliasMaximum = 0x22
    case topicAlias = 0x23
    case maximumQoS = 0x24
    case retainAvailable = 0x25
    case userProperty = 0x26
    case maximumPacketSize = 0x27
    case wildcardAvailable = 0x28
    case subscriptionIdentifierAvailable = 0x29
    case sharedSubscriptionAvailable = 0x2A

    enum Kind { case byte, integer16, integer32, variable, string, binary, pair }

    var kind: Kind {
        switch self {
        case .payloadFormat, .requestProblemInformation, .requestResponseInformation, .maximumQoS, .retainAvailable,
            .wildcardAvailable, .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            .byte
        case .serverKeepAlive, .receiveMaximum, .topicAliasMaximum, .topicAlias: .integer16
        case .messageExpiry, .sessionExpiry, .willDelay, .maximumPacketSize: .integer32
        case .subscriptionIdentifier: .variable
        case .contentType, .responseTopic, .assignedClientIdentifier, .authenticationMethod, .reasonString: .string
        case .correlationData, .authenticationData: .binary
        case .userProperty: .pair
        }
    }

    /// Empty: only a server sends it.
    var places: PropertyPlaces {
        switch self {
        case .payloadFormat, .messageExpiry, .contentType, .responseTopic, .correlationData: [.publish, .will]
        case .subscriptionIdentifier: .subscribe
        case .sessionExpiry: [.connect, .disconnect]
        case .authenticationMethod, .authenticationData, .requestProblemInformation, .requestResponseInformation,
            .receiveMaximum, .topicAliasMaximum, .maximumPacketSize:
            .connect
        case .willDelay: .will
        case .topicAlias: .publish
        case .reasonString: .disconnect
        case .userProperty: [.connect, .will, .publish, .subscribe, .unsubscribe, .disconnect]
        case .assignedClientIdentifier, .serverKeepAlive, .maximumQoS, .retainAvailable, .wildcardAvailable,
            .subscriptionIdentifierAvailable, .sharedSubscriptionAvailable:
            []
        }
    }
}

struct Properties: Equatable {
    var sessionExpirySeconds: UInt32?
    var maximumPacketBytes: UInt32?
    var topicAlias: UInt16?
    var wantsProblemInformation = true
    var hasAuthenticationMethod = false
    var hasAuthenticationData = false
    /// User property `columba-refusal` = `puback`, see `MQTTConnect`.
    var wantsRefusals = false

    static let none = Properties()

    static func read(_ packet: inout PacketReader, in place: PropertyPlaces) throws(MQTTReason) -> Properties {
        let length = try packet.variableInteger()
        if length == 0 { return .none }
        var reader = PacketReader(try packet.take(length))
        var properties = Properties()
        var seen: UInt64 = 0
        while reader.remaining > 0 {
            guard let property = Property(rawValue: UInt8(clamping: try reader.variableInteger())),
                property.places.contains(place)
            else { throw .malformedPacket }
            if property != .userProperty {
                let bit = UInt64(1) << UInt64(property.rawValue)
                guard seen & bit == 0 else { throw .protocolError }
                seen |= bit
            }
            try properties.read(property, &reader)
        }
        guard properties.hasAuthenticationMethod || !properties.hasAuthenticationData else { throw .protocolError }
        return properties
    }

    private mutating func read(_ property: Property, _ reader: inout PacketReader) throws(MQTTReason) {
        switch property.kind {
        case .byte:
            let value = try reader.byte()
            // Every one of them is a truth value.
            guard value <= 1 else { throw .protocolError }
            if property == .requestProblemInformation { wantsProblemInformation = value == 1 }
        case .integer16:
            let value = try reader.integer16()
            if property == .receiveMaximum, value == 0 { throw .protocolError }
            if property == .topicAlias { topicAlias = value }
        case .integer32:
            let value = try reader.integer32()
            if property == .maximumPacketSize {
                guard value > 0 else { throw .protocolError }
                maximumPacketBytes = value
            }
            if property == .sessionExpiry { sessionExpirySeconds = value }
        case .variable:
            guard try reader.variableInteger() > 0 else { throw .protocolError }
        case .string:
            _ = try reader.string()
            if property == .authenticationMethod { hasAuthenticationMethod = true }
        case .binary:
            _ = try reader.binary()
            if property == .authenticationData { hasAuthenticationData = true }
        case .pair:
            let name = try reader.string()
            let value = try reader.string()
            if name == "columba-refusal", value == "puback" { wantsRefusals = true }
        }
    }
}
