// Sends Cursor on Target events: one datagram each over UDP (unicast or multicast), or one after the other over a TCP
// connection that is kept open. CoT has no acknowledgements: over TCP an event counts as delivered when the other
// machine's TCP has acknowledged its last byte, over UDP when it has left.

import Glibc
import Models
import System

struct CursorOnTargetChannel: AlertChannel {
    private let settings: CursorOnTargetSettings
    private let time: any TimeSource
    private var socket: OutgoingSocket?

    init(_ settings: CursorOnTargetSettings, time: any TimeSource) {
        self.settings = settings
        self.time = time
    }

    mutating func send(_ alert: Alert, tries: Int, isCancelled: @escaping () -> Bool) throws(DeliveryFailure) {
        let event = CursorOnTargetEvent(
            alert, types: settings.types, staleSeconds: settings.staleSeconds,
            now: Timestamp(microseconds: time.wallMicroseconds()))
        do throws(SystemError) {
            let isStream = settings.url.scheme == "tcp"
            let limit = OutgoingSocket.Limit(seconds: Self.deadlineSeconds, isCancelled: isCancelled)
            if let known = socket, known.isAlive {
            } else {
                socket = nil
                socket = try OutgoingSocket(
                    host: settings.url.host, port: settings.url.port, isStream: isStream,
                    multicastHops: Int32(settings.multicastHops), limit)
            }
            try socket?.send(Array(event.xml.utf8), limit)
        } catch {
            socket = nil
            throw DeliveryFailure(Self.words(error))
        }
    }

    /// A TAK server sends what others report: it is read and thrown away, or its buffer would fill up.
    mutating func idle() {
        if let known = socket, !known.isAlive { socket = nil }
    }

    mutating func close() { socket = nil }

    private static func words(_ error: SystemError) -> String {
        error.errno == ETIMEDOUT
            ? "not taken within \(Int(deadlineSeconds)) s"
            : "cannot \(error.operation): \(SystemError.text(of: error.errno))"
    }
}
