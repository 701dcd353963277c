// Server-Sent Events as bytes arrive (WHATWG HTML, «Interpreting an event stream»). Pure.

package struct ServerSentEvent: Equatable, Sendable {
    /// The `id` in force when the event ended; send it as `Last-Event-ID` to go on after it.
    package var id: String
    /// `message` unless the stream names another type.
    package var event: String
    package var data: String

    package init(id: String, event: String, data: String) {
        self.id = id
        self.event = event
        self.data = data
    }
}

package struct EventStreamParser: Sendable {
    /// A longer line is a broken stream (I7): an alert has a few hundred bytes.
    package static let longestLineBytes = 1 << 20

    private var line: [UInt8] = []
    private var afterCarriageReturn = false
    private var data: [String] = []
    private var event = ""
    package private(set) var lastEventID = ""
    package private(set) var isBroken = false

    package init() {}

    /// Takes the next bytes of the stream and gives the events that they complete.
    package mutating func consume(_ bytes: some Sequence<UInt8>) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes where !isBroken {
            let isSecondHalf = byte == 0x0a && afterCarriageReturn
            afterCarriageReturn = byte == 0x0d
            if isSecondHalf { continue }
            if byte == 0x0a || byte == 0x0d {
                if let complete = endOfLine() { events.append(complete) }
            } else if line.count < Self.longestLineBytes {
                line.append(byte)
            } else {
                isBroken = true
            }
        }
        return events
    }

    private mutating func endOfLine() -> ServerSentEvent? {
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        guard !text.isEmpty else { return endOfEvent() }
        let name = text.prefix { $0 != ":" }
        var value = text.dropFirst(name.count + 1)
        if value.first == " " { value = value.dropFirst() }
        switch name {
        case "data": data.append(String(value))
        case "event": event = String(value)
        case "id" where !value.contains("\0"): lastEventID = String(value)
        default: break  // a comment (the heartbeat), `retry`, or what a later version sends
        }
        return nil
    }

    private mutating func endOfEvent() -> ServerSentEvent? {
        defer {
            data.removeAll()
            event = ""
        }
        guard !data.isEmpty else { return nil }
        return ServerSentEvent(
            id: lastEventID, event: event.isEmpty ? "message" : event, data: data.joined(separator: "\n"))
    }
}
