// The `Content-Digest` header (RFC 9530): `sha-256=:<base64 of 32 bytes>:`. Only the text; the hash itself is Crypto's.

package enum ContentDigest {
    private static let prefix = Array("sha-256=:".utf8)
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func format(_ sha256: UnsafeRawBufferPointer) -> String {
        precondition(sha256.count == 32, "a SHA-256 is 32 bytes long")
        var output = prefix
        for index in stride(from: 0, to: 32, by: 3) {
            let (second, third) = (index + 1 < 32 ? sha256[index + 1] : 0, index + 2 < 32 ? sha256[index + 2] : 0)
            output.append(alphabet[Int(sha256[index] >> 2)])
            output.append(alphabet[Int((sha256[index] & 3) << 4 | second >> 4)])
            output.append(alphabet[Int((second & 15) << 2 | third >> 6)])
            output.append(index + 2 < 32 ? alphabet[Int(third & 63)] : 0x3d)
        }
        output.append(0x3a)
        return String(decoding: output, as: UTF8.self)
    }

    package static func format(_ sha256: [UInt8]) -> String { sha256.withUnsafeBytes { format($0) } }

    /// The 32 bytes; other algorithms in the list are skipped. Nil where there is no SHA-256, more than one, or a
    /// malformed one.
    package static func parse(_ header: String) -> [UInt8]? {
        var found: [UInt8]?
        for member in header.split(separator: ",") {
            let text = Array(member.utf8.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
            guard text.starts(with: prefix) else { continue }
            guard found == nil, let bytes = decode(text.dropFirst(prefix.count)) else { return nil }
            found = bytes
        }
        return found
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// 43 characters, one `=`, one `:`. The last character's two unused bits must be zero: one text per digest.
    private static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count == 45, text.suffix(2).elementsEqual([0x3d, 0x3a]) else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(33)
        var pending: UInt32 = 0
        var bits = 0
        for character in text.dropLast(2) {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            pending = pending << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: pending >> bits))
            }
        }
        let leftover = pending & (1 << bits - 1)
        return output.count == 32 && leftover == 0 ? output : nil
    }
}
