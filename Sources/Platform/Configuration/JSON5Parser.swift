// Reads JSON5 (json5.org, version 1.0.0) and remembers where each value stands, so that every mistake in a file that a
// person wrote can be shown at its line and column. Foundation's reader says neither where a syntax error is nor that a
// key is there twice; here a key that is there twice is an error, because one of the two would silently be ignored.
//
// Files are small and trusted to be so: at most 16 MiB, nested at most 64 deep.

/// 1-based; a column counts characters as an editor does (Unicode scalars).
package struct SourcePlace: Sendable, Equatable, CustomStringConvertible {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package var description: String { "line \(line), column \(column)" }
}

/// A document with the place of every value by its path (`rules[2].when.citizen`).
package struct PlacedDocument: Sendable {
    package let root: ConfigurationNode
    private let offsets: [String: Int]
    private let text: [Unicode.Scalar]

    package init(json5 bytes: [UInt8]) throws(ConfigurationError) {
        var parser = try JSON5Parser(bytes)
        root = try parser.parseDocument()
        offsets = parser.offsets
        text = parser.text
    }

    /// Of the value at the path, or of the nearest value around it that the document has.
    package func place(of path: String) -> SourcePlace? {
        var path = path[...]
        while true {
            if let offset = offsets[String(path)] { return JSON5Parser.place(of: offset, in: text) }
            guard let end = path.lastIndex(where: { $0 == "." || $0 == "[" }) else {
                return offsets[""].map { JSON5Parser.place(of: $0, in: text) }
            }
            path = path[..<end]
        }
    }

    /// The error with its place in this document.
    package func located(_ error: ConfigurationError) -> ConfigurationError {
        guard error.place == nil else { return error }
        return ConfigurationError(key: error.key, problem: error.problem, place: place(of: error.key))
    }
}

struct JSON5Parser {
    private static let maxBytes = 16 << 20
    private static let maxDepth = 64

    let text: [Unicode.Scalar]
    /// Where the value (for a member: its key) of each path begins.
    private(set) var offsets: [String: Int] = [:]
    var position = 0

    init(_ bytes: [UInt8]) throws(ConfigurationError) {
        guard bytes.count <= Self.maxBytes else {
            throw ConfigurationError(key: "", problem: "the file is larger than 16 MiB")
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(key: "", problem: "the file is not UTF-8 text")
        }
        text = Array(decoded.unicodeScalars)
    }

    static func place(of offset: Int, in text: [Unicode.Scalar]) -> SourcePlace {
        var line = 1
        var column = 1
        for index in 0..<min(offset, text.count) {
            // CR LF is one line end: the LF after a CR counts, the CR itself only when it stands alone.
            let isLoneReturn = text[index] == "\r" && !(index + 1 < text.count && text[index + 1] == "\n")
            if text[index] == "\n" || isLoneReturn {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return SourcePlace(line: line, column: column)
    }

    func failure(_ problem: String, at offset: Int? = nil) -> ConfigurationError {
        ConfigurationError(
            key: "", problem: "not JSON5: \(problem)", place: Self.place(of: offset ?? position, in: text))
    }

    mutating func parseDocument() throws(ConfigurationError) -> ConfigurationNode {
        try skipSpace()
        let root = try value(path: "", depth: 1)
        try skipSpace()
        guard position == text.count else { throw failure("something follows after the end of the document") }
        return root
    }

    var current: Unicode.Scalar? { position < text.count ? text[position] : nil }

    func peek(_ ahead: Int) -> Unicode.Scalar? { position + ahead < text.count ? text[position + ahead] : nil }

    // MARK: Values

    private mutating func value(path: String, depth: Int) throws(ConfigurationError) -> ConfigurationNode {
        guard depth <= Self.maxDepth else { throw failure("nested deeper than \(Self.maxDepth)") }
        if offsets[path] == nil { offsets[path] = position }
        switch current {
        case nil: throw failure("the document ends where a value should be")
        case "{": return .object(try object(path: path, depth: depth))
        case "[": return .array(try array(path: path, depth: depth))
        case "\"", "'": return .string(try string())
        case "t", "f", "n":
            let start = position
            let word = try identifier()
            switch word {
            case "true": return .bool(true)
            case "false": return .bool(false)
            case "null": return .null
            default: throw failure("a text needs quotes: \"\(word)\"", at: start)
            }
        default: return .number(try number())
        }
    }

    private mutating func object(path: String, depth: Int) throws(ConfigurationError) -> [String: ConfigurationNode] {
        let start = position
        position += 1
        var members: [String: ConfigurationNode] = [:]
        while true {
            try skipSpace()
            guard let next = current else { throw failure("this { is never closed", at: start) }
            if next == "}" { break }
            let keyStart = position
            let key = next == "\"" || next == "'" ? try string() : try identifier()
            let keyPath = path.isEmpty ? key : "\(path).\(key)"
            guard members[key] == nil else {
                throw ConfigurationError(
                    key: keyPath, problem: "is there twice; keep one", place: Self.place(of: keyStart, in: text))
            }
            offsets[keyPath] = keyStart
            try skipSpace()
            guard current == ":" else { throw failure("expected : after the key \(key)") }
            position += 1
            try skipSpace()
            members[key] = try value(path: keyPath, depth: depth + 1)
            guard try goesOn(until: "}", opened: start) else { break }
        }
        position += 1
        return members
    }

    private mutating func array(path: String, depth: Int) throws(ConfigurationError) -> [ConfigurationNode] {
        let start = position
        position += 1
        var elements: [ConfigurationNode] = []
        while true {
            try skipSpace()
            guard let next = current else { throw failure("this [ is never closed", at: start) }
            if next == "]" { break }
            elements.append(try value(path: "\(path)[\(elements.count)]", depth: depth + 1))
            guard try goesOn(until: "]", opened: start) else { break }
        }
        position += 1
        return elements
    }

    /// After an element: takes the comma, or stands at the closing bracket and answers false.
    private mutating func goesOn(until close: Unicode.Scalar, opened: Int) throws(ConfigurationError) -> Bool {
        try skipSpace()
        switch current {
        case ",":
            position += 1
            return true
        case close: return false
        case nil: throw failure("this \(close == "}" ? "{" : "[") is never closed", at: opened)
        default: throw failure("expected , or \(close)")
        }
    }
}
