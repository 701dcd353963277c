// The packets that the relay sends, as bytes.

struct PacketWriter {
    private(set) var bytes: [UInt8] = []
    /// The client's Maximum Packet Size: what is larger is not sent [MQTT-3.1.2-24].
    var maximumPacketBytes = Int.max

    private mutating func append(_ type: PacketType, _ body: [UInt8]) {
        guard body.count + 5 <= maximumPacketBytes else { return }
        bytes.append(type.rawValue << 4)
        Self.appendVariable(body.count, to: &bytes)
        bytes.append(contentsOf: body)
    }

    private static func appendVariable(_ value: Int, to bytes: inout [UInt8]) {
        precondition((0..<PacketFrame.longestBytes).contains(value), "a length has at most four bytes")
        var value = value
        repeat {
            let byte = UInt8(value & 0x7F)
            value >>= 7
            bytes.append(value > 0 ? byte | 0x80 : byte)
        } while value > 0
    }

    private static func append16(_ value: UInt16, to bytes: inout [UInt8]) {
        bytes.append(UInt8(value >> 8))
        bytes.append(UInt8(value & 0xFF))
    }

    private static func append32(_ value: UInt32, to bytes: inout [UInt8]) {
        append16(UInt16(value >> 16), to: &bytes)
        append16(UInt16(value & 0xFFFF), to: &bytes)
    }

    private static func appendString(_ text: String, to bytes: inout [UInt8]) {
        append16(UInt16(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func appendProperties(_ properties: [UInt8], to bytes: inout [UInt8]) {
        appendVariable(properties.count, to: &bytes)
        bytes.append(contentsOf: properties)
    }

    /// A Reason String property, or nothing where the client has no room for it.
    private func reasonString(_ text: String) -> [UInt8] {
        // What stands around it: fixed header, packet identifier, reason, property lengths.
        let room = min(maximumPacketBytes - 16, 1024)
        guard !text.isEmpty, text.utf8.count <= room else { return [] }
        var property = [Property.reasonString.rawValue]
        Self.appendString(text, to: &property)
        return property
    }

    /// - Parameter assignedIdentifier: the name that the relay chose; nil: the client named itself.
    mutating func connectAccepted(
        _ connect: MQTTConnect, sessionPresent: Bool, assignedIdentifier: String?, keepAliveSeconds: Int,
        limits: MQTTLimits
    ) {
        var body: [UInt8] = [sessionPresent ? 1 : 0, MQTTReason.success.rawValue]
        if connect.version == .v5 {
            var properties: [UInt8] = []
            properties.append(Property.receiveMaximum.rawValue)
            Self.append16(UInt16(limits.receiveMaximum), to: &properties)
            properties += [Property.maximumQoS.rawValue, 1]
            properties += [Property.retainAvailable.rawValue, 0]
            properties.append(Property.maximumPacketSize.rawValue)
            Self.append32(UInt32(limits.maxPacketBytes), to: &properties)
            if let assignedIdentifier {
                properties.append(Property.assignedClientIdentifier.rawValue)
                Self.appendString(assignedIdentifier, to: &properties)
            }
            if keepAliveSeconds != connect.keepAliveSeconds {
                properties.append(Property.serverKeepAlive.rawValue)
                Self.append16(UInt16(keepAliveSeconds), to: &properties)
            }
            properties += [Property.wildcardAvailable.rawValue, 0]
            properties += [Property.subscriptionIdentifierAvailable.rawValue, 0]
            properties += [Property.sharedSubscriptionAvailable.rawValue, 0]
            Self.appendProperties(properties, to: &body)
        }
        append(.connectAcknowledgement, body)
    }

    mutating func connectRefused(_ refusal: ConnectRefusal) {
        switch refusal.version {
        case .v5: append(.connectAcknowledgement, [0, refusal.reason.rawValue, 0])
        case .v311:
            if let code = refusal.reason.returnCode { append(.connectAcknowledgement, [0, code]) }
        case nil: break
        }
    }

    mutating func publishAcknowledged(
        _ identifier: UInt16, _ reason: MQTTReason, text: String, for connect: MQTTConnect
    ) {
        let (high, low) = (UInt8(identifier >> 8), UInt8(identifier & 0xFF))
        // Success needs no reason code (§3.4.2.1), and 3.1.1 has none.
        guard connect.version == .v5, reason != .success else {
            bytes.append(PacketType.publishAcknowledgement.rawValue << 4)
            bytes.append(2)
            bytes.append(high)
            bytes.append(low)
            return
        }
        var body = [high, low, reason.rawValue]
        if connect.wantsProblemInformation {
            let properties = reasonString(text)
            if !properties.isEmpty { Self.appendProperties(properties, to: &body) }
        }
        append(.publishAcknowledgement, body)
    }

    /// Every filter is refused.
    mutating func subscribeRefused(_ packet: FilterPacket, version: MQTTVersion) {
        var body: [UInt8] = []
        Self.append16(packet.identifier, to: &body)
        if version == .v5 { body.append(0) }
        let code = version == .v5 ? MQTTReason.notAuthorized.rawValue : 0x80
        body += [UInt8](repeating: code, count: packet.filters)
        append(.subscribeAcknowledgement, body)
    }

    mutating func unsubscribed(_ packet: FilterPacket, version: MQTTVersion) {
        var body: [UInt8] = []
        Self.append16(packet.identifier, to: &body)
        if version == .v5 {
            body.append(0)
            body += [UInt8](repeating: MQTTReason.noSubscriptionExisted.rawValue, count: packet.filters)
        }
        append(.unsubscribeAcknowledgement, body)
    }

    mutating func pingAnswered() { append(.pingResponse, []) }

    /// Nothing in 3.1.1, where only clients send it.
    mutating func disconnected(_ reason: MQTTReason, text: String, for connect: MQTTConnect) {
        guard connect.version == .v5 else { return }
        var body = [reason.rawValue]
        let properties = reasonString(text)
        if !properties.isEmpty { Self.appendProperties(properties, to: &body) }
        append(.disconnect, body)
    }

    /// The first bytes were sent.
    mutating func sent(_ count: Int) {
        precondition(count <= bytes.count, "no more is sent than there is")
        if count == bytes.count { bytes = [] } else { bytes.removeFirst(count) }
    }
}
