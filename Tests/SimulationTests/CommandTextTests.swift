// What the commands read and show: arguments, tables, progress, alerts, chunks of NDJSON.
import ColumbaCommands
import Testing

@Suite("command lines")
struct ArgumentTests {
    private let specification = CommandSpecification(
        name: "test", summary: "For a test.", operands: "FILE…",
        options: [
            OptionSpecification("relay", "URL", "The relay"), OptionSpecification("number", "N", "A number"),
            OptionSpecification("json", nil, "JSON"),
        ])

    private func parse(_ arguments: String...) throws(UsageError) -> ParsedArguments {
        try ParsedArguments(arguments, specification)
    }

    @Test("options come with a space or =, flags alone, operands anywhere, all after -- is an operand")
    func forms() throws {
        let parsed = try parse("a", "--relay", "http://x/", "--json", "--number=5", "-", "--", "--relay")
        #expect(parsed.operands == ["a", "-", "--relay"])
        #expect(try parsed.address("relay") == "http://x")
        #expect(try parsed.integer("number", in: 1...5) == 5)
        #expect(parsed.has("json") && !parsed.wantsHelp)
        #expect(try parse("--relay=http://a,https://b/").addresses("relay") == ["http://a", "https://b"])
        #expect(try parse("-h").wantsHelp)
    }

    @Test("what is wrong is named")
    func mistakes() {
        #expect(throws: UsageError("unknown option --nope; try columba test --help")) { try parse("--nope=1") }
        #expect(throws: UsageError("--relay needs a value")) { try parse("--relay") }
        #expect(throws: UsageError("--relay is given twice")) { try parse("--relay=a", "--relay=b") }
        #expect(throws: UsageError("--json takes no value")) { try parse("--json=yes") }
        #expect(throws: UsageError("--number is a whole number from 1 to 5")) {
            try parse("--number", "6").integer("number", in: 1...5)
        }
        #expect(throws: UsageError("--number is a number from 0.0 to 1.0")) {
            try parse("--number", "nan").number("number", in: 0...1)
        }
        #expect(throws: UsageError("--relay is required")) { try parse().address("relay") }
        #expect(throws: UsageError("--relay is an address such as http://127.0.0.1:8080")) {
            try parse("--relay", "127.0.0.1:8080").address("relay")
        }
    }

    @Test("the help lists every option in one column")
    func help() {
        #expect(
            specification.help == """
                Usage: columba test [OPTIONS] FILE…

                For a test.

                Options:
                  --relay URL  The relay
                  --number N   A number
                  --json       JSON
                  --help       This text

                """)
        #expect(ColumbaProgram.overview.contains("  sql     "))
    }

    @Test("a wrong command line ends with 2, work that failed with 1")
    func exitStatus() {
        #expect(ColumbaProgram.run(["no-such-command"]) == 2)
        #expect(ColumbaProgram.run(["fly", "--drones", "0", "--relay", "http://127.0.0.1:1"]) == 2)
        #expect(ColumbaProgram.run(["send", "--relay", "http://127.0.0.1:1"]) == 2)
        #expect(ColumbaProgram.run(["send", "--relay", "http://127.0.0.1:1", "/no/such/file"]) == 1)
    }
}

@Suite("tables and terminal text")
struct TableTests {
    @Test("numbers stand to the right, text to the left, NULL is unlike any text")
    func alignment() {
        let table = TextTable(
            header: ["drone_id", "n"],
            rows: [[.text("px4-0001"), .number("5")], [.null, .number("412")], [.text("NULL"), .null]])
        #expect(
            table.text() == """
                drone_id │   n
                ─────────┼────
                px4-0001 │   5
                ∅        │ 412
                NULL     │   ∅

                """)
    }

    @Test("wide and combining characters keep the columns straight")
    func unicodeWidth() {
        #expect(TerminalText.width("さくら") == 6)
        #expect(TerminalText.width("e\u{301}") == 1)
        #expect(TerminalText.width("Ada") == 3)
        #expect(TerminalText.truncated("さくら", columns: 5) == "さく…")
        let lines = TextTable(
            header: ["name", "x"], rows: [[.text("さくら"), .text("a")], [.text("Noor"), .text("b")]]
        )
        .text().split(separator: "\n")
        #expect(lines.map { TerminalText.width(String($0.prefix { $0 != "│" && $0 != "┼" })) } == [7, 7, 7, 7])
    }

    @Test("values cannot steer the terminal")
    func neutralises() {
        #expect(TerminalText.neutralised("a\u{1B}[2Jb\nc\td\u{9B}e") == "a\\u{1b}[2Jb\\nc\\td\\u{9b}e")
        #expect(TerminalText.neutralised("\u{202E}exe") == "\\u{202e}exe")
        #expect(TerminalText.neutralised("Béatrice Nguyễn · ليلى") == "Béatrice Nguyễn · ليلى")
        let text = TextTable(header: ["a\u{1B}"], rows: [[.text("\u{1B}]0;title\u{7}")]]).text()
        #expect(!text.unicodeScalars.contains("\u{1B}") && !text.unicodeScalars.contains("\u{7}"))
    }

    @Test("a query's answer keeps the order of its columns")
    func queryAnswer() throws {
        let columns = ##"[{"name":"z","type":"VARCHAR"},{"name":"a","type":"BIGINT"}]"##
        let rows = ##"[{"z":"x","a":3},{"z":null,"a":4.5}]"##
        let rest = ##""row_count":2,"truncated":true,"complete_through":"T""##
        let answer = try OrderedJSON.parse(Array(##"{"columns":\##(columns),"rows":\##(rows),\##(rest)}"##.utf8))
        #expect(SQLCommand.table(answer).text() == "z │   a\n──┼────\nx │   3\n∅ │ 4.5\n")
        #expect(SQLCommand.footer(answer, complete: nil) == "2 rows, cut off at the limit; complete through T")
    }

    @Test("an alert is one line, whatever it holds")
    func alertLine() throws {
        let alert = try OrderedJSON.parse(
            Array(
                (#"{"severity":"critical","state":"raised","rule":"low-peacescore","drone_id":"pw-1","value":12.5,"#
                    + #""limit":20,"citizen":"A\nB","location":{"lat":1.5,"lon":2},"raised_at":"T"}"#).utf8))
        let console = Console(environment: ["NO_COLOR": "1"])
        #expect(
            AlertsCommand.line(alert, console)
                == #"T  CRITICAL  raised  low-peacescore  pw-1  A\nB  12.5 (limit 20)  1.5,2.0"#)
    }
}

@Suite("progress")
struct ProgressTests {
    @Test("the bar shows the share and the time left, and fits its terminal")
    func bar() {
        let bar = ProgressBar(label: "sending", total: 200)
        let half = bar.text(done: 100, note: "500 reports", elapsedSeconds: 10, columns: 80)
        #expect(half == "sending [███████████████░░░░░░░░░░░░░░░] 50 %  500 reports  0:10 left")
        for columns in 10...100 {
            let text = bar.text(done: 33, note: "500 reports", elapsedSeconds: 10, columns: columns)
            #expect(TerminalText.width(text) <= columns)
        }
        #expect(
            ProgressBar(label: "sending", total: nil).text(done: 5, note: "n", elapsedSeconds: 1, columns: 80)
                == "sending  n")
        #expect(bar.text(done: 400, note: "", elapsedSeconds: 1, columns: 80).contains("100 %"))
    }

    @Test("figures are grouped, times are minutes and seconds")
    func figures() {
        #expect(
            [0, 999, 1_000, 12_431, 1_234_567, -1_000].map(ProgressBar.grouped)
                == ["0", "999", "1,000", "12,431", "1,234,567", "-1,000"])
        #expect([0, 4, 59.2, 750].map(ProgressBar.clock) == ["0:00", "0:04", "1:00", "12:30"])
    }

    @Test("the demo's figures add up only if every acknowledged copy is archived or marked as a duplicate")
    func demoFigures() {
        var figures = DemoFigures()
        figures.sent = 100
        figures.acknowledged = 100
        figures.archived = 98
        figures.duplicates = 2
        #expect(figures.addUp(resent: 0))
        figures.duplicates = 3
        #expect(!figures.addUp(resent: 0))
        #expect(figures.addUp(resent: 1), "a lost answer may have been a stored report")
        figures.acknowledged = 99
        #expect(!figures.addUp(resent: 1))
    }
}

@Suite("cutting NDJSON into requests")
struct NDJSONChunkerTests {
    private func chunks(_ text: String, pieces: Int) -> (chunks: [NDJSONChunk], tooLong: [Int]) {
        var chunker = NDJSONChunker()
        var all: [NDJSONChunk] = []
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let end = min(start + pieces, bytes.count)
            all += chunker.consume(Array(bytes[start..<end]))
            start = end
        }
        return (all + chunker.finish(), chunker.tooLongLines)
    }

    @Test("lines go out byte for byte with their numbers; blank lines are left out")
    func bytesAndNumbers() {
        let text = "{\"a\": 1 }\r\n\n  \n{\"é\":2}\n{\"last\":3}"
        for pieces in 1...text.utf8.count {
            let cut = chunks(text, pieces: pieces).chunks
            #expect(cut.count == 1)
            #expect(cut.first?.bytes == Array("{\"a\": 1 }\r\n{\"é\":2}\n{\"last\":3}\n".utf8))
            #expect(cut.first?.lineNumbers == [1, 4, 5])
        }
        #expect(chunks("", pieces: 1).chunks.isEmpty)
        #expect(chunks("\n\n", pieces: 1).chunks.isEmpty)
    }

    @Test("a chunk is full at its number of lines or bytes")
    func limits() {
        let many = chunks(String(repeating: "{}\n", count: NDJSONChunker.chunkLines * 2 + 1), pieces: 1_000).chunks
        #expect(many.map(\.lineNumbers.count) == [NDJSONChunker.chunkLines, NDJSONChunker.chunkLines, 1])
        #expect(many.last?.lineNumbers == [NDJSONChunker.chunkLines * 2 + 1])
        let line = String(repeating: "x", count: NDJSONChunker.chunkBytes / 3) + "\n"
        let large = chunks(String(repeating: line, count: 7), pieces: 1 << 20).chunks
        #expect(large.map(\.lineNumbers) == [[1, 2], [3, 4], [5, 6], [7]])
        #expect(large.allSatisfy { $0.bytes.count <= NDJSONChunker.chunkBytes })
    }

    @Test("a line that no request can carry is named, and its neighbours go out")
    func endlessLine() {
        let text = "{}\n" + String(repeating: "x", count: NDJSONChunker.chunkBytes * 2) + "\n{}\n"
        let cut = chunks(text, pieces: 1 << 20)
        #expect(cut.tooLong == [2])
        #expect(cut.chunks.map(\.lineNumbers) == [[1, 3]])
    }

    @Test("results are matched to their lines, and a rejected line says why")
    func results() throws {
        let answer = try OrderedJSON.parse(
            Array(
                (#"{"results":[{"status":"stored"},{"line":2,"status":"rejected","error":{"code":"invalid_field","#
                    + #""field":"location.lat","detail":"-90 to 90"}},{"status":"duplicate"}]}"#).utf8))
        var figures = SendFigures()
        try figures.add(answer, lineNumbers: [3, 7, 8])
        #expect(figures.summary == "3 lines: 1 stored, 1 duplicate, 0 conflict, 1 rejected")
        #expect(figures.rejections.first?.lineNumber == 7)
        figures.rejections[0].file = "f"
        #expect(figures.rejections.first?.line == "f:7: invalid_field (field location.lat): -90 to 90")
        #expect(throws: CommandFailure.self) { try figures.add(answer, lineNumbers: [1]) }
    }
}
