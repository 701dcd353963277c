// PUBLISH and its acknowledgement: when it comes, in which order, and what is said of a report that is not taken.

import MQTTServer
import Testing

@Suite("publishing")
struct PublishTests {
    @Test("a PUBACK comes after the answer and never before (I1)", arguments: MQTTVersion.allCases)
    func afterTheCommit(_ version: MQTTVersion) throws {
        var client = Client(version)
        client.send(Packets.publish(version, id: 0x1234, payload: Array("{}".utf8)))
        let publish = try #require(client.publishes.first)
        #expect(publish.topic == "drones/d-1/reports" && publish.payload == Array("{}".utf8) && publish.qos == 1)
        client.wait(1)
        #expect(client.read().isEmpty)
        client.answer(publish.ticket)
        #expect(client.read() == [0x40, 2, 0x12, 0x34])
    }

    @Test(
        "PUBACKs leave in the order of the publishes, whatever the order of the answers",
        arguments: MQTTVersion.allCases)
    func order(_ version: MQTTVersion) {
        var client = Client(version)
        for id in 1...4 { client.send(Packets.publish(version, id: UInt16(id))) }
        client.answer(3)
        client.answer(2)
        #expect(client.read().isEmpty)
        client.answer(1)
        #expect(client.read() == Packets.puback(1) + Packets.puback(2) + Packets.puback(3))
        client.answer(4)
        #expect(client.read() == Packets.puback(4))
    }

    @Test("QoS 0 is stored like any other and gets no answer", arguments: MQTTVersion.allCases)
    func qos0(_ version: MQTTVersion) {
        var client = Client(version)
        client.send(Packets.publish(version, flags: 0))
        #expect(client.publishes.first?.qos == 0)
        client.answer(1)
        client.send(Packets.publish(version, flags: 0))
        client.answer(2, .notNow(.quotaExceeded, text: "", afterSeconds: 1))
        client.wait(5)
        #expect(client.read().isEmpty && client.session.isConnected)
        #expect(client.session.takeCountsForTest().lostWithoutAnswer == 1)
    }

    @Test("a retained message is a message like any other", arguments: MQTTVersion.allCases)
    func retained(_ version: MQTTVersion) {
        var client = Client(version)
        client.send(Packets.publish(version, flags: 3))
        client.answer(1)
        #expect(client.publishes.first?.isRetained == true && client.read() == Packets.puback(1))
    }

    @Test("a report that can never be taken is acknowledged: 5 learns why, 3.1.1 stops sending it")
    func poison() {
        var client = Client(.v5)
        client.send(Packets.publish(.v5))
        client.answer(1, .rejected(.payloadFormatInvalid, text: "no"))
        #expect(client.read() == [0x40, 9, 0, 1, 0x99, 5, 0x1F, 0, 2, 0x6E, 0x6F])
        client = Client(.v5, properties: [0x17, 0])
        client.send(Packets.publish(.v5))
        client.answer(1, .rejected(.payloadFormatInvalid, text: "no"))
        #expect(client.read() == [0x40, 3, 0, 1, 0x99], "Request Problem Information 0: no reason string")
        client = Client(.v5, properties: [0x27, 0, 0, 0, 16])
        client.send(Packets.publish(.v5))
        client.answer(1, .rejected(.payloadFormatInvalid, text: "longer than the client takes"))
        #expect(client.read() == [0x40, 3, 0, 1, 0x99], "Maximum Packet Size 16: no room for a reason string")
        client = Client(.v311)
        client.send(Packets.publish(.v311))
        client.answer(1, .rejected(.payloadFormatInvalid, text: "no"))
        #expect(client.read() == Packets.puback(1))
        #expect(client.session.takeCountsForTest().rejected == 1)
    }

    @Test("a report that cannot be taken now is not acknowledged; the connection ends after a while")
    func notNow() {
        for version in MQTTVersion.allCases {
            var client = Client(version)
            for id in 1...3 { client.send(Packets.publish(version, id: UInt16(id))) }
            client.answer(1)
            client.answer(2, .notNow(.quotaExceeded, text: "full", afterSeconds: 3))
            client.answer(3)
            #expect(client.read() == Packets.puback(1) + Packets.puback(3), "what was stored is acknowledged")
            client.wait(2.9)
            #expect(client.session.isConnected)
            client.send(Packets.publish(version, id: 4))
            #expect(client.publishes.count == 4, "what may raise an alert is still looked at (I6)")
            client.answer(4)
            client.wait(0.2)
            #expect(client.closedFor == .quotaExceeded)
            let goodbye: [UInt8] = [0xE0, 9, 0x97, 7, 0x1F, 0, 4] + Array("full".utf8)
            #expect(client.read() == Packets.puback(4) + (version == .v5 ? goodbye : []))
        }
    }

    @Test("the delay is bounded, and an answer that never comes does not hold the connection for ever")
    func boundedDelay() {
        var client = Client(.v311)
        client.send(Packets.publish(.v311, id: 1) + Packets.publish(.v311, id: 2))
        client.answer(1, .notNow(.quotaExceeded, text: "", afterSeconds: 1e9))
        client.wait(10.1)
        #expect(!client.session.isClosed, "the second publish still waits for the disk")
        client.wait(10)
        #expect(client.session.isClosed)
    }

    @Test("a client that asked for refusals hears of it as a PUBACK and stays connected")
    func refusals() {
        var client = Client(.v5, properties: Packets.wantsRefusals)
        client.send(Packets.publish(.v5))
        client.answer(1, .notNow(.quotaExceeded, text: "", afterSeconds: 3))
        #expect(client.read() == [0x40, 3, 0, 1, 0x97])
        client.wait(20)
        #expect(client.session.isConnected)
    }

    @Test("an identifier sent again while it is under way gets one answer", arguments: MQTTVersion.allCases)
    func resent(_ version: MQTTVersion) {
        var client = Client(version)
        client.send(Packets.publish(version, id: 7) + Packets.publish(version, id: 7, flags: 0x0A))
        #expect(client.publishes.count == 1)
        client.answer(1)
        #expect(client.read() == Packets.puback(7))
        client.send(Packets.publish(version, id: 7, flags: 0x0A))
        client.answer(2)
        #expect(client.read() == Packets.puback(7), "after its answer it is a publish of its own")
        client.send(Packets.publish(version, id: 8) + Packets.publish(version, id: 8))
        #expect(client.closedFor == .protocolError)
    }

    @Test("nothing more is read from a client whose window is full, until an answer comes")
    func window() {
        var client = Client(.v311, limits: MQTTLimits(receiveMaximum: 2))
        client.send(Packets.publish(.v311, id: 1) + Packets.publish(.v311, id: 2) + Packets.publish(.v311, id: 3))
        #expect(client.publishes.count == 2 && !client.session.wantsInput)
        client.answer(1)
        #expect(client.publishes.count == 3 && client.publishes.last?.ticket == 3)
        client.wait(1_000)
        #expect(client.session.isConnected, "a client that is not read cannot be heard")
    }

    @Test("answers that a client does not read stop its input")
    func unreadOutput() {
        var client = Client(.v311, limits: MQTTLimits(maxOutputBytes: 100))
        for _ in 0..<1_000 { client.send(Packets.ping) }
        #expect(client.session.output.count == 100 && !client.session.wantsInput)
        var answers = client.read().count
        while client.session.hasOutput { answers += client.read().count }
        #expect(answers == 2_000 && client.session.wantsInput)
    }

    @Test("answers to a connection that ended are forgotten")
    func lateAnswer() {
        var client = Client(.v5)
        client.send(Packets.publish(.v5) + Packets.disconnect)
        #expect(client.closedFor == .success)
        client.answer(1)
        #expect(client.read().isEmpty)
    }
}

extension MQTTSession {
    func takeCountsForTest() -> MQTTCounts {
        var copy = self
        return copy.takeCounts()
    }
}
