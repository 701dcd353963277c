// One connection on its thread: the session that decides, and the transport that carries it out.

import System

final class MQTTConnection {
    let id: UInt64
    let transport: any MQTTTransport
    var session: MQTTSession
    /// Set when the client was admitted.
    var peer: MQTTPeer?
    /// What epoll watches now.
    var interest: EventPoll.Interest
    /// All was said; the client gets this long to close first, so that what was sent reaches it.
    var lingersUntil: UInt64?
    var endReason = MQTTReason.success
    /// When the client last took bytes, or had none to take.
    var sendProgressAt: UInt64
    /// What the loop counts for it.
    var countedBytes = 0
    var counts = MQTTCounts()
    var isDirty = false

    init(id: UInt64, transport: any MQTTTransport, limits: MQTTLimits, at now: UInt64) {
        self.id = id
        self.transport = transport
        session = MQTTSession(limits: limits, at: now)
        interest = .readable
        sendProgressAt = now
    }

    var client: MQTTSessionBook.Client? {
        peer.map { MQTTSessionBook.Client(identity: $0.identity, identifier: $0.clientIdentifier) }
    }

    /// What epoll should watch.
    var wanted: EventPoll.Interest {
        var wanted: EventPoll.Interest = []
        if session.wantsInput || lingersUntil != nil { wanted.insert(.readable) }
        if session.hasOutput || transport.wantsToWrite { wanted.insert(.writable) }
        return wanted
    }
}
