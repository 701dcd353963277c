// Opening the cluster's stream: suitable servers, a stream as configured, positions beyond all that the lake knows.

import Log
import NATS
import System

struct StreamOpening {
    private let configuration: NATSStreamConfiguration
    private let time: any TimeSource
    private let log: Log
    private let deadline: UInt64
    private static let retrySeconds = 0.5
    /// A new stream begins so far beyond the last archived position: another node may have seen later ones.
    private static let margin: Int64 = 1_000_000
    /// More lost messages than this are no lost tail: a person has to look.
    private static let maxFillers: Int64 = 1_000_000
    /// The server's "not now": no leader yet, not enough servers yet, JetStream starting.
    private static let passing: Set<Int> = [10_005, 10_008, 10_023, 10_074, 503]

    init(_ configuration: NATSStreamConfiguration, time: any TimeSource, log: Log) {
        self.configuration = configuration
        self.time = time
        self.log = log
        deadline = time.monotonicNanoseconds() + UInt64(configuration.startSeconds * 1e9)
    }

    func connect(_ events: @escaping @Sendable (NATSEvent) -> Void) throws -> NATSConnection {
        try again("connect") {
            let greetings = try ServerGreeting.checkAll(configuration.nats.urls)
            if let small = greetings.first(where: { $0.maxPayload < configuration.messageBytes }) {
                throw NATSError(
                    .unsuitableServer,
                    "server \(small.name) takes messages of \(small.maxPayload) bytes, Columba needs "
                        + "`max_payload: \(configuration.messageBytes)`")
            }
            let connection = try NATSConnection(configuration.nats, events: events)
            log.info(
                "nats_connected",
                [
                    "server": .string(connection.connectedURL ?? ""),
                    "version": .string(greetings.map(\.version).min() ?? ""),
                ])
            return connection
        }
    }

    func ensure(_ jetStream: JetStream, archivedThrough: Int64) throws -> StreamInfo {
        var settings = configuration.settings
        if archivedThrough > 0 { settings.firstSequence = UInt64(archivedThrough + Self.margin) }
        let ensured = try ensured(jetStream, settings)
        if ensured.isNew {
            log.info(
                "stream_created",
                ["replicas": .int(settings.replicas), "first_position": .int(settings.firstSequence ?? 1)])
        }
        if !ensured.changed.isEmpty {
            log.info("stream_updated", ["settings": .string(ensured.changed.joined(separator: ","))])
        }
        guard !ensured.isNew, ensured.info.state.lastSequence < UInt64(clamping: archivedThrough) else {
            return ensured.info
        }
        return try fill(jetStream, through: archivedThrough)
    }

    private func ensured(_ jetStream: JetStream, _ settings: StreamSettings) throws -> JetStream.EnsuredStream {
        do {
            return try again("open the stream") { try jetStream.ensure(settings) }
        } catch let error as NATSError where error.detail.contains("storage") {
            throw NATSError(
                .conflict,
                "the servers have no room for a stream of \(settings.maxBytes) bytes: lower `stream.max_bytes`, or "
                    + "give each of them more (NATS_MAX_FILE in deploy/central/nats); \(error.detail)",
                jetStream: error.jetStream)
        }
    }

    /// The stream has lost its end: what comes next must not get positions that the lake has passed already.
    private func fill(_ jetStream: JetStream, through position: Int64) throws -> StreamInfo {
        let filler = OutgoingMessage(subject: StreamSubject.name(ofPartition: 0), payload: [])
        while true {
            let info = try again("look at the stream") { try jetStream.info(NATSStreamConfiguration.streamName) }
            let missing = position - Int64(clamping: info.state.lastSequence)
            guard missing > 0 else { return info }
            guard missing <= Self.maxFillers else {
                throw NATSError(
                    .conflict,
                    "the stream ends \(missing) positions before what the lake has archived: it is not this lake's, or "
                        + "was set back; delete stream \(NATSStreamConfiguration.streamName) and start again (relays "
                        + "send what is not archived)")
            }
            log.error("stream_lost_its_end", ["missing": .int(missing)])
            for _ in 1..<min(missing, 500) { try jetStream.connection.publish(filler) }
            _ = try again("fill the stream") { try jetStream.publish(filler) }
        }
    }

    /// Tries until the time is over, where it is a question of time.
    private func again<Result>(_ operation: String, _ body: () throws -> Result) throws -> Result {
        var told = false
        while true {
            do {
                return try body()
            } catch let error as NATSError where mayPass(error) && time.monotonicNanoseconds() < deadline {
                if !told {
                    log.warning("nats_waits", ["operation": .string(operation), "reason": .string("\(error)")])
                }
                told = true
                Pause.seconds(Self.retrySeconds)
            }
        }
    }

    private func mayPass(_ error: NATSError) -> Bool {
        switch error.code {
        case .notConnected, .timedOut, .noResponders: true
        case .jetStream: error.jetStream.map { Self.passing.contains($0) } ?? false
        case .refused, .closed, .unsuitableServer, .conflict, .invalid: false
        }
    }
}

/// A thread's rest.
enum Pause {
    static func seconds(_ seconds: Double) {
        let monitor = Monitor(())
        let _: Void? = monitor.wait(timeoutSeconds: seconds) { _ in nil }
    }
}
