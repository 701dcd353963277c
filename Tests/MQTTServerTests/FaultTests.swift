// What a connection ends with: faults of the client, silence, the relay's own end; and what is refused without ending.

import MQTTServer
import Testing

@Suite("faults and goodbyes")
struct FaultTests {
    @Test(
        "a fault ends the connection with its reason; 3.1.1 has no words for it",
        arguments: [
            // QoS 2, QoS 3, DUP with QoS 0, identifier 0, no topic, topic not UTF-8.
            ([0x34, 5, 0, 1, 0x61, 0, 1], [0x34, 6, 0, 1, 0x61, 0, 1, 0], .qosNotSupported),
            ([0x36, 5, 0, 1, 0x61, 0, 1], [0x36, 6, 0, 1, 0x61, 0, 1, 0], .malformedPacket),
            ([0x38, 3, 0, 1, 0x61], [0x38, 4, 0, 1, 0x61, 0], .malformedPacket),
            ([0x32, 4, 0, 0, 0, 1], [0x32, 5, 0, 0, 0, 1, 0], .protocolError),
            ([0x32, 5, 0, 1, 0xFF, 0, 1], [0x32, 6, 0, 1, 0xFF, 0, 1, 0], .malformedPacket),
            ([0x32, 3, 0, 9, 0x61], [0x32, 3, 0, 9, 0x61], .malformedPacket),
            // A length of five bytes; a length longer than needed; reserved type 0.
            ([0x32, 0xFF, 0xFF, 0xFF, 0xFF, 1], [0x32, 0xFF, 0xFF, 0xFF, 0xFF, 1], .malformedPacket),
            ([0xC0, 0x80, 0], [0xC0, 0x80, 0], .malformedPacket),
            ([0x00, 0], [0x00, 0], .malformedPacket),
            // Wrong flags of PINGREQ and SUBSCRIBE, a PINGREQ with a body, packets that only a server sends.
            ([0xC1, 0], [0xC1, 0], .malformedPacket), ([0x80, 0], [0x80, 0], .malformedPacket),
            ([0xC0, 1, 0], [0xC0, 1, 0], .malformedPacket),
            ([0x20, 2, 0, 0], [0x20, 2, 0, 0], .protocolError), ([0xD0, 0], [0xD0, 0], .protocolError),
            ([0x40, 2, 0, 1], [0x40, 2, 0, 1], .protocolError), ([0xF0, 0], [0xF0, 0], .protocolError),
            // SUBSCRIBE without filters, with a wrong option, with identifier 0.
            ([0x82, 2, 0, 1], [0x82, 3, 0, 1, 0], .protocolError),
            ([0x82, 6, 0, 1, 0, 1, 0x61, 3], [0x82, 7, 0, 1, 0, 0, 1, 0x61, 3], .malformedPacket),
            ([0x82, 6, 0, 0, 0, 1, 0x61, 1], [0x82, 7, 0, 0, 0, 0, 1, 0x61, 1], .protocolError),
        ] as [([UInt8], [UInt8], MQTTReason)])
    func fault(_ old: [UInt8], _ new: [UInt8], _ reason: MQTTReason) {
        var client = Client(.v5)
        client.send(new)
        #expect(client.closedFor == reason)
        let goodbye = client.read()
        #expect(goodbye.first == 0xE0 && goodbye.dropFirst(2).first == reason.rawValue)
        client = Client(.v311)
        client.send(old)
        #expect(client.session.isClosed && client.read().isEmpty)
        #expect(client.publishes.isEmpty)
    }

    @Test("a 5 client may not use topic aliases or server's properties in a PUBLISH")
    func publishProperties() {
        for (properties, reason) in [([0x23, 0, 1], .topicAliasInvalid), ([0x0B, 1], .malformedPacket)]
            as [([UInt8], MQTTReason)]
        {
            var client = Client(.v5)
            client.send(Packets.publish(.v5, properties: properties))
            #expect(client.closedFor == reason)
        }
        var client = Client(.v5)
        let fine: [UInt8] =
            [0x01, 1, 0x02, 0, 0, 0, 9, 0x03] + Packets.string("application/json") + [0x26] + Packets.string("a")
            + Packets.string("b") + [0x26] + Packets.string("a") + Packets.string("c")
        client.send(Packets.publish(.v5, properties: fine))
        #expect(client.publishes.count == 1)
    }

    @Test("subscriptions are refused, filter by filter, and the connection lives on")
    func subscribe() {
        var client = Client(.v311)
        client.send([0x82, 10, 0, 7, 0, 1, 0x61, 1, 0, 1, 0x62, 0] + [0xA2, 5, 0, 8, 0, 1, 0x61])
        #expect(client.read() == [0x90, 4, 0, 7, 0x80, 0x80, 0xB0, 2, 0, 8])
        client = Client(.v5)
        client.send([0x82, 13, 0, 7, 2, 0x0B, 1, 0, 1, 0x61, 1, 0, 1, 0x62, 0x2C] + [0xA2, 6, 0, 8, 0, 0, 1, 0x61])
        #expect(client.read() == [0x90, 5, 0, 7, 0, 0x87, 0x87, 0xB0, 4, 0, 8, 0, 0x11])
        #expect(client.session.isConnected)
    }

    @Test("a ping is answered, also between publishes that wait", arguments: MQTTVersion.allCases)
    func ping(_ version: MQTTVersion) {
        var client = Client(version)
        client.send(Packets.publish(version) + Packets.ping)
        #expect(client.read() == Packets.pong)
    }

    @Test("silence for one and a half keep-alives ends the connection", arguments: MQTTVersion.allCases)
    func keepAlive(_ version: MQTTVersion) {
        var client = Client(version)
        client.wait(89)
        client.send(Packets.ping)
        client.wait(89)
        #expect(client.session.isConnected)
        client.wait(2)
        #expect(client.closedFor == .keepAliveTimeout)
    }

    @Test("a packet that is begun and never finished ends the connection, though bytes keep coming")
    func trickle() {
        var client = Client(.v5)
        client.send([0x32, 0xFF, 0x01])
        for _ in 0..<6 {
            client.wait(9.9)
            client.send([0])
        }
        #expect(client.session.isConnected)
        client.wait(1)
        #expect(client.closedFor == .keepAliveTimeout)
    }

    @Test("a 5 client's packet beyond the announced size ends the connection before it is read")
    func tooLarge() {
        var client = Client(.v5)
        client.send([0x32] + [0x80, 0x80, 0x80, 0x01])
        #expect(client.closedFor == .packetTooLarge)
        #expect(client.session.heldBytes < 200)
    }

    @Test("a 3.1.1 client's too large packet is read over, acknowledged as rejected, and what follows is taken")
    func skipped() {
        let limits = MQTTLimits(maxPacketBytes: 1024)
        let large = Packets.publish(.v311, id: 9, payload: [UInt8](repeating: 0x20, count: 50_000))
        let stream = Packets.publish(.v311, id: 1) + large + Packets.publish(.v311, id: 2)
        for piece in [1, 2, 3, 20, 21, 22, 23, 24, 700, 1500, 60_000] {
            var client = Client(.v311, limits: limits)
            var start = 0
            while start < stream.count {
                client.send(Array(stream[start..<min(start + piece, stream.count)]))
                #expect(client.session.heldBytes < 70_000)
                start += piece
            }
            #expect(client.publishes.map(\.ticket) == [1, 3])
            client.answer(3)
            client.answer(1)
            #expect(client.read() == Packets.puback(1) + Packets.puback(9) + Packets.puback(2))
            #expect(client.session.takeCountsForTest().rejected == 1)
        }
        var client = Client(.v311, limits: limits)
        client.send([0x32, 0xFF, 0xFF, 0xFF, 0x7F])
        #expect(client.closedFor == .packetTooLarge, "there is an end to what is read over")
    }

    @Test("the relay's own end: 5 hears why, answers already there still leave")
    func ended() {
        for (version, goodbye) in [(MQTTVersion.v311, false), (.v5, true)] {
            var client = Client(version)
            client.send(Packets.publish(version))
            client.session.quiet()
            #expect(!client.session.wantsInput)
            client.answer(1)
            client.carryOut(client.session.ended(.serverShuttingDown))
            let sent = client.read()
            #expect(sent.starts(with: Packets.puback(1)))
            #expect(sent.dropFirst(4).first == (goodbye ? 0xE0 : nil))
            #expect(client.session.ended(.serverShuttingDown).isEmpty)
        }
    }

    @Test("a DISCONNECT with a reason and properties is a goodbye; one with a wrong body is a fault")
    func disconnect() {
        var client = Client(.v5)
        client.send([0xE0, 7, 0x04, 5, 0x11, 0, 0, 0, 1])
        #expect(client.closedFor == .success)
        client = Client(.v5)
        client.send([0xE0, 3, 0x04, 1, 0x27])
        #expect(client.closedFor == .malformedPacket)
        client = Client(.v311)
        client.send([0xE0, 1, 0])
        #expect(client.closedFor == .malformedPacket)
    }
}
