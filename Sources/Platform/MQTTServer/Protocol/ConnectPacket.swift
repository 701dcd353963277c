// CONNECT (§3.1), in both versions.

/// What a client asked for when it connected.
package struct MQTTConnect: Sendable, Equatable {
    package var version: MQTTVersion
    /// Empty: the client leaves the choice to the relay.
    package var clientIdentifier: String
    /// Forget what an earlier connection of this client left (3.1.1: Clean Session).
    package var cleanStart: Bool
    /// How long the session is kept after the connection ends; 0: not at all, `UInt32.max`: for ever.
    package var sessionExpirySeconds: UInt32
    /// 0: no limit.
    package var keepAliveSeconds: Int
    /// The largest packet that the client takes; nil: any.
    package var maximumPacketBytes: Int?
    /// False: reason strings may stand in CONNACK and DISCONNECT only.
    package var wantsProblemInformation: Bool
    /// The client wants to hear of a report that cannot be taken *now* as a PUBACK with a reason of 0x80 or more, and
    /// promises to publish it again itself. Without this (User Property `columba-refusal` = `puback`) the relay leaves
    /// such a report unanswered and ends the connection: MQTT forbids a client to resend what was answered, whatever
    /// the reason [MQTT-4.4.0-2], so a plain client would lose it.
    package var wantsRefusals: Bool
    /// A will is taken and never published: nobody can subscribe here, and the relay knows by itself when a drone
    /// falls silent.
    package var hasWill: Bool
}

/// Why a CONNECT was refused, and in which version's words the answer must be.
struct ConnectRefusal: Error, Equatable {
    let reason: MQTTReason
    /// Nil: not even the protocol's name was right, so no answer is owed.
    let version: MQTTVersion?
}

extension MQTTConnect {
    private struct Flags {
        let cleanStart: Bool
        let hasWill: Bool
        let willQoS: UInt8
        let willRetain: Bool
        let hasPassword: Bool
        let hasUserName: Bool

        init(_ byte: UInt8) throws(MQTTReason) {
            guard byte & 1 == 0 else { throw .malformedPacket }
            cleanStart = byte & 2 != 0
            hasWill = byte & 4 != 0
            willQoS = byte >> 3 & 3
            willRetain = byte & 0x20 != 0
            hasPassword = byte & 0x40 != 0
            hasUserName = byte & 0x80 != 0
            guard willQoS < 3, hasWill || (willQoS == 0 && !willRetain) else { throw .malformedPacket }
        }
    }

    static func read(_ body: UnsafeRawBufferPointer, limits: MQTTLimits) throws(ConnectRefusal) -> MQTTConnect {
        var reader = PacketReader(body)
        var version: MQTTVersion?
        do throws(MQTTReason) {
            guard try reader.string() == "MQTT" else { throw .unsupportedProtocolVersion }
            let level = try reader.byte()
            version = level > MQTTVersion.v5.rawValue ? .v5 : .v311
            guard let known = MQTTVersion(rawValue: level) else { throw .unsupportedProtocolVersion }
            version = known
            return try readRest(&reader, known, limits)
        } catch {
            throw ConnectRefusal(reason: error, version: version)
        }
    }

    private static func readRest(
        _ reader: inout PacketReader, _ version: MQTTVersion, _ limits: MQTTLimits
    ) throws(MQTTReason) -> MQTTConnect {
        let flags = try Flags(try reader.byte())
        let keepAlive = Int(try reader.integer16())
        let properties = version == .v5 ? try Properties.read(&reader, in: .connect) : .none
        let identifier = try reader.string()
        if flags.hasWill {
            if version == .v5 { _ = try Properties.read(&reader, in: .will) }
            _ = try reader.string()
            _ = try reader.binary()
        }
        // Who a drone is, its certificate says; a name and a password are read over and never kept.
        if flags.hasUserName { _ = try reader.string() }
        if flags.hasPassword {
            guard flags.hasUserName || version == .v5 else { throw .malformedPacket }
            _ = try reader.binary()
        }
        try reader.finish()
        guard identifier.utf8.count <= limits.clientIdentifierBytes else { throw .clientIdentifierNotValid }
        if version == .v311 {
            guard !identifier.isEmpty || flags.cleanStart else { throw .clientIdentifierNotValid }
        } else {
            guard !properties.hasAuthenticationMethod else { throw .badAuthenticationMethod }
            guard flags.willQoS < 2 else { throw .qosNotSupported }
            guard !flags.willRetain else { throw .retainNotSupported }
        }
        let unnamedExpiry: UInt32 = version == .v5 || flags.cleanStart ? 0 : .max
        return MQTTConnect(
            version: version, clientIdentifier: identifier, cleanStart: flags.cleanStart,
            sessionExpirySeconds: properties.sessionExpirySeconds ?? unnamedExpiry, keepAliveSeconds: keepAlive,
            maximumPacketBytes: properties.maximumPacketBytes.map(Int.init),
            wantsProblemInformation: properties.wantsProblemInformation, wantsRefusals: properties.wantsRefusals,
            hasWill: flags.hasWill)
    }
}
