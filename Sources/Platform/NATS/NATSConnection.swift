// A connection to a NATS cluster over libnats: it goes from server to server by itself, for ever, and says so.
//
// Three ways to talk: `request` (one answer), `requestMany` (answers until a status message ends them) and
// `ReplyBox` (many publications under way, their answers on a thread of libnats's). JetStream's own interface is
// requests with JSON (see JetStream.swift): libnats 3.4 knows neither streams with a first sequence nor batched reads.

import CNATS
import Synchronization

package final class NATSConnection: Sendable {
    // Safety: libnats's objects have their own locks; this one is set once and destroyed when nobody refers to us.
    private nonisolated(unsafe) let connection: OpaquePointer
    package let configuration: NATSConfiguration

    /// Connects to the first server that answers; throws when none does.
    /// - Parameter events: called on a thread of libnats's.
    package init(
        _ configuration: NATSConfiguration, events: @escaping @Sendable (NATSEvent) -> Void
    ) throws(NATSError) {
        self.configuration = configuration
        try NATSError.check(nats_Open(-1), "start libnats")
        let hooks = Unmanaged.passRetained(Hooks(events))
        let options = try Self.options(configuration, hooks.toOpaque())
        defer { natsOptions_Destroy(options) }
        var made: OpaquePointer?
        let status = natsConnection_Connect(&made, options)
        guard status == NATS_OK, let made else {
            hooks.release()
            throw NATSError(status: status, "connect to \(configuration.urls.map(Self.withoutSecrets))")
        }
        connection = made
    }

    /// libnats's closed callback lets go of the hooks.
    deinit { natsConnection_Destroy(connection) }

    package var isConnected: Bool { natsConnection_Status(connection) == NATS_CONN_STATUS_CONNECTED }

    /// Of headers and payload together, as the server now connected to says.
    package var maxPayload: Int { Int(natsConnection_GetMaxPayload(connection)) }

    package var connectedURL: String? {
        var buffer = [CChar](repeating: 0, count: 512)
        guard natsConnection_GetConnectedUrl(connection, &buffer, buffer.count) == NATS_OK else { return nil }
        return Self.withoutSecrets(Self.text(buffer))
    }

    /// A subject that nobody else uses.
    package static func inbox() -> String {
        var text: UnsafeMutablePointer<CChar>?
        guard natsInbox_Create(&text) == NATS_OK, let text else { return "_INBOX.\(UInt64.random(in: 0 ... .max))" }
        defer { natsInbox_Destroy(text) }
        return String(cString: text)
    }

    // MARK: Talking

    /// Fails at once while the connection is being made again.
    package func publish(_ message: OutgoingMessage, reply: String? = nil) throws(NATSError) {
        try checkConnected()
        try message.withMessage(reply: reply) { pointer throws(NATSError) in
            try NATSError.check(natsConnection_PublishMsg(connection, pointer), "publish to \(message.subject)")
        }
    }

    /// Publishes and waits for the first answer.
    package func request(
        _ message: OutgoingMessage, timeoutSeconds: Double? = nil
    ) throws(NATSError) -> NATSMessage {
        try checkConnected()
        let milliseconds = Self.milliseconds(timeoutSeconds ?? configuration.requestSeconds)
        return try message.withMessage(reply: nil) { pointer throws(NATSError) in
            var answer: OpaquePointer?
            let status = natsConnection_RequestMsg(&answer, connection, pointer, milliseconds)
            try NATSError.check(status, "ask \(message.subject)")
            guard let answer else { throw NATSError(.timedOut, "ask \(message.subject): no answer") }
            return NATSMessage(answer)
        }
    }

    private func checkConnected() throws(NATSError) {
        guard isConnected else { throw NATSError(.notConnected, "the connection is being made again") }
    }

    /// Publishes and hands out answers until `body` says that it was the last one (true). Throws `timedOut` when none
    /// comes for so long.
    package func requestMany(
        _ message: OutgoingMessage, silenceSeconds: Double? = nil, _ body: (NATSMessage) throws -> Bool
    ) throws {
        let inbox = try NATSInbox(self)
        try publish(message, reply: inbox.subject)
        while true {
            let answer = try inbox.next(timeoutSeconds: silenceSeconds ?? configuration.requestSeconds)
            if try body(answer) { return }
        }
    }

    /// What was published is on its way to the server when this returns.
    package func flush(timeoutSeconds: Double = 2) throws(NATSError) {
        try NATSError.check(
            natsConnection_FlushTimeout(connection, Self.milliseconds(timeoutSeconds)), "flush the connection")
    }

    package func close() { natsConnection_Close(connection) }

    // MARK: For the parts of this module

    func withPointer<Result>(_ body: (OpaquePointer) throws(NATSError) -> Result) throws(NATSError) -> Result {
        try body(connection)
    }

    static func milliseconds(_ seconds: Double) -> Int64 { Int64(max(1, (seconds * 1_000).rounded())) }

    private static func text(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A URL may hold a password.
    package static func withoutSecrets(_ url: String) -> String {
        guard let scheme = url.range(ofText: "://"), let at = url[scheme.upperBound...].lastIndex(of: "@") else {
            return url
        }
        return String(url[..<scheme.upperBound] + url[url.index(after: at)...])
    }
}

extension String {
    fileprivate func range(ofText text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// What libnats's connection callbacks are given.
private final class Hooks: Sendable {
    let events: @Sendable (NATSEvent) -> Void

    init(_ events: @escaping @Sendable (NATSEvent) -> Void) { self.events = events }

    static func of(_ closure: UnsafeMutableRawPointer?) -> Hooks? {
        closure.map { Unmanaged<Hooks>.fromOpaque($0).takeUnretainedValue() }
    }

    static func reason(_ connection: OpaquePointer?) -> String {
        var text: UnsafePointer<CChar>?
        let status = natsConnection_GetLastError(connection, &text)
        guard let text, text.pointee != 0 else { return String(cString: natsStatus_GetText(status)) }
        return String(cString: text)
    }
}

extension NATSConnection {
    /// Options that go on for ever: a lost server is no reason to end, only to wait.
    private static func options(
        _ configuration: NATSConfiguration, _ hooks: UnsafeMutableRawPointer
    ) throws(NATSError) -> OpaquePointer {
        var made: OpaquePointer?
        try NATSError.check(natsOptions_Create(&made), "make options")
        guard let options = made else { throw NATSError(.invalid, "libnats made no options") }
        do {
            try setServers(options, configuration)
            try secure(options, configuration)
        } catch {
            natsOptions_Destroy(options)
            Unmanaged<Hooks>.fromOpaque(hooks).release()
            throw error
        }
        natsOptions_SetDisconnectedCB(
            options, { Hooks.of($1)?.events(.disconnected(reason: Hooks.reason($0))) }, hooks)
        natsOptions_SetReconnectedCB(
            options,
            { connection, closure in
                var buffer = [CChar](repeating: 0, count: 512)
                _ = natsConnection_GetConnectedUrl(connection, &buffer, buffer.count)
                Hooks.of(closure)?.events(
                    .reconnected(server: NATSConnection.withoutSecrets(NATSConnection.text(buffer))))
            }, hooks)
        natsOptions_SetErrorHandler(
            options,
            { _, _, status, closure in
                Hooks.of(closure)?.events(.problem(String(cString: natsStatus_GetText(status))))
            }, hooks)
        // Called last, once, for every connection that was made.
        natsOptions_SetClosedCB(
            options,
            { connection, closure in
                guard let closure else { return }
                let hooks = Unmanaged<Hooks>.fromOpaque(closure)
                hooks.takeUnretainedValue().events(.closed(reason: Hooks.reason(connection)))
                hooks.release()
            }, hooks)
        return options
    }

    private static func setServers(
        _ options: OpaquePointer, _ configuration: NATSConfiguration
    ) throws(NATSError) {
        var urls: [UnsafePointer<CChar>?] = []
        var copies: [UnsafeMutablePointer<CChar>] = []
        for url in configuration.urls {
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: url.utf8.count + 1)
            for (index, byte) in url.utf8.enumerated() { copy[index] = CChar(bitPattern: byte) }
            copy[url.utf8.count] = 0
            copies.append(copy)
            urls.append(UnsafePointer(copy))
        }
        defer { for copy in copies { copy.deallocate() } }
        try NATSError.check(natsOptions_SetServers(options, &urls, Int32(urls.count)), "read the servers' addresses")
        let jitter = milliseconds(configuration.reconnectJitterSeconds)
        try NATSError.check(natsOptions_SetName(options, configuration.name), "set the name")
        try NATSError.check(
            natsOptions_SetTimeout(options, milliseconds(configuration.connectSeconds)), "set the time to connect")
        try NATSError.check(natsOptions_SetMaxReconnect(options, -1), "reconnect for ever")
        try NATSError.check(
            natsOptions_SetReconnectWait(options, milliseconds(configuration.reconnectSeconds)), "set the wait")
        try NATSError.check(natsOptions_SetReconnectJitter(options, jitter, jitter), "set the jitter")
        try NATSError.check(
            natsOptions_SetPingInterval(options, milliseconds(configuration.pingSeconds)), "set the ping interval")
        try NATSError.check(natsOptions_SetMaxPingsOut(options, 2), "set the lost pings")
        // A server that takes nothing any more must not hold a publishing thread.
        try NATSError.check(natsOptions_SetWriteDeadline(options, 2_000), "set the write deadline")
        // While it is away nothing is kept to be sent later: whoever publishes decides what is still worth sending.
        try NATSError.check(natsOptions_SetReconnectBufSize(options, 64 << 10), "set the reconnect buffer")
        try NATSError.check(natsOptions_SetFailRequestsOnDisconnect(options, true), "fail requests at once")
    }

    private static func secure(_ options: OpaquePointer, _ configuration: NATSConfiguration) throws(NATSError) {
        if let user = configuration.user {
            try NATSError.check(
                natsOptions_SetUserInfo(options, user, configuration.password ?? ""), "set the user")
        }
        if let token = configuration.token {
            try NATSError.check(natsOptions_SetToken(options, token), "set the token")
        }
        if let file = configuration.credentialsFile {
            try NATSError.check(
                natsOptions_SetUserCredentialsFromFiles(options, file, nil), "read the credentials \(file)")
        }
        guard let tls = configuration.tls else { return }
        try NATSError.check(natsOptions_SetSecure(options, true), "use TLS")
        if let file = tls.authoritiesFile {
            try NATSError.check(
                natsOptions_LoadCATrustedCertificates(options, file), "read the authorities \(file)")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            try NATSError.check(
                natsOptions_LoadCertificatesChain(options, certificate, key), "read the certificate \(certificate)")
        }
    }
}
