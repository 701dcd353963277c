// Reads the fields of a packet's body. Every read is checked against what is left: any bytes give a value or a
// malformed packet, never more (I8).

struct PacketReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }

    mutating func byte() throws(MQTTReason) -> UInt8 {
        guard remaining >= 1 else { throw .malformedPacket }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func integer16() throws(MQTTReason) -> UInt16 {
        let high = try byte()
        return UInt16(high) << 8 | UInt16(try byte())
    }

    mutating func integer32() throws(MQTTReason) -> UInt32 {
        let high = try integer16()
        return UInt32(high) << 16 | UInt32(try integer16())
    }

    /// A Variable Byte Integer of at most four bytes, in its shortest form (§1.5.5).
    mutating func variableInteger() throws(MQTTReason) -> Int {
        var value = 0
        for index in 0..<4 {
            let byte = try byte()
            value |= Int(byte & 0x7F) << (7 * index)
            if byte & 0x80 == 0 {
                guard byte != 0 || index == 0 else { throw .malformedPacket }
                return value
            }
        }
        throw .malformedPacket
    }

    mutating func take(_ count: Int) throws(MQTTReason) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw .malformedPacket }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    /// Binary data with its 16-bit length.
    mutating func binary() throws(MQTTReason) -> UnsafeRawBufferPointer {
        try take(Int(try integer16()))
    }

    /// A string with its 16-bit length: well-formed UTF-8 without U+0000 (§1.5.4).
    mutating func string() throws(MQTTReason) -> String {
        let text = try binary()
        guard !text.contains(0), let string = String(validating: text, as: UTF8.self) else { throw .malformedPacket }
        return string
    }

    mutating func rest() -> UnsafeRawBufferPointer {
        defer { position = bytes.count }
        return UnsafeRawBufferPointer(rebasing: bytes[position...])
    }

    /// Nothing may follow the last field.
    func finish() throws(MQTTReason) {
        guard remaining == 0 else { throw .malformedPacket }
    }
}
