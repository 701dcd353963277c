// A second opinion on what strict JSON is: the contract's grammar written down as plainly as possible, slow and
// obvious, to hold against the fast parser.

struct ReferenceJSON {
    enum Verdict: Equatable { case valid, invalid, duplicateKey, tooDeep }

    private struct Refused: Error { var verdict: Verdict }

    private let bytes: [UInt8]
    private var at = 0

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Nil where the body has more than one fault, so that either answer is right.
    static func verdict(_ bytes: [UInt8]) -> Verdict {
        guard String(validating: bytes, as: UTF8.self) != nil else { return .invalid }
        var reader = ReferenceJSON(bytes: bytes)
        do {
            reader.blanks()
            try reader.value(depth: 1)
            reader.blanks()
            return reader.at == bytes.count ? .valid : .invalid
        } catch let refused as Refused {
            return refused.verdict
        } catch {
            return .invalid
        }
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func blanks() {
        while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { at += 1 }
    }

    private mutating func take(_ text: String) throws {
        guard bytes[at...].starts(with: text.utf8) else { throw Refused(verdict: .invalid) }
        at += text.utf8.count
    }

    private mutating func value(depth: Int) throws {
        switch next {
        case UInt8(ascii: "{"): try object(depth: depth)
        case UInt8(ascii: "["): try array(depth: depth)
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try take("true")
        case UInt8(ascii: "f"): try take("false")
        case UInt8(ascii: "n"): try take("null")
        default: try number()
        }
    }

    private mutating func object(depth: Int) throws {
        guard depth <= 16 else { throw Refused(verdict: .tooDeep) }
        try take("{")
        blanks()
        var keys: Set<[UInt8]> = []
        var hasDuplicate = false
        while next != UInt8(ascii: "}") {
            let key = try string()
            if !keys.insert(key).inserted { hasDuplicate = true }
            blanks()
            try take(":")
            blanks()
            try value(depth: depth + 1)
            blanks()
            if next == UInt8(ascii: "}") { break }
            try take(",")
            blanks()
            if next == UInt8(ascii: "}") { throw Refused(verdict: .invalid) }
        }
        try take("}")
        if hasDuplicate { throw Refused(verdict: .duplicateKey) }
    }

    private mutating func array(depth: Int) throws {
        guard depth <= 16 else { throw Refused(verdict: .tooDeep) }
        try take("[")
        blanks()
        while next != UInt8(ascii: "]") {
            try value(depth: depth + 1)
            blanks()
            if next == UInt8(ascii: "]") { break }
            try take(",")
            blanks()
            if next == UInt8(ascii: "]") { throw Refused(verdict: .invalid) }
        }
        try take("]")
    }

    private mutating func string() throws -> [UInt8] {
        try take("\"")
        var units: [UInt16] = []
        var plain: [UInt8] = []
        func flush(_ plain: inout [UInt8], _ units: inout [UInt16]) {
            units.append(contentsOf: String(decoding: plain, as: UTF8.self).utf16)
            plain = []
        }
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw Refused(verdict: .invalid) }
            at += 1
            guard byte == UInt8(ascii: "\\") else {
                plain.append(byte)
                continue
            }
            flush(&plain, &units)
            units.append(try escape())
        }
        try take("\"")
        flush(&plain, &units)
        guard let text = String(validating: units, as: UTF16.self) else { throw Refused(verdict: .invalid) }
        return Array(text.utf8)
    }

    private mutating func escape() throws -> UInt16 {
        guard let letter = next else { throw Refused(verdict: .invalid) }
        at += 1
        let simple: [Character: UInt16] = [
            "\"": 0x22, "\\": 0x5c, "/": 0x2f, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9,
        ]
        if let unit = simple[Character(UnicodeScalar(letter))] { return unit }
        let digits = bytes[at...].prefix(4)
        guard letter == UInt8(ascii: "u"), digits.count == 4, !digits.contains(UInt8(ascii: "+")),
            !digits.contains(UInt8(ascii: "-")),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw Refused(verdict: .invalid) }
        at += 4
        return unit
    }

    private mutating func number() throws {
        let start = at
        if next == UInt8(ascii: "-") { at += 1 }
        if next == UInt8(ascii: "0") { at += 1 } else { try digits() }
        if next == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
        guard let value = Double(String(decoding: bytes[start..<at], as: UTF8.self)), value.isFinite else {
            throw Refused(verdict: .invalid)
        }
    }

    private mutating func digits() throws {
        let start = at
        while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
        if at == start { throw Refused(verdict: .invalid) }
    }
}
