// CONNECT and CONNACK: who gets in, and what is said to those who do not.

import MQTTServer
import Testing

@Suite("connecting")
struct ConnectTests {
    @Test("a 3.1.1 client gets a CONNACK of four bytes")
    func version311() {
        var client = Client()
        client.send([
            0x10, 0x0F, 0, 4, 0x4D, 0x51, 0x54, 0x54, 4, 2, 0, 0x3C, 0, 3, 0x64, 0x2D, 0x31,
        ])
        #expect(client.read() == [0x20, 2, 0, 0])
        #expect(client.session.isConnected)
    }

    @Test("a 5 client is told every limit: window, QoS 1, no retained messages, packet size, no subscriptions")
    func version5() {
        var client = Client()
        client.send([
            0x10, 0x10, 0, 4, 0x4D, 0x51, 0x54, 0x54, 5, 2, 0, 0x3C, 0, 0, 3, 0x64, 0x2D, 0x31,
        ])
        #expect(
            client.read() == [
                0x20, 21, 0, 0, 18, 0x21, 0, 64, 0x24, 1, 0x25, 0, 0x27, 0, 4, 0x10, 0, 0x28, 0, 0x29, 0, 0x2A, 0,
            ])
    }

    @Test("a 5 client without a name is given one, one without keep-alive is told the relay's")
    func assigned() {
        var client = Client()
        client.send(Packets.connect(.v5, client: "", keepAlive: 0))
        let answer = client.read()
        #expect(answer.contains(sequence: [0x12] + Packets.string("relay-1")))
        #expect(answer.contains(sequence: [0x13, 0x02, 0x58]))
    }

    @Test("a session that was kept is present; the bit is the first of the CONNACK", arguments: MQTTVersion.allCases)
    func present(_ version: MQTTVersion) {
        var client = Client()
        client.sessionPresent = true
        client.send(Packets.connect(version, flags: 0))
        #expect(client.read()[2] == 1)
    }

    @Test("a will, a name and a password are read over", arguments: MQTTVersion.allCases)
    func credentials(_ version: MQTTVersion) {
        var client = Client()
        let willProperties: [UInt8] = version == .v5 ? [5, 0x18, 0, 0, 0, 9] : []
        let payload =
            willProperties + Packets.string("will") + Packets.string("gone") + Packets.string("me")
            + Packets.string("secret")
        client.send(Packets.connect(version, flags: 0b1100_1110, payload: payload))
        #expect(client.session.isConnected && client.read()[3] == 0)
    }

    @Test(
        "what cannot be is refused in the client's own version",
        arguments: [
            // 3.1 and 3.1.1's own refusals.
            (Packets.frame(0x10, Packets.string("MQTT") + [3, 2, 0, 60] + Packets.string("x")), [0x20, 2, 0, 1]),
            (Packets.connect(.v311, client: "", flags: 0), [0x20, 2, 0, 2]),
            (Packets.connect(.v311, client: String(repeating: "x", count: 257)), [0x20, 2, 0, 2]),
            (
                Packets.frame(0x10, Packets.string("MQTT") + [6, 2, 0, 60, 0] + Packets.string("x")),
                [0x20, 3, 0, 0x84, 0]
            ),
            (Packets.connect(.v5, client: String(repeating: "x", count: 257)), [0x20, 3, 0, 0x85, 0]),
            // Authentication method "x".
            (Packets.connect(.v5, properties: [0x15, 0, 1, 0x78]), [0x20, 3, 0, 0x8C, 0]),
            // Authentication data without a method; Receive Maximum 0; a property twice; a flag that is 2.
            (Packets.connect(.v5, properties: [0x16, 0, 1, 0x78]), [0x20, 3, 0, 0x82, 0]),
            (Packets.connect(.v5, properties: [0x21, 0, 0]), [0x20, 3, 0, 0x82, 0]),
            (Packets.connect(.v5, properties: [0x21, 0, 1, 0x21, 0, 1]), [0x20, 3, 0, 0x82, 0]),
            (Packets.connect(.v5, properties: [0x17, 2]), [0x20, 3, 0, 0x82, 0]),
            // A property that only a server or a PUBLISH has, one that does not exist, one that is cut off.
            (Packets.connect(.v5, properties: [0x24, 1]), [0x20, 3, 0, 0x81, 0]),
            (Packets.connect(.v5, properties: [0x23, 0, 1]), [0x20, 3, 0, 0x81, 0]),
            (Packets.connect(.v5, properties: [0x7F]), [0x20, 3, 0, 0x81, 0]),
            (Packets.connect(.v5, properties: [0x21, 0]), [0x20, 3, 0, 0x81, 0]),
            // A will with QoS 2, a retained will.
            (Packets.connect(.v5, flags: 0x16, payload: [0] + Packets.string("w") + [0, 0]), [0x20, 3, 0, 0x9B, 0]),
            (Packets.connect(.v5, flags: 0x26, payload: [0] + Packets.string("w") + [0, 0]), [0x20, 3, 0, 0x9A, 0]),
            // The reserved flag; a will's QoS without a will; bytes after the end. 3.1.1 has no code for them.
            (Packets.connect(.v5, flags: 3), [0x20, 3, 0, 0x81, 0]),
            (Packets.connect(.v311, flags: 3), []),
            (Packets.connect(.v311, flags: 0x0A), []),
            (Packets.connect(.v311, payload: [0]), []),
            // A password without a name.
            (Packets.connect(.v311, flags: 0x42, payload: Packets.string("p")), []),
            // Another protocol's name, a name that is not UTF-8, U+0000 in it.
            (Packets.frame(0x10, Packets.string("MQTX") + [4, 2, 0, 60] + Packets.string("x")), []),
            (Packets.frame(0x10, Packets.string("MQTT") + [4, 2, 0, 60, 0, 2, 0xC3, 0x28]), []),
            (Packets.frame(0x10, Packets.string("MQTT") + [4, 2, 0, 60, 0, 1, 0]), []),
        ] as [([UInt8], [UInt8])])
    func refused(_ bytes: [UInt8], _ answer: [UInt8]) {
        var client = Client()
        client.send(bytes)
        #expect(client.read() == answer)
        #expect(client.closedFor != nil && client.session.isClosed)
    }

    @Test("anything before CONNECT ends the connection without a word, at once, however long it says it is")
    func connectFirst() {
        for bytes in [Packets.publish(.v311), Packets.ping, [0x30, 0xFF, 0xFF, 0xFF, 0x7F], Array("GET / HT".utf8)] {
            var client = Client()
            client.send(bytes)
            #expect(client.session.isClosed && client.read().isEmpty)
        }
    }

    @Test("a second CONNECT is a protocol error")
    func twice() {
        var client = Client(.v5)
        client.send(Packets.connect(.v5))
        #expect(client.closedFor == .protocolError)
        #expect(client.read().starts(with: [0xE0]))
    }

    @Test("a connection without CONNECT is closed after 5 s")
    func silentFromTheStart() {
        var client = Client()
        client.wait(4.9)
        #expect(!client.session.isClosed)
        client.wait(0.2)
        #expect(client.session.isClosed)
    }

    @Test("the owner's refusal is said in the client's version")
    func ownersRefusal() {
        for (version, answer) in [(MQTTVersion.v311, [0x20, 2, 0, 5]), (.v5, [0x20, 3, 0, 0x87, 0])]
            as [(MQTTVersion, [UInt8])]
        {
            var session = MQTTSession(limits: MQTTLimits(), at: 0)
            let orders = Packets.connect(version).withUnsafeBytes { session.received($0, at: 0) }
            guard case .admit(let connect) = orders.first else {
                Issue.record("the owner was not asked")
                continue
            }
            #expect(connect.clientIdentifier == "d-1" && connect.keepAliveSeconds == 60)
            #expect(session.refused(.notAuthorized) == [.close(.notAuthorized)])
            #expect(session.output == answer)
        }
    }
}

extension [UInt8] {
    func contains(sequence: [UInt8]) -> Bool {
        guard count >= sequence.count else { return false }
        return (0...(count - sequence.count)).contains { self[$0..<($0 + sequence.count)].elementsEqual(sequence) }
    }
}
