// Small text matching for the house rules: words and calls, on lines whose comments and strings are already blanked.

enum Matcher {
    static func contains(_ text: String, in line: String) -> Bool {
        ranges(of: text, in: Array(line.utf8)).isEmpty == false
    }

    /// `text` with no identifier character on either side.
    static func containsWord(_ text: String, in line: String) -> Bool {
        let bytes = Array(line.utf8)
        return ranges(of: text, in: bytes).contains {
            !isIdentifier(bytes, $0.lowerBound - 1) && !isIdentifier(bytes, $0.upperBound)
        }
    }

    /// A call of the free function or initialiser `name`: not a method, not a declaration.
    static func containsCall(_ name: String, in line: String, arguments: String = "") -> Bool {
        let bytes = Array(line.utf8)
        return ranges(of: name + "(" + arguments, in: bytes).contains { range in
            let before = range.lowerBound - 1
            if isIdentifier(bytes, before) { return false }
            if before >= 0, bytes[before] == UInt8(ascii: ".") { return false }
            return !String(decoding: bytes[..<range.lowerBound], as: UTF8.self).hasSuffix("func ")
        }
    }

    /// `value!`, `call()!`, `list[0]!`, `as!` and `Type!`; not `!=`, not a prefix `!`, not `try!` (it has its own
    /// rule).
    static func containsForceUnwrap(_ line: String) -> Bool {
        let bytes = Array(line.utf8)
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "!") {
            guard index > 0 else { continue }
            let before = bytes[index - 1]
            let closes = [UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "\""), UInt8(ascii: "?")].contains(before)
            guard closes || isIdentifier(bytes, index - 1) else { continue }
            if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "=") { continue }
            if String(decoding: bytes[..<index], as: UTF8.self).hasSuffix("try") { continue }
            return true
        }
        return false
    }

    private static func ranges(of text: String, in bytes: [UInt8]) -> [Range<Int>] {
        let wanted = Array(text.utf8)
        guard !wanted.isEmpty, bytes.count >= wanted.count else { return [] }
        return (0...(bytes.count - wanted.count)).compactMap { start in
            bytes[start] == wanted[0] && bytes[start..<(start + wanted.count)].elementsEqual(wanted)
                ? start..<(start + wanted.count) : nil
        }
    }

    private static func isIdentifier(_ bytes: [UInt8], _ index: Int) -> Bool {
        guard bytes.indices.contains(index) else { return false }
        switch bytes[index] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...0xFF:
            return true
        default: return false
        }
    }
}
