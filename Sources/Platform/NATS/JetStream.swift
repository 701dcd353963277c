// JetStream's API as requests with JSON: streams, purges, batched reads, publications that are acknowledged.
// Errors carry the server's own code, so that a caller can tell "full" from "gone".

import FoundationEssentials

package struct PublishAcknowledgement: Sendable, Equatable {
    package let sequence: UInt64
    /// The stream had a message with this `Nats-Msg-Id` already: this is its position.
    package let isDuplicate: Bool

    package init(sequence: UInt64, isDuplicate: Bool) {
        self.sequence = sequence
        self.isDuplicate = isDuplicate
    }
}

package struct StoredMessage: Sendable {
    package let sequence: UInt64
    package let subject: String
    /// When the stream took it, RFC 3339.
    package let time: String
    /// The one header that was asked for.
    package let header: String?
    package let payload: [UInt8]
}

package struct JetStream: Sendable {
    package let connection: NATSConnection
    private static let prefix = "$JS.API."
    /// Bytes of one batched read: far below what a server lets wait for one connection (`max_pending`, 64 MiB).
    package static let bytesPerRead = 8 << 20
    package static let messagesPerRead = 1_000

    package init(_ connection: NATSConnection) { self.connection = connection }

    private struct Failure: Decodable {
        var code: Int?
        var err_code: Int?
        var description: String?
    }

    private struct Answer<Content: Decodable>: Decodable {
        var error: Failure?
        var content: Content?

        enum CodingKeys: String, CodingKey { case error }

        init(from decoder: any Decoder) throws {
            error = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(Failure.self, forKey: .error)
            content = error == nil ? try Content(from: decoder) : nil
        }
    }

    private struct Empty: Codable {}

    /// One request; throws JetStream's error.
    func ask<Content: Decodable>(
        _ operation: String, _ body: (any Encodable)? = nil, as content: Content.Type, timeoutSeconds: Double? = nil
    ) throws(NATSError) -> Content {
        let payload = try body.map { body throws(NATSError) in try Self.json(body) } ?? []
        let message = OutgoingMessage(subject: Self.prefix + operation, payload: payload)
        let answer = try connection.request(message, timeoutSeconds: timeoutSeconds)
        return try Self.decode(answer, content, operation)
    }

    private static func json(_ value: any Encodable) throws(NATSError) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            throw NATSError(.invalid, "a request could not be written as JSON")
        }
    }

    private static func decode<Content: Decodable>(
        _ message: NATSMessage, _ content: Content.Type, _ operation: String
    ) throws(NATSError) -> Content {
        let data = message.withPayload { Data($0) }
        guard let answer = try? JSONDecoder().decode(Answer<Content>.self, from: data) else {
            throw NATSError(.invalid, "\(operation): the answer is not what JetStream's API says")
        }
        if let content = answer.content { return content }
        throw error(answer.error, operation)
    }

    private static func error(_ failure: Failure?, _ operation: String) -> NATSError {
        NATSError(
            .jetStream, "\(operation): \(failure?.description ?? "no reason given")",
            jetStream: failure?.err_code ?? failure?.code ?? 0)
    }

    // MARK: Streams

    /// - Parameter subjects: also counts the messages of each matching subject.
    package func info(
        _ stream: String, subjects: String? = nil, timeoutSeconds: Double? = nil
    ) throws(NATSError) -> StreamInfo {
        struct Request: Encodable { var subjects_filter: String }
        return try ask(
            "STREAM.INFO.\(stream)", subjects.map { Request(subjects_filter: $0) }, as: StreamInfo.self,
            timeoutSeconds: timeoutSeconds)
    }

    package struct EnsuredStream: Sendable {
        package let info: StreamInfo
        package let isNew: Bool
        /// Settings of an older stream that were raised.
        package let changed: [String]
    }

    /// Makes the stream, or sees that the one that is there agrees with the settings and raises what may be raised.
    package func ensure(_ settings: StreamSettings) throws(NATSError) -> EnsuredStream {
        let found: StreamInfo
        do {
            found = try info(settings.name)
        } catch {
            guard error.isStreamMissing else { throw error }
            do {
                let made = try ask("STREAM.CREATE.\(settings.name)", settings, as: StreamInfo.self)
                return EnsuredStream(info: made, isNew: true, changed: [])
            } catch {
                // Another node was faster, with other settings.
                guard error.jetStream == JetStreamCode.streamNameInUse else { throw error }
                found = try info(settings.name)
            }
        }
        switch StreamAgreement.compare(wanted: settings, found: found.config) {
        case .agrees: return EnsuredStream(info: found, isNew: false, changed: [])
        case .conflict(let reasons):
            throw NATSError(
                .conflict, "stream \(settings.name) is not as configured: \(reasons.joined(separator: "; "))")
        case .update(let next, let changed):
            let info = try ask("STREAM.UPDATE.\(settings.name)", next, as: StreamInfo.self)
            return EnsuredStream(info: info, isNew: false, changed: changed)
        }
    }

    package func delete(_ stream: String) throws(NATSError) {
        _ = try ask("STREAM.DELETE.\(stream)", as: Empty.self)
    }

    /// Forgets the messages of a subject up to and with this position.
    package func purge(_ stream: String, subject: String, through sequence: UInt64) throws(NATSError) {
        struct Request: Encodable {
            var filter: String
            var seq: UInt64
        }
        _ = try ask(
            "STREAM.PURGE.\(stream)", Request(filter: subject, seq: sequence + 1), as: Empty.self,
            timeoutSeconds: Self.purgeSeconds)
    }

    /// A purge of many messages takes its time.
    private static let purgeSeconds = 30.0

    // MARK: Messages

    package static let messageIDHeader = "Nats-Msg-Id"

    /// Publishes and waits until the stream has it.
    package func publish(
        _ message: OutgoingMessage, timeoutSeconds: Double? = nil
    ) throws(NATSError) -> PublishAcknowledgement {
        try Self.acknowledgement(try connection.request(message, timeoutSeconds: timeoutSeconds))
    }

    private struct Acknowledgement: Decodable {
        var seq: UInt64
        var duplicate: Bool?
    }

    /// What a stream answered to a publication. Throws where it has not taken it, or nobody is there to say so.
    package static func acknowledgement(_ message: NATSMessage) throws(NATSError) -> PublishAcknowledgement {
        if message.status != nil {
            throw NATSError(.noResponders, "publish: nobody answers; no leader, or no such stream")
        }
        let content = try decode(message, Acknowledgement.self, "publish")
        return PublishAcknowledgement(sequence: content.seq, isDuplicate: content.duplicate ?? false)
    }

    /// Messages of the matching subjects from a position on, ascending, in one request to any of the stream's servers
    /// (ADR-31): stateless, and not only its leader answers. Fewer than there are where a limit is reached, and none
    /// from a server that has not caught up; never one left out in between.
    package func read(
        _ stream: String, subjects: String, from sequence: UInt64, header: String? = nil,
        maxMessages: Int = messagesPerRead, maxBytes: Int = bytesPerRead
    ) throws -> [StoredMessage] {
        struct Request: Encodable {
            var seq: UInt64
            var next_by_subj: String
            var batch: Int
            var max_bytes: Int
        }
        let request = Request(seq: sequence, next_by_subj: subjects, batch: maxMessages, max_bytes: maxBytes)
        return try stored(stream, try Self.json(request), header)
    }

    /// The position of the first message that the stream took at this time (RFC 3339) or later; nil where none came.
    package func firstSequence(_ stream: String, subjects: String, since time: String) throws -> UInt64? {
        struct Request: Encodable {
            var start_time: String
            var next_by_subj: String
            var batch = 1
        }
        return try stored(stream, try Self.json(Request(start_time: time, next_by_subj: subjects)), nil).first?.sequence
    }

    /// The newest message of each matching subject.
    package func readLast(_ stream: String, subjects: String) throws -> [StoredMessage] {
        struct Request: Encodable {
            var multi_last: [String]
            var batch: Int
        }
        return try stored(
            stream, try Self.json(Request(multi_last: [subjects], batch: Self.messagesPerRead)), "KV-Operation")
    }

    private func stored(_ stream: String, _ request: [UInt8], _ header: String?) throws -> [StoredMessage] {
        var messages: [StoredMessage] = []
        let question = OutgoingMessage(subject: Self.prefix + "DIRECT.GET.\(stream)", payload: request)
        try connection.requestMany(question) { answer in
            if let status = answer.status {
                // The end of the batch, or nothing there.
                if status == 204 || status == 404 { return true }
                throw NATSError(.jetStream, "read \(stream): \(answer.statusText)", jetStream: status)
            }
            guard let number = answer.header("Nats-Sequence").flatMap({ UInt64($0) }),
                answer.header("Nats-Last-Sequence").flatMap({ UInt64($0) }) == messages.last?.sequence ?? 0
            else { throw NATSError(.invalid, "read \(stream): an answer without its place, or one is missing") }
            messages.append(
                StoredMessage(
                    sequence: number, subject: answer.header("Nats-Subject") ?? "",
                    time: answer.header("Nats-Time-Stamp") ?? "", header: header.flatMap { answer.header($0) },
                    payload: answer.payload))
            return false
        }
        return messages
    }
}
