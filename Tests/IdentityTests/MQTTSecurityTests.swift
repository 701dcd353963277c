// The MQTT listener behind TLS: what half-spoken TLS does to it (nothing), how long it waits, and what a client that
// does not read costs (F98, F99). The identity rules themselves are the HTTP port's: HandshakeTests.

import Certificates
import Glibc
import Identity
import MQTTServer
import Synchronization
import System
import TestSupport
import TLS
import Testing
import TestSupport

@Suite("the MQTT listener behind TLS")
struct MQTTSecurityTests {
    /// Stores every publish at once.
    private struct Storing: MQTTHandler {
        func admit(_ connect: MQTTConnect, identity: String?) -> MQTTReason? { identity == nil ? .notAuthorized : nil }
        func handle(_ publish: MQTTPublish, from peer: MQTTPeer, answer: MQTTAnswer) { answer.give(.stored) }
        func ended(_ peer: MQTTPeer, _ reason: MQTTReason, _ counts: MQTTCounts) {}
    }

    private final class Door: Sendable {
        let refusals = Mutex<[String]>([])
        let denied = Mutex(DenyList())
    }

    private let folder: Folder
    private let authority: TestAuthority
    private let door = Door()
    private let acceptor: TLSAcceptor

    init() throws {
        folder = try Folder()
        authority = try TestAuthority()
        let door = door
        acceptor = try TLSAcceptor(
            ServerTLS(
                credentials: try authority.serverCredentials(),
                admit: { PeerPolicy.objection($0, door.denied.withLock { $0 }) == nil },
                onRefused: { reason, _ in door.refusals.withLock { $0.append(reason) } }), time: SystemTime())
    }

    private func listener(
        sendBufferBytes: Int32? = nil, _ change: (inout MQTTServerConfiguration) -> Void = { _ in }
    ) throws -> MQTTServer {
        var configuration = MQTTServerConfiguration()
        change(&configuration)
        let acceptor = acceptor
        configuration.transport = { socket in
            if var bytes = sendBufferBytes {
                setsockopt(socket.descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
            }
            return acceptor.stream(over: socket)
        }
        return try MQTTServer(configuration, handler: Storing(), time: SystemTime())
    }

    /// What the script prints; nil, with a note, where there is no Python.
    private func client(_ mode: String, _ server: MQTTServer, _ more: [String] = []) throws -> [Substring]? {
        let script = FileSystem.parent(of: FileSystem.parent(of: #filePath)) + "/Clients/tls_faults.py"
        let pair = try folder.file("drone.pem", try authority.pair("columba://drone/d-1"))
        let trust = try folder.file("ca.pem", authority.pem)
        let arguments = [script, mode, "\(server.port)", trust, pair] + more
        guard let result = try Command.run("python3", arguments, in: folder) else {
            Issue.record("skipped: python3 is not installed")
            return nil
        }
        #expect(result.isSuccess, "\(result.text)")
        return result.text.split(whereSeparator: \.isWhitespace)
    }

    @Test("TLS that is cut, bent, repeated or mixed with garbage ends its own connection and disturbs no other")
    func faults() throws {
        let server = try listener { $0.limits = MQTTLimits(connectSeconds: 1) }
        defer { server.stop() }
        let seed = UInt32.random(in: .min ... .max)
        print("seed \(seed)")
        guard let words = try client("faults", server, ["\(seed)", "300"]) else { return }
        #expect(words.count == 2 && words.first == words.last && words.first != "0", "seed \(seed): \(words)")
        #expect(eventually { server.counters.connections == 0 }, "seed \(seed): \(server.counters)")
        #expect(door.refusals.withLock { $0.contains("handshake_failed") })
    }

    @Test("a handshake that comes byte by byte is closed when the time for CONNECT is up")
    func drip() throws {
        let server = try listener { $0.limits = MQTTLimits(connectSeconds: 1) }
        defer { server.stop() }
        guard let words = try client("drip", server) else { return }
        // A ClientHello has more than 200 bytes: alone it would take 10 s.
        let seconds = try #require(words.first.flatMap { Double($0) })
        #expect(seconds > 0.9 && seconds < 8, "closed after \(seconds) s")
        #expect(eventually { server.counters.connections == 0 })
        #expect(door.refusals.withLock { $0 } == ["handshake_failed"])
    }

    @Test("a client that reads late gets every PUBACK, in order, through a socket with little room")
    func flood() throws {
        let server = try listener(sendBufferBytes: 2_048)
        defer { server.stop() }
        guard let words = try client("flood", server, ["30000"]) else { return }
        #expect(words == ["1", "30000", "30000", "True"], "\(words)")
    }

    @Test("denied while connected, a peer is told so and is out; one whose certificate expires as well")
    func recheck() throws {
        let server = try listener()
        defer { server.stop() }
        let held = try self.held(server, until: TestAuthority.hour)
        #expect(eventually { server.counters.admitted == 1 && server.counters.connections == 1 })
        server.recheckPeers()
        door.denied.withLock { _ = $0.insert("columba://drone/d-2") }
        server.recheckPeers()
        let brief = try self.held(server, until: 2)
        #expect(eventually { server.counters.admitted == 2 })
        #expect(eventually { server.counters.endedByRelay == 1 && server.counters.connections == 1 }, "it expired")
        door.denied.withLock { _ = $0.insert("columba://drone/d-1") }
        server.recheckPeers()
        #expect(eventually { server.counters.connections == 0 }, "\(server.counters)")
        for process in [held, brief] { kill(-process.processID, SIGKILL) }
    }

    @Test("an address that begins handshakes too often is closed unheard, until time has passed")
    func rate() throws {
        let server = try listener()
        defer { server.stop() }
        acceptor.update(HandshakeLimits(perAddressPerSecond: 1, burstPerAddress: 3, exemptsLoopback: false))
        let silent = try (0..<3).map { _ in try IdleConnection(port: server.port) }
        #expect(eventually { server.counters.connections == 3 })
        #expect(try IdleConnection(port: server.port).isClosedSoon())
        #expect(eventually { door.refusals.withLock { $0.contains("handshake_rate") } })
        #expect(silent.allSatisfy { !$0.isClosedNow })
        // A second later there is room for one more.
        var later: [IdleConnection] = []
        #expect(
            eventually {
                if let one = try? IdleConnection(port: server.port) { later.append(one) }
                return server.counters.connections == 4
            })
    }

    @Test("connections that show no certificate take no drone's place: the oldest of them goes")
    func reserve() throws {
        let server = try listener {
            $0.maxConnections = 16
            $0.limits = MQTTLimits(connectSeconds: 60)
        }
        defer { server.stop() }
        let known = try held(server, until: TestAuthority.hour)
        #expect(eventually { server.counters.admitted == 1 })
        let flood = try (0..<60).map { _ in try IdleConnection(port: server.port) }
        let late = try held(server, until: TestAuthority.hour + 1)
        #expect(eventually { server.counters.admitted == 2 }, "\(server.counters)")
        #expect(eventually { server.counters.connections <= 14 }, "2 drones and 12 strangers: \(server.counters)")
        #expect(server.counters.endedByRelay >= 40, "\(server.counters)")
        #expect(flood.count { !$0.isClosedNow } <= 13)
        for process in [known, late] { kill(-process.processID, SIGKILL) }
        #expect(eventually { server.counters.connections <= 12 }, "both were connected until now")
    }

    /// `openssl s_client` that has sent CONNECT and stays.
    private func held(_ server: MQTTServer, until: Int64) throws -> ChildProcess {
        let pair = try folder.file("held-\(until).pem", try authority.pair("columba://drone/d-1", until: until))
        var configuration = ChildProcess.Configuration(
            executable: "/bin/sh",
            arguments: [
                "-c",
                "(printf '\\020\\017\\000\\004MQTT\\004\\002\\000\\074\\000\\003\(until % 10)-1'; sleep 60) | "
                    + "exec openssl s_client -quiet -connect 127.0.0.1:\(server.port) -cert \(pair) -key \(pair)",
            ])
        configuration.standardOutput = .null
        configuration.standardError = .null
        configuration.ownProcessGroup = true
        return try ChildProcess(configuration)
    }
}
