// A message as it arrived: libnats's own memory, copied only where somebody wants it.

import CNATS

/// For one thread at a time.
package final class NATSMessage {
    private let pointer: OpaquePointer

    /// Takes the message over.
    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { natsMsg_Destroy(pointer) }

    package var subject: String { natsMsg_GetSubject(pointer).map { String(cString: $0) } ?? "" }
    package var reply: String? { natsMsg_GetReply(pointer).map { String(cString: $0) } }

    package func header(_ name: String) -> String? {
        var value: UnsafePointer<CChar>?
        guard natsMsgHeader_Get(pointer, name, &value) == NATS_OK, let value else { return nil }
        return String(cString: value)
    }

    package var payloadBytes: Int { Int(natsMsg_GetDataLength(pointer)) }

    package var payload: [UInt8] { withPayload { [UInt8]($0) } }

    package func withPayload<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(start: natsMsg_GetData(pointer), count: payloadBytes))
    }

    /// The number of a status message, which carries no data: 503 nobody answers, 404 nothing there, 204 the end.
    package var status: Int? { header("Status").flatMap { Int($0) } }
    package var statusText: String { header("Description") ?? "" }
}

/// A message to be sent.
package struct OutgoingMessage: Sendable {
    package var subject: String
    package var headers: [(name: String, value: String)]
    package var payload: [UInt8]

    package init(subject: String, headers: [(name: String, value: String)] = [], payload: [UInt8]) {
        self.subject = subject
        self.headers = headers
        self.payload = payload
    }

    /// What a server counts against `max_payload` and a stream's `max_msg_size`: payload and headers with their frame.
    package var bytes: Int {
        guard !headers.isEmpty else { return payload.count }
        return headers.reduce(payload.count + 12) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
    }

    /// `body` must not keep the pointer.
    func withMessage<Result>(
        reply: String?, _ body: (OpaquePointer) throws(NATSError) -> Result
    ) throws(NATSError) -> Result {
        var message: OpaquePointer?
        let status = payload.withUnsafeBytes { bytes in
            natsMsg_Create(
                &message, subject, reply, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count))
        }
        try NATSError.check(status, "make a message for \(subject)")
        guard let message else { throw NATSError(.invalid, "libnats made no message") }
        defer { natsMsg_Destroy(message) }
        for header in headers {
            try NATSError.check(natsMsgHeader_Set(message, header.name, header.value), "set header \(header.name)")
        }
        return try body(message)
    }
}
