// Server-Sent Events, in any pieces.
import Simulation
import Testing

@Suite("the parser of Server-Sent Events")
struct EventStreamTests {
    private let stream = """
        : heartbeat

        id: 17
        event: alert
        data: {"a":1}

        data: one
        data:two
        retry: 5

        id: 18

        data: three\r\n\r\n
        """

    private let expected = [
        ServerSentEvent(id: "17", event: "alert", data: #"{"a":1}"#),
        ServerSentEvent(id: "17", event: "message", data: "one\ntwo"),
        ServerSentEvent(id: "18", event: "message", data: "three"),
    ]

    @Test("finds the same events wherever the bytes are cut")
    func anyCut() {
        let bytes = Array(stream.utf8)
        for cut in 0...bytes.count {
            var parser = EventStreamParser()
            let events = parser.consume(bytes[..<cut]) + parser.consume(bytes[cut...])
            #expect(events == expected, "cut at \(cut)")
            #expect(parser.lastEventID == "18")
        }
    }

    @Test("an event without its empty line is not an event yet")
    func incompleteEvent() {
        var parser = EventStreamParser()
        #expect(parser.consume(Array("data: x\n".utf8)).isEmpty)
        #expect(parser.consume(Array("\n".utf8)).map(\.data) == ["x"])
    }

    @Test("a line without end breaks the stream instead of filling the memory")
    func endlessLine() {
        var parser = EventStreamParser()
        let piece = [UInt8](repeating: 0x61, count: 1 << 19)
        for _ in 0..<4 { #expect(parser.consume(piece).isEmpty) }
        #expect(parser.isBroken)
        #expect(parser.consume(Array("\ndata: x\n\n".utf8)).isEmpty)
    }
}
