// PUBLISH (§3.3), and the packet identifiers and filters of SUBSCRIBE and UNSUBSCRIBE (§3.8, §3.10), which are refused.

/// A message as it arrived. The payload's bytes are its own.
package struct MQTTPublish: Sendable, Equatable {
    /// Names this publish in the answer; counts up from 1 within a connection.
    package var ticket: Int64
    package var topic: String
    package var payload: [UInt8]
    /// 0: the client gets no answer.
    package var qos: UInt8
    /// Sent as retained; here it is a message like any other.
    package var isRetained: Bool
}

struct PublishPacket {
    let topic: String
    /// Nil with QoS 0.
    let identifier: UInt16?
    let isDuplicate: Bool
    let isRetained: Bool
    let payload: UnsafeRawBufferPointer

    var qos: UInt8 { identifier == nil ? 0 : 1 }

    /// Where only the packet's beginning is there, `payload` is what there is of it.
    static func read(
        _ body: UnsafeRawBufferPointer, flags: UInt8, version: MQTTVersion
    ) throws(MQTTReason) -> PublishPacket {
        let qos = flags >> 1 & 3
        guard qos < 3, qos > 0 || flags & 8 == 0 else { throw .malformedPacket }
        guard qos < 2 else { throw .qosNotSupported }
        var reader = PacketReader(body)
        let topic = try reader.string()
        var identifier: UInt16?
        if qos > 0 {
            let value = try reader.integer16()
            guard value > 0 else { throw version == .v5 ? .protocolError : .malformedPacket }
            identifier = value
        }
        if version == .v5 {
            // Topic Alias Maximum is 0: none may be used [MQTT-3.2.2-18].
            guard try Properties.read(&reader, in: .publish).topicAlias == nil else { throw .topicAliasInvalid }
        }
        guard !topic.isEmpty else { throw .protocolError }
        return PublishPacket(
            topic: topic, identifier: identifier, isDuplicate: flags & 8 != 0, isRetained: flags & 1 != 0,
            payload: reader.rest())
    }
}

/// SUBSCRIBE and UNSUBSCRIBE: the answer names the packet and has one code for each filter.
struct FilterPacket {
    let identifier: UInt16
    let filters: Int

    static func read(
        _ body: UnsafeRawBufferPointer, isSubscribe: Bool, version: MQTTVersion
    ) throws(MQTTReason) -> FilterPacket {
        var reader = PacketReader(body)
        let identifier = try reader.integer16()
        guard identifier > 0 else { throw .protocolError }
        if version == .v5 {
            _ = try Properties.read(&reader, in: isSubscribe ? .subscribe : .unsubscribe)
        }
        var filters = 0
        while reader.remaining > 0 {
            guard try !reader.string().isEmpty else { throw .malformedPacket }
            if isSubscribe {
                let options = try reader.byte()
                let reserved: UInt8 = version == .v5 ? 0xC0 : 0xFC
                guard options & reserved == 0, options & 3 < 3, options >> 4 & 3 < 3 else { throw .malformedPacket }
            }
            filters += 1
        }
        guard filters > 0 else { throw .protocolError }
        return FilterPacket(identifier: identifier, filters: filters)
    }
}
