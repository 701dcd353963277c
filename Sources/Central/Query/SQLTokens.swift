// SQL text cut into the pieces that matter here: what is a comment or a string and what is not, where a parameter
// stands, and where a name that an error mentions does. Never fails: an unfinished string goes to the end of the text.

struct SQLToken: Equatable {
    enum Kind: Equatable {
        case word, quotedName, string, number, parameter, symbol, comment
    }

    var kind: Kind
    /// UTF-8 offsets.
    var range: Range<Int>
    /// The name of a parameter without its `$`, of a quoted name or a string without its quotes; else as it stands.
    var text: String
}

struct SQLTokens {
    private let bytes: [UInt8]
    private var index = 0

    static func all(_ sql: String) -> [SQLToken] {
        var tokens = SQLTokens(bytes: Array(sql.utf8))
        var found: [SQLToken] = []
        while let token = tokens.next() { found.append(token) }
        return found
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func next() -> SQLToken? {
        while index < bytes.count, bytes[index] <= 0x20 { index += 1 }
        guard index < bytes.count else { return nil }
        let start = index
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "-") where at(1) == UInt8(ascii: "-"):
            while index < bytes.count, bytes[index] != 0x0a { index += 1 }
            return token(.comment, start)
        case UInt8(ascii: "/") where at(1) == UInt8(ascii: "*"):
            skipComment()
            return token(.comment, start)
        case UInt8(ascii: "'"): return quoted(.string, start, byte)
        case UInt8(ascii: "\""): return quoted(.quotedName, start, byte)
        case UInt8(ascii: "$"): return dollar(start)
        case UInt8(ascii: "e"), UInt8(ascii: "E"):
            guard at(1) == UInt8(ascii: "'") else { return word(start) }
            index += 1
            return quoted(.string, start, UInt8(ascii: "'"), escapes: true)
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            while index < bytes.count, Self.isWord(bytes[index]) || bytes[index] == UInt8(ascii: ".") { index += 1 }
            return token(.number, start)
        default:
            if Self.isWord(byte) { return word(start) }
            index += 1
            return token(.symbol, start)
        }
    }

    private func at(_ offset: Int) -> UInt8? {
        index + offset < bytes.count ? bytes[index + offset] : nil
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...0xff:
            true
        default: false
        }
    }

    private func token(_ kind: SQLToken.Kind, _ start: Int, _ text: Range<Int>? = nil) -> SQLToken {
        SQLToken(kind: kind, range: start..<index, text: String(decoding: bytes[text ?? start..<index], as: UTF8.self))
    }

    private mutating func word(_ start: Int) -> SQLToken {
        while index < bytes.count, Self.isWord(bytes[index]) || bytes[index] == UInt8(ascii: "$") { index += 1 }
        return token(.word, start)
    }

    /// Comments nest.
    private mutating func skipComment() {
        var depth = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "/"), at(1) == UInt8(ascii: "*") {
                depth += 1
                index += 2
            } else if bytes[index] == UInt8(ascii: "*"), at(1) == UInt8(ascii: "/") {
                depth -= 1
                index += 2
                if depth == 0 { return }
            } else {
                index += 1
            }
        }
    }

    /// A doubled quote stands for itself.
    private mutating func quoted(
        _ kind: SQLToken.Kind, _ start: Int, _ quote: UInt8, escapes: Bool = false
    ) -> SQLToken {
        index += 1
        var text: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if escapes, byte == UInt8(ascii: "\\"), index < bytes.count {
                text.append(bytes[index])
                index += 1
            } else if byte != quote {
                text.append(byte)
            } else if index < bytes.count, bytes[index] == quote {
                text.append(quote)
                index += 1
            } else {
                break
            }
        }
        return SQLToken(kind: kind, range: start..<index, text: String(decoding: text, as: UTF8.self))
    }

    /// `$tag$…$tag$`, a parameter `$name`, or a lone dollar.
    private mutating func dollar(_ start: Int) -> SQLToken {
        index += 1
        let nameStart = index
        while index < bytes.count, Self.isWord(bytes[index]) { index += 1 }
        let name = nameStart..<index
        let startsWithDigit = bytes[name].first.map { (0x30...0x39).contains($0) } ?? false
        guard index < bytes.count, bytes[index] == UInt8(ascii: "$"), !startsWithDigit else {
            return name.isEmpty ? token(.symbol, start) : token(.parameter, start, name)
        }
        index += 1
        let mark = bytes[start..<index]
        let textStart = index
        while index < bytes.count, !bytes[index...].starts(with: mark) { index += 1 }
        let text = textStart..<index
        index = min(index + mark.count, bytes.count)
        return token(.string, start, text)
    }
}
