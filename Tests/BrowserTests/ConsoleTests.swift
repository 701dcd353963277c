// The operator's console in a browser: scripts/console.py says what is tried.

import Testing

@Suite("the operator's console in a browser", .serialized)
struct ConsoleTests {
    @Test(
        "alerts appear at once, emergencies stay, decisions are made by keyboard, hostile names are text",
        .timeLimit(.minutes(5)))
    func console() throws {
        let lines = try BrowserScript.run("console.py")
        #expect(lines.count == 16, "some promises were not tried:\n\(lines.joined(separator: "\n"))")
    }
}
