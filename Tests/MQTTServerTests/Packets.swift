// Packets of clients, written out byte by byte as the specifications have them, and a session that reads them.

import MQTTServer

enum Packets {
    static func frame(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var length = body.count
        repeat {
            let byte = UInt8(length & 0x7F)
            length >>= 7
            bytes.append(length > 0 ? byte | 0x80 : byte)
        } while length > 0
        return bytes + body
    }

    static func string(_ text: String) -> [UInt8] {
        [UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 0xFF)] + Array(text.utf8)
    }

    static func connect(
        _ version: MQTTVersion, client: String = "d-1", flags: UInt8 = 2, keepAlive: UInt8 = 60,
        properties: [UInt8] = [], payload: [UInt8] = []
    ) -> [UInt8] {
        var body = string("MQTT") + [version.rawValue, flags, 0, keepAlive]
        if version == .v5 { body += [UInt8(properties.count)] + properties }
        return frame(0x10, body + string(client) + payload)
    }

    static func publish(
        _ version: MQTTVersion, id: UInt16 = 1, topic: String = "drones/d-1/reports", payload: [UInt8] = [0x7B, 0x7D],
        flags: UInt8 = 2, properties: [UInt8] = []
    ) -> [UInt8] {
        var body = string(topic)
        if flags & 6 != 0 { body += [UInt8(id >> 8), UInt8(id & 0xFF)] }
        if version == .v5 { body += [UInt8(properties.count)] + properties }
        return frame(0x30 | flags, body + payload)
    }

    static let ping: [UInt8] = [0xC0, 0]
    static let disconnect: [UInt8] = [0xE0, 0]
    static let pong: [UInt8] = [0xD0, 0]

    static func puback(_ id: UInt8) -> [UInt8] { [0x40, 2, 0, id] }

    /// User Property `columba-refusal` = `puback`.
    static let wantsRefusals: [UInt8] = [0x26] + string("columba-refusal") + string("puback")
}

/// A session with a clock that the test moves.
struct Client {
    var session: MQTTSession
    var now: UInt64 = 1_000_000_000
    /// Everything ordered so far, but admissions.
    var orders: [MQTTOrder] = []
    var sessionPresent = false
    /// Chosen for clients without a name.
    var assigned = "relay-1"

    init(limits: MQTTLimits = MQTTLimits()) { session = MQTTSession(limits: limits, at: now) }

    /// A session that is connected, its CONNACK read.
    init(_ version: MQTTVersion, limits: MQTTLimits = MQTTLimits(), properties: [UInt8] = []) {
        self.init(limits: limits)
        send(Packets.connect(version, properties: properties))
        _ = read()
    }

    mutating func send(_ bytes: [UInt8]) {
        carryOut(bytes.withUnsafeBytes { session.received($0, at: now) })
    }

    mutating func carryOut(_ new: [MQTTOrder]) {
        for order in new {
            if case .admit(let connect) = order {
                carryOut(
                    session.admitted(
                        sessionPresent: sessionPresent,
                        assignedIdentifier: connect.clientIdentifier.isEmpty ? assigned : nil, at: now))
            } else {
                orders.append(order)
            }
        }
    }

    /// What the relay sent since the last look.
    mutating func read() -> [UInt8] {
        let bytes = session.output
        carryOut(session.sent(bytes.count, at: now))
        return bytes
    }

    mutating func answer(_ ticket: Int64, _ verdict: MQTTVerdict = .stored) {
        carryOut(session.answered(ticket, verdict, at: now))
    }

    mutating func wait(_ seconds: Double) {
        now += UInt64(seconds * 1e9)
        carryOut(session.timePassed(at: now))
    }

    var publishes: [MQTTPublish] {
        orders.compactMap { if case .publish(let publish) = $0 { publish } else { nil } }
    }

    var closedFor: MQTTReason? {
        for case .close(let reason) in orders { return reason }
        return nil
    }
}
