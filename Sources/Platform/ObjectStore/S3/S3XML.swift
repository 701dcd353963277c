// The little XML that S3 answers with: elements with text, nothing else that matters. Total: any bytes give elements or
// nil, in time and memory bounded by their length (I8). No document type, no entity but the five of XML and numbers.

package struct S3Element: Equatable, Sendable {
    /// Without a namespace's prefix.
    package var name: String
    package var text = ""
    package var children: [S3Element] = []

    /// The text of the first child of that name.
    package subscript(name: String) -> String? { children.first { $0.name == name }?.text }

    package func all(_ name: String) -> [S3Element] { children.filter { $0.name == name } }
}

package struct S3XMLReader {
    private let bytes: [UInt8]
    private var index = 0
    private static let maxDepth = 16

    /// The document's root; nil if the bytes are not such a document.
    package static func root(of bytes: [UInt8]) -> S3Element? {
        var reader = S3XMLReader(bytes: bytes)
        guard reader.skipToElement() else { return nil }
        return reader.element(depth: 1)
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Passes over blanks, declarations and comments.
    private mutating func skipToElement() -> Bool {
        while index < bytes.count {
            if at("<?") {
                guard skip(past: "?>") else { return false }
            } else if at("<!--") {
                guard skip(past: "-->") else { return false }
            } else if at("<!") {
                return false
            } else if bytes[index] == UInt8(ascii: "<") {
                return true
            } else {
                index += 1
            }
        }
        return false
    }

    /// Stands at `<`; afterwards behind the end tag.
    private mutating func element(depth: Int) -> S3Element? {
        guard depth <= Self.maxDepth, let tag = self.tag() else { return nil }
        var element = S3Element(name: tag.name)
        if tag.isEmpty { return element }
        var text: [UInt8] = []
        while index < bytes.count {
            if at("</") {
                index += 2
                let end = name()
                guard end == tag.name, skip(past: ">") else { return nil }
                element.text = String(decoding: text, as: UTF8.self)
                return element
            } else if at("<!--") {
                guard skip(past: "-->") else { return nil }
            } else if at("<![CDATA[") {
                let start = index + 9
                guard skip(past: "]]>") else { return nil }
                text += bytes[start..<(index - 3)]
            } else if bytes[index] == UInt8(ascii: "<") {
                guard let child = self.element(depth: depth + 1) else { return nil }
                element.children.append(child)
            } else if bytes[index] == UInt8(ascii: "&") {
                guard let character = entity() else { return nil }
                text += Array(String(character).utf8)
            } else {
                text.append(bytes[index])
                index += 1
            }
        }
        return nil
    }

    private mutating func tag() -> (name: String, isEmpty: Bool)? {
        index += 1
        let name = self.name()
        guard !name.isEmpty else { return nil }
        // Attributes (namespaces) are passed over; a `>` may stand inside their quotes.
        var quote: UInt8?
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                return (name, bytes[index - 2] == UInt8(ascii: "/"))
            }
        }
        return nil
    }

    private mutating func name() -> String {
        let start = index
        let ends = Array(" \t\r\n/>".utf8)
        while index < bytes.count, !ends.contains(bytes[index]) { index += 1 }
        let whole = bytes[start..<index]
        let local = whole.lastIndex(of: UInt8(ascii: ":")).map { whole[($0 + 1)...] } ?? whole
        return String(decoding: local, as: UTF8.self)
    }

    private mutating func entity() -> Unicode.Scalar? {
        guard let end = bytes[index...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let text = String(decoding: bytes[(index + 1)..<end], as: UTF8.self)
        index = end + 1
        switch text {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard text.hasPrefix("#") else { return nil }
            let isHexadecimal = text.hasPrefix("#x")
            return UInt32(text.dropFirst(isHexadecimal ? 2 : 1), radix: isHexadecimal ? 16 : 10)
                .flatMap(Unicode.Scalar.init)
        }
    }

    private func at(_ text: String) -> Bool { bytes[index...].starts(with: text.utf8) }

    private mutating func skip(past text: String) -> Bool {
        while index < bytes.count {
            if at(text) {
                index += text.utf8.count
                return true
            }
            index += 1
        }
        return false
    }
}
