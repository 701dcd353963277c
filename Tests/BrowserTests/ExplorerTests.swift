// The analyst's explorer in a browser: scripts/explorer.py says what is tried.

import Testing

@Suite("the analyst's explorer in a browser", .serialized)
struct ExplorerTests {
    @Test(
        "filter, histogram, table, SQL and CSV agree; each statistic draws; hostile words are text; nothing leaves",
        .timeLimit(.minutes(5)))
    func explorer() throws {
        let lines = try BrowserScript.run("explorer.py")
        #expect(lines.count == 16, "some promises were not tried:\n\(lines.joined(separator: "\n"))")
    }
}
