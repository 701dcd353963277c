// One event is one line, whatever is in its values.
import Log
import Testing

@Suite("Log")
struct LogTests {
    /// 2026-11-20T05:00:00.123456Z
    private static let instant: Int64 = 1_795_150_800_123_456

    private func capture(
        _ format: LogFormat, minimum: LogLevel = .debug, at microseconds: Int64 = LogTests.instant,
        _ body: (Log) -> Void
    ) -> [String] {
        let capture = LogCapture()
        body(Log(component: "relay", format: format, minimum: minimum, sink: capture.sink) { microseconds })
        return capture.lines
    }

    @Test("a text line holds time, level, component, event and its values in order")
    func text() {
        let lines = capture(.text) { log in
            log.component("relay.buffer").warning(
                "segment_quarantined",
                ["rows": 17, "path": "/var/lib/columba", "share": 0.5, "kept": true, "why": "bad checksum", "none": ""])
        }
        #expect(
            lines == [
                "2026-11-20T05:00:00.123Z warning relay.buffer segment_quarantined rows=17 path=/var/lib/columba "
                    + #"share=0.5 kept=true why="bad checksum" none="""#
            ])
    }

    @Test("a JSON line holds the same, and no number JSON doesn't know")
    func json() {
        let count = 3
        let lines = capture(.json) { log in
            log.error("went_wrong", ["n": .int(count), "x": .double(.nan), "ok": false, "text": #"a"b\c"#])
        }
        #expect(
            lines == [
                #"{"time":"2026-11-20T05:00:00.123Z","level":"error","component":"relay","event":"went_wrong","#
                    + #""n":3,"x":null,"ok":false,"text":"a\"b\\c"}"#
            ])
    }

    @Test(
        "no value can begin a line of its own or reach the terminal",
        arguments: [
            "\r\n2026 error forged", "\u{1B}[2J\u{1B}]0;title\u{7}", "a\u{0}b", "\u{9B}31m", "x\u{2028}y",
            "\u{202E}gpj.exe", "\u{7F}",
        ])
    func escaping(value: String) {
        for format in [LogFormat.text, .json] {
            let lines = capture(format) { $0.info("event", ["key": .string(value), "k\n2": "v"]) }
            #expect(lines.count == 1)
            for scalar in lines.joined().unicodeScalars {
                #expect(scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value))
                #expect(!(0x2028...0x202E).contains(scalar.value))
            }
        }
    }

    @Test("a value longer than 4 KiB is cut, and letters of all scripts are kept")
    func longAndForeign() {
        let lines = capture(.text) { log in
            log.info("event", ["long": .string(String(repeating: "é", count: 100_000)), "name": "Zoë Ωμέγα 東"])
        }
        #expect(lines.first.map { $0.utf8.count < 5000 } == true)
        #expect(lines.first?.contains("…\"") == true)
        #expect(lines.first?.hasSuffix("name=\"Zoë Ωμέγα 東\"") == true)
    }

    @Test("events below the minimum level are not written")
    func levels() {
        let lines = capture(.text, minimum: .warning) { log in
            log.debug("a")
            log.info("b")
            log.warning("c")
            log.error("d")
        }
        #expect(lines.map { $0.suffix(1) } == ["c", "d"])
        #expect(LogLevel(name: "warning") == .warning)
        #expect(LogLevel(name: "loud") == nil)
    }

    @Test(
        "dates are right at the calendar's corners",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999Z"), (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func dates(microseconds: Int64, expected: String) {
        let lines = capture(.text, at: microseconds) { $0.info("event") }
        #expect(lines == ["\(expected) info relay event"])
    }
}
