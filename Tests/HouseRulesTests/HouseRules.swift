// The house rules, as functions from a source file to what is wrong in it. Each finding says where it is and what to
// write instead. `Exceptions.swift` is the only way round a rule.

struct Finding: Equatable, CustomStringConvertible {
    let path: String
    /// 1-based.
    let line: Int
    let rule: String
    let instead: String

    var description: String { "\(path):\(line): \(rule): \(instead)" }
}

enum HouseLimits {
    static let fileLines = 400
    static let functionLines = 70
    static let columns = 120
}

enum HouseRules {
    /// Every rule that looks at one file by itself.
    static func findings(in file: SourceFile, exceptions: [Exception]) -> [Finding] {
        var found = size(file) + opening(file) + unfinished(file) + pages(file)
        if file.isSwift {
            found += constructs(file, exceptions: exceptions) + imports(file, exceptions: exceptions)
            if file.isTest { found += expectations(file) }
        }
        return found
    }

    static func size(_ file: SourceFile) -> [Finding] {
        var found: [Finding] = []
        if file.lines.count > HouseLimits.fileLines {
            found.append(
                Finding(
                    path: file.path, line: HouseLimits.fileLines + 1, rule: "a file has at most 400 lines",
                    instead: "split it by what it decides; it has \(file.lines.count)"))
        }
        for (index, line) in file.lines.enumerated() where line.unicodeScalars.count > HouseLimits.columns {
            found.append(
                Finding(
                    path: file.path, line: index + 1, rule: "a line has at most 120 columns",
                    instead: "break it; it has \(line.unicodeScalars.count) (`make format` helps)"))
        }
        for function in FunctionSpans.spans(in: file) where function.lineCount > HouseLimits.functionLines {
            found.append(
                Finding(
                    path: file.path, line: function.firstLine + 1, rule: "a function has at most 70 lines",
                    instead: "give a part of it a name of its own; it has \(function.lineCount)"))
        }
        return found
    }

    static func opening(_ file: SourceFile) -> [Finding] {
        // An HTML file begins with its type: what it is for comes after that.
        let first = file.lines.first { !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix("<!doctype") } ?? ""
        if ["//", "/*", "<!--"].contains(where: { first.hasPrefix($0) }) { return [] }
        return [
            Finding(
                path: file.path, line: 1, rule: "a file opens with what it is for",
                instead: "begin with a comment of one or two sentences")
        ]
    }

    /// Words that say «not done yet». Written in two halves so that this file passes its own rule.
    static let unfinishedWords = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]

    static func unfinished(_ file: SourceFile) -> [Finding] {
        var found: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            for word in unfinishedWords where Matcher.containsWord(word, in: line) {
                found.append(
                    Finding(
                        path: file.path, line: index + 1, rule: "no \(word)",
                        instead: "do it now, or open an issue and delete the note"))
            }
        }
        return found
    }

    static func expectations(_ file: SourceFile) -> [Finding] {
        guard let first = file.code.firstIndex(where: { $0.contains("@Test") }) else { return [] }
        let checks = ["#expect", "#require", "Issue.record"]
        if file.code.contains(where: { line in checks.contains { line.contains($0) } }) { return [] }
        return [
            Finding(
                path: file.path, line: first + 1, rule: "a test expects something",
                instead: "state with #expect or #require what must hold")
        ]
    }

    /// An exception that no line of the tree needs any more.
    static func stale(_ exceptions: [Exception], in files: [SourceFile]) -> [Finding] {
        exceptions.filter { exception in
            guard let file = files.first(where: { $0.path == exception.path }) else { return true }
            if exception.construct.hasPrefix("import ") {
                return !file.imports.contains { "import \($0.module)" == exception.construct }
            }
            let others = exceptions.filter { $0 != exception }
            return findings(in: file, exceptions: others) == findings(in: file, exceptions: exceptions)
        }
        .map {
            Finding(
                path: $0.path, line: 1, rule: "an exception is in use",
                instead: "delete the entry «\($0.construct)» of this file from Exceptions.swift")
        }
    }
}
