// Follows GET /v1/alerts/stream and matches each alert with the report that must have raised it.
import Glibc

final class AlertListener {
    struct Result {
        let expected: Int
        let lost: Int
        let repeated: Int
        let latencies: Latencies
    }

    let descriptor: Int32
    private let connection: Connection
    private var latencies = Latencies()
    /// When the report's last byte was handed to the kernel.
    private var sentNanoseconds: [ReportTemplates.Identity: UInt64] = [:]
    private var expected = 0
    private var seen: Set<ReportTemplates.Identity> = []
    private var repeated = 0

    private var isInBody = false
    private var header: [UInt8] = []
    private var decoder = ChunkDecoder()
    private var event: [UInt8] = []
    private var eventNanoseconds: UInt64 = 0
    private let boot: String

    init(host: String, port: UInt16, boot: String) throws {
        connection = try Connection(host: host, port: port)
        descriptor = connection.descriptor
        self.boot = boot
        let request = "GET /v1/alerts/stream HTTP/1.1\r\nHost: \(host):\(port)\r\nAccept: text/event-stream\r\n\r\n"
        guard Array(request.utf8).withUnsafeBytes({ connection.send($0, dueNanoseconds: 0) }) else {
            throw SocketFailure(operation: "ask for alerts", number: errno)
        }
        try waitForHeader()
    }

    /// Reports sent before the stream is open might raise alerts it never shows.
    private func waitForHeader() throws {
        var descriptorToPoll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var byte: UInt8 = 0
        while !header.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            guard poll(&descriptorToPoll, 1, 5000) > 0, recv(descriptor, &byte, 1, 0) == 1, header.count < 16_384 else {
                throw SocketFailure(operation: "the alert stream didn't begin", number: errno)
            }
            header.append(byte)
        }
        let text = String(decoding: header, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 200") else {
            throw SocketFailure(operation: "alert stream answered \(text.prefix(12))", number: EPROTO)
        }
        decoder.isChunked = text.lowercased().contains("transfer-encoding: chunked")
    }

    func sent(_ identity: ReportTemplates.Identity, at nanoseconds: UInt64) {
        sentNanoseconds[identity] = nanoseconds
        expected += 1
    }

    var isComplete: Bool { sentNanoseconds.isEmpty }
    var result: Result {
        Result(expected: expected, lost: sentNanoseconds.count, repeated: repeated, latencies: latencies)
    }

    /// False when the relay ended the stream.
    func read(into buffer: UnsafeMutableRawBufferPointer, nowNanoseconds: UInt64) -> Bool {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        guard count > 0 else { return false }
        decoder.decode(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { byte in
            if event.isEmpty { eventNanoseconds = nowNanoseconds }
            event.append(byte)
            if byte == 0x0A, event.suffix(2).elementsEqual([0x0A, 0x0A]) {
                finishEvent()
                event.removeAll(keepingCapacity: true)
            }
        }
        return true
    }

    private static let drone = Array("\"bench-".utf8)
    private static let sequence = Array("\"seq\":".utf8)

    private func finishEvent() {
        let identity = event.withUnsafeBytes { bytes -> ReportTemplates.Identity? in
            guard Bytes.end(of: Array("\"\(boot)\"".utf8), in: bytes) != nil,
                let droneEnd = Bytes.end(of: AlertListener.drone, in: bytes),
                let drone = Bytes.number(in: bytes, at: droneEnd),
                let sequenceEnd = Bytes.end(of: AlertListener.sequence, in: bytes),
                let sequence = Bytes.number(in: bytes, at: sequenceEnd)
            else { return nil }
            return .init(drone: drone, sequence: sequence)
        }
        guard let identity else { return }
        guard let sent = sentNanoseconds.removeValue(forKey: identity) else {
            if seen.contains(identity) { repeated += 1 }
            return
        }
        seen.insert(identity)
        latencies.add(nanoseconds: eventNanoseconds > sent ? eventNanoseconds - sent : 0)
    }
}

/// HTTP/1.1 chunked transfer coding (RFC 9112 §7.1), byte by byte: an alert stream is small.
struct ChunkDecoder {
    var isChunked = true
    private enum State { case size, data, dataEnd }
    private var state = State.size
    private var remaining = 0

    mutating func decode(_ bytes: UnsafeRawBufferPointer, _ body: (UInt8) -> Void) {
        for byte in bytes {
            guard isChunked else {
                body(byte)
                continue
            }
            switch state {
            case .size:
                if byte == 0x0A {
                    state = remaining > 0 ? .data : .size
                } else if let digit = Character(Unicode.Scalar(byte)).hexDigitValue {
                    remaining = remaining * 16 + digit
                }
            case .data:
                body(byte)
                remaining -= 1
                if remaining == 0 { state = .dataEnd }
            case .dataEnd:
                if byte == 0x0A { state = .size }
            }
        }
    }
}
