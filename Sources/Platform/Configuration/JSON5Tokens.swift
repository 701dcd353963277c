// The tokens of JSON5: white space and comments, strings, names, numbers.

extension JSON5Parser {
    mutating func skipSpace() throws(ConfigurationError) {
        while let next = current {
            if Self.isSpace(next) {
                position += 1
            } else if next == "/", peek(1) == "/" {
                while let character = current, !Self.isLineEnd(character) { position += 1 }
            } else if next == "/", peek(1) == "*" {
                let start = position
                position += 2
                while !(current == "*" && peek(1) == "/") {
                    guard current != nil else { throw failure("this comment is never closed", at: start) }
                    position += 1
                }
                position += 2
            } else {
                return
            }
        }
    }

    private static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\n" || scalar == "\r" || scalar == "\u{2028}" || scalar == "\u{2029}"
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case " ", "\t", "\n", "\r", "\u{0B}", "\u{0C}", "\u{A0}", "\u{FEFF}", "\u{2028}", "\u{2029}": true
        default: scalar.properties.generalCategory == .spaceSeparator
        }
    }

    // MARK: Strings

    mutating func string() throws(ConfigurationError) -> String {
        let start = position
        guard let quote = current else { throw failure("expected a string") }
        position += 1
        var result = String.UnicodeScalarView()
        while let next = current {
            position += 1
            if next == quote { return String(result) }
            if next == "\n" || next == "\r" {
                throw failure("this string is not closed before its line ends", at: start)
            }
            if next != "\\" {
                result.append(next)
            } else if let escaped = try escape() {
                result.append(escaped)
            }
        }
        throw failure("this string is never closed", at: start)
    }

    /// After a backslash; nil where a line is continued.
    private mutating func escape() throws(ConfigurationError) -> Unicode.Scalar? {
        let start = position - 1
        guard let next = current else { throw failure("the document ends within a string") }
        position += 1
        switch next {
        case "b": return "\u{08}"
        case "f": return "\u{0C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{0B}"
        case "0": return "\0"
        case "x": return Unicode.Scalar(try hexadecimal(digits: 2, at: start)) ?? "\u{FFFD}"
        case "u": return try unicodeEscape(at: start)
        case "\r":
            if current == "\n" { position += 1 }
            return nil
        case "\n", "\u{2028}", "\u{2029}": return nil
        case "1", "2", "3", "4", "5", "6", "7", "8", "9": throw failure("an unknown escape", at: start)
        default: return next
        }
    }

    private mutating func unicodeEscape(at start: Int) throws(ConfigurationError) -> Unicode.Scalar {
        let first = try hexadecimal(digits: 4, at: start)
        if (0xD800...0xDBFF).contains(first), current == "\\", peek(1) == "u" {
            position += 2
            let second = try hexadecimal(digits: 4, at: start)
            if (0xDC00...0xDFFF).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
            {
                return scalar
            }
        }
        guard let scalar = Unicode.Scalar(first) else { throw failure("half a surrogate pair", at: start) }
        return scalar
    }

    private mutating func hexadecimal(digits: Int, at start: Int) throws(ConfigurationError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let digit = current.flatMap({ Character($0).hexDigitValue }) else {
                throw failure("an escape needs \(digits) hexadecimal digits", at: start)
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    // MARK: Names and numbers

    mutating func identifier() throws(ConfigurationError) -> String {
        let start = position
        var result = String.UnicodeScalarView()
        while let next = current {
            let isFirst = position == start
            let properties = next.properties
            guard next == "$" || next == "_" || (isFirst ? properties.isIDStart : properties.isIDContinue) else {
                break
            }
            result.append(next)
            position += 1
        }
        guard !result.isEmpty else {
            throw failure(current.map { "unexpected \(Self.shown($0))" } ?? "the document ends too early")
        }
        return String(result)
    }

    private static func shown(_ scalar: Unicode.Scalar) -> String {
        scalar.value < 0x20 ? "control character" : "\u{201C}\(scalar)\u{201D}"
    }

    mutating func number() throws(ConfigurationError) -> Double {
        let start = position
        var sign = 1.0
        if current == "+" || current == "-" {
            if current == "-" { sign = -1 }
            position += 1
        }
        if current == "I" || current == "N" {
            let word = try identifier()
            if word == "Infinity" { return sign * .infinity }
            if word == "NaN" { return .nan }
            throw failure("a text needs quotes: \"\(word)\"", at: start)
        }
        if current == "0", peek(1) == "x" || peek(1) == "X" {
            position += 2
            return sign * (try hexadecimalNumber(at: start))
        }
        var digits = ""
        while let next = current, Self.isNumberPart(next, after: digits.unicodeScalars.last) {
            digits.unicodeScalars.append(next)
            position += 1
        }
        guard !digits.isEmpty else { throw failure("unexpected \(current.map(Self.shown) ?? "end")", at: start) }
        if let next = current, next.properties.isIDStart { throw failure("a text needs quotes", at: start) }
        digits = Self.withDigitsAroundPoint(digits)
        let hasLeadingZero = digits.hasPrefix("0") && digits.dropFirst().first?.isNumber == true
        guard !hasLeadingZero, let value = Double(digits) else { throw failure("not a number", at: start) }
        return sign * value
    }

    private static func isNumberPart(_ next: Unicode.Scalar, after last: Unicode.Scalar?) -> Bool {
        switch next {
        case "0"..."9", ".", "e", "E": true
        case "+", "-": last == "e" || last == "E"
        default: false
        }
    }

    /// JSON5 allows .5 and 5. where Swift wants a digit on both sides; a point alone stays what it is: no number.
    private static func withDigitsAroundPoint(_ digits: String) -> String {
        guard let point = digits.firstIndex(of: ".") else { return digits }
        let before = digits[..<point]
        let after = digits[digits.index(after: point)...]
        let hasFraction = after.first?.isNumber == true
        guard !before.isEmpty || hasFraction else { return digits }
        return (before.isEmpty ? "0" : before) + "." + (hasFraction ? "" : "0") + after
    }

    private mutating func hexadecimalNumber(at start: Int) throws(ConfigurationError) -> Double {
        var value = 0.0
        var count = 0
        while let digit = current.flatMap({ Character($0).hexDigitValue }) {
            value = value * 16 + Double(digit)
            count += 1
            position += 1
        }
        guard count > 0 else { throw failure("0x needs hexadecimal digits", at: start) }
        return value
    }
}
