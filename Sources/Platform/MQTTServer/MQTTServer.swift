// An MQTT listener that only takes messages: 3.1.1 and 5, QoS 0 and 1, no subscriptions. Made for a relay that
// acknowledges each report only when it is on disk (I1): a handler takes a publish, returns at once, and some other
// thread answers later; the answer finds its way back to the connection's own thread.
//
// What a packet means is decided in Protocol/ (pure values); this side owns sockets and threads: each of the few
// threads waits on its connections (epoll), the first also accepts and deals new ones out.
// Limits (I7): connections, bytes held, and per connection those of MQTTLimits.

package import System
package import TLS
import Synchronization

package struct MQTTServerConfiguration: Sendable {
    /// A numeric IPv4 or IPv6 address, or "localhost".
    package var host: String
    /// 0: any free port; see `MQTTServer.port`.
    package var port: UInt16
    package var threads: Int
    /// Further connections wait in the kernel's queue until one closes.
    package var maxConnections: Int
    /// Unfinished packets and unread answers of all connections together; beyond it a connection that adds to them is
    /// ended (0x89).
    package var maxHeldBytes: Int
    /// A client that takes nothing of what it is sent for this long is dropped.
    package var writeStallSeconds: Double
    package var limits: MQTTLimits
    /// Per cent of the connections that only clients that were admitted may have. Where others have taken the rest and
    /// one more comes, the oldest of them is dropped.
    package var reservedForKnownPercent = 25
    /// Wraps an accepted socket, for example in TLS, which also says who the peer is. Nil: the socket is closed.
    package var transport: @Sendable (StreamSocket) -> (any MQTTTransport)?

    package init(
        host: String = "127.0.0.1", port: UInt16 = 0, threads: Int = 2, maxConnections: Int = 4096,
        maxHeldBytes: Int = 64 << 20, writeStallSeconds: Double = 30, limits: MQTTLimits = MQTTLimits(),
        transport: @escaping @Sendable (StreamSocket) -> (any MQTTTransport)? = { $0 }
    ) {
        precondition((1...64).contains(threads) && maxConnections > 0, "a listener has a thread and room")
        self.host = host
        self.port = port
        self.threads = threads
        self.maxConnections = maxConnections
        self.maxHeldBytes = maxHeldBytes
        self.writeStallSeconds = writeStallSeconds
        self.limits = limits
        self.transport = transport
    }
}

/// What bytes travel through: a plain socket, or a layer over one. Used by one thread; never blocks.
package protocol MQTTTransport: Sendable {
    var descriptor: Int32 { get }
    /// Who the peer proved to be; nil without proof (plain TCP). Asked once, when CONNECT has come.
    var peerIdentity: String? { get }
    /// What the peer proved no longer holds: expired, or denied at the last `recheckPeer`.
    var isPeerRefused: Bool { get }
    func recheckPeer()
    /// `receive` is to be called when the socket can be written to (a handshake).
    var wantsToWrite: Bool { get }
    /// Room for 64 KiB.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> StreamSocket.Transfer
    /// After `.wouldBlock` the same bytes are offered again, with more behind them perhaps.
    func send(_ bytes: UnsafeRawBufferPointer) -> StreamSocket.Transfer
    func finishWriting()
    func close()
}

extension StreamSocket: MQTTTransport {
    package var peerIdentity: String? { nil }
    package var isPeerRefused: Bool { false }
    package func recheckPeer() {}
    package var wantsToWrite: Bool { false }
}

extension TLSStream: MQTTTransport {}

package struct MQTTPeer: Sendable, Equatable {
    /// What the transport proved.
    package let identity: String?
    /// What the client calls itself.
    package let clientIdentifier: String
    package let version: MQTTVersion
}

/// Both functions run on a listener's thread: they return soon and never wait.
package protocol MQTTHandler: Sendable {
    /// Nil: the client may publish; else the reason for its refusal.
    func admit(_ connect: MQTTConnect, identity: String?) -> MQTTReason?
    /// Must answer exactly once, now or later, from any thread; QoS 0 as well.
    func handle(_ publish: MQTTPublish, from peer: MQTTPeer, answer: MQTTAnswer)
    /// A connection that had been admitted ended. `.success`: the client said goodbye or just left.
    func ended(_ peer: MQTTPeer, _ reason: MQTTReason, _ counts: MQTTCounts)
}

/// The way back from a publish to its connection. An answer to a connection that is gone is dropped.
package struct MQTTAnswer: Sendable {
    let mailbox: MQTTMailbox
    let connection: UInt64
    let ticket: Int64

    package func give(_ verdict: MQTTVerdict) {
        mailbox.post(.answer(connection: connection, ticket: ticket, verdict))
    }
}

package struct MQTTServerCounters: Sendable, Equatable {
    /// Open now.
    package var connections = 0
    /// Clients admitted since the start.
    package var admitted = 0
    /// Connections that ended for another reason than the client's own wish.
    package var endedByRelay = 0
    package var messages = MQTTCounts()

    package init() {}

    package static func += (sum: inout MQTTServerCounters, more: MQTTServerCounters) {
        sum.connections += more.connections
        sum.admitted += more.admitted
        sum.endedByRelay += more.endedByRelay
        sum.messages += more.messages
    }
}

/// What the threads share.
final class MQTTServerCore: Sendable {
    let configuration: MQTTServerConfiguration
    let handler: any MQTTHandler
    let time: any TimeSource
    let sessions: MQTTSessionBook
    let mailboxes: [MQTTMailbox]
    let connections = Atomic<Int>(0)
    /// Of `connections`, those that were not admitted (yet).
    let strangers = Atomic<Int>(0)
    private let names = Atomic<Int>(0)
    /// Sets the names given in this life apart from those of earlier ones.
    private let namePrefix = String(UInt64.random(in: .min ... .max), radix: 36)

    init(
        _ configuration: MQTTServerConfiguration, handler: any MQTTHandler, time: any TimeSource,
        sessions: MQTTSessionBook
    ) throws(SystemError) {
        self.configuration = configuration
        self.handler = handler
        self.time = time
        self.sessions = sessions
        var mailboxes: [MQTTMailbox] = []
        for _ in 0..<configuration.threads { mailboxes.append(try MQTTMailbox()) }
        self.mailboxes = mailboxes
    }

    /// For a client that has no name.
    func nextName() -> String { "relay-\(namePrefix)-\(names.add(1, ordering: .relaxed).newValue)" }
}

package final class MQTTServer: Sendable {
    private let core: MQTTServerCore
    private let threads: [WorkerThread]

    /// The port really bound.
    package let port: UInt16

    package init(
        _ configuration: MQTTServerConfiguration, handler: any MQTTHandler, time: any TimeSource,
        sessions: MQTTSessionBook = MQTTSessionBook()
    ) throws(SystemError) {
        let core = try MQTTServerCore(configuration, handler: handler, time: time, sessions: sessions)
        let listener = try TCPListener(host: configuration.host, port: configuration.port)
        self.core = core
        port = listener.port
        threads = core.mailboxes.indices.map { index in
            WorkerThread(name: "mqtt-\(index)") {
                MQTTLoop(core, index: index, listener: index == 0 ? listener : nil).run()
            }
        }
    }

    package var counters: MQTTServerCounters {
        core.mailboxes.reduce(into: MQTTServerCounters()) { $0 += $1.counters }
    }

    /// From now on, for open connections too: all but address, port, threads and transport. Keep-alives that were
    /// agreed upon stay.
    package func update(_ configuration: MQTTServerConfiguration) {
        for mailbox in core.mailboxes { mailbox.post(.configure(configuration)) }
    }

    /// Asks about every open connection whether its peer may stay; the others are ended (0x87).
    package func recheckPeers() {
        for mailbox in core.mailboxes { mailbox.post(.recheck) }
    }

    /// Takes no new connection and no more packets; publishes under way are still answered.
    package func stopAccepting() {
        for mailbox in core.mailboxes { mailbox.post(.quiet) }
    }

    /// Sends the answers that are there, says goodbye, closes all connections. Takes about a second at most.
    package func stop() {
        for mailbox in core.mailboxes { mailbox.post(.stop) }
        for thread in threads { thread.join() }
    }
}
