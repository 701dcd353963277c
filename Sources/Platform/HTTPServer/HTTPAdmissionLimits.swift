// What a connection may do before it is cut, and how many there may be: the server's limits that can change while it
// runs (I7). What happens at each is said beside it; `HTTPConnectionCounts` says how often it did.
import CHTTPServer

package struct HTTPAdmissionLimits: Sendable, Equatable {
    /// Connections without a good answer (below 400) yet, per IPv4 address or IPv6 /64. Further ones are answered 429
    /// and closed. 0: no limit.
    package var newConnectionsPerAddress = 64
    /// TLS handshakes that one address may begin: in the long run, and at once after a pause (a gateway's drones that
    /// come back together). Further connections are closed unheard. 0: no limit.
    package var handshakesPerAddressPerSecond = 10.0
    package var handshakeBurstPerAddress = 200
    /// Per cent of the connections that only clients whose certificate was let in may have (TLS). Where others have
    /// taken the rest and one more comes, the oldest of them is closed.
    package var reservedForKnownPercent = 25
    /// Loopback is exempt from the limits per address: a proxy on this machine speaks for many.
    package var exemptsLoopback = true
    /// From a request's first byte to its complete header, and from the first byte of a TLS handshake to its end; then
    /// the connection is closed.
    package var headerSeconds = 5.0
    /// For a body of up to 256 KiB, and for each further 256 KiB of it; then the connection is closed.
    package var bodySeconds = 30.0
    /// A body that comes more slowly than this after `bodyGraceSeconds` closes the connection.
    package var bodyBytesPerSecond = 1024
    package var bodyGraceSeconds = 5.0
    /// A client that takes its answer more slowly than this, over `answerWindowSeconds`, is closed.
    package var answerBytesPerSecond = 1024
    package var answerWindowSeconds = 10.0

    package init() {}

    func native(maxConnections: Int) -> chs_limits {
        func milliseconds(_ seconds: Double) -> UInt32 { UInt32(min(max(seconds, 0), 4_000_000) * 1000) }
        return chs_limits(
            max_connections: UInt32(maxConnections), max_unproven_per_address: UInt32(newConnectionsPerAddress),
            exempt_loopback: exemptsLoopback, handshakes_per_address_per_s: handshakesPerAddressPerSecond,
            handshake_burst_per_address: Double(handshakeBurstPerAddress),
            reserved_for_known: UInt32(maxConnections * reservedForKnownPercent / 100),
            header_ms: milliseconds(headerSeconds),
            body_ms: milliseconds(bodySeconds), body_grace_ms: milliseconds(bodyGraceSeconds),
            min_body_bytes_per_s: UInt32(bodyBytesPerSecond), answer_window_ms: milliseconds(answerWindowSeconds),
            min_answer_bytes_per_s: UInt32(answerBytesPerSecond))
    }
}

/// Connections open now, and those that the server closed since its start, by reason.
package struct HTTPConnectionCounts: Sendable, Equatable {
    package var open = 0
    package var slowHeader = 0
    package var slowBody = 0
    package var slowReader = 0
    /// Idle when more than nine tenths of the places were taken.
    package var idle = 0
    package var tooManyOfAddress = 0
    /// Not known, and closed in favour of those that may be.
    package var madeRoom = 0

    package init() {}

    init(_ counts: chs_counts) {
        open = Int(counts.open)
        slowHeader = Int(counts.slow_header)
        slowBody = Int(counts.slow_body)
        slowReader = Int(counts.slow_reader)
        idle = Int(counts.idle)
        tooManyOfAddress = Int(counts.too_many_of_address)
        madeRoom = Int(counts.made_room)
    }

    package static func + (a: HTTPConnectionCounts, b: HTTPConnectionCounts) -> HTTPConnectionCounts {
        var sum = a
        sum.open += b.open
        sum.slowHeader += b.slowHeader
        sum.slowBody += b.slowBody
        sum.slowReader += b.slowReader
        sum.idle += b.idle
        sum.tooManyOfAddress += b.tooManyOfAddress
        sum.madeRoom += b.madeRoom
        return sum
    }
}
