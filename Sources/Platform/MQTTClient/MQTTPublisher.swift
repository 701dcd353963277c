// Publishes to an MQTT broker over libmosquitto, blocking, for a thread that may wait: one message at a time, QoS 1,
// and `publish` returns when the broker has taken responsibility for it (PUBACK).
//
// libmosquitto keeps messages of its own and sends them again after a reconnect. Whoever publishes here keeps its
// messages itself and must know what became of each, so after any failure the client is thrown away and the next
// publish begins with a new one: nothing is ever sent behind the caller's back.

import CMosquitto
import Glibc
import Synchronization

package struct MQTTConfiguration: Sendable, Equatable {
    package var host: String
    package var port: UInt16
    package var clientID: String
    package var user: String?
    package var password: String?
    package var tls: MQTTTLS?
    package var keepAliveSeconds: Int32 = 60

    package init(
        host: String, port: UInt16, clientID: String, user: String? = nil, password: String? = nil,
        tls: MQTTTLS? = nil
    ) {
        self.host = host
        self.port = port
        self.clientID = clientID
        self.user = user
        self.password = password
        self.tls = tls
    }
}

package struct MQTTTLS: Sendable, Equatable {
    /// PEM; nil: the system's authorities.
    package var authoritiesFile: String?
    package var certificateFile: String?
    package var keyFile: String?

    package init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.authoritiesFile = authoritiesFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

package struct MQTTError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case couldNotConnect, refused, timedOut, closed, cancelled, invalid
    }

    package let code: Code
    /// libmosquitto's words: no host, no user, no content.
    package let detail: String

    package var description: String { detail.isEmpty ? code.rawValue : "\(code.rawValue): \(detail)" }
}

/// Use from one thread at a time.
package final class MQTTPublisher {
    private static let systemAuthorities = "/etc/ssl/certs"
    private static let loopMilliseconds: Int32 = 50

    private let configuration: MQTTConfiguration
    private var client: OpaquePointer?
    /// What libmosquitto's callbacks said; they run inside `mosquitto_loop`, on the publishing thread.
    private let heard = Heard()

    package init(_ configuration: MQTTConfiguration) {
        self.configuration = configuration
        _ = Self.library
    }

    deinit { discard() }

    package var isConnected: Bool { client != nil && heard.isConnected }

    /// Connects if need be, publishes, and waits for the broker's acknowledgement.
    package func publish(
        topic: String, payload: [UInt8], timeoutSeconds: Double, isCancelled: () -> Bool = { false }
    ) throws(MQTTError) {
        let deadline = Self.monotonicSeconds() + timeoutSeconds
        do {
            let client = try connect(until: deadline, isCancelled)
            var message: Int32 = 0
            try Self.check(
                mosquitto_publish(client, &message, topic, Int32(payload.count), payload, 1, false), "publish")
            try loop(client, until: deadline, isCancelled) { heard.acknowledged == message }
        } catch {
            discard()
            throw error
        }
    }

    /// Answers the broker's pings while there is nothing to publish. A lost connection is noticed here.
    package func keepAlive() {
        guard let client else { return }
        if mosquitto_loop(client, 0, 1) != MOSQ_ERR_SUCCESS.code || !heard.isConnected { discard() }
    }

    package func disconnect() {
        if let client {
            mosquitto_disconnect(client)
            mosquitto_loop(client, 0, 1)
        }
        discard()
    }

    // MARK: Steps

    private func connect(until deadline: Double, _ isCancelled: () -> Bool) throws(MQTTError) -> OpaquePointer {
        if let client, heard.isConnected { return client }
        discard()
        let context = Unmanaged.passUnretained(heard).toOpaque()
        guard let client = mosquitto_new(configuration.clientID, true, context) else {
            throw MQTTError(code: .invalid, detail: "the client id is not one that MQTT allows")
        }
        self.client = client
        heard.reset()
        mosquitto_connect_callback_set(client) { _, context, result in Heard.of(context)?.connected(result) }
        mosquitto_disconnect_callback_set(client) { _, context, _ in Heard.of(context)?.disconnected() }
        mosquitto_publish_callback_set(client) { _, context, message in Heard.of(context)?.published(message) }
        mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1)
        try secure(client)
        let host = configuration.host
        let port = Int32(configuration.port)
        try Self.check(
            mosquitto_connect_async(client, host, port, configuration.keepAliveSeconds), "connect",
            otherwise: .couldNotConnect)
        try loop(client, until: deadline, isCancelled) { heard.answered }
        guard heard.isConnected else {
            throw MQTTError(code: .refused, detail: String(cString: mosquitto_connack_string(heard.result)))
        }
        return client
    }

    private func secure(_ client: OpaquePointer) throws(MQTTError) {
        if let user = configuration.user {
            try Self.check(mosquitto_username_pw_set(client, user, configuration.password), "set the user")
        }
        guard let tls = configuration.tls else { return }
        let folder = tls.authoritiesFile == nil ? Self.systemAuthorities : nil
        try Self.check(
            mosquitto_tls_set(client, tls.authoritiesFile, folder, tls.certificateFile, tls.keyFile, nil),
            "read the TLS files")
        try Self.check(mosquitto_tls_opts_set(client, 1, "tlsv1.2", nil), "set the TLS version")
    }

    private func loop(
        _ client: OpaquePointer, until deadline: Double, _ isCancelled: () -> Bool, _ isDone: () -> Bool
    ) throws(MQTTError) {
        while !isDone() {
            guard !isCancelled() else { throw MQTTError(code: .cancelled, detail: "") }
            guard Self.monotonicSeconds() < deadline else {
                throw MQTTError(
                    code: .timedOut, detail: heard.answered ? "no acknowledgement" : "no answer to the connection")
            }
            let code = mosquitto_loop(client, Self.loopMilliseconds, 1)
            if isDone() { return }
            try Self.check(code, "go on", otherwise: heard.answered ? .closed : .couldNotConnect)
            if heard.hasEnded { throw MQTTError(code: .closed, detail: "the broker ended the connection") }
        }
    }

    private func discard() {
        if let client { mosquitto_destroy(client) }
        client = nil
        heard.reset()
    }

    private static func check(
        _ code: Int32, _ operation: String, otherwise: MQTTError.Code = .invalid
    ) throws(MQTTError) {
        guard code != MOSQ_ERR_SUCCESS.code else { return }
        let isSystem = code == MOSQ_ERR_ERRNO.code
        let words = isSystem ? String(cString: strerror(errno)) : String(cString: mosquitto_strerror(code))
        throw MQTTError(code: otherwise, detail: "cannot \(operation): \(words)")
    }

    private static func monotonicSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// libmosquitto wants to be told once per process.
    private static let library: Int32 = mosquitto_lib_init()
}

extension mosq_err_t {
    fileprivate var code: Int32 { rawValue }
}

private final class Heard {
    private(set) var answered = false
    private(set) var hasEnded = false
    private(set) var result: Int32 = 0
    private(set) var acknowledged: Int32 = 0

    var isConnected: Bool { answered && result == 0 && !hasEnded }

    func reset() {
        answered = false
        hasEnded = false
        result = 0
        acknowledged = 0
    }

    func connected(_ result: Int32) {
        answered = true
        self.result = result
    }

    func disconnected() { hasEnded = true }

    func published(_ message: Int32) { acknowledged = message }

    static func of(_ context: UnsafeMutableRawPointer?) -> Heard? {
        context.map { Unmanaged<Heard>.fromOpaque($0).takeUnretainedValue() }
    }
}
