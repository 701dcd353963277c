// Finds where functions begin and end, by braces on code without comments and strings. Good enough to count lines.

struct FunctionSpan: Equatable {
    /// 0-based, inclusive.
    let firstLine: Int
    let lastLine: Int

    var lineCount: Int { lastLine - firstLine + 1 }
}

enum FunctionSpans {
    static func spans(in file: SourceFile) -> [FunctionSpan] {
        file.isSwift ? swiftSpans(file) : cSpans(file)
    }

    private static func swiftSpans(_ file: SourceFile) -> [FunctionSpan] {
        file.code.indices.compactMap { index in
            let line = file.code[index]
            let declares =
                Matcher.containsWord("func", in: line) || Matcher.containsWord("deinit", in: line)
                || (initialiserDeclaration(line)) || Matcher.containsWord("subscript", in: line)
            guard declares, let last = endOfBody(file.code, from: index) else { return nil }
            return FunctionSpan(firstLine: index, lastLine: last)
        }
    }

    /// `init(…)` as a declaration: first on its line, after modifiers only. `self.init(…)` is a call.
    private static func initialiserDeclaration(_ line: String) -> Bool {
        let words = line.split(separator: " ")
        let modifiers: Set<Substring> = ["package", "private", "fileprivate", "required", "convenience", "override"]
        guard let first = words.first(where: { !modifiers.contains($0) && !$0.hasPrefix("@") }) else { return false }
        return first.hasPrefix("init(") || first.hasPrefix("init?(") || first.hasPrefix("init<")
    }

    /// The line of the brace that closes the first one opened at or after `start`; nil for a declaration without body.
    private static func endOfBody(_ code: [String], from start: Int) -> Int? {
        var braces = 0
        var parentheses = 0
        for index in start..<code.count {
            for byte in code[index].utf8 {
                switch byte {
                case UInt8(ascii: "("): parentheses += 1
                case UInt8(ascii: ")"): parentheses -= 1
                case UInt8(ascii: "{"): braces += 1
                case UInt8(ascii: "}"):
                    braces -= 1
                    if braces == 0, parentheses <= 0 { return index }
                    if braces < 0 { return nil }
                default: break
                }
            }
            // A requirement of a protocol has no body: the next declaration begins before any brace opens.
            let isNext =
                index > start && braces == 0 && parentheses <= 0 && Matcher.containsWord("func", in: code[index])
            if isNext { return nil }
        }
        return nil
    }

    /// In C and C++ a function's body is a block whose opening text, back to the last `;` or `}`, has parentheses.
    private static func cSpans(_ file: SourceFile) -> [FunctionSpan] {
        var found: [FunctionSpan] = []
        var depth = 0
        var bodyDepth: Int?
        var first = 0
        var opening = ""
        for (index, line) in file.code.enumerated() where !line.hasPrefix("#") {
            for character in line {
                switch character {
                case "{":
                    let isFunction = opening.contains("(") && opening.contains(")") && !opening.contains("=")
                    if bodyDepth == nil, isFunction {
                        bodyDepth = depth
                        first = index
                    }
                    depth += 1
                    opening = ""
                case "}":
                    depth -= 1
                    if bodyDepth == depth {
                        found.append(FunctionSpan(firstLine: first, lastLine: index))
                        bodyDepth = nil
                    }
                    opening = ""
                case ";": opening = ""
                default: opening.append(character)
                }
            }
        }
        return found
    }
}
