// Rules about constructs: what Columba's Swift does not use, and what to write instead.

struct BannedConstruct {
    let name: String
    let instead: String
    /// Whether the construct may stand in this file at all (before exceptions).
    var appliesTo: @Sendable (SourceFile) -> Bool = { _ in true }
    let isIn: @Sendable (String) -> Bool
}

extension HouseRules {
    static let bannedConstructs: [BannedConstruct] = [
        BannedConstruct(
            name: "try!", instead: "handle the error, or `throws`",
            isIn: { Matcher.contains("try!", in: $0) }),
        BannedConstruct(
            name: "force unwrap", instead: "`guard let … else`, or `try #require(…)` in a test",
            isIn: { Matcher.containsForceUnwrap($0) }),
        BannedConstruct(
            name: "@unchecked Sendable", instead: "a `Mutex`, an `Atomic`, or a value type",
            isIn: { Matcher.contains("@unchecked Sendable", in: $0) }),
        BannedConstruct(
            name: "nonisolated(unsafe)", instead: "a `Mutex` or a `let`",
            isIn: { Matcher.contains("nonisolated(unsafe)", in: $0) }),
        BannedConstruct(
            name: "unsafeBitCast", instead: "a typed conversion",
            isIn: { Matcher.containsWord("unsafeBitCast", in: $0) }),
        BannedConstruct(
            name: "print(", instead: "`Log` in a module; data goes to stdout in a program only",
            appliesTo: { !isProgram($0) && !$0.isTest },
            isIn: { Matcher.containsCall("print", in: $0) }),
        BannedConstruct(
            name: "Date()", instead: "an injected `TimeSource`",
            appliesTo: { $0.module != "System" },
            isIn: { Matcher.containsCall("Date", in: $0, arguments: ")") || Matcher.containsWord("Date.now", in: $0) }),
        BannedConstruct(
            name: "public", instead: "`package` access: no one outside this package links Columba",
            isIn: { Matcher.containsWord("public", in: $0) && !$0.contains(".public") }),
    ]

    static func isProgram(_ file: SourceFile) -> Bool {
        ["columba", "columba-relay", "columba-central", "columba-bench"].contains(file.module)
    }

    /// Constructs that need a `// Safety:` comment beside their entry in the exceptions.
    static let needsSafetyComment: Set = ["@unchecked Sendable", "nonisolated(unsafe)", "unsafeBitCast"]

    static func constructs(_ file: SourceFile, exceptions: [Exception]) -> [Finding] {
        var found: [Finding] = []
        for banned in bannedConstructs where banned.appliesTo(file) {
            let isExcepted = exceptions.contains { $0.path == file.path && $0.construct == banned.name }
            for (index, line) in file.code.enumerated() where banned.isIn(line) {
                if !isExcepted {
                    found.append(
                        Finding(path: file.path, line: index + 1, rule: "no \(banned.name)", instead: banned.instead))
                } else if needsSafetyComment.contains(banned.name), !hasSafetyComment(file, above: index) {
                    found.append(
                        Finding(
                            path: file.path, line: index + 1, rule: "\(banned.name) says why it is safe",
                            instead: "a comment `// Safety: …` right above the line"))
                }
            }
        }
        return found
    }

    /// Whether the comment right above the line, however many lines it has, starts a line with `Safety:`.
    static func hasSafetyComment(_ file: SourceFile, above index: Int) -> Bool {
        var line = index - 1
        while line >= 0 {
            let text = file.lines[line].drop { $0 == " " }
            guard text.hasPrefix("//") || text.hasPrefix("@") else { return false }
            if text.hasPrefix("// Safety:") || text.hasPrefix("/// Safety:") { return true }
            line -= 1
        }
        return false
    }
}
