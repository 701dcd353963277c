// One client's connection as the relay sees it: a pure value (no I/O, no clock, no randomness). Past facts go in
// (`received`, `answered`, `timePassed`), orders come out, and bytes for the client gather in `output`.
//
//   awaitingConnect ──CONNECT──▶ awaitingAdmission ──admitted──▶ connected ──▶ closed
//          │ 5 s, anything else         │ refused                    │ DISCONNECT, fault, silence, refusal, stop
//          └────────────────────────────┴────────────────────────────┴──▶ closed: the shell sends `output`, then closes
//
// I1  A publish with QoS 1 is acknowledged only by `answered(_:.stored)`, which the owner calls after the commit.
//     PUBACKs leave in the order in which the publishes came.
// I7  Unanswered publishes, bytes of an unfinished packet and unread output have limits; at each of them the session
//     stops wanting input, so that TCP slows the client down.
// I8  Any bytes lead to packets or to a fault that ends this connection, never to a crash.

/// What became of a publish.
package enum MQTTVerdict: Sendable, Equatable {
    /// On disk: acknowledged.
    case stored
    /// Will never be taken. Acknowledged, so that the client does not send it for ever; MQTT 5 clients learn why.
    case rejected(MQTTReason, text: String)
    /// Cannot be taken now. Not acknowledged: the connection is held for a while, then closed, and the client sends it
    /// again. (See `MQTTConnect.wantsRefusals` for the other way.)
    case notNow(MQTTReason, text: String, afterSeconds: Double)
}

package enum MQTTOrder: Sendable, Equatable {
    /// Decide about the client, then call `admitted` or `refused`.
    case admit(MQTTConnect)
    /// Store this, then call `answered` with its ticket.
    case publish(MQTTPublish)
    /// Send the output, then close. Nothing else follows.
    case close(MQTTReason)
}

/// What the session decided since it was asked last.
package struct MQTTCounts: Sendable, Equatable {
    package var published = 0
    package var publishedWithoutAnswer = 0
    package var acknowledged = 0
    package var rejected = 0
    package var heldBack = 0
    /// Publishes with QoS 0 that could not be taken: nobody will send them again.
    package var lostWithoutAnswer = 0

    package static func += (sum: inout MQTTCounts, more: MQTTCounts) {
        sum.published += more.published
        sum.publishedWithoutAnswer += more.publishedWithoutAnswer
        sum.acknowledged += more.acknowledged
        sum.rejected += more.rejected
        sum.heldBack += more.heldBack
        sum.lostWithoutAnswer += more.lostWithoutAnswer
    }
}

package struct MQTTSession: Sendable {
    enum Phase: Sendable, Equatable {
        case awaitingConnect
        case awaitingAdmission(MQTTConnect)
        case connected(MQTTConnect)
        case closed
    }

    struct Pending: Sendable {
        /// Nil with QoS 0.
        let identifier: UInt16?
        var verdict: MQTTVerdict?
    }

    /// A packet that is too large, of which only the rest is still to come.
    struct Skipped: Sendable {
        var remainingBytes: Int
        let identifier: UInt16?
    }

    /// A publish could not be taken: the connection ends at `closeAt`.
    struct Refusal: Sendable {
        let reason: MQTTReason
        let text: String
        let closeAt: UInt64
    }

    /// Changed while the session is open, they hold from the next packet on.
    package var limits: MQTTLimits
    var phase = Phase.awaitingConnect
    var writer = PacketWriter()
    /// Bytes read and not yet a whole packet, or not yet wanted.
    var input: [UInt8] = []
    var pending: [Pending] = []
    /// The ticket of `pending[0]`.
    var firstTicket: Int64 = 1
    /// Publishes left without an answer for ever; they take up the window until the connection ends.
    var unanswered = 0
    var refusal: Refusal?
    var skipped: Skipped?
    var isQuiet = false
    var counts = MQTTCounts()
    var keepAliveNanoseconds: UInt64 = 0
    var lastHeardAt: UInt64
    let openedAt: UInt64
    /// When the unfinished packet in `input` began; nil: there is none.
    var packetBeganAt: UInt64?

    /// - Parameter now: monotonic nanoseconds, as everywhere here.
    package init(limits: MQTTLimits, at now: UInt64) {
        self.limits = limits
        openedAt = now
        lastHeardAt = now
    }

    // MARK: What the shell asks

    /// Bytes to send, oldest first; call `sent` for those that the socket took.
    package var output: [UInt8] { writer.bytes }
    package var hasOutput: Bool { !writer.bytes.isEmpty }
    /// Bytes held for this client beside what is on its way to disk.
    package var heldBytes: Int { input.count + writer.bytes.count }
    package var isClosed: Bool { phase == .closed }
    package var isConnected: Bool { connection != nil }

    var connection: MQTTConnect? {
        if case .connected(let connect) = phase { return connect }
        return nil
    }

    /// Whether more should be read from the client now.
    package var wantsInput: Bool { canProceed }

    /// Whether another packet may be looked at.
    var canProceed: Bool {
        guard !isQuiet, writer.bytes.count < limits.maxOutputBytes else { return false }
        switch phase {
        case .awaitingConnect: return true
        case .awaitingAdmission, .closed: return false
        case .connected: return pending.count + unanswered < limits.receiveMaximum
        }
    }

    package mutating func takeCounts() -> MQTTCounts {
        defer { counts = MQTTCounts() }
        return counts
    }

    // MARK: What happened

    /// The client sent bytes.
    package mutating func received(_ bytes: UnsafeRawBufferPointer, at now: UInt64) -> [MQTTOrder] {
        guard phase != .closed else { return [] }
        lastHeardAt = now
        var orders: [MQTTOrder] = []
        if input.isEmpty {
            let used = proceed(bytes, at: now, &orders)
            if phase != .closed, used < bytes.count { input = Array(bytes[used...]) }
        } else {
            input.append(contentsOf: bytes)
            proceed(at: now, &orders)
        }
        return orders
    }

    /// The socket took bytes of `output`.
    package mutating func sent(_ count: Int, at now: UInt64) -> [MQTTOrder] {
        writer.sent(count)
        return proceeded(at: now)
    }

    /// The owner takes the client that `.admit` told of.
    /// - Parameters:
    ///   - sessionPresent: this client's session was kept since its last connection.
    ///   - assignedIdentifier: the name given to a client that has none.
    package mutating func admitted(
        sessionPresent: Bool, assignedIdentifier: String?, at now: UInt64
    ) -> [MQTTOrder] {
        guard case .awaitingAdmission(let connect) = phase else { return [] }
        phase = .connected(connect)
        writer.maximumPacketBytes = connect.maximumPacketBytes ?? .max
        let asked = connect.keepAliveSeconds
        var keepAlive = asked
        if connect.version == .v5, asked == 0 || asked > limits.maxKeepAliveSeconds {
            keepAlive = limits.maxKeepAliveSeconds
        }
        keepAliveNanoseconds = Self.nanoseconds(keepAlive == 0 ? limits.idleSeconds : Double(keepAlive) * 1.5)
        writer.connectAccepted(
            connect, sessionPresent: sessionPresent, assignedIdentifier: assignedIdentifier,
            keepAliveSeconds: keepAlive, limits: limits)
        return proceeded(at: now)
    }

    /// The owner does not take the client that `.admit` told of.
    package mutating func refused(_ reason: MQTTReason) -> [MQTTOrder] {
        guard case .awaitingAdmission(let connect) = phase else { return [] }
        writer.connectRefused(ConnectRefusal(reason: reason, version: connect.version))
        return [close(reason)]
    }

    /// A publish is on disk, or will not be. An answer to a connection that ended is forgotten.
    package mutating func answered(_ ticket: Int64, _ verdict: MQTTVerdict, at now: UInt64) -> [MQTTOrder] {
        guard let connect = connection else { return [] }
        let index = Int(ticket - firstTicket)
        precondition(pending.indices.contains(index), "an answer belongs to a publish that waits for one")
        precondition(pending[index].verdict == nil, "a publish is answered once")
        pending[index].verdict = verdict
        settle(connect, at: now)
        return proceeded(at: now)
    }

    /// Looks at the deadlines.
    package mutating func timePassed(at now: UInt64) -> [MQTTOrder] {
        switch phase {
        case .closed: return []
        case .awaitingConnect, .awaitingAdmission:
            guard now >= openedAt + Self.nanoseconds(limits.connectSeconds) else { return [] }
            return [close(.keepAliveTimeout)]
        case .connected(let connect):
            if let refusal, now >= refusal.closeAt {
                // Publishes before and after the refused one still get their answers, unless the disk is stuck.
                guard pending.isEmpty || now >= refusal.closeAt + Self.nanoseconds(limits.maxDelaySeconds) else {
                    return []
                }
                return [end(refusal.reason, text: refusal.text, connect)]
            }
            if let began = packetBeganAt, canProceed, now >= began + Self.nanoseconds(limits.packetSeconds) {
                return [end(.keepAliveTimeout, text: "A packet was begun and not finished in time.", connect)]
            }
            // A client whose publishes wait for the disk is not read, so it cannot be heard either.
            guard canProceed, now >= lastHeardAt + keepAliveNanoseconds else { return [] }
            return [end(.keepAliveTimeout, text: MQTTReason.keepAliveTimeout.hint, connect)]
        }
    }

    /// Takes no more packets; publishes under way are still answered.
    package mutating func quiet() { isQuiet = true }

    /// The relay ends the connection.
    package mutating func ended(_ reason: MQTTReason) -> [MQTTOrder] {
        switch phase {
        case .closed: return []
        case .awaitingConnect: return [close(reason)]
        case .awaitingAdmission: return refused(reason)
        case .connected(let connect): return [end(reason, text: reason.hint, connect)]
        }
    }

    // MARK: Steps

    static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }

    mutating func end(_ reason: MQTTReason, text: String, _ connect: MQTTConnect) -> MQTTOrder {
        writer.disconnected(reason, text: text, for: connect)
        return close(reason)
    }

    mutating func close(_ reason: MQTTReason) -> MQTTOrder {
        precondition(phase != .closed, "a connection is closed once")
        phase = .closed
        input = []
        packetBeganAt = nil
        pending = []
        return .close(reason)
    }

    private mutating func proceeded(at now: UInt64) -> [MQTTOrder] {
        guard !input.isEmpty, phase != .closed else { return [] }
        var orders: [MQTTOrder] = []
        // What was paused is not late.
        lastHeardAt = max(lastHeardAt, now)
        proceed(at: now, &orders)
        return orders
    }

    private mutating func proceed(at now: UInt64, _ orders: inout [MQTTOrder]) {
        // Taken out and put back, so that the bytes stay where they are while packets are read from them; a client
        // that sends single bytes must not make us copy its whole packet for each.
        var held: [UInt8] = []
        swap(&held, &input)
        let used = held.withUnsafeBytes { proceed($0, at: now, &orders) }
        guard phase != .closed, used < held.count else { return }
        if used > 0 { held.removeFirst(used) }
        input = held
    }

    /// Answers from the front as far as verdicts are there (I1).
    mutating func settle(_ connect: MQTTConnect, at now: UInt64) {
        var settled = 0
        while settled < pending.count, let verdict = pending[settled].verdict {
            let identifier = pending[settled].identifier
            settled += 1
            switch verdict {
            case .stored:
                guard let identifier else { continue }
                counts.acknowledged += 1
                writer.publishAcknowledged(identifier, .success, text: "", for: connect)
            case .rejected(let reason, let text):
                counts.rejected += 1
                guard let identifier else { continue }
                writer.publishAcknowledged(identifier, reason, text: text, for: connect)
            case .notNow(let reason, let text, let afterSeconds):
                guard let identifier else {
                    counts.lostWithoutAnswer += 1
                    continue
                }
                counts.heldBack += 1
                if connect.version == .v5, connect.wantsRefusals {
                    writer.publishAcknowledged(identifier, reason, text: text, for: connect)
                    continue
                }
                unanswered += 1
                guard refusal == nil else { continue }
                let delay = min(max(afterSeconds, 0), limits.maxDelaySeconds)
                refusal = Refusal(reason: reason, text: text, closeAt: now + Self.nanoseconds(delay))
            }
        }
        pending.removeFirst(settled)
        firstTicket += Int64(settled)
    }
}
