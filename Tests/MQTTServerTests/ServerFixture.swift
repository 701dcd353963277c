// A real listener with a handler that the test answers for, and plain sockets that talk to it.

import Glibc
import MQTTServer
import Synchronization
import System
import Testing
import TestSupport

/// Keeps every publish until the test answers it, or answers at once from a thread of its own.
final class HoldingHandler: MQTTHandler {
    struct Held: Sendable {
        let publish: MQTTPublish
        let peer: MQTTPeer
        let answer: MQTTAnswer
    }

    private let held = Mutex<[Held]>([])
    private let endings = Mutex<[MQTTReason]>([])

    func admit(_ connect: MQTTConnect, identity: String?) -> MQTTReason? {
        connect.clientIdentifier == "stranger" ? .notAuthorized : nil
    }

    func handle(_ publish: MQTTPublish, from peer: MQTTPeer, answer: MQTTAnswer) {
        held.withLock { $0.append(Held(publish: publish, peer: peer, answer: answer)) }
    }

    func ended(_ peer: MQTTPeer, _ reason: MQTTReason, _ counts: MQTTCounts) {
        endings.withLock { $0.append(reason) }
    }

    var waiting: Int { held.withLock { $0.count } }
    var reasons: [MQTTReason] { endings.withLock { $0 } }

    func take() -> [Held] {
        held.withLock { held in
            defer { held = [] }
            return held
        }
    }
}

/// A client's socket; everything it does has a deadline.
final class TestSocket {
    private let descriptor: Int32

    init(port: UInt16) throws {
        descriptor = Loopback.tcpSocket()
        try #require(Loopback.connect(descriptor, to: port), "connect: \(errno)")
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        #expect(Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }

    /// Reads `count` bytes, or fewer if the relay closes or the time is over.
    func read(_ count: Int, withinMilliseconds: Int32 = 30_000) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, isReadable(withinMilliseconds: withinMilliseconds) {
            var piece = [UInt8](repeating: 0, count: count - bytes.count)
            let received = recv(descriptor, &piece, piece.count, 0)
            guard received > 0 else { break }
            bytes += piece[..<received]
        }
        return bytes
    }

    /// Whether the relay closes, after whatever it still sends.
    func isClosed(withinMilliseconds: Int32 = 30_000) -> Bool {
        var byte: UInt8 = 0
        while isReadable(withinMilliseconds: withinMilliseconds) {
            if recv(descriptor, &byte, 1, 0) <= 0 { return true }
        }
        return false
    }

    private func isReadable(withinMilliseconds: Int32) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, withinMilliseconds) > 0
    }
}

struct Listener {
    let handler = HoldingHandler()
    let server: MQTTServer

    init(
        sessions: MQTTSessionBook = MQTTSessionBook(), _ change: (inout MQTTServerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = MQTTServerConfiguration()
        change(&configuration)
        server = try MQTTServer(configuration, handler: handler, time: SystemTime(), sessions: sessions)
    }

    /// A client that was let in.
    func client(_ version: MQTTVersion = .v311, name: String, flags: UInt8 = 2) throws -> TestSocket {
        let socket = try TestSocket(port: server.port)
        socket.send(Packets.connect(version, client: name, flags: flags))
        let answer = socket.read(version == .v5 ? 23 : 4)
        try #require(answer.count >= 4 && answer[3] == 0, "\(answer)")
        return socket
    }
}
