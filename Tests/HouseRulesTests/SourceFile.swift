// A source file as the house rules see it: its raw lines, and the same lines with comments and the contents of string
// literals blanked out, so that a rule about code never stumbles over a sentence about code.

struct SourceFile {
    /// The path from the package's root, with `/` between folders.
    let path: String
    let lines: [String]
    /// As `lines`, same length and columns, but comments and string contents are spaces.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = Self.split(Array(text.utf8))
        code = Self.split(CodeView.blanked(Array(text.utf8), isSwift: path.hasSuffix(".swift")))
    }

    var isSwift: Bool { path.hasSuffix(".swift") }
    var isTest: Bool { path.hasPrefix("Tests/") }

    /// The module that the file belongs to: the folder that Package.swift names as a target.
    var module: String {
        let parts = path.split(separator: "/").map(String.init)
        switch parts.first {
        case "Sources" where parts.count > 3 && (parts[1] == "Platform" || parts[1] == "C"): return parts[2]
        case "Sources" where parts.count > 2, "Tests" where parts.count > 2, "bench" where parts.count > 2:
            return parts[1]
        default: return ""
        }
    }

    /// The modules that the file imports, with the 0-based line of each.
    var imports: [(line: Int, module: String)] {
        guard isSwift else { return [] }
        var found: [(Int, String)] = []
        for (index, line) in code.enumerated() {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard let keyword = words.firstIndex(of: "import"), keyword + 1 < words.count else { continue }
            let before = words[..<keyword]
            guard before.allSatisfy({ $0.hasPrefix("@") || Self.accessLevels.contains($0) }) else { continue }
            let kinds: Set = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(words[keyword + 1]) && keyword + 2 < words.count ? keyword + 2 : keyword + 1
            found.append((index, String(words[name].prefix { $0 != "." && $0 != ";" })))
        }
        return found
    }

    private static let accessLevels: Set = ["package", "internal", "private", "fileprivate", "public"]

    private static func split(_ bytes: [UInt8]) -> [String] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
