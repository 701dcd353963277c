// Blanks out comments and the contents of string literals, byte for byte: what remains is code at its own line and
// column. Knows nested comments, raw and multi-line strings and interpolation (whose inside is blanked as well).

struct CodeView {
    private var bytes: [UInt8]
    private var position = 0
    private let isSwift: Bool

    static func blanked(_ bytes: [UInt8], isSwift: Bool) -> [UInt8] {
        var view = CodeView(bytes: bytes, isSwift: isSwift)
        view.run()
        return view.bytes
    }

    private init(bytes: [UInt8], isSwift: Bool) {
        self.bytes = bytes
        self.isSwift = isSwift
    }

    private mutating func run() {
        while position < bytes.count {
            if starts("//") {
                while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { blank() }
            } else if starts("/*") {
                skipBlockComment()
            } else if let hashes = stringDelimiter() {
                skipString(hashes: hashes)
            } else if !isSwift, bytes[position] == UInt8(ascii: "'") {
                skipCharacter()
            } else {
                position += 1
            }
        }
    }

    private func starts(_ text: StaticString, at offset: Int = 0) -> Bool {
        let start = position + offset
        guard start + text.utf8CodeUnitCount <= bytes.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }

    private mutating func blank(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] != UInt8(ascii: "\n") { bytes[position] = UInt8(ascii: " ") }
            position += 1
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if starts("/*") {
                depth = isSwift ? depth + 1 : 1
                blank(2)
            } else if starts("*/") {
                depth -= 1
                blank(2)
            } else {
                blank()
            }
        } while depth > 0 && position < bytes.count
    }

    /// The number of `#` before a quotation mark when a string literal starts here.
    private func stringDelimiter() -> Int? {
        var hashes = 0
        while isSwift, position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") { hashes += 1 }
        return starts("\"", at: hashes) ? hashes : nil
    }

    private mutating func skipString(hashes: Int) {
        position += hashes
        let isMultiLine = isSwift && starts("\"\"\"")
        position += isMultiLine ? 3 : 1
        while position < bytes.count {
            if starts("\\"), closesWith(hashes, after: 1) {
                let isInterpolation = isSwift && byte(at: 1 + hashes) == UInt8(ascii: "(")
                blank(1 + hashes)
                if isInterpolation { skipInterpolation() } else { blank() }
            } else if isMultiLine ? starts("\"\"\"") : starts("\""), closesWith(hashes, after: isMultiLine ? 3 : 1) {
                position += (isMultiLine ? 3 : 1) + hashes
                return
            } else if !isMultiLine, bytes[position] == UInt8(ascii: "\n") {
                return  // an unterminated literal ends with its line
            } else {
                blank()
            }
        }
    }

    private mutating func skipInterpolation() {
        var depth = 0
        repeat {
            if let hashes = stringDelimiter() {
                let start = position
                skipString(hashes: hashes)
                for index in start..<position where bytes[index] != UInt8(ascii: "\n") { bytes[index] = 0x20 }
                continue
            }
            if bytes[position] == UInt8(ascii: "(") { depth += 1 }
            if bytes[position] == UInt8(ascii: ")") { depth -= 1 }
            blank()
        } while depth > 0 && position < bytes.count
    }

    private mutating func skipCharacter() {
        position += 1
        while position < bytes.count, bytes[position] != UInt8(ascii: "'"), bytes[position] != UInt8(ascii: "\n") {
            blank(starts("\\") ? 2 : 1)
        }
        position += 1
    }

    private func byte(at offset: Int) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private func closesWith(_ hashes: Int, after offset: Int) -> Bool {
        for index in 0..<hashes where byte(at: offset + index) != UInt8(ascii: "#") { return false }
        return true
    }
}
