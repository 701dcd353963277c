// The checker itself: each rule is seen to fail on a small text, and to leave alone what only looks like a breach.
import Testing

@Suite("the checker of the house rules")
struct CheckerTests {
    private func rules(_ text: String, path: String = "Sources/Models/Example.swift", _ exceptions: [Exception] = [])
        -> [String]
    {
        let opened = path.hasSuffix(".swift") ? "// For a test.\n" + text : text
        return HouseRules.findings(in: SourceFile(path: path, text: opened), exceptions: exceptions).map(\.rule)
    }

    @Test("finds each banned construct in code")
    func findsBannedConstructs() {
        #expect(rules("let a = try! f()") == ["no try!"])
        #expect(rules("let a = b!") == ["no force unwrap"])
        #expect(rules("let a = b()!.c") == ["no force unwrap"])
        #expect(rules("let a = b as! Int") == ["no force unwrap"])
        #expect(rules("var a: Int!") == ["no force unwrap"])
        #expect(rules("final class A: @unchecked Sendable {}") == ["no @unchecked Sendable"])
        #expect(rules("nonisolated(unsafe) var a = 1") == ["no nonisolated(unsafe)"])
        #expect(rules("let a = unsafeBitCast(b, to: Int.self)") == ["no unsafeBitCast"])
        #expect(rules("print(1)") == ["no print("])
        #expect(rules("let a = Date()") == ["no Date()"])
        #expect(rules("let a = Date.now") == ["no Date()"])
        #expect(rules("public struct A {}") == ["no public"])
    }

    @Test("leaves alone what only looks like a banned construct")
    func leavesLookalikesAlone() {
        #expect(rules("if a != b, !c, a!=b { }").isEmpty)
        #expect(rules("// try! print( Date() b!").isEmpty)
        #expect(rules("/* a /* nested b! */ c! */ let d = 1").isEmpty)
        #expect(rules(#"let a = "b! try! \(c("d!")) print(" + "x""#).isEmpty)
        #expect(rules("let a = \"\"\"\n  b! \"quoted\" try!\n  \"\"\"").isEmpty)
        #expect(rules("let a = #\"b! \" try! \"#").isEmpty)
        #expect(rules("writer.print(1); func print(_ a: Int) {}; fingerprint(2)").isEmpty)
        #expect(rules("print(1)", path: "Sources/columba/Example.swift").isEmpty)
        #expect(rules("let a = Date()", path: "Sources/Platform/System/Example.swift").isEmpty)
        #expect(rules("let a = Date(timeIntervalSince1970: 1)").isEmpty)
    }

    @Test("finds what a page may not do, and leaves text and its own addresses alone")
    func findsWhatPagesMayNot() {
        func page(_ text: String, _ name: String = "a.js") -> [String] {
            rules(
                (name.hasSuffix(".html") ? "<!doctype html>\n<!-- a -->\n" : "// A.\n") + text,
                path: "pages/relay/" + name)
        }
        #expect(page("a.inner" + "HTML = b;") == ["no inner" + "HTML"])
        #expect(page("document." + "write(a);").count == 1)
        #expect(page("fetch(\"https://cdn.example/a.js\");") == ["nothing from another machine"])
        #expect(page("<p on" + "click=\"a()\">", "a.html") == ["no style or on… attribute"])
        #expect(page("<script>a()</script>", "a.html") == ["no inline script or style"])
        #expect(page("a.textContent = b; document.createElementNS(\"http://www.w3.org/2000/svg\", c);").isEmpty)
        #expect(page("<script type=\"module\" src=\"/pages/relay/main.js\"></script>", "a.html").isEmpty)
    }

    @Test("code after a string on the same line is still seen")
    func seesCodeAfterAString() {
        #expect(rules(#"let a = f("x \(y) z")!"#) == ["no force unwrap"])
        #expect(rules(#"let a = "\\"; let b = c!"#) == ["no force unwrap"])
    }

    @Test("finds words that say a thing is not done")
    func findsUnfinishedWords() {
        for word in HouseRules.unfinishedWords {
            #expect(rules("// \(word): later") == ["no \(word)"])
            #expect(rules("int a; // \(word)", path: "Sources/C/CPosix/a.c").contains("no \(word)"))
        }
    }

    @Test("finds files, functions and lines that are too long")
    func findsWhatIsTooLong() {
        #expect(rules(String(repeating: "let a = 1\n", count: 399)).isEmpty)
        #expect(rules(String(repeating: "let a = 1\n", count: 400)) == ["a file has at most 400 lines"])
        #expect(rules("let a = \"" + String(repeating: "é", count: 110) + "\"").isEmpty)
        #expect(rules("let a = \"" + String(repeating: "é", count: 111) + "\"") == ["a line has at most 120 columns"])
        let body = { (lines: Int) in "{\n" + String(repeating: "    a()\n", count: lines) + "}\n" }
        #expect(rules("func f() " + body(68)).isEmpty)
        #expect(rules("func f() " + body(69)) == ["a function has at most 70 lines"])
        #expect(rules("init?(a: Int) " + body(69)) == ["a function has at most 70 lines"])
        #expect(rules("protocol P { func f()\n func g() }\n" + "struct S " + body(69)).isEmpty)
        let c = "// C\nint f(int a)\n" + body(69)
        #expect(rules(c, path: "Sources/C/CPosix/a.c") == ["a function has at most 70 lines"])
    }

    @Test("asks for an opening comment")
    func asksForAnOpening() {
        let bare = SourceFile(path: "Sources/Models/A.swift", text: "struct A {}\n")
        #expect(HouseRules.opening(bare).map(\.line) == [1])
        #expect(HouseRules.opening(SourceFile(path: "a.c", text: "/* What for. */\n")).isEmpty)
    }

    @Test("asks a test file to expect something")
    func asksForExpectations() {
        let path = "Tests/ModelsTests/A.swift"
        #expect(rules("@Test func a() {}", path: path) == ["a test expects something"])
        #expect(rules("@Test func a() { #expect(true) }", path: path).isEmpty)
        #expect(rules("struct Support {}", path: path).isEmpty)
        #expect(rules("@Test func a() {} // #expect", path: path) == ["a test expects something"])
    }

    @Test("keeps the relay and central apart, and the pure modules pure")
    func keepsModulesApart() {
        #expect(rules("import Central", path: "Sources/EdgeRelay/A.swift") == ["no import Central here"])
        #expect(rules("package import EdgeRelay", path: "Sources/Central/B/A.swift") == ["no import EdgeRelay here"])
        #expect(rules("import Foundation") == ["no import Foundation here"])
        #expect(rules("import struct Foundation.Data") == ["no import Foundation here"])
        #expect(rules("import Models", path: "Sources/SyncProtocol/A.swift").isEmpty)
        #expect(rules("import System", path: "Sources/SyncProtocol/A.swift") == ["no import System here"])
        #expect(rules("import XCTest", path: "Tests/ModelsTests/A.swift") == ["no import XCTest here"])
    }

    @Test("finds an outside library with two doors")
    func findsSharedLibrary() {
        let one = SourceFile(path: "Sources/Platform/SQLite/A.swift", text: "// A\nimport CSQLite\n")
        let same = SourceFile(path: "Sources/Platform/SQLite/B.swift", text: "// B\nimport CSQLite\n")
        let other = SourceFile(path: "Sources/Central/C.swift", text: "// C\nimport CSQLite\n")
        #expect(HouseRules.sharedLibraries([one, same], libraries: ["CSQLite"], exceptions: []).isEmpty)
        let found = HouseRules.sharedLibraries([one, same, other], libraries: ["CSQLite"], exceptions: [])
        #expect(found.map(\.path) == [other.path, one.path, same.path].sorted())
    }

    @Test("an exception needs its safety comment, and goes stale when its line is gone")
    func exceptionsAreChecked() {
        let path = "Sources/Models/Example.swift"
        let exception = Exception(path: path, construct: "@unchecked Sendable", reason: "for a test")
        let line = "final class A: @unchecked Sendable {}"
        #expect(rules(line, [exception]) == ["@unchecked Sendable says why it is safe"])
        #expect(rules("// Safety: one thread.\n// It owns all.\n" + line, [exception]).isEmpty)
        let clean = SourceFile(path: path, text: "// Clean.\n")
        #expect(HouseRules.stale([exception], in: [clean]).count == 1)
        #expect(HouseRules.stale([exception], in: []).count == 1)
        let imports = Exception(path: path, construct: "import CSQLite", reason: "for a test")
        #expect(HouseRules.stale([imports], in: [clean]).count == 1)
        let used = SourceFile(path: path, text: "// Uses it.\nimport CSQLite\n")
        #expect(HouseRules.stale([imports], in: [used]).isEmpty)
    }

    @Test("says the place and the replacement")
    func saysPlaceAndReplacement() throws {
        let file = SourceFile(path: "Sources/Models/A.swift", text: "// A\n\nlet a = b!\n")
        let finding = try #require(HouseRules.findings(in: file, exceptions: []).first)
        #expect(finding.description.hasPrefix("Sources/Models/A.swift:3: no force unwrap: `guard let"))
    }
}
