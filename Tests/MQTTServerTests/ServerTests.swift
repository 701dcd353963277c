// The listener with real sockets: answers find their way back from other threads, limits hold, goodbyes arrive.

import Glibc
import MQTTServer
import Synchronization
import System
import Testing
import TestSupport

@Suite("the listener", .serialized)
struct ServerTests {
    @Test("a thousand connections, each answered later by another thread")
    func thousand() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        let clients = try (0..<1_000).map { try listener.client(name: "d-\($0)") }
        for client in clients { client.send(Packets.publish(.v311, id: 1) + Packets.publish(.v311, id: 2)) }
        #expect(eventually { listener.handler.waiting == 2_000 })
        #expect(listener.server.counters.connections == 1_000)
        let held = listener.handler.take().shuffled()
        let thread = WorkerThread(name: "writer") { for one in held { one.answer.give(.stored) } }
        thread.join()
        for client in clients { #expect(client.read(8) == Packets.puback(1) + Packets.puback(2)) }
        #expect(listener.server.counters.messages.acknowledged == 2_000)
    }

    @Test("connections beyond the limit wait until one closes")
    func connectionLimit() throws {
        let listener = try Listener { $0.maxConnections = 3 }
        defer { listener.server.stop() }
        var clients = try (0..<3).map { try listener.client(name: "d-\($0)") }
        let fourth = try TestSocket(port: listener.server.port)
        fourth.send(Packets.connect(.v311, client: "d-4"))
        #expect(fourth.read(4, withinMilliseconds: 300).isEmpty)
        clients.removeFirst()
        #expect(fourth.read(4) == [0x20, 2, 0, 0])
    }

    @Test("other limits take effect while it runs: more connections, and what open ones may still do")
    func update() throws {
        let listener = try Listener { $0.maxConnections = 1 }
        defer { listener.server.stop() }
        let first = try listener.client(.v5, name: "d-1")
        let second = try TestSocket(port: listener.server.port)
        second.send(Packets.connect(.v311, client: "d-2"))
        #expect(second.read(4, withinMilliseconds: 300).isEmpty)
        var next = MQTTServerConfiguration()
        next.maxConnections = 3
        next.limits = MQTTLimits(receiveMaximum: 2, connectSeconds: 0.3)
        listener.server.update(next)
        #expect(second.read(4) == [0x20, 2, 0, 0])
        let silent = try TestSocket(port: listener.server.port)
        #expect(silent.isClosed(), "without CONNECT, after the new time")
        for id in 1...3 as ClosedRange<UInt16> { first.send(Packets.publish(.v5, id: id)) }
        #expect(eventually { listener.handler.waiting == 2 })
        #expect(first.read(1, withinMilliseconds: 300).isEmpty && listener.handler.waiting == 2, "the third waits")
        for held in listener.handler.take() { held.answer.give(.stored) }
        #expect(eventually { listener.handler.waiting == 1 })
    }

    @Test("a client that connects again takes over from its own older connection, and finds its session")
    func takeOver() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        let first = try listener.client(.v5, name: "d-1")
        let second = try TestSocket(port: listener.server.port)
        second.send(Packets.connect(.v5, client: "d-1", flags: 0, properties: [0x11, 0, 0, 0, 60]))
        #expect(second.read(4).dropFirst(2).first == 0, "the first asked for a session that ends with its connection")
        #expect(first.read(3).dropFirst(2).first == 0x8E)
        #expect(first.isClosed())
        let third = try TestSocket(port: listener.server.port)
        third.send(Packets.connect(.v5, client: "d-1", flags: 0))
        #expect(third.read(4).dropFirst(2).first == 1)
        let fourth = try TestSocket(port: listener.server.port)
        fourth.send(Packets.connect(.v5, client: "d-1", flags: 2))
        #expect(fourth.read(4).dropFirst(2).first == 0, "a clean start finds nothing")
        #expect(eventually { listener.server.counters.connections == 1 })
    }

    @Test("a client that is not admitted hears why and is closed")
    func notAdmitted() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        let socket = try TestSocket(port: listener.server.port)
        socket.send(Packets.connect(.v5, client: "stranger"))
        #expect(socket.read(100) == [0x20, 3, 0, 0x87, 0])
        #expect(eventually { listener.server.counters.connections == 0 } && listener.handler.reasons.isEmpty)
    }

    @Test("the reason of a fault reaches a client that is still sending")
    func goodbyeArrives() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        let client = try listener.client(.v5, name: "d-1")
        client.send([0x36, 0] + [UInt8](repeating: 0x55, count: 300_000))
        #expect(client.read(3).dropFirst(2).first == MQTTReason.malformedPacket.rawValue)
        #expect(client.isClosed())
        #expect(eventually { listener.handler.reasons == [.malformedPacket] })
    }

    @Test("unfinished packets of many clients together have a limit")
    func heldBytes() throws {
        let listener = try Listener {
            $0.threads = 1
            $0.maxHeldBytes = 400_000
        }
        defer { listener.server.stop() }
        let clients = try (0..<4).map { try listener.client(.v5, name: "d-\($0)") }
        // The beginning of a packet of 200,000 bytes each.
        for client in clients { client.send([0x32, 0xC0, 0x9A, 0x0C] + [UInt8](repeating: 0, count: 150_000)) }
        #expect(eventually { listener.handler.reasons.contains(.serverBusy) })
        #expect(listener.server.counters.connections >= 2)
        let late = try listener.client(.v5, name: "d-9")
        late.send(Packets.publish(.v5))
        #expect(eventually { listener.handler.waiting == 1 }, "others are served as before")
        withExtendedLifetime(clients) {}
    }

    @Test("stopping: no new connection, what is under way is answered, then the goodbye")
    func stop() throws {
        let listener = try Listener()
        let client = try listener.client(.v5, name: "d-1")
        client.send(Packets.publish(.v5))
        #expect(eventually { listener.handler.waiting == 1 })
        listener.server.stopAccepting()
        client.send(Packets.publish(.v5, id: 2))
        for one in listener.handler.take() { one.answer.give(.stored) }
        let started = SystemTime().monotonicNanoseconds()
        listener.server.stop()
        #expect(Waiting.isWithin(3, since: started))
        let sent = client.read(7)
        #expect(sent.starts(with: Packets.puback(1)) && sent.count == 7 && sent[4] == 0xE0 && sent[6] == 0x8B)
        #expect(listener.handler.waiting == 0, "nothing more was taken")
        listener.server.stop()
    }

    @Test("a client that vanishes with publishes under way leaves nothing behind")
    func vanished() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        for _ in 0..<50 {
            let client = try listener.client(name: "d-1")
            client.send(Packets.publish(.v311))
            #expect(eventually { listener.handler.waiting > 0 })
        }
        #expect(eventually { listener.server.counters.connections == 0 })
        // Only now has the relay read everything that they sent.
        let held = listener.handler.take()
        for one in held { one.answer.give(.stored) }
        let client = try listener.client(name: "d-1")
        client.send(Packets.publish(.v311, id: 3))
        #expect(eventually { listener.handler.waiting > 0 })
        for one in listener.handler.take() { one.answer.give(.stored) }
        #expect(client.read(4) == Packets.puback(3))
    }

    @Test("a port that is taken is said with its address")
    func portTaken() throws {
        let listener = try Listener()
        defer { listener.server.stop() }
        let port = listener.server.port
        let error = #expect(throws: SystemError.self) { try Listener { $0.port = port } }
        #expect(error?.description.contains("127.0.0.1:\(port)") == true)
    }
}
