// A packet's fixed header (§2.1): type, flags, and the length of the rest in 1…4 bytes.

struct PacketFrame: Equatable {
    /// What four length bytes can say, and the header itself.
    static let longestBytes = 268_435_455 + 5

    let type: PacketType
    let flags: UInt8
    /// Bytes of the fixed header.
    let headerBytes: Int
    /// Bytes after it.
    let bodyBytes: Int

    var totalBytes: Int { headerBytes + bodyBytes }

    /// The frame that begins at the first byte; nil while its header is incomplete.
    static func read(_ bytes: UnsafeRawBufferPointer) throws(MQTTReason) -> PacketFrame? {
        guard bytes.count >= 1 else { return nil }
        guard let type = PacketType(rawValue: bytes[0] >> 4) else { throw .malformedPacket }
        let flags = bytes[0] & 0x0F
        // Every type but PUBLISH has fixed flags; anything else is malformed [MQTT-2.1.3-1].
        if type != .publish {
            let fixed: UInt8 = [.publishRelease, .subscribe, .unsubscribe].contains(type) ? 2 : 0
            guard flags == fixed else { throw .malformedPacket }
        }
        var length = 0
        for index in 1...4 {
            guard index < bytes.count else { return nil }
            let byte = bytes[index]
            length |= Int(byte & 0x7F) << (7 * (index - 1))
            if byte & 0x80 == 0 {
                // The shortest form is required [MQTT-1.5.5-1].
                guard byte != 0 || index == 1 else { throw .malformedPacket }
                return PacketFrame(type: type, flags: flags, headerBytes: index + 1, bodyBytes: length)
            }
        }
        throw .malformedPacket
    }
}
