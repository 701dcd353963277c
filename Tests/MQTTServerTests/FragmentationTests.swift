// TCP cuts a stream wherever it likes: the same bytes mean the same, however they arrive.

import MQTTServer
import Testing

@Suite("fragmentation and pipelining")
struct FragmentationTests {
    static func conversation(_ version: MQTTVersion) -> [UInt8] {
        let tail: [UInt8] = version == .v5 ? [0] : []
        var bytes = Packets.connect(version)
        bytes += Packets.publish(version, id: 1, payload: [UInt8](repeating: 0x61, count: 200))
        bytes += Packets.ping
        bytes += [0x82, UInt8(6 + tail.count), 0, 7] + tail + [0, 1, 0x61, 1]
        bytes += Packets.publish(version, id: 2, flags: 0)
        bytes += [0xA2, UInt8(5 + tail.count), 0, 8] + tail + [0, 1, 0x61]
        bytes += Packets.publish(version, id: 3, flags: 3)
        if version == .v5 { bytes += Packets.publish(version, id: 4, properties: [0x01, 1, 0x26, 0, 1, 0x61, 0, 0]) }
        return bytes + Packets.ping
    }

    /// What came out: publishes and bytes, when everything is answered at the end.
    static func outcome(_ pieces: [[UInt8]]) -> (publishes: [MQTTPublish], output: [UInt8]) {
        var client = Client()
        for piece in pieces { client.send(piece) }
        let publishes = client.publishes
        for publish in publishes { client.answer(publish.ticket) }
        return (publishes, client.read())
    }

    @Test("a conversation means the same cut in two at every byte", arguments: MQTTVersion.allCases)
    func everyCut(_ version: MQTTVersion) {
        let bytes = Self.conversation(version)
        let whole = Self.outcome([bytes])
        #expect(whole.publishes.count == (version == .v5 ? 4 : 3))
        #expect(whole.publishes.map(\.payload.count) == (version == .v5 ? [200, 2, 2, 2] : [200, 2, 2]))
        for cut in 1..<bytes.count {
            let parts = Self.outcome([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(parts == whole, "cut at \(cut)")
        }
        let single = Self.outcome(bytes.map { [$0] })
        #expect(single == whole)
    }

    @Test("a packet of the largest size may come byte by byte, in time that grows with its bytes only")
    func largestPacket() {
        var client = Client(.v311)
        let limit = MQTTLimits().maxPacketBytes
        let packet = Packets.publish(.v311, payload: [UInt8](repeating: 0x20, count: limit - 26))
        #expect(packet.count == limit)
        for byte in packet { client.send([byte]) }
        #expect(client.publishes.first?.payload.count == limit - 26)
        #expect(client.session.heldBytes == 0)
    }

    @Test("a thousand publishes in one piece are taken as the window allows, in order")
    func pipelined() {
        var client = Client(.v311)
        var bytes: [UInt8] = []
        for id in 1...1_000 { bytes += Packets.publish(.v311, id: UInt16(id)) }
        client.send(bytes)
        var answered: Int64 = 0
        while answered < 1_000 {
            #expect(client.publishes.count <= Int(answered) + 64)
            answered += 1
            client.answer(answered)
        }
        let expected = (1...1_000).flatMap { [0x40, 2, UInt8($0 >> 8), UInt8($0 & 0xFF)] as [UInt8] }
        #expect(client.read() == expected)
    }
}
