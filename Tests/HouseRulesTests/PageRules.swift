// Rules for the pages: what comes from outside is text and never becomes markup or a program, and nothing is fetched
// from another machine. The server's Content-Security-Policy holds the same; here it is said before anything runs.

extension HouseRules {
    static let pageExtensions: Set = ["js", "css", "html"]

    /// What no line of a page may contain, and what to write instead. In halves, so that this file keeps its own rules.
    private static let bannedOnPages: [(text: String, instead: String)] = [
        ("inner" + "HTML", "element() and textContent of dom.js: text is text"),
        ("outer" + "HTML", "element() and textContent of dom.js: text is text"),
        ("insertAdjacent" + "HTML", "element() and append"),
        ("createContextual" + "Fragment", "element() and append"),
        ("document." + "write", "element() and append"),
        ("ev" + "al(", "code"),
        ("new " + "Function", "code"),
        ("DOM" + "Parser", "element() and append"),
        ("setAttribute(\"sty" + "le\"", "element.style, which the Content-Security-Policy allows"),
        ("src" + "doc", "nothing: no page holds another one"),
    ]

    static func pages(_ file: SourceFile) -> [Finding] {
        guard file.path.hasPrefix("pages/") else { return [] }
        var found: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            func add(_ rule: String, _ instead: String) {
                found.append(Finding(path: file.path, line: index + 1, rule: rule, instead: instead))
            }
            for (text, instead) in bannedOnPages where Matcher.contains(text, in: line) { add("no \(text)", instead) }
            if namesAnotherMachine(line) { add("nothing from another machine", "a file of the distribution") }
            guard file.path.hasSuffix(".html") else { continue }
            if Matcher.contains("<script>", in: line) || Matcher.contains("<style", in: line) {
                add("no inline script or style", "a file of its own")
            }
            if Matcher.contains(" style=", in: line) || hasInlineHandler(line) {
                add("no style or on… attribute", "a rule in a stylesheet, a listener in a module")
            }
        }
        return found
    }

    /// The name of SVG's namespace looks like an address and is none.
    private static func namesAnotherMachine(_ line: String) -> Bool {
        let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
        return parts.contains { part in
            let isAddress = ["http", "https"].contains { Matcher.contains($0 + "://", in: String(part)) }
            return isAddress && !part.hasPrefix("http" + "://www.w3.org/")
        }
    }

    private static func hasInlineHandler(_ line: String) -> Bool {
        ["onclick", "onload", "onerror", "oninput", "onchange", "onsubmit", "onkeydown"]
            .contains { Matcher.contains(" \($0)=", in: line) }
    }
}
