// A listener's thread: waits on its sockets and its mailbox, and carries out what the sessions order. Everything here
// belongs to this one thread.

import Synchronization
import System

final class MQTTLoop {
    private static let listenerToken: UInt64 = 0
    private static let readBytes = 64 << 10
    private static let tickNanoseconds: UInt64 = 250_000_000
    private static let lingerNanoseconds: UInt64 = 1_000_000_000
    /// How long `stop` waits for clients to take their last bytes.
    private static let stopNanoseconds: UInt64 = 1_000_000_000

    let core: MQTTServerCore
    private var configuration: MQTTServerConfiguration
    private let index: Int
    private let mailbox: MQTTMailbox
    private var listener: TCPListener?
    private var isAccepting = false
    private var nextLoop = 0
    private var connections: [UInt64: MQTTConnection] = [:]
    private var nextID: UInt64 = 1
    /// Connections that had not been admitted when last looked at, oldest first.
    private var strangers: [UInt64] = []
    private var dirty: [MQTTConnection] = []
    private var heldBytes = 0
    private var counters = MQTTServerCounters()
    private var isQuiet = false
    private var stopsAt: UInt64?
    private var nextTick: UInt64
    private var now: UInt64
    private let buffer: UnsafeMutableRawBufferPointer

    init(_ core: MQTTServerCore, index: Int, listener: TCPListener?) {
        self.core = core
        configuration = core.configuration
        self.index = index
        self.listener = listener
        mailbox = core.mailboxes[index]
        now = core.time.monotonicNanoseconds()
        nextTick = now + Self.tickNanoseconds
        buffer = .allocate(byteCount: Self.readBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    func run() {
        resumeAccepting()
        while true {
            let events = mailbox.poll.wait(timeoutMilliseconds: timeoutMilliseconds)
            now = core.time.monotonicNanoseconds()
            // Letters first: what a client sends after `stopAccepting` has returned is not taken.
            for letter in mailbox.take() { read(letter) }
            for event in events {
                if event.token == Self.listenerToken { accept() } else { happened(event) }
            }
            if now >= nextTick { tick() }
            // Before the answers leave: whoever reads one finds it counted.
            mailbox.publish(counters)
            flushDirty()
            mailbox.publish(counters)
            if let stopsAt, connections.isEmpty || now >= stopsAt { break }
        }
        for connection in connections.values { drop(connection) }
        mailbox.publish(counters)
    }

    private var timeoutMilliseconds: Int32 {
        // A thread without connections has nothing to be in time for.
        if connections.isEmpty, stopsAt == nil, listener == nil || isAccepting { return -1 }
        return Int32((max(nextTick, now) - now) / 1_000_000 + 1)
    }

    // MARK: New connections

    private func resumeAccepting() {
        guard let listener, !isAccepting, !isQuiet,
            core.connections.load(ordering: .relaxed) < configuration.maxConnections
        else { return }
        do {
            try mailbox.poll.add(listener.descriptor, token: Self.listenerToken, interest: .readable)
            isAccepting = true
        } catch {
            // No memory for it now: the next tick tries again.
            isAccepting = false
        }
    }

    private func pauseAccepting() {
        guard let listener, isAccepting else { return }
        mailbox.poll.remove(listener.descriptor)
        isAccepting = false
    }

    private func accept() {
        guard let listener, isAccepting else { return }
        while true {
            guard core.connections.load(ordering: .relaxed) < configuration.maxConnections else {
                return pauseAccepting()
            }
            switch listener.accept() {
            case .noneWaiting: return
            case .exhausted: return pauseAccepting()
            case .connection(let socket):
                guard let transport = core.configuration.transport(socket) else {
                    socket.close()
                    continue
                }
                core.connections.add(1, ordering: .relaxed)
                nextLoop = (nextLoop + 1) % core.mailboxes.count
                if nextLoop == index { adopt(transport) } else { core.mailboxes[nextLoop].post(.adopt(transport)) }
            }
        }
    }

    private func adopt(_ transport: any MQTTTransport) {
        let connection = MQTTConnection(
            id: nextID, transport: transport, limits: configuration.limits, at: now)
        nextID += 1
        do {
            guard !isQuiet else { throw SystemError(operation: "take a connection while stopping", errno: 0) }
            try mailbox.poll.add(transport.descriptor, token: connection.id, interest: connection.interest)
        } catch {
            transport.close()
            core.connections.subtract(1, ordering: .relaxed)
            return
        }
        connections[connection.id] = connection
        counters.connections += 1
        strangers.append(connection.id)
        core.strangers.add(1, ordering: .relaxed)
        makeRoom()
    }

    /// Those that nobody knows may not take the places of those that were admitted (F100).
    private func makeRoom() {
        let known = strangers.prefix { id in connections[id].map { $0.peer != nil } ?? true }.count
        strangers.removeFirst(known)
        let reserved = configuration.maxConnections * configuration.reservedForKnownPercent / 100
        guard core.strangers.load(ordering: .relaxed) > configuration.maxConnections - reserved, strangers.count > 1,
            let oldest = connections[strangers.removeFirst()]
        else { return }
        counters.endedByRelay += 1
        drop(oldest)
    }

    // MARK: What happened

    private func happened(_ event: EventPoll.Event) {
        guard let connection = connections[event.token] else { return }
        if event.interest.contains(.readable) { receive(connection) }
        if event.interest.contains(.broken) { return drop(connection) }
        guard connections[event.token] != nil else { return }
        if event.interest.contains(.writable) {
            if connection.transport.wantsToWrite { receive(connection) }
            mark(connection)
        }
    }

    private func receive(_ connection: MQTTConnection) {
        guard connection.lingersUntil != nil || connection.session.wantsInput else { return }
        switch connection.transport.receive(into: buffer) {
        // A handshake may want to write now.
        case .wouldBlock: mark(connection)
        case .closed: drop(connection)
        case .moved(let count):
            // What comes after the goodbye is read over, so that closing does not destroy what was sent.
            guard connection.lingersUntil == nil else { return }
            carryOut(
                connection.session.received(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: now), connection)
        }
    }

    private func read(_ letter: MQTTLetter) {
        switch letter {
        case .adopt(let transport): adopt(transport)
        case .answer(let id, let ticket, let verdict):
            guard let connection = connections[id] else { return }
            carryOut(connection.session.answered(ticket, verdict, at: now), connection)
        case .takenOver(let id):
            guard let connection = connections[id] else { return }
            carryOut(connection.session.ended(.sessionTakenOver), connection)
        case .configure(let next):
            configuration = next
            for connection in connections.values { connection.session.limits = next.limits }
            resumeAccepting()
        case .recheck:
            for connection in connections.values {
                connection.transport.recheckPeer()
                endIfRefused(connection)
            }
        case .quiet:
            isQuiet = true
            pauseAccepting()
            listener?.close()
            listener = nil
            for connection in connections.values {
                connection.session.quiet()
                mark(connection)
            }
        case .stop:
            stopsAt = now + Self.stopNanoseconds
            pauseAccepting()
            listener?.close()
            listener = nil
            isQuiet = true
            for connection in connections.values {
                carryOut(connection.session.ended(.serverShuttingDown), connection)
            }
        }
    }

    private func tick() {
        nextTick = now + Self.tickNanoseconds
        resumeAccepting()
        let stall = UInt64(configuration.writeStallSeconds * 1e9)
        for connection in connections.values {
            if let until = connection.lingersUntil {
                if now >= until { drop(connection) }
            } else if connection.session.hasOutput, now >= connection.sendProgressAt + stall {
                drop(connection)
            } else if !endIfRefused(connection) {
                let orders = connection.session.timePassed(at: now)
                if !orders.isEmpty { carryOut(orders, connection) }
            }
        }
    }

    /// What the peer proved holds no more.
    @discardableResult
    private func endIfRefused(_ connection: MQTTConnection) -> Bool {
        guard connection.transport.isPeerRefused else { return false }
        carryOut(connection.session.ended(.notAuthorized), connection)
        return true
    }

    // MARK: Orders

    private func carryOut(_ orders: [MQTTOrder], _ connection: MQTTConnection) {
        var left = orders
        while !left.isEmpty {
            let current = left
            left = []
            for order in current {
                switch order {
                case .admit(let connect): left += admit(connect, connection)
                case .publish(let publish):
                    guard let peer = connection.peer else { preconditionFailure("only an admitted client publishes") }
                    let answer = MQTTAnswer(mailbox: mailbox, connection: connection.id, ticket: publish.ticket)
                    core.handler.handle(publish, from: peer, answer: answer)
                case .close(let reason):
                    connection.endReason = reason
                    if reason != .success { counters.endedByRelay += 1 }
                }
            }
        }
        count(connection)
        mark(connection)
    }

    private func admit(_ connect: MQTTConnect, _ connection: MQTTConnection) -> [MQTTOrder] {
        let identity = connection.transport.peerIdentity
        if let refusal = core.handler.admit(connect, identity: identity) { return connection.session.refused(refusal) }
        let assigned = connect.clientIdentifier.isEmpty ? core.nextName() : nil
        let peer = MQTTPeer(
            identity: identity, clientIdentifier: assigned ?? connect.clientIdentifier, version: connect.version)
        connection.peer = peer
        core.strangers.subtract(1, ordering: .relaxed)
        counters.admitted += 1
        let client = MQTTSessionBook.Client(identity: identity, identifier: peer.clientIdentifier)
        let known = core.sessions.connected(
            client, connect, at: .init(loop: index, connection: connection.id), now: now)
        if let replaced = known.replaced {
            core.mailboxes[replaced.loop].post(.takenOver(connection: replaced.connection))
        }
        return connection.session.admitted(sessionPresent: known.isPresent, assignedIdentifier: assigned, at: now)
    }

    private func count(_ connection: MQTTConnection) {
        let counts = connection.session.takeCounts()
        counters.messages += counts
        connection.counts += counts
        let before = connection.countedBytes
        countBytes(connection)
        let share = configuration.maxHeldBytes / core.mailboxes.count
        guard connection.countedBytes > before, heldBytes > share else { return }
        for case .close(let reason) in connection.session.ended(.serverBusy) {
            connection.endReason = reason
            counters.endedByRelay += 1
        }
        countBytes(connection)
    }

    private func countBytes(_ connection: MQTTConnection) {
        let held = connection.session.heldBytes
        heldBytes += held - connection.countedBytes
        connection.countedBytes = held
    }

    // MARK: Sending

    private func mark(_ connection: MQTTConnection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        dirty.append(connection)
    }

    /// One send for all answers that a connection got in this round.
    private func flushDirty() {
        var position = 0
        while position < dirty.count {
            let connection = dirty[position]
            position += 1
            connection.isDirty = false
            if connections[connection.id] != nil { flush(connection) }
        }
        dirty.removeAll(keepingCapacity: true)
    }

    private func flush(_ connection: MQTTConnection) {
        if connection.session.hasOutput {
            switch connection.session.output.withUnsafeBytes({ connection.transport.send($0) }) {
            case .moved(let count):
                connection.sendProgressAt = now
                carryOut(connection.session.sent(count, at: now), connection)
            case .wouldBlock: break
            case .closed: return drop(connection)
            }
        } else {
            connection.sendProgressAt = now
        }
        if connection.session.isClosed, !connection.session.hasOutput, connection.lingersUntil == nil {
            connection.lingersUntil = now + Self.lingerNanoseconds
            connection.transport.finishWriting()
        }
        let wanted = connection.wanted
        guard wanted != connection.interest else { return }
        do {
            try mailbox.poll.modify(connection.transport.descriptor, token: connection.id, interest: wanted)
            connection.interest = wanted
        } catch {
            drop(connection)
        }
    }

    private func drop(_ connection: MQTTConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        connection.transport.close()
        core.connections.subtract(1, ordering: .relaxed)
        if connection.peer == nil { core.strangers.subtract(1, ordering: .relaxed) }
        counters.connections -= 1
        heldBytes -= connection.countedBytes
        connection.countedBytes = 0
        if let client = connection.client, let peer = connection.peer {
            core.sessions.disconnected(client, at: .init(loop: index, connection: connection.id), now: now)
            core.handler.ended(peer, connection.endReason, connection.counts)
        }
    }
}
