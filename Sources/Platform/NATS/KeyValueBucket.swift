// A JetStream key-value bucket: the newest value of each key, on as many servers as the stream (ADR-8). Every write has
// a revision; `put` and `all` are one request each, and `all` is answered by any server: no watch that could be lost.
//
// A revision that changes is a sign of life: a node writes its key every second, and a reader remembers by its own
// monotonic clock when it last saw that. No clock of another machine is compared with ours.

package struct KeyValueEntry: Sendable, Equatable {
    package let key: String
    package let value: [UInt8]
    /// Grows with each write.
    package let revision: UInt64

    package init(key: String, value: [UInt8], revision: UInt64) {
        self.key = key
        self.value = value
        self.revision = revision
    }
}

package struct KeyValueBucket: Sendable {
    package let name: String
    private let jetStream: JetStream
    private let settings: Settings
    private static let operationHeader = "KV-Operation"

    private struct Settings: Codable {
        var name: String
        var subjects: [String]
        var num_replicas: Int
        var max_bytes: Int64
        var max_msg_size: Int64
        var max_msgs_per_subject = 1
        var discard = "new"
        var storage: String
        var allow_rollup_hdrs = true
        var deny_delete = true
        var allow_direct = true
        var duplicate_window: Int64 = 120_000_000_000
    }

    private struct Created: Decodable {}

    /// Makes the bucket where it is not there.
    /// - Parameter inMemory: for what is written again every second; gone when all servers are.
    package init(
        _ jetStream: JetStream, name: String, replicas: Int, maxBytes: Int64 = 64 << 20,
        maxValueBytes: Int64 = 512 << 10, inMemory: Bool = false
    ) throws(NATSError) {
        precondition(Self.isValid(name) && !name.contains("."), "a bucket's name is letters, digits, - and _")
        self.name = name
        self.jetStream = jetStream
        settings = Settings(
            name: "KV_\(name)", subjects: ["$KV.\(name).>"], num_replicas: replicas, max_bytes: maxBytes,
            max_msg_size: maxValueBytes, storage: inMemory ? "memory" : "file")
        _ = try ensure()
    }

    /// Makes the bucket where it is not there, or not any more. Says which one is there.
    func ensure() throws(NATSError) -> StreamInfo {
        do {
            return try jetStream.info(settings.name)
        } catch {
            guard error.isStreamMissing else { throw error }
            do {
                _ = try jetStream.ask("STREAM.CREATE.\(settings.name)", settings, as: Created.self)
            } catch {
                // Another node was faster, with other settings.
                guard error.jetStream == JetStreamCode.streamNameInUse else { throw error }
            }
            return try jetStream.info(settings.name)
        }
    }

    package static func isValid(_ key: String) -> Bool {
        !key.isEmpty && !key.hasPrefix(".") && !key.hasSuffix(".") && !key.contains("..")
            && key.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || [0x2d, 0x2e, 0x2f, 0x3d, 0x5f].contains(byte)
            }
    }

    private func subject(_ key: String) -> String {
        precondition(Self.isValid(key), "a key is letters, digits and - . / = _")
        return "$KV.\(name).\(key)"
    }

    /// Durable on most of the bucket's servers when this returns; the key's new revision.
    /// - Parameter expecting: only if this is still the key's revision (0: the key was never written); throws
    ///   `wrongLastSequence` where another one was faster.
    @discardableResult
    package func put(
        _ key: String, _ value: [UInt8], expecting revision: UInt64? = nil, timeoutSeconds: Double? = nil
    ) throws(NATSError) -> UInt64 {
        var message = OutgoingMessage(subject: subject(key), payload: value)
        if let revision { message.headers = [("Nats-Expected-Last-Subject-Sequence", String(revision))] }
        return try jetStream.publish(message, timeoutSeconds: timeoutSeconds).sequence
    }

    package func remove(_ key: String) throws(NATSError) {
        let message = OutgoingMessage(
            subject: subject(key), headers: [(Self.operationHeader, "DEL")], payload: [])
        _ = try jetStream.publish(message)
    }

    package func get(_ key: String) throws -> KeyValueEntry? { try entries(subject(key)).first }

    /// The newest entry of every key that begins with `prefix` and a dot; nil: of every key. By key.
    package func all(_ prefix: String? = nil) throws -> [KeyValueEntry] {
        try entries("$KV.\(name)." + (prefix.map { "\($0).>" } ?? ">")).sorted { $0.key < $1.key }
    }

    private func entries(_ subjects: String) throws -> [KeyValueEntry] {
        try jetStream.readLast(settings.name, subjects: subjects).compactMap(entry)
    }

    /// Messages from a revision on, as many as one request gives.
    func page(from revision: UInt64) throws -> [StoredMessage] {
        try jetStream.read(
            settings.name, subjects: "$KV.\(name).>", from: revision, header: Self.operationHeader)
    }

    func entry(_ message: StoredMessage) -> KeyValueEntry? {
        // A removed key leaves a marker.
        guard message.header == nil else { return nil }
        let key = message.subject.utf8.dropFirst("$KV.\(name).".utf8.count)
        return KeyValueEntry(
            key: String(decoding: key, as: UTF8.self), value: message.payload, revision: message.sequence)
    }
}
